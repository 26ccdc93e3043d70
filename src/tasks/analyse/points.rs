//! Loss and accuracy of a model at many points of a space that a few weights span: θ = Σ cₖ Bₖ, and buffers likewise. The
//! points are evaluated side by side on the cores that are free, and those that are done outlast an interruption. A point
//! costs a pass forward of its samples, and a copy of θ while it is looked at.

use crate::data::{Samples, order, total_memory};
use crate::error::Interrupted;
use crate::model::{Layout, Model, Weights};
use crate::objective::{Loss, side_by_side, under};
use crate::store::checkpoint::{Checkpointer as _, EPOCHS, State, Unfit};
use crate::study::{Context, Watch};
use crate::tasks::products::in_words;
use anyhow::{Context as _, Result, anyhow};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tch::{Kind, Tensor};

/// What all points of a trial have in common.
pub(super) struct Span {
    /// In the trial's precision, and in float64 where a point is looked at in that.
    pub model: Arc<dyn Model>,
    pub precise: Option<Arc<dyn Model>>,
    pub layout: Layout,
    /// What spans the points.
    pub bases: Vec<Weights>,
    /// Over what the loss is, a set or several: of each two numbers are measured, loss and accuracy.
    pub over: Vec<Samples>,
    pub loss: Loss,
    /// Samples at a time.
    pub block: i64,
    /// Where running statistics are taken anew at each point: then all numbers once more, by those.
    pub recalibration: Option<Recalibration>,
}

/// Which batches running statistics are taken of, in their order.
pub(super) struct Recalibration {
    pub samples: Samples,
    /// Of each batch the places of its samples, [b] in int64.
    pub batches: Vec<Tensor>,
}

impl Recalibration {
    /// Batches of so many of the samples, in an order keyed by `seed`. A last one of fewer than `least`, or of a single
    /// sample, whose variance is none, is left out, unless it is the only one.
    pub fn new(samples: Samples, (size, least): (usize, usize), seed: u64) -> Self {
        let order = order(samples.len(), Some((seed, "recalibration")), 0);
        let batches =
            order.chunks(size.max(1)).filter(|batch| batch.len() >= least.max(2) || batch.len() == order.len());
        Self { batches: batches.map(Tensor::from_slice).collect(), samples }
    }

    fn share(&self) -> Self {
        Self { samples: self.samples.share(), batches: self.batches.iter().map(Tensor::shallow_clone).collect() }
    }
}

/// A point, by the factor of each basis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub factors: Vec<f64>,
    /// In float64, whatever the trial computes in.
    pub is_precise: bool,
}

impl Point {
    pub fn new(factors: impl Into<Vec<f64>>) -> Self {
        Self { factors: factors.into(), is_precise: false }
    }

    pub fn precisely(self) -> Self {
        Self { is_precise: true, ..self }
    }
}

impl Span {
    /// Handles that share the memory, for another thread.
    fn share(&self) -> Self {
        Self {
            model: self.model.clone(),
            precise: self.precise.clone(),
            layout: self.layout.clone(),
            bases: self.bases.iter().map(Weights::share).collect(),
            over: self.over.iter().map(Samples::share).collect(),
            recalibration: self.recalibration.as_ref().map(Recalibration::share),
            ..*self
        }
    }

    /// Numbers of a point: loss and accuracy of each set, and all of it by statistics taken anew.
    fn width(&self) -> usize {
        2 * self.over.len() * if self.recalibration.is_some() { 2 } else { 1 }
    }

