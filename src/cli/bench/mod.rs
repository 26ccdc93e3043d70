//! `hw1 bench`: the cost of one unit of each workload, held against the arithmetic that it needs and the rate at which
//! libtorch multiplies large matrices at that moment. Knows no experiment and no run directory.

mod meeting;
mod workload;

use crate::analysis::statistics::quantile;
use crate::backend::cpu::schedule::{self, Schedule};
use crate::backend::cpu::{self, pieces};
use crate::backend::device::{DeviceChoice, set_up_thread};
use crate::cli::answer;
use crate::data::{Access, Built, Data, DataSpec, mnist};
use crate::error::{say, usage};
use crate::output::provenance::Call;
use crate::study::number::significant;
use crate::terminal;
use anyhow::{Context as _, Error, Result};
use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{Args, ValueEnum};
use meeting::{Meeting, Part, side_by_side};
use serde::Serialize;
use serde_json::json;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{num::NonZeroUsize, thread};
use tch::{Device, Kind, Tensor};
use workload::{WORKLOADS, Workload, set_up};

const UNITS: &str = "A unit is an epoch on points, a step on 128 digits, an evaluation of 10000, a Hessian, a product with \
                     one. The limit is what libtorch's own product of large matrices reaches at that moment.";

/// Measure this machine: the cost of a unit of each workload, beside what it could be
#[derive(Args)]
#[command(after_help = UNITS)]
pub struct Bench {
    /// Which [default: all]
    #[arg(id = "workload", value_name = "WORKLOAD", value_parser = PossibleValuesParser::new(WORKLOADS.iter().map(|workload| workload.name)))]
    workloads: Vec<String>,
    /// Cores of a trial, which share its work
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::from(1..=1024), default_value = "1")]
    threads: usize,
    /// Trials side by side, as a study's run
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::from(1..=1024), default_value = "1")]
    trials: usize,
    /// What N cores would take as well, by the pieces of a unit: timed on one core, laid out on N
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::from(2..=1024), conflicts_with_all = ["threads", "trials", "device"])]
    schedule: Option<usize>,
    /// Vectors of kernels and libraries: the processor's widest, or AVX2's
    #[arg(long, value_enum, default_value_t)]
    vector: Vector,
    /// Where: cpu, cuda or cuda:N. On CUDA the workloads that train and evaluate
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceChoice,
    /// MNIST's folder [default: HW1_DATA_DIR, else the cache; without, synthetic digits]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A line of JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Vector {
    #[default]
    Native,
    Avx2,
}

/// Goes on as a process of which libraries learn before they are loaded that they are to keep to AVX2.
fn anew_on_avx2() -> Result<()> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        let own = std::env::current_exe().context("cannot tell where hw1 itself is")?;
        let (variable, value) = cpu::VECTOR;
        let mut command = std::process::Command::new(own);
        let error = command.args(std::env::args_os().skip(1)).env(variable, value).exec();
        return Err(Error::new(error).context("cannot start hw1 anew"));
    }
    Err(usage("this processor has no AVX2: leave out --vector"))
}

pub fn run(bench: &Bench) -> Result<()> {
    if bench.vector == Vector::Avx2 && !cpu::are_narrow_wanted() {
        return anew_on_avx2();
    }
    let call = Call::now(bench.device, bench.trials, "bench");
    // Minutes pass: each result as it comes, for those who watch.
    let measured = measure_all(bench, |measured| {
        say(&format!("{}: {} ms", measured.workload, significant(measured.milliseconds, 3)));
    })?;
    let provenance = call.provenance(Some(&data(bench.data_dir.as_deref())?))?;
    let value = json!({"workloads": measured, "provenance": provenance});
    answer(bench.json, &value, |width| text(&measured, width))
}

/// Threads a core: more would measure how the system shares them out, and in the end its memory.
const MOST_A_CORE: usize = 4;

/// What was measured of one workload.
#[derive(Debug, Serialize)]
struct Measured {
    workload: &'static str,
    /// A unit's, the median of the windows; of several trials side by side, what one of their units adds.
    milliseconds: f64,
    /// From the first to the third quartile of the windows, in milliseconds.
    spread: f64,
    /// The arithmetic of a unit by its time; null for the Hessian, whose closed form has little to do with
    /// the arithmetic that others need for it.
    gflops: Option<f64>,
    /// Of what libtorch's sgemm does on as many cores, in windows between those of the workload.
    share_of_limit: Option<f64>,
    /// sgemm's GFLOP/s on the cores of the workload.
    limit: f64,
    threads: usize,
    trials: usize,
    dtype: &'static str,
    /// Milliseconds of a unit on the cores of `--schedule`, reckoned from its pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled: Option<f64>,
}

