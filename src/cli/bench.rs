//! The cost of one unit of each workload, on the path that training takes: an epoch on points, a step on
//! digits, an evaluation, a Hessian. Held against the arithmetic that it needs and the rate at which
//! libtorch multiplies large matrices at that moment. Knows no experiment and no run directory.

use crate::analysis::hessian::of_mean_squared_error;
use crate::analysis::interpolation::point;
use crate::analysis::sensitivity::jacobian_norm;
use crate::analysis::statistics::quantile;
use crate::backend::cpu::pieces;
use crate::backend::device::set_up_thread;
use crate::data::batches::{DataSpec, DatasetName, Images, Samples, TEST_SIZE, TRAIN_SIZE};
use crate::data::functions::{Target, evenly_spaced};
use crate::data::{CLASSES, SIDE, mnist};
use crate::error::usage;
use crate::model::{Classifier, Mlp};
use crate::objective::{CrossEntropy, MeanSquaredError};
use crate::study::number::significant;
use crate::terminal;
use crate::train::{Convergence, MiniBatches, OptimizerName, train, train_epoch};
use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// What is measured, by the names that `hw1 bench` takes.
pub struct Workload {
    pub name: &'static str,
    model: &'static str,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    /// Loss, gradient and Adam's step over so many points.
    Epoch(usize),
    /// The same over a mini-batch of 128 digits.
    Step,
    /// Loss and accuracy over 10000 images.
    Evaluation,
    /// Exact, of the mean squared error over 2000 points, in float64.
    Hessian,
    /// The Jacobian norm over 1000 images.
    Jacobian,
    /// Train and test loss and accuracy, 70000 images, at one α between two solutions.
    Alpha,
}

/// All of them, those of the report first.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "dnn1", model: "1-10-20-20-20-20-20-20-1", unit: Unit::Epoch(4000) },
    Workload { name: "dnn2", model: "1-10-20-30-20-1", unit: Unit::Epoch(4000) },
    Workload { name: "dnn3", model: "1-20-30-1", unit: Unit::Epoch(4000) },
    Workload { name: "nl1", model: "1-5-10-10-10-10-10-5-1", unit: Unit::Epoch(6000) },
    Workload { name: "nl2", model: "1-10-18-15-4-1", unit: Unit::Epoch(6000) },
    Workload { name: "nl3", model: "1-190-1", unit: Unit::Epoch(6000) },
    Workload { name: "grad-norm", model: "1-10-30-30-30-1", unit: Unit::Epoch(100_000) },
    Workload { name: "min-ratio", model: "1-10-20-30-1", unit: Unit::Epoch(2000) },
    Workload { name: "cnn1", model: "conv5-conv15-128-10", unit: Unit::Step },
    Workload { name: "cnn2", model: "conv16-conv32-128-10", unit: Unit::Step },
    Workload { name: "cnn3", model: "conv32-conv64-256-128-10", unit: Unit::Step },
    Workload { name: "cnn-8-16", model: "conv8-conv16-128-10", unit: Unit::Step },
    Workload { name: "mlp-256", model: "784-256-128-64-10", unit: Unit::Step },
    Workload { name: "mlp-22", model: "784-22-11-10", unit: Unit::Step },
    Workload { name: "eval", model: "conv8-conv16-128-10", unit: Unit::Evaluation },
    Workload { name: "hessian", model: "1-10-20-30-1", unit: Unit::Hessian },
    Workload { name: "sensitivity", model: "conv8-conv16-128-10", unit: Unit::Jacobian },
    Workload { name: "alpha", model: "conv8-conv16-128-10", unit: Unit::Alpha },
];

/// Threads a core: more would measure how the system shares them out, and in the end its memory.
const MOST_A_CORE: usize = 4;

/// What to measure, and how.
pub struct Options<'a> {
    /// By name; none means all.
    pub workloads: Vec<&'a str>,
    /// Cores of one trial.
    pub threads: usize,
    /// Trials side by side, each on its cores.
    pub trials: usize,
    pub data_dir: Option<&'a Path>,
}