    /// Σ cₖ Bₖ; where one factor is 1 and all others are 0, that basis to the bit.
    fn weights(&self, point: &Point) -> Result<Weights> {
        let of = |part: fn(&Weights) -> &Tensor| -> Result<Tensor> {
            let kind = part(self.bases.first().context("no weights")?).kind();
            let kind = if point.is_precise { Kind::Double } else { kind };
            let mut sum: Option<Tensor> = None;
            // A basis without a part in it is not looked at, whatever stands in it.
            for (factor, basis) in point.factors.iter().zip(&self.bases).filter(|(factor, _)| **factor != 0.0) {
                let basis = part(basis).f_to_kind(kind)?;
                sum = Some(match sum {
                    None if *factor == 1.0 => basis.copy(),
                    None => basis.f_mul_scalar(*factor)?,
                    // In place, without a scaled copy.
                    Some(mut sum) => {
                        let factor = Tensor::f_scalar_tensor(*factor, (kind, sum.device()))?;
                        sum.f_addcmul_(&basis, &factor)?
                    }
                });
            }
            let none = || Ok(part(&self.bases[0]).f_zeros_like()?.f_to_kind(kind)?);
            sum.map_or_else(none, Ok)
        };
        let mut buffers = of(|weights| &weights.buffers)?;
        // A mask of attention is -∞ in all of them, and no number times that.
        let first = self.bases[0].buffers.f_to_kind(buffers.kind())?;
        let is_mask = first.f_isfinite()?.f_logical_not()?;
        if is_mask.f_any()?.f_int64_value(&[])? == 1 {
            buffers = first.f_where_self(&is_mask, &buffers)?;
        }
        Ok(Weights { theta: of(|weights| &weights.theta)?, buffers })
    }

    fn at(&self, point: &Point, watch: Watch) -> Result<Vec<f64>> {
        let _no_grad = tch::no_grad_guard();
        let weights = self.weights(point)?;
        let precise = self.precise.as_ref().filter(|_| point.is_precise);
        let model = precise.unwrap_or(&self.model);
        let mut numbers = self.evaluated(model, &weights, watch)?;
        if let Some(recalibration) = &self.recalibration {
            recalibration.apply(&**model, &self.layout, &weights, watch)?;
            numbers.extend(self.evaluated(model, &weights, watch)?);
        }
        Ok(numbers)
    }

    fn evaluated(&self, model: &Arc<dyn Model>, weights: &Weights, watch: Watch) -> Result<Vec<f64>> {
        let mut numbers = Vec::new();
        for samples in &self.over {
            let mut objective = under(model.clone(), weights.share(), samples, self.loss, self.block)?;
            let found = objective.evaluate_and(&mut |_| watch.check_stop())?;
            numbers.extend([found.loss, found.known_accuracy()]);
        }
        Ok(numbers)
    }
}

impl Recalibration {
    /// The running statistics among the weights' buffers become the mean of these batches' own, in place.
    fn apply(&self, model: &dyn Model, layout: &Layout, weights: &Weights, watch: Watch) -> Result<()> {
        let (slices, buffers) = (layout.views(&weights.theta), layout.buffer_views(&weights.buffers));
        let samples = self.samples.share().cast(weights.theta.kind(), weights.theta.device());
        for (batch, number) in self.batches.iter().zip(1u32..) {
            watch.check_stop()?;
            let (x, _) = samples.batch(&batch.f_to_device(samples.targets.device())?)?;
            model.recalibrate(&slices, &buffers, &x, 1.0 / f64::from(number))?;
        }
        Ok(())
    }
}

/// How long points are begun before those that are done are kept: a process that is killed loses no more than what runs
/// then, and what an interval between checkpoints may lose.
const ROUND: Duration = Duration::from_secs(5);
/// Points that wait at a time.
const WAITING: usize = 256;
/// The share of the memory that the weights of points may take which are looked at side by side.
const MEMORY_SHARE: u64 = 8;
/// Copies of a point's weights: its own, and while they are summed that of a basis.
const COPIES: u64 = 2;

/// The points of a trial, one after another.
pub(super) struct Points<'a, 'b> {
    span: Span,
    cx: &'a mut Context<'b>,
    /// Points that will be asked for in all.
    total: u64,
    /// How many were asked for so far.
    asked: usize,
    done: BTreeMap<usize, Vec<f64>>,
    begin: Instant,
    /// Those that an earlier call had done.
    resumed: usize,
}

const PLACES: &str = "places";
const NUMBERS: &str = "numbers";

impl<'a, 'b> Points<'a, 'b> {
    /// Goes on from the points that an earlier call of the trial had done.
    ///
    /// # Errors
    /// Where these cannot be read.
    pub fn new(span: Span, total: usize, cx: &'a mut Context<'b>) -> Result<Self> {
        let mut done = BTreeMap::new();
        if let Some(mut state) = cx.resume()? {
            let (count, width) = (state.counter(EPOCHS)?, span.width());
            let places = state.take_series(PLACES, count)?;
            let numbers = state.take_series(NUMBERS, count * width as u64)?;
            let rows = numbers.chunks(width).map(<[f64]>::to_vec);
            done = places.into_iter().map(|place| place as usize).zip(rows).collect();
            if done.len() as u64 != count {
                return Err(Unfit::because("it has a point twice"));
            }
        }
        let resumed = done.len();
        Ok(Self { span, cx, total: total as u64, asked: 0, done, begin: Instant::now(), resumed })
    }