/// The data that the digit workloads take: MNIST where it lies on this machine, else synthetic digits.
fn data(data_dir: Option<&Path>) -> Result<DataSpec> {
    Ok(DataSpec::whole(if mnist::find(data_dir)?.is_some() { Built::Mnist } else { Built::Synthetic }))
}

/// Measures one workload after the other, and tells `done` of each.
///
/// # Errors
/// Many more trials than cores, images that cannot be read, a thread that cannot be started.
fn measure_all(bench: &Bench, done: impl Fn(&Measured)) -> Result<Vec<Measured>> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let Bench { trials, threads, .. } = *bench;
    let most = MOST_A_CORE * cores;
    if trials.saturating_mul(threads) > most {
        let asked = format!("{trials} trials on {threads} cores each are more than {cores} cores can show");
        return Err(usage(format!("{asked}: --trials times --threads is at most {most} here")));
    }
    let device = bench.device.open()?;
    let is_there = |workload: &&Workload| device == Device::Cpu || workload.is_for_devices();
    let chosen: Vec<&Workload> = if bench.workloads.is_empty() {
        WORKLOADS.iter().filter(is_there).collect()
    } else {
        // clap has refused unknown names.
        let named = |name: &String| WORKLOADS.iter().find(|workload| workload.name == *name);
        bench.workloads.iter().filter_map(named).collect()
    };
    if let Some(workload) = chosen.iter().find(|workload| !is_there(workload)) {
        return Err(usage(format!("{} runs on the CPU whatever the device: leave out --device", workload.name)));
    }
    let data_dir = bench.data_dir.as_deref();
    let access = Access { data_dir: bench.data_dir.clone(), watch: None };
    let on_digits = chosen.iter().any(|workload| workload.is_on_digits());
    let data = if on_digits { Some(Data::load(Arc::new(data(data_dir)?), &access)?) } else { None };
    let one = |workload| measure(workload, data.as_ref(), (bench, device)).inspect(&done);
    chosen.into_iter().map(one).collect()
}

/// Windows of each workload, and how long one is at least.
const ROUNDS: usize = 7;
const WINDOW: Duration = Duration::from_millis(60);

/// Milliseconds a unit, the same on the cores of a schedule, and sgemm's GFLOP/s, in each window.
type Windows = Vec<(f64, f64, f64)>;

fn measure(workload: &'static Workload, data: Option<&Data>, (bench, device): (&Bench, Device)) -> Result<Measured> {
    let meeting = Meeting::new(bench.trials);
    let on_thread = |data: Option<Data>| -> Result<Windows> {
        let _part = Part(&meeting);
        set_up_thread();
        // Nobody begins before all are here.
        meeting.wait()?;
        let mut unit = set_up(workload, data.as_ref(), device)?;
        unit()?;
        let mut limit = limit(workload.kind(), device);
        let hand_over = if bench.schedule.is_some() { hand_over() } else { Duration::ZERO };
        let round = |_| -> Result<(f64, f64, f64)> {
            meeting.wait()?;
            let (rate, _) = window(&mut limit, None)?;
            meeting.wait()?;
            let (time, saving) = window(&mut unit, bench.schedule.map(|cores| (cores, hand_over)))?;
            Ok((time, time - saving, flops_of_limit(device) / rate / 1e6))
        };
        (0..ROUNDS).map(round).collect()
    };
    let _cores: Vec<pieces::Lent> = (1..bench.threads).map(|_| pieces::lend()).collect();
    let trials = side_by_side(&meeting, |scope, number| {
        // Tensors go to a thread, and are not shared.
        let data = data.map(|data| data.on(device));
        let on_thread = &on_thread;
        let thread = thread::Builder::new().spawn_scoped(scope, move || on_thread(data));
        thread.with_context(|| format!("cannot start thread {number} of {}; try fewer with --trials", bench.trials))
    })?;
    // Rates add up.
    let round = |round: usize| {
        let per_millisecond: f64 = trials.iter().map(|windows| 1.0 / windows[round].0).sum();
        (1.0 / per_millisecond, trials.iter().map(|windows| windows[round].2).sum::<f64>())
    };
    let (times, limits): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(round).unzip();
    let scheduled: Vec<f64> = trials[0].iter().map(|window| window.1).collect();
    let at = |values: &[f64], share| quantile(values, share).context("no windows");
    let milliseconds = at(&times, 0.5)?;
    let limit = at(&limits, 0.5)? * bench.threads as f64;
    let gflops = workload.flops()?.map(|flops| flops / milliseconds / 1e6);
    Ok(Measured {
        workload: workload.name,
        milliseconds,
        spread: at(&times, 0.75)? - at(&times, 0.25)?,
        gflops,
        share_of_limit: gflops.map(|gflops| gflops / limit),
        limit,
        threads: bench.threads,
        trials: bench.trials,
        dtype: if workload.kind() == Kind::Double { "float64" } else { "float32" },
        scheduled: bench.schedule.map(|_| at(&scheduled, 0.5)).transpose()?,
    })
}

