//! The nine studies, one file each, in the same order inside: settings, trial, record, run,
//! report. They never import each other.

pub mod simulate;
