//! hw1: see how neural networks learn. One binary, one subcommand an experiment.
//!
//! The map, from the top; each module knows those below it and none above:
//!
//! - [`cli`]: clap, the registry, from arguments to a run
//! - [`runner`] which trials are due, workers, progress; [`verify`] what stands; [`report`] metrics, table, figures;
//!   [`page`] all of them on one page; [`settings`] the layers of settings; [`experiments`] the studies
//! - [`inspect`] looks at what runs left, through [`metrics`]; [`doctor`] at the machine, [`bench`] at its speed
//! - [`experiment`]: the seam between them: `Experiment`, `Context`, `Record`, `Report`
//! - [`classify`]: what the studies on digits share; [`regress`]: what those on functions share;
//!   [`repeats`]: what several seeds show together
//! - [`claim`]: from numbers to verdicts; [`shown`]: from numbers to text
//! - [`run_dir`]: every path and every write; [`backend`]: what a trial's bits depend on beside the trial
//! - [`train`] the loop and the optimizers; [`analysis`]; [`plot`] figures
//! - [`objective`]: loss and gradient as functions of θ; [`kernels`]: its inner loops in float32 on a CPU
//! - [`model`] architectures and the layout of θ; [`data`] what is learned from
//! - [`checkpoint`]: what an interrupted training goes on from; [`tensors`]: safetensors files
//! - [`files`] whole writes; [`rng`] keyed randomness; [`device`] CPU, CUDA, process set-up; [`error`] exit codes;
//!   [`terminal`] width, paragraphs, tables
//!
//! A library so that tests and benchmarks see inside; the product is the binary.

#![warn(clippy::unwrap_used, clippy::expect_used)] // bad input never panics

pub mod analysis;
pub mod backend;
pub mod bench;
pub mod checkpoint;
pub mod claim;
pub mod classify;
pub mod cli;
pub mod data;
pub mod device;
pub mod doctor;
pub mod error;
pub mod experiment;
pub mod experiments;
pub mod files;
pub mod inspect;
pub mod kernels;
pub mod metrics;
pub mod model;
pub mod objective;
pub mod page;
pub mod plot;
pub mod regress;
pub mod repeats;
pub mod report;
pub mod rng;
pub mod run_dir;
pub mod runner;
pub mod settings;
pub mod shown;
pub mod tensors;
pub mod terminal;
pub mod train;
pub mod verify;

use std::process::ExitCode;

/// The whole program: 0, or 1 for a failure, 2 for a usage error, 128 + n for signal n.
///
/// # Safety
/// To be called by main, once, before any other thread is started: it sets up the process.
#[must_use]
pub unsafe fn run() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // A trial's panic becomes its failure; see runner.rs.
        if std::thread::current().name() != Some(runner::TRIAL_THREAD) {
            error::say(&format!("hw1: internal error, please report it: {panic}"));
        }
    }));
    // SAFETY: as promised.
    unsafe { device::set_up_process() };
    match cli::main(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(exit) = error.downcast_ref::<cli::Exit>() {
                return ExitCode::from(exit.0);
            }
            error::say(&format!("hw1: error: {}", error::one_line(&error)));
            ExitCode::from(if error.is::<error::Usage>() { 2 } else { 1 })
        }
    }
}