/// Milliseconds of one of the units that `work` does a call, and how many of them its schedule saves on so many cores, each
/// at so much a call. Where none is asked for its pieces are not timed.
fn window(work: &mut dyn FnMut() -> Result<usize>, asked: Option<(usize, Duration)>) -> Result<(f64, f64)> {
    let (mut passed, mut saving, mut units) = (Duration::ZERO, Duration::ZERO, 0);
    while passed < WINDOW {
        let begin = Instant::now();
        let (done, schedule) =
            if asked.is_some() { schedule::record(&mut *work) } else { (work(), Schedule::default()) };
        units += done?;
        passed += begin.elapsed();
        saving += asked.map_or(Duration::ZERO, |(cores, hand_over)| schedule.saving(cores, hand_over));
    }
    let each = |time: Duration| time.as_secs_f64() * 1e3 / units as f64;
    Ok((each(passed), each(saving)))
}

/// What it costs to bring another core to pieces of work: the median of calls that have nothing else to do.
fn hand_over() -> Duration {
    let _core = pieces::lend();
    let call = |_| {
        let begin = Instant::now();
        pieces::for_each(&mut [(); 2], |_, ()| ());
        begin.elapsed()
    };
    let mut calls: Vec<Duration> = (0..1001).map(call).collect();
    calls.sort_unstable();
    calls[calls.len() / 2]
}

/// Rows and columns of sgemm's matrices.
fn side_of_limit(device: Device) -> i64 {
    if device == Device::Cpu { 768 } else { 8192 }
}

fn flops_of_limit(device: Device) -> f64 {
    2.0 * (side_of_limit(device) as f64).powi(3)
}

/// One product of two large matrices.
fn limit(kind: Kind, device: Device) -> impl FnMut() -> Result<usize> {
    let side = side_of_limit(device);
    let matrix = || Tensor::ones([side, side], (kind, device));
    let (a, b, product) = (matrix(), matrix(), matrix());
    move || {
        let _ = a.f_mm_out(&product, &b)?;
        finished(device);
        Ok(1)
    }
}

/// Waits for what a device has to do.
fn finished(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

/// A table for people.
fn text(measured: &[Measured], width: Option<usize>) -> String {
    let mut columns = ["workload", "ms", "spread", "GFLOP/s", "share of limit"].map(str::to_owned).to_vec();
    if measured.iter().any(|m| m.scheduled.is_some()) {
        columns.push("ms by schedule".to_owned());
    }
    let number = |value: f64| significant(value, 3);
    let optional = |value: Option<f64>| value.map_or("-".to_owned(), number);
    let rows: Vec<Vec<String>> = measured
        .iter()
        .map(|m| {
            let share = m.share_of_limit.map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
            let row = vec![m.workload.to_owned(), number(m.milliseconds), number(m.spread), optional(m.gflops), share];
            row.into_iter().chain(m.scheduled.map(number)).collect()
        })
        .collect();
    terminal::table(&columns, &rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_cores_can_show_is_refused() {
        for (trials, threads) in [(65535, 1), (1, 65535), (65535, 65535), (usize::MAX, usize::MAX)] {
            let bench = Bench {
                workloads: vec!["min-ratio".into()],
                threads,
                trials,
                vector: Vector::Native,
                device: DeviceChoice::Cpu,
                data_dir: None,
                json: false,
                schedule: None,
            };
            let refused = measure_all(&bench, |_| ()).unwrap_err();
            assert!(refused.is::<crate::error::Usage>() && refused.to_string().contains("--trials"), "{refused}");
        }
    }
}