/// What was measured of one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub workload: &'static str,
    /// A unit's, the median of the windows; of several trials side by side, what one of their units adds.
    pub milliseconds: f64,
    /// From the first to the third quartile of the windows, in milliseconds.
    pub spread: f64,
    /// The arithmetic of a unit by its time; null for the Hessian, whose closed form has little to do with
    /// the arithmetic that others need for it.
    pub gflops: Option<f64>,
    /// Of what libtorch's sgemm does on as many cores, in windows between those of the workload.
    pub share_of_limit: Option<f64>,
    /// sgemm's GFLOP/s on the cores of the workload.
    pub limit: f64,
    pub threads: usize,
    pub trials: usize,
    pub dtype: &'static str,
}

/// The data that the digit workloads take: MNIST where it lies on this machine, else synthetic digits.
///
/// # Errors
/// Those of the folder named.
pub fn data(data_dir: Option<&Path>) -> Result<DataSpec> {
    let dataset = if mnist::find(data_dir)?.is_some() { DatasetName::Mnist } else { DatasetName::Synthetic };
    Ok(DataSpec { dataset, train_size: TRAIN_SIZE, test_size: TEST_SIZE })
}

/// Measures one workload after the other, and tells `done` of each.
///
/// # Errors
/// An unknown workload, many more trials than cores, images that cannot be read, a thread that cannot be started.
pub fn run(options: &Options, mut done: impl FnMut(&Measured) -> Result<()>) -> Result<Vec<Measured>> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let Options { trials, threads, .. } = *options;
    let most = MOST_A_CORE * cores;
    if trials.saturating_mul(threads) > most {
        let asked = format!("{trials} trials on {threads} cores each are more than {cores} cores can show");
        return Err(usage(format!("{asked}: --trials times --threads is at most {most} here")));
    }
    let chosen: Vec<&Workload> = if options.workloads.is_empty() {
        WORKLOADS.iter().collect()
    } else {
        let find = |name: &&str| {
            WORKLOADS.iter().find(|workload| workload.name == *name).ok_or_else(|| {
                let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
                usage(format!("unknown workload '{name}'; there are {}", names.join(", ")))
            })
        };
        options.workloads.iter().map(find).collect::<Result<_>>()?
    };
    let on_digits = |workload: &&&Workload| !matches!(workload.unit, Unit::Epoch(_) | Unit::Hessian);
    let images = match chosen.iter().find(on_digits) {
        None => None,
        Some(_) => {
            let missing = |_: &Path| Err(anyhow!("MNIST is not where it was a moment ago"));
            Some(data(options.data_dir)?.load(options.data_dir, missing)?)
        }
    };
    chosen
        .into_iter()
        .map(|workload| {
            let measured = measure(workload, images.as_ref(), options)?;
            done(&measured)?;
            Ok(measured)
        })
        .collect()
}

/// Windows of each workload, and how long one is at least.
const ROUNDS: usize = 7;
const WINDOW: Duration = Duration::from_millis(60);

/// Milliseconds a unit and sgemm's GFLOP/s in each window.
type Windows = Vec<(f64, f64)>;

/// Where trials side by side wait for each other until all are there; but not for one that has left, or never
/// comes.
struct Meeting {
    trials: usize,
    state: Mutex<Gathering>,
    changed: Condvar,
}

#[derive(Default)]
struct Gathering {
    here: usize,
    /// How often all were there.
    met: u64,
    over: bool,
}

/// Why a trial stopped that could have gone on.
const OVER: &str = "another trial broke off";

