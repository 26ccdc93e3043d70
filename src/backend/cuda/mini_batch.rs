//! Training of multilayer perceptron classifiers in mini-batches on a card, whole epochs in a launch: what a launch is told,
//! and trainings side by side. The kernel is `kernels/mini_batch.cu`, whose structures these are.

use super::company::{Companies, Member};
use super::full_batch::Rule;
use super::mini_batch_plan::{Plan, Shape, Sizes, THREADS};
use super::{Arrays, Card, Kernel, Launch, Memory, bytes_of, bytes_of_mut, failed, up};
use crate::error::one_line;
use anyhow::{Context as _, Result, ensure};
use std::sync::Arc;

/// Where a training stands between launches.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct State {
    steps: i64,
    epochs: i32,
    batch: i32,
    ending: i32,
    unused: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Training {
    theta: u64,
    mean: u64,
    squares: u64,
    inputs: u64,
    labels: u64,
    order: u64,
    losses: u64,
    correct: u64,
    state: u64,
    scratch: u64,
    learning_rate: f64,
    weight_decay: f64,
    momentum: f64,
    samples: i32,
    rule: i32,
    epochs: i32,
    steps: i32,
}

const _: () = assert!(size_of::<State>() == 24 && size_of::<Training>() == 120);

/// A training on a card. Addresses are of float32 there, of labels int32, which outlive it.
#[derive(Clone, Debug)]
pub struct Problem {
    /// From inputs to classes.
    pub widths: Vec<usize>,
    pub batch_size: usize,
    pub samples: usize,
    /// θ as the layout has it, the moments or the velocity, all [P].
    pub theta: u64,
    pub first: u64,
    pub second: u64,
    /// [samples, inputs], at a multiple of 16, and [samples].
    pub inputs: u64,
    pub labels: u64,
    pub rule: Rule,
    pub learning_rate: f64,
    pub weight_decay: f64,
    /// Steps taken so far.
    pub steps: u64,
}

/// Sums over an epoch's samples while training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Epoch {
    pub loss: f64,
    pub correct: u64,
    /// Steps taken since the start.
    pub steps: u64,
}

/// Those that may go in one launch: on one card, of one network, in batches of one size, of as many samples.
type Key = (usize, Vec<usize>, usize, usize);

static COMPANIES: Companies<Key, Part, Kept> = Companies::new();

/// What a launch leaves to the next.
#[derive(Default)]
struct Kept {
    /// For up to so many trainings at a time.
    planned: Option<(usize, Plan, Sizes, Arc<dyn Kernel>)>,
    memory: Option<Memory>,
}

/// A training's part of a launch: an epoch.
struct Part {
    training: Training,
    state: State,
    order: Vec<i32>,
    found: Epoch,
}

/// A training under way.
pub struct Run {
    card: Arc<dyn Card>,
    widths: Vec<usize>,
    batch: usize,
    samples: usize,
    training: Training,
    steps: i64,
    member: Member<Part, Kept>,
}

impl Run {
    /// `None` where the network does not fit the card.
    ///
    /// # Errors
    /// Where there are too many samples.
    ///
    /// # Safety
    /// The problem's addresses are on the card, of as many numbers as it says, for as long as this is there.
    pub unsafe fn new(card: &Arc<dyn Card>, problem: Problem) -> Result<Option<Self>> {
        let shape = Shape { widths: &problem.widths, batch: problem.batch_size };
        // Whether any plan fits; which, the number of trainings tells.
        if shape.plan(1, card.limits()).is_none() {
            return Ok(None);
        }
        let (rule, momentum, squares) = match problem.rule {
            Rule::Sgd { momentum } => (0, momentum, 0),
            Rule::Adam => (1, 0.0, problem.second),
        };
        let training = Training {
            theta: problem.theta,
            mean: problem.first,
            squares,
            inputs: problem.inputs,
            labels: problem.labels,
            order: 0,
            losses: 0,
            correct: 0,
            state: 0,
            scratch: 0,
            learning_rate: problem.learning_rate,
            weight_decay: problem.weight_decay,
            momentum,
            samples: i32::try_from(problem.samples)?,
            rule,
            epochs: 1,
            steps: i32::MAX,
        };
        let Problem { widths, batch_size: batch, samples, .. } = problem;
        let place = Arc::as_ptr(card).cast::<()>() as usize;
        let member = COMPANIES.join((place, widths.clone(), batch, samples));
        let steps = i64::try_from(problem.steps)?;
        Ok(Some(Self { card: card.clone(), widths, batch, samples, training, steps, member }))
    }