    /// Goes on in the space of other weights.
    pub fn move_to(&mut self, bases: Vec<Weights>) {
        self.span.bases = bases;
    }

    /// The numbers of each point: loss and accuracy over each set of samples, and the same by statistics taken anew.
    ///
    /// # Errors
    /// [`Interrupted`]; libtorch's.
    pub fn at(&mut self, points: &[Point]) -> Result<Vec<Vec<f64>>> {
        let first = self.asked;
        self.asked += points.len();
        loop {
            let missing = (first..self.asked).filter(|place| !self.done.contains_key(place)).take(self.side_by_side());
            let missing: Vec<usize> = missing.collect();
            if missing.is_empty() {
                break;
            }
            self.round(&missing, first, points)?;
        }
        let row = |place| self.done.get(&place).cloned().context("a point that was not looked at");
        (first..self.asked).map(row).collect()
    }

    /// Of large networks no more at a time than fit into a share of the memory.
    fn side_by_side(&self) -> usize {
        let bytes = self.span.layout.parameters().unsigned_abs().saturating_mul(COPIES * 8).max(1);
        ((total_memory() / MEMORY_SHARE / bytes) as usize).clamp(1, WAITING)
    }

    fn round(&mut self, missing: &[usize], first: usize, points: &[Point]) -> Result<()> {
        struct Piece {
            span: Span,
            point: Point,
            /// `None` where the round was over before it began.
            found: Option<Result<Vec<f64>>>,
        }
        let piece =
            |place: &usize| Piece { span: self.span.share(), point: points[place - first].clone(), found: None };
        let mut pieces: Vec<Piece> = missing.iter().map(piece).collect();
        let (watch, begin, total) = (self.cx.watch(), Instant::now(), self.total);
        let finished = AtomicU64::new(self.done.len() as u64);
        side_by_side(&mut pieces, |at, piece| {
            // The first is always looked at, so that each round goes on.
            if (at > 0 && begin.elapsed() > ROUND) || watch.check_stop().is_err() {
                return;
            }
            let found = piece.span.at(&piece.point, watch);
            if let Ok(numbers) = &found {
                let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
                watch.show(finished, total, numbers[0]);
            }
            piece.found = Some(found);
        });
        let (mut last, mut failed) = (f64::NAN, None);
        for (place, piece) in missing.iter().zip(pieces) {
            match piece.found {
                Some(Ok(numbers)) => {
                    last = numbers[0];
                    self.done.insert(*place, numbers);
                }
                Some(Err(error)) => failed = failed.or(Some(error)),
                None => {}
            }
        }
        if let Some(error) = failed.filter(|error| !error.is::<Interrupted>()) {
            return Err(error);
        }
        self.say_what_is_left();
        // Interrupted, it keeps what is done.
        let done = &self.done;
        self.cx.epoch_done(done.len() as u64, total, last, &|| Ok(state(done)))
    }

    fn say_what_is_left(&self) {
        let new = self.done.len().saturating_sub(self.resumed).max(1) as u32;
        let left = (self.total as usize).saturating_sub(self.done.len()) as u32;
        let one = self.begin.elapsed() / new;
        let text = in_words(one.saturating_mul(left));
        self.cx.note(format!("a point in {}, {left} of {} left: {text}", in_words(one), self.total));
    }
}

fn state(done: &BTreeMap<usize, Vec<f64>>) -> State {
    let mut state = State::default();
    state.counters.insert(EPOCHS.into(), done.len() as u64);
    state.series.insert(PLACES.into(), done.keys().map(|place| *place as f64).collect());
    state.series.insert(NUMBERS.into(), done.values().flatten().copied().collect());
    state
}

/// One of the numbers of each point.
pub(super) fn column(rows: &[Vec<f64>], at: usize) -> Result<Vec<f64>> {
    rows.iter().map(|row| row.get(at).copied().ok_or_else(|| anyhow!("a point without its number {at}"))).collect()
}