impl Meeting {
    fn new(trials: usize) -> Self {
        Self { trials, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, Gathering> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all trials do.
    ///
    /// # Errors
    /// Where one has left.
    fn wait(&self) -> Result<()> {
        let mut state = self.lock();
        let met = state.met;
        state.here += 1;
        if state.here == self.trials {
            (state.here, state.met) = (0, met + 1);
            self.changed.notify_all();
        }
        while state.met == met && !state.over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        ensure!(state.met > met, OVER);
        Ok(())
    }
}

/// Whoever takes part: for all of them it is over when one leaves, at its end, by an error or a panic.
struct Part<'a>(&'a Meeting);

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

fn measure(workload: &'static Workload, images: Option<&Images>, options: &Options) -> Result<Measured> {
    let meeting = Meeting::new(options.trials);
    let on_thread = |images: Option<Images>| -> Result<Windows> {
        let _part = Part(&meeting);
        set_up_thread();
        // Nobody begins before all are here.
        meeting.wait()?;
        let mut unit = set_up(workload, images.as_ref())?;
        unit()?;
        let mut limit = limit();
        let round = |_| -> Result<(f64, f64)> {
            meeting.wait()?;
            let rate = window(&mut limit)?;
            meeting.wait()?;
            Ok((window(&mut unit)?, FLOPS_OF_LIMIT / rate / 1e6))
        };
        (0..ROUNDS).map(round).collect()
    };
    let _cores: Vec<pieces::Lent> = (1..options.threads).map(|_| pieces::lend()).collect();
    let trials = side_by_side(&meeting, |scope, number| {
        // Tensors go to a thread, and are not shared.
        let images = images.map(|images| images.on(Device::Cpu));
        let on_thread = &on_thread;
        let thread = thread::Builder::new().spawn_scoped(scope, move || on_thread(images));
        thread.with_context(|| format!("cannot start thread {number} of {}; try fewer with --trials", options.trials))
    })?;
    // Rates add up.
    let round = |round: usize| {
        let per_millisecond: f64 = trials.iter().map(|windows| 1.0 / windows[round].0).sum();
        (1.0 / per_millisecond, trials.iter().map(|windows| windows[round].1).sum::<f64>())
    };
    let (times, limits): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(round).unzip();
    let at = |values: &[f64], share| quantile(values, share).context("no windows");
    let milliseconds = at(&times, 0.5)?;
    let limit = at(&limits, 0.5)? * options.threads as f64;
    let gflops = workload.flops()?.map(|flops| flops / milliseconds / 1e6);
    Ok(Measured {
        workload: workload.name,
        milliseconds,
        spread: at(&times, 0.75)? - at(&times, 0.25)?,
        gflops,
        share_of_limit: gflops.map(|gflops| gflops / limit),
        limit,
        threads: options.threads,
        trials: options.trials,
        dtype: if matches!(workload.unit, Unit::Hessian) { "float64" } else { "float32" },
    })
}

/// What the trials of a meeting give, each on the thread that `start` gives it.
///
/// # Errors
/// The first that is a reason, of a trial or of `start`: trials that have begun then end at their next meeting.
fn side_by_side<'a, T>(
    meeting: &'a Meeting,
    start: impl for<'scope> Fn(&'scope Scope<'scope, 'a>, usize) -> Result<ScopedJoinHandle<'scope, Result<T>>>,
) -> Result<Vec<T>> {
    thread::scope(|scope| {
        // The scope waits for those that have begun, however it is left.
        let _part = Part(meeting);
        let handles: Vec<_> = (1..=meeting.trials).map(|number| start(scope, number)).collect::<Result<_>>()?;
        let join = |handle: ScopedJoinHandle<'_, Result<T>>| {
            handle.join().unwrap_or_else(|_| Err(anyhow!("a trial panicked")))
        };
        let mut ends: Vec<Result<T>> = handles.into_iter().map(join).collect();
        let reason = |end: &Result<T>| end.as_ref().is_err_and(|error| error.to_string() != OVER);
        if let Some(first) = ends.iter().position(reason) {
            ends.swap(0, first);
        }
        ends.into_iter().collect()
    })
}

