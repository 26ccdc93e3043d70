//! Full-batch training of fully connected networks on a card: what a launch is told, how a network is laid out for it, and
//! trainings side by side. The kernel is `kernels/full_batch.cu`, whose structures these are.

use super::company::{Companies, Member};
use super::{Arrays, Card, Launch, Limits, Memory, Source, bytes_of, bytes_of_mut, failed, up};
use crate::error::one_line;
use anyhow::{Result, bail};
use std::sync::Arc;
use std::time::Instant;

/// Goes on from launch to launch; zero bytes are a training that has not begun.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct State {
    epoch: u64,
    quiet_epochs: u64,
    last_loss: f64,
    has_last: i32,
    ending: i32,
    recorded: u32,
    arrivals: u32,
    rounds: u32,
    unused: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Training {
    theta: u64,
    first: u64,
    second: u64,
    x: u64,
    y: u64,
    validation_x: u64,
    validation_y: u64,
    losses: u64,
    norms: u64,
    validation_losses: u64,
    scratch: u64,
    state: u64,
    learning_rate: f64,
    weight_decay: f64,
    momentum: f64,
    tolerance: f64,
    threshold: f64,
    epochs: u64,
    patience: u64,
    rule: i32,
    validation_points: i32,
}

const _: () = assert!(size_of::<State>() == 48 && size_of::<Training>() == 160);

/// How a training ended, as the kernel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Running,
    Converged,
    Below,
    Diverged,
    LastEpoch,
}

/// [`Ending::Diverged`] in a state.
const DIVERGED: i32 = 3;

/// The optimizer's rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// β₁ 0.9, β₂ 0.999, ε 1e-8.
    Adam,
    Sgd {
        momentum: f64,
    },
}

/// A training on a card. Addresses are of float32 there, which outlive it.
#[derive(Clone, Debug)]
pub struct Problem {
    /// From inputs to outputs.
    pub widths: Vec<usize>,
    pub points: usize,
    /// θ as the layout has it, the moments or the velocity, all [P].
    pub theta: u64,
    pub first: u64,
    pub second: u64,
    /// [points, inputs] and [points, outputs].
    pub x: u64,
    pub y: u64,
    /// Points that a loss is measured on each epoch: how many, and where.
    pub validation: Option<(usize, u64, u64)>,
    pub terms: Terms,
}

/// How a training steps and ends, from where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub rule: Rule,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub measures_norm: bool,
    pub tolerance: f64,
    pub patience: u64,
    /// Of the gradient's norm; 0 for none.
    pub threshold: f64,
    /// At most.
    pub epochs: u64,
    /// Done so far, and those in a row with hardly any change.
    pub epoch: u64,
    pub quiet_epochs: u64,
    pub last_loss: Option<f64>,
}

/// What some epochs gave, one number each, taken before the epoch's step.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    pub losses: Vec<f64>,
    pub norms: Vec<f64>,
    pub validation_losses: Vec<f64>,
    /// Steps taken since the start.
    pub epoch: u64,
    pub quiet_epochs: u64,
}

/// How a network is laid out for a block: see the kernel, whose sizes these are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub widths: Vec<usize>,
    pub threads: usize,
    pub tile: usize,
    /// Of a thread.
    pub points_each: usize,
}

/// Tiles whose partial gradients are added first.
const GROUP: usize = 32;

/// Threads, tile and points each that are tried in turn.
const TRIED: [[usize; 3]; 4] = [[256, 256, 4], [256, 128, 4], [128, 64, 4], [64, 32, 4]];

impl Plan {
    /// The first that fits the problem and the card, on which alone it depends, and so do bytes; `None` where none does.
    pub(super) fn of(widths: &[usize], points: usize, limits: Limits) -> Option<Self> {
        TRIED
            .into_iter()
            .map(|[threads, tile, points_each]| Self { widths: widths.to_vec(), threads, tile, points_each })
            .find(|plan| plan.fits(points, limits))
    }

    /// Whether a block's shared memory holds the network and the sums of all tiles.
    fn fits(&self, points: usize, limits: Limits) -> bool {
        let groups = points.div_ceil(self.tile).div_ceil(GROUP);
        self.shared_bytes() <= limits.shared_bytes && groups * 32 <= self.activation_floats()
    }

    fn layers(&self) -> impl Iterator<Item = (usize, usize)> {
        self.widths.windows(2).map(|pair| (pair[0], pair[1]))
    }

    fn row_groups(&self) -> usize {
        self.threads * self.points_each / self.tile
    }

    fn padded_rows(&self, rows: usize) -> usize {
        let most = if self.points_each == 8 { 8 } else { 10 };
        let passes = rows.div_ceil(self.row_groups() * most);
        passes * self.row_groups() * rows.div_ceil(self.row_groups() * passes)
    }

    fn parameters(&self) -> usize {
        self.layers().map(|(inputs, outputs)| (inputs + 1) * outputs).sum()
    }

    fn activation_floats(&self) -> usize {
        (self.widths.iter().sum::<usize>() + self.widths.last().copied().unwrap_or(0)) * self.tile
    }