    /// Runs an epoch over the samples at these places, together with what other threads have of the same network.
    ///
    /// # Errors
    /// The card's, and for places that are none.
    pub fn epoch(&mut self, order: &[i64]) -> Result<Epoch> {
        ensure!(order.len() == self.samples, "an epoch over {} of {} samples", order.len(), self.samples);
        let place = |&at: &i64| usize::try_from(at).ok().filter(|at| *at < self.samples).map(|at| at as i32);
        let order = order.iter().map(place).collect::<Option<Vec<i32>>>().context("a sample that is not there")?;
        let state = State { steps: self.steps, ..State::default() };
        let part = Part { training: self.training, state, order, found: Epoch::default() };
        let launch =
            |kept: &mut Kept, parts: &mut Vec<Part>| self.launch(kept, parts).map_err(|error| one_line(&error));
        let done = self.member.run(part, launch).map_err(failed)?;
        self.steps = done.state.steps;
        Ok(done.found)
    }

    fn launch(&self, kept: &mut Kept, parts: &mut [Part]) -> Result<()> {
        let count = parts.len();
        if kept.planned.as_ref().is_none_or(|(most, ..)| *most < count) {
            // For twice as many no other kernel is compiled.
            let most = count.next_power_of_two();
            let shape = Shape { widths: &self.widths, batch: self.batch };
            let plan = shape.plan(most, self.card.limits()).context("a network that does not fit the GPU")?;
            let kernel = self.card.kernel(&shape.source(&plan))?;
            let sizes = shape.sizes(&plan);
            ensure!(sizes.owners <= plan.group, "{} blocks for {} shares of a layer", plan.group, sizes.owners);
            kept.planned = Some((most, plan, sizes, kernel));
        }
        let Some((_, plan, sizes, kernel)) = &kept.planned else { return Ok(()) };
        for wave in parts.chunks_mut(plan.wave) {
            launch_wave(&self.card, (plan, sizes, &**kernel), &mut kept.memory, wave)?;
        }
        Ok(())
    }
}

/// Trainings that run at once.
fn launch_wave(
    card: &Arc<dyn Card>,
    (plan, needs, kernel): (&Plan, &Sizes, &dyn Kernel),
    memory: &mut Option<Memory>,
    parts: &mut [Part],
) -> Result<()> {
    let count = parts.len();
    let samples = parts.iter().map(|part| part.order.len()).max().unwrap_or(0);
    // Trainings, states, losses, numbers of right ones, barriers, orders, scratch.
    let sizes = [120, 24, 8, 4, 128, up(4 * samples, 16), up(4 * needs.scratch, 256)];
    let arrays = Arrays::new(memory, card, count, sizes)?;
    let at = |kind: usize, index: usize| arrays.at(kind, index);
    let trainings: Vec<Training> = (0..)
        .zip(&*parts)
        .map(|(index, part)| Training {
            state: at(1, index),
            losses: at(2, index),
            correct: at(3, index),
            order: at(5, index),
            scratch: at(6, index),
            ..part.training
        })
        .collect();
    let mut states: Vec<State> = parts.iter().map(|part| part.state).collect();
    card.write(at(0, 0), bytes_of(&trainings))?;
    card.write(at(1, 0), bytes_of(&states))?;
    // An epoch begins with nothing in its sums and barriers; what else is in scratch is written before it is read.
    card.zero(at(2, 0), (at(5, 0) - at(2, 0)) as usize)?;
    card.zero(at(6, 0), count * sizes[6])?;
    for (index, part) in parts.iter().enumerate() {
        card.write(at(5, index), bytes_of(&part.order))?;
    }
    let launch = Launch {
        blocks: count * plan.group,
        together: count * plan.group,
        threads: THREADS,
        shared_bytes: needs.shared_bytes,
    };
    // SAFETY: the kernel's arguments; what each training points to is there (`Run::new`), and the rest is in `memory`.
    unsafe { kernel.run(launch, &[at(0, 0), at(4, 0), plan.group as u64]) }?;
    card.read(at(1, 0), bytes_of_mut(&mut states))?;
    let (mut losses, mut correct) = (vec![0f64; count], vec![0i32; count]);
    card.read(at(2, 0), bytes_of_mut(&mut losses))?;
    card.read(at(3, 0), bytes_of_mut(&mut correct))?;
    for (index, (part, state)) in parts.iter_mut().zip(states).enumerate() {
        part.state = state;
        part.found = Epoch { loss: losses[index], correct: u64::try_from(correct[index])?, steps: state.steps as u64 };
    }
    Ok(())
}