/// Milliseconds of one of the units that `work` does a call.
fn window(work: &mut dyn FnMut() -> Result<usize>) -> Result<f64> {
    let (begin, mut units) = (Instant::now(), 0);
    while begin.elapsed() < WINDOW {
        units += work()?;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e3 / units as f64)
}

/// Rows and columns of sgemm's matrices.
const SIDE_OF_LIMIT: i64 = 768;
const FLOPS_OF_LIMIT: f64 = 2.0 * (SIDE_OF_LIMIT * SIDE_OF_LIMIT * SIDE_OF_LIMIT) as f64;

/// One product of two large matrices.
fn limit() -> impl FnMut() -> Result<usize> {
    let matrix = || Tensor::ones([SIDE_OF_LIMIT, SIDE_OF_LIMIT], (Kind::Float, Device::Cpu));
    let (a, b, product) = (matrix(), matrix(), matrix());
    move || {
        let _ = a.f_mm_out(&product, &b)?;
        Ok(1)
    }
}

const BATCH: i64 = 128;
/// Steps and epochs of one call: enough that setting off does not matter.
const STEPS: i64 = 8;
const EPOCHS: u64 = 10;

/// What does some units a call and says how many.
type Work = Box<dyn FnMut() -> Result<usize>>;

fn set_up(workload: &Workload, images: Option<&Images>) -> Result<Work> {
    let images = || images.context("no images");
    match workload.unit {
        Unit::Epoch(points) => {
            let (model, x, y) = on_points(workload.model, points, Kind::Float)?;
            let theta = model.layout().initial(0, "bench", Kind::Float, Device::Cpu);
            let mut objective = MeanSquaredError::new(&model, theta, &x, &y);
            let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
            let epochs = if points > 50_000 { 1 } else { EPOCHS };
            Ok(Box::new(move || {
                train(&mut objective, &mut adam, epochs, Convergence::NEVER, &mut (), |_| {
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(epochs as usize)
            }))
        }
        Unit::Hessian => {
            let (model, x, y) = on_points(workload.model, 2000, Kind::Double)?;
            let theta = model.layout().initial(0, "bench", Kind::Double, Device::Cpu);
            Ok(Box::new(move || of_mean_squared_error(&model, &theta, &x, &y).map(|_| 1)))
        }
        Unit::Step => {
            let objective = classifier(workload)?;
            let train = &images()?.train;
            let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
            let (all, mut start, mut epoch) = (train.on(Device::Cpu), 0, 0);
            Ok(Box::new(move || {
                // On through the whole set: what is in the cache is what a training has there.
                start = if start + STEPS * BATCH > all.len() { 0 } else { start };
                let part = |tensor: &Tensor| tensor.narrow(0, start, STEPS * BATCH);
                let samples = Samples { images: part(&all.images), labels: part(&all.labels) };
                (start, epoch) = (start + STEPS * BATCH, epoch + 1);
                let batches = MiniBatches { samples: &samples, batch_size: BATCH, shuffle: Some((0, "bench")) };
                train_epoch(&objective, &mut adam, &batches, epoch, || Ok(()))?;
                Ok(STEPS as usize)
            }))
        }
        Unit::Evaluation => {
            let objective = classifier(workload)?;
            let test = images()?.test.on(Device::Cpu);
            Ok(Box::new(move || finite(objective.evaluate(&test).loss)))
        }
        Unit::Jacobian => {
            let model: Classifier = workload.model.parse().map_err(anyhow::Error::msg)?;
            let theta = model.layout().initial(0, "bench", Kind::Float, Device::Cpu);
            let probe = images()?.test.images.narrow(0, 0, 1000);
            Ok(Box::new(move || finite(jacobian_norm(&model, &theta, &probe, || Ok(()))?)))
        }
        Unit::Alpha => {
            let model: Classifier = workload.model.parse().map_err(anyhow::Error::msg)?;
            let solution = |seed| model.layout().initial(seed, "bench", Kind::Float, Device::Cpu);
            let (one, two) = (solution(0), solution(1));
            let images = images()?.on(Device::Cpu);
            Ok(Box::new(move || {
                let objective = CrossEntropy::new(&model, point(&one, &two, 0.5));
                finite(objective.evaluate(&images.train).loss + objective.evaluate(&images.test).loss)
            }))
        }
    }
}

/// One unit, whose result is not thrown away unseen.
fn finite(value: f64) -> Result<usize> {
    if value.is_finite() { Ok(1) } else { Err(anyhow!("a workload gives {value}")) }
}

fn classifier(workload: &Workload) -> Result<CrossEntropy> {
    let model: Classifier = workload.model.parse().map_err(anyhow::Error::msg)?;
    let theta = model.layout().initial(0, "bench", Kind::Float, Device::Cpu);
    Ok(CrossEntropy::new(&model, theta))
}

/// A network, and sin(x) + x² at evenly spaced points: [1, points] each.
fn on_points(model: &str, points: usize, kind: Kind) -> Result<(Mlp, Tensor, Tensor)> {
    let model: Mlp = model.parse().map_err(anyhow::Error::msg)?;
    let target: Target = "sin-sq".parse().map_err(anyhow::Error::msg)?;
    let grid = evenly_spaced([-2.0, 2.0], points);
    let values = target.values(&grid).map_err(anyhow::Error::msg)?;
    let row = |values: &[f64]| Tensor::from_slice(values).to_kind(kind).unsqueeze(0);
    Ok((model, row(&grid), row(&values)))
}

impl Workload {
    /// Additions and multiplications of a unit: two a weight and place forward, four backward; the gradient
    /// of the inputs is not counted where nobody needs it.
    fn flops(&self) -> Result<Option<f64>> {
        let per_sample = |training: bool| -> Result<f64> {
            let layers = self.products()?;
            let forward: f64 = layers.iter().sum();
            Ok(if training { 3.0 * forward - layers[0] } else { forward })
        };
        Ok(match self.unit {
            Unit::Epoch(points) => Some(per_sample(true)? * points as f64),
            Unit::Step => Some(per_sample(true)? * BATCH as f64),
            Unit::Evaluation => Some(per_sample(false)? * TEST_SIZE as f64),
            // Forward, and a pass back to the image for each class but one.
            Unit::Jacobian => Some(per_sample(false)? * f64::from(CLASSES) * 1000.0),
            Unit::Alpha => Some(per_sample(false)? * (TRAIN_SIZE + TEST_SIZE) as f64),
            Unit::Hessian => None,
        })
    }

    /// Additions and multiplications of each layer on one sample.
    fn products(&self) -> Result<Vec<f64>> {
        let linear = |mlp: &Mlp| mlp.widths().windows(2).map(|pair| (2 * pair[0] * pair[1]) as f64).collect::<Vec<_>>();
        if let Ok(mlp) = self.model.parse::<Mlp>() {
            return Ok(linear(&mlp));
        }
        let Classifier::Cnn(cnn) = self.model.parse().map_err(anyhow::Error::msg)? else {
            return Err(anyhow!("'{}' is no network", self.model));
        };
        let (mut inputs, mut side) = (1, SIDE as i64);
        let mut layers = Vec::new();
        for &outputs in cnn.channels() {
            layers.push((2 * 9 * inputs * outputs * side * side) as f64);
            (inputs, side) = (outputs, side / 2);
        }
        layers.extend(linear(cnn.head()));
        Ok(layers)
    }
}

/// A table for people.
#[must_use]
pub fn text(measured: &[Measured], width: Option<usize>) -> String {
    let columns = ["workload", "ms", "spread", "GFLOP/s", "share of limit"].map(str::to_owned);
    let number = |value: f64| significant(value, 3);
    let optional = |value: Option<f64>| value.map_or("-".to_owned(), number);
    let rows: Vec<Vec<String>> = measured
        .iter()
        .map(|m| {
            let share = m.share_of_limit.map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
            vec![m.workload.to_owned(), number(m.milliseconds), number(m.spread), optional(m.gflops), share]
        })
        .collect();
    terminal::table(&columns, &rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_counted_by_hand_for_a_few() {
        let flops = |name: &str| WORKLOADS.iter().find(|w| w.name == name).unwrap().flops().unwrap();
        // 1-190-1: 2·190 forward and for W₁'s gradient, 6·190 for the second layer.
        assert_eq!(flops("nl3"), Some(6000.0 * (4.0 * 190.0 + 6.0 * 190.0)));
        let mlp = 784.0 * 22.0 * 4.0 + (22.0 * 11.0 + 11.0 * 10.0) * 6.0;
        assert_eq!(flops("mlp-22"), Some(128.0 * mlp));
        let (conv1, conv2) = (28.0 * 28.0 * 9.0 * 8.0, 14.0 * 14.0 * 9.0 * 8.0 * 16.0);
        let head = 784.0 * 128.0 + 1280.0;
        assert_eq!(flops("cnn-8-16"), Some(128.0 * (4.0 * conv1 + 6.0 * (conv2 + head))));
        assert_eq!(flops("eval"), Some(1e4 * 2.0 * (conv1 + conv2 + head)));
        assert_eq!(flops("hessian"), None);
    }

    /// What the trials of a meeting give, or that they wait for ever.
    fn within_a_minute<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || sender.send(run()));
        receiver.recv_timeout(Duration::from_secs(60)).expect("nobody waits for ever")
    }

    #[test]
    fn trials_meet_as_often_as_they_want() {
        let most_apart = within_a_minute(|| {
            let (meeting, met) = (Meeting::new(3), std::sync::atomic::AtomicUsize::new(0));
            let trial = || -> Result<usize> {
                let _part = Part(&meeting);
                let mut most = 0;
                for round in 0..100 {
                    meeting.wait()?;
                    met.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    meeting.wait()?;
                    most = most.max(met.load(std::sync::atomic::Ordering::SeqCst).abs_diff(3 * (round + 1)));
                }
                Ok(most)
            };
            side_by_side(&meeting, |scope, _| Ok(scope.spawn(trial))).unwrap()
        });
        assert_eq!(most_apart, [0, 0, 0]);
    }

    #[test]
    fn nobody_waits_for_a_trial_that_leaves_or_never_comes() {
        for (leaving, says) in
            [("an error", "as the test wants it"), ("a panic", "a trial panicked"), ("no thread", "no thread")]
        {
            for odd in 1..=4 {
                let end = within_a_minute(move || {
                    let meeting = Meeting::new(4);
                    let trial = |number: usize| {
                        let _part = Part(&meeting);
                        meeting.wait()?;
                        assert!(number != odd || leaving != "a panic", "as the test wants it");
                        ensure!(number != odd || leaving != "an error", "as the test wants it");
                        meeting.wait()
                    };
                    let trial = &trial;
                    side_by_side(&meeting, |scope, number| {
                        ensure!(number != odd || leaving != "no thread", "no thread");
                        Ok(scope.spawn(move || trial(number)))
                    })
                    .map_err(|error| error.to_string())
                });
                assert_eq!(end.unwrap_err(), says, "{leaving} of trial {odd}");
            }
        }
    }

    #[test]
    fn more_than_the_cores_can_show_is_refused() {
        for (trials, threads) in [(65535, 1), (1, 65535), (65535, 65535), (usize::MAX, usize::MAX)] {
            let options = Options { workloads: vec!["min-ratio"], threads, trials, data_dir: None };
            let refused = run(&options, |_| Ok(())).unwrap_err();
            assert!(refused.is::<crate::error::Usage>() && refused.to_string().contains("--trials"), "{refused}");
        }
    }

    #[test]
    fn names_are_unique_and_models_parse() {
        let names: std::collections::BTreeSet<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len());
        WORKLOADS.iter().for_each(|workload| assert!(workload.flops().is_ok()));
    }
}