    pub(super) fn shared_bytes(&self) -> usize {
        let of_layer = |(layer, (inputs, outputs)): (usize, (usize, usize))| {
            let transposed = if layer == 0 { 0 } else { self.padded_rows(inputs) * up(outputs, 4) };
            self.padded_rows(outputs) * up(inputs, 4) + up(self.padded_rows(outputs), 4) + transposed
        };
        let weights: usize = self.layers().enumerate().map(of_layer).sum();
        4 * (weights + 2 * up(self.parameters(), 4) + up(self.threads / 32, 4) + 16 + self.activation_floats())
    }

    /// Of a training, without the gradients of tiles where one block works alone.
    fn scratch_floats(&self, points: usize, validation_points: usize, parts: usize) -> usize {
        let tiles = points.div_ceil(self.tile);
        let squares = up(2 * self.parameters().div_ceil(32), 4);
        let sums = up(tiles, 4) + up(validation_points.div_ceil(self.tile), 4);
        let partials = if parts > 1 { (6 + tiles) * up(self.parameters(), 4) } else { 0 };
        squares + sums + partials
    }

    fn source(&self) -> Source {
        let widths = self.widths.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let Self { threads, tile, points_each, .. } = self;
        let prefix = format!(
            "constexpr int LAYERS = {}, DIMS[LAYERS + 1] = {{{widths}}};\n\
             constexpr int THREADS = {threads}, TILE = {tile};\n\
             constexpr int POINTS_EACH = {points_each}, BLOCKS_EACH = 1;\n",
            self.widths.len() - 1
        );
        Source { name: "full_batch", prefix }
    }
}

/// A network's kernel on such a card.
#[cfg(test)]
pub(super) fn source(widths: &[usize], points: usize, limits: Limits) -> Option<Source> {
    Plan::of(widths, points, limits).map(|plan| plan.source())
}

/// Those that may go in one launch: on one card, of one network, over as many points.
type Key = (usize, Source, usize, usize);

static COMPANIES: Companies<Key, Part, Kept> = Companies::new();

/// What a launch leaves to the next.
#[derive(Default)]
struct Kept {
    memory: Option<Memory>,
    /// Seconds an epoch of all, of as many trainings.
    pace: Option<(f64, usize)>,
}

/// A training's part of a launch.
struct Part {
    training: Training,
    measures_norm: bool,
    state: State,
    found: Epochs,
}

/// A training under way.
pub struct Run {
    card: Arc<dyn Card>,
    plan: Plan,
    kernel: Arc<dyn super::Kernel>,
    points: usize,
    validation_points: usize,
    training: Training,
    measures_norm: bool,
    state: State,
    member: Member<Part, Kept>,
}

/// A launch takes about so long: one likes to wait for a stop, and loses no more to a kill.
const SECONDS: f64 = 0.1;
/// Epochs of the first launch, and of any; numbers that a launch gives back of each kind.
const FIRST_EPOCHS: u64 = 16;
const MOST_EPOCHS: u64 = 8192;
const MOST_NUMBERS: u64 = 1 << 21;

impl Run {
    /// `None` where the network does not fit the card.
    ///
    /// # Errors
    /// The compiler's.
    ///
    /// # Safety
    /// The problem's addresses are on the card, of as many numbers as it says, for as long as this is there.
    pub unsafe fn new(card: &Arc<dyn Card>, problem: Problem) -> Result<Option<Self>> {
        let limits = card.limits();
        let Some(plan) = Plan::of(&problem.widths, problem.points, limits) else { return Ok(None) };
        let source = plan.source();
        let kernel = card.kernel(&source)?;
        let (validation_points, validation_x, validation_y) = problem.validation.unwrap_or_default();
        let terms = problem.terms;
        let (rule, momentum, second) = match terms.rule {
            Rule::Adam => (0, 0.0, problem.second),
            // A velocity is all its state.
            Rule::Sgd { momentum } => (1, momentum, 0),
        };
        let training = Training {
            theta: problem.theta,
            first: problem.first,
            second,
            x: problem.x,
            y: problem.y,
            validation_x,
            validation_y,
            losses: 0,
            norms: 0,
            validation_losses: 0,
            scratch: 0,
            state: 0,
            learning_rate: terms.learning_rate,
            weight_decay: terms.weight_decay,
            momentum,
            tolerance: terms.tolerance,
            threshold: terms.threshold,
            epochs: terms.epochs,
            patience: terms.patience,
            rule,
            validation_points: i32::try_from(validation_points)?,
        };
        let state = State {
            epoch: terms.epoch,
            quiet_epochs: terms.quiet_epochs,
            last_loss: terms.last_loss.unwrap_or(0.0),
            has_last: terms.last_loss.is_some().into(),
            ..State::default()
        };
        i32::try_from(problem.points)?;
        let place = Arc::as_ptr(card).cast::<()>() as usize;
        let member = COMPANIES.join((place, source, problem.points, validation_points));
        let (card, points, measures_norm) = (card.clone(), problem.points, terms.measures_norm);
        Ok(Some(Self { card, plan, kernel, points, validation_points, training, measures_norm, state, member }))
    }

