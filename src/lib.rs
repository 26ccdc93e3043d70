//! hw1: see how neural networks learn. One binary, one subcommand an experiment.
//!
//! The map, from the top; each room knows those below it and none above (`tests/it/house.rs` holds that):
//!
//! - [`cli`]: clap, the registry, a file a group of subcommands, from arguments to a run
//! - [`experiments`] the studies; [`output`] metrics, figures, page, listings; [`runner`] which trials are due, workers
//! - [`tasks`] trial bodies that studies share; [`study`] the words that studies are written in
//! - [`store`] every path and every write; [`train`] the loop and the optimizers; [`analysis`]; [`plot`] figures
//! - [`objective`]: loss and gradient as functions of θ; [`backend`]: where they are computed
//! - [`model`] architectures and the layout of θ; [`data`] what is learned from
//! - [`files`] whole writes; [`rng`] keyed randomness; [`error`] exit codes; [`terminal`] standard output, width, tables
//!
//! A library so that tests and benchmarks see inside; the product is the binary.

#![warn(clippy::unwrap_used, clippy::expect_used)] // bad input never panics

pub mod analysis;
pub mod backend;
pub mod cli;
pub mod data;
pub mod error;
pub mod experiments;
pub mod files;
pub mod model;
pub mod objective;
pub mod output;
pub mod plot;
pub mod rng;
pub mod runner;
pub mod store;
pub mod study;
pub mod tasks;
pub mod terminal;
pub mod train;

use std::process::ExitCode;

/// The whole program: 0, or 1 for a failure, 2 for a usage error, 128 + n for signal n.
///
/// # Safety
/// To be called by main, once, before any other thread is started: it sets up the process.
pub unsafe fn run() -> ExitCode {
    // SAFETY: as promised.
    unsafe { run_as(cli::main) }
}

/// A study that is not in the registry, as a program of its own: `examples/widths.rs`.
///
/// # Safety
/// As of [`run`].
pub unsafe fn run_study<E: study::Experiment>() -> ExitCode {
    // SAFETY: as promised.
    unsafe { run_as(cli::main_of_study::<E, _>) }
}

/// The exit code of a program that SIGPIPE ends, which here it does not: records come first.
const SIGPIPE: u8 = 128 + 13;

/// # Safety
/// As of [`run`].
unsafe fn run_as(main: impl FnOnce(std::env::ArgsOs) -> anyhow::Result<()>) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // A trial's panic becomes its failure: runner/workers.rs.
        if std::thread::current().name() != Some(runner::TRIAL_THREAD) {
            error::say(&format!("hw1: internal error, please report it: {panic}"));
        }
    }));
    // SAFETY: as promised.
    unsafe { backend::device::set_up_process() };
    match main(std::env::args_os()) {
        Ok(()) if terminal::reader_is_gone() => ExitCode::from(SIGPIPE),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(exit) = error.downcast_ref::<error::Exit>() {
                return ExitCode::from(exit.0);
            }
            error::say(&format!("hw1: error: {}", error::one_line(&error)));
            ExitCode::from(if error.is::<error::Usage>() { 2 } else { 1 })
        }
    }
}
