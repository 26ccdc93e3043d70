//! The kinds of error that decide how a run ends (everything else is a failure, 1), and how errors
//! and progress are told on standard error.

use crate::terminal::legible;
use std::fmt;
use std::io::{IsTerminal as _, Write as _};

/// What was asked for makes no sense: exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

/// The process is to end with this code; all that there is to say has been said.
#[derive(Debug)]
pub struct Exit(pub u8);

/// Lets types with a sentence in them be errors that say it.
macro_rules! says {
    ($($error:ident),*) => {$(
        impl std::fmt::Display for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::error::Error for $error {}
    )*};
}
pub(crate) use says;

says!(Usage, Unwritable, Exit);

/// A usage error from a finished sentence.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// A signal asked the process to stop: exit code 128 + its number.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The run directory takes no more files: no trial's fault, and no other trial will fare better.
#[derive(Debug)]
pub struct Unwritable(pub String);

/// A line on standard error. Whoever read it may have gone away: that is no reason to stop.
pub fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    let line = legible(line, stderr.is_terminal());
    let _ = writeln!(stderr, "{line}");
}

/// An error and its causes on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // libtorch's errors carry a C++ backtrace from their second line on.
        let text = if cause.is::<tch::TchError>() { text.lines().next().unwrap_or_default() } else { &text };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // Names of files may hold what controls a terminal.
        let text = text.replace(char::is_control, "\u{fffd}");
        // Some errors already print what caused them.
        if line.is_empty() {
            line = text;
        } else if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_error_is_one_line_whatever_is_in_it() {
        let error = usage("function \"sin(\nx\": unexpected end\x1b[31m").context("settings");
        assert_eq!(one_line(&error), "settings: function \"sin( x\": unexpected end\u{fffd}[31m");
    }

    #[test]
    fn libtorchs_backtraces_are_cut() {
        let result = tch::Tensor::zeros([2], (tch::Kind::Float, tch::Device::Cpu)).f_view([3]);
        let line = one_line(&result.map(drop).map_err(anyhow::Error::from).context("a view").unwrap_err());
        assert!(line.starts_with("a view: ") && line.contains("invalid for input of size 2"), "{line}");
        assert!(!line.contains("frame #"), "{line}");
    }
}