    /// Runs some epochs, together with what other threads have of the same network.
    ///
    /// # Errors
    /// The card's.
    pub fn some_epochs(&mut self) -> Result<(Epochs, Ending)> {
        let (training, measures_norm, state) = (self.training, self.measures_norm, self.state);
        let part = Part { training, measures_norm, state, found: Epochs::default() };
        let launch =
            |kept: &mut Kept, parts: &mut Vec<Part>| self.launch(kept, parts).map_err(|error| one_line(&error));
        let done = self.member.run(part, launch).map_err(failed)?;
        self.state = done.state;
        let ending = match done.state.ending {
            0 => Ending::Running,
            1 => Ending::Converged,
            2 => Ending::Below,
            DIVERGED => Ending::Diverged,
            4 => Ending::LastEpoch,
            other => bail!("a training on the GPU ended as {other}, which is no ending"),
        };
        Ok((done.found, ending))
    }

    fn launch(&self, kept: &mut Kept, parts: &mut [Part]) -> Result<()> {
        let count = parts.len();
        let blocks = blocks_each(count, self.points.div_ceil(self.plan.tile), self.card.limits());
        let left = parts.iter().map(|part| part.training.epochs.saturating_sub(part.state.epoch)).max().unwrap_or(0);
        let of_pace = kept.pace.filter(|(_, of)| *of == count).map(|(seconds, _)| (SECONDS / seconds) as u64);
        let most = MOST_EPOCHS.min(MOST_NUMBERS / count as u64).min(left).max(1);
        let epochs = of_pace.unwrap_or(FIRST_EPOCHS).clamp(1, most);

        // Trainings, their states, the three kinds of numbers, scratch.
        let numbers = epochs as usize * size_of::<f64>();
        let scratch = up(4 * self.plan.scratch_floats(self.points, self.validation_points, blocks), 256);
        let sizes = [size_of::<Training>(), size_of::<State>(), numbers, numbers, numbers, scratch];
        let arrays = Arrays::new(&mut kept.memory, &self.card, count, sizes)?;
        let at = |kind: usize, index: usize| arrays.at(kind, index);
        let mut trainings = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let has_validation = part.training.validation_points > 0;
            trainings.push(Training {
                losses: at(2, index),
                norms: if part.measures_norm { at(3, index) } else { 0 },
                validation_losses: if has_validation { at(4, index) } else { 0 },
                scratch: at(5, index),
                state: at(1, index),
                ..part.training
            });
        }
        let mut states: Vec<State> = parts.iter().map(|part| part.state).collect();
        self.card.write(at(0, 0), bytes_of(&trainings))?;
        self.card.write(at(1, 0), bytes_of(&states))?;
        let launch = Launch {
            blocks: count * blocks,
            together: if blocks > 1 { count * blocks } else { 1 },
            threads: self.plan.threads,
            shared_bytes: self.plan.shared_bytes(),
        };
        let begin = Instant::now();
        // SAFETY: the kernel's arguments; what each training points to is there (`Self::new`), and the rest is in `memory`.
        unsafe { self.kernel.run(launch, &[at(0, 0), self.points as u64, blocks as u64, epochs]) }?;
        let took = begin.elapsed().as_secs_f64().max(1e-6);
        self.card.read(at(1, 0), bytes_of_mut(&mut states))?;
        // Of those that were run: all may have ended before.
        let run = states.iter().map(|state| state.recorded).max().filter(|run| *run > 0);
        kept.pace = run.map(|run| (took / f64::from(run), count));
        let mut all = [Vec::new(), Vec::new(), Vec::new()];
        for (kind, all) in (2..).zip(&mut all) {
            all.resize(count * epochs as usize, 0f64);
            let is_there = kind == 2
                || parts
                    .iter()
                    .any(|part| if kind == 3 { part.measures_norm } else { part.training.validation_points > 0 });
            if is_there {
                self.card.read(at(kind, 0), bytes_of_mut(all))?;
            }
        }
        for (index, (part, state)) in parts.iter_mut().zip(states).enumerate() {
            let of = |kind: usize, is_there: bool| -> Vec<f64> {
                let first = index * epochs as usize;
                let recorded = (state.recorded as usize).min(epochs as usize);
                // Of an epoch whose loss is no number nothing else is measured.
                let has_last = kind == 0 || state.ending != DIVERGED;
                let recorded = if is_there { recorded - usize::from(!has_last && recorded > 0) } else { 0 };
                all[kind][first..first + recorded].to_vec()
            };
            part.state = state;
            part.found = Epochs {
                losses: of(0, true),
                norms: of(1, part.measures_norm),
                validation_losses: of(2, part.training.validation_points > 0),
                epoch: state.epoch,
                quiet_epochs: state.quiet_epochs,
            };
        }
        Ok(())
    }
}

/// Blocks that share a training of so many tiles: all of the card's, where there are few trainings.
fn blocks_each(trainings: usize, tiles: usize, limits: Limits) -> usize {
    (limits.multiprocessors / trainings).min(tiles).max(1)
}
