//! The bodies of [`super::Analysis`]: each takes the model at its weights, on its samples, and gives numbers.

use super::most_steps;
use super::{Analysed, Analysis, LossName, MatrixName, Measure, Over, Probes, Split, block_size, extremes, is_large};
use crate::analysis::curvature::{Estimator, Ritz, Trace, Wanted, spectral_density, spectral_density_of_large, trace};
use crate::analysis::sensitivity::{BLOCK as SENSITIVITY_BLOCK, input_gradient_norm_by, jacobian_norm_by};
use crate::analysis::statistics::share;
use crate::data::{Samples, total_memory};
use crate::model::{Layout, Model, Weights};
use crate::objective::{Matrix, NoSecondDerivative, Objective, norm, under};
use crate::rng::{Purpose, Rng};
use crate::study::trust::near_chance;
use crate::study::{Context, Measurements, flag};
use crate::tasks::products::{BLOCK, Phase, Products, ROWS, kept, with_room};
use anyhow::{Context as _, Result, ensure};
use std::sync::Arc;
use tch::{Kind, Tensor};

impl Analysis {
    /// Measures on the study's data.
    ///
    /// # Errors
    /// In a line: where model and data do not fit; libtorch's.
    pub fn run(&self, cx: &mut Context) -> Result<Analysed> {
        let start = Start::of(self, cx)?;
        match &self.measure {
            Measure::Accuracy {} => start.accuracy(self, cx),
            Measure::Gradient { over } => start.gradient(self, over, cx),
            Measure::Spectrum { over, probes } => start.spectrum(self, over, probes, cx),
            Measure::Sensitivity { over, batch_size } => start.sensitivity(self, over, *batch_size, cx),
            Measure::Line { second, samples, alphas, recalibration } => {
                start.line(self, (second, *samples, alphas), *recalibration, cx)
            }
            Measure::Slices { over, along, directions, points, range } => {
                start.slices(self, (over, along), (*directions, *points, *range), cx)
            }
            Measure::Surface { over, along, pair, grid, range } => {
                start.surface(self, (over, along), (*pair, *grid, *range), cx)
            }
            Measure::Path { checkpoints, over, grid } => start.path(self, (checkpoints, over), *grid, cx),
            Measure::Sharpness { over, region, starts, steps } => {
                start.sharpness(self, (over, region), (*starts, *steps), cx)
            }
        }
    }
}

/// What all measures begin with.
pub(super) struct Start {
    pub model: Arc<dyn Model>,
    /// The same in float64, for what is drawn in less.
    pub precise: Option<Arc<dyn Model>>,
    pub layout: Layout,
    pub weights: Weights,
    pub train: Samples,
    pub test: Samples,
    pub block: i64,
}

impl Start {
    fn of(analysis: &Analysis, cx: &Context) -> Result<Self> {
        let data = cx.data()?;
        let (opened, kind) = (analysis.content.opened()?, analysis.precision.kind());
        let weights = opened.weights(kind, cx.device)?;
        let (signature, x) = (data.set.signature(), data.train.first(1).cast(kind, cx.device).inputs()?);
        let of_kind = |kind| opened.model(&signature, kind, cx.device, analysis.batch_statistics);
        let model = of_kind(kind)?;
        let block = match analysis.block_size {
            0 => block_size(opened.bytes_of_sample(&signature, &weights, &x)?, total_memory()),
            given => given as i64,
        };
        let is_drawn = analysis.measure.is_drawn() && kind != Kind::Double;
        let precise = if is_drawn { Some(of_kind(Kind::Double)?) } else { None };
        let (train, test) = (data.train.share(), data.test.share());
        Ok(Self { layout: model.layout(), model, precise, weights, train, test, block })
    }

    /// The samples that a trial is over.
    pub fn samples(&self, over: &Over, seed: u64) -> Result<Samples> {
        let of_split = if over.split == Split::Train { &self.train } else { &self.test };
        if over.samples == 0 { Ok(of_split.share()) } else { of_split.subset(over.samples, seed, "analyse") }
    }

    pub fn kind(&self) -> Kind {
        self.weights.theta.kind()
    }

    pub fn objective(&self, analysis: &Analysis, samples: &Samples) -> Result<Box<dyn Objective>> {
        under(self.model.clone(), self.weights.share(), samples, analysis.loss.loss(), self.block)
    }

    fn measurements<const M: usize, const N: usize>(
        &self,
        scalars: [(&str, f64); M],
        series: [(&str, Vec<f64>); N],
    ) -> Measurements {
        Measurements::new(self.layout.parameters(), scalars, series)
    }

    fn accuracy(&self, analysis: &Analysis, cx: &Context) -> Result<Analysed> {
        let splits = [("train", &self.train), ("test", &self.test)];
        let all: i64 = splits.iter().map(|(_, samples)| samples.len()).sum();
        let mut measured = self.measurements([("block_size", self.block as f64)], []);
        let (mut done, mut notes) = (0, Vec::new());
        // The smaller one tells something soonest.
        for (name, samples) in splits.into_iter().rev().filter(|(_, samples)| !samples.is_empty()) {
            let mut objective = self.objective(analysis, samples)?;
            let (mut seen, mut right) = (0, 0.0);
            let mut looks = None;
            let found = objective.evaluate_and(&mut |outputs| {
                let block = outputs.size()[0];
                let targets = samples.targets.f_narrow(0, seen, block)?.f_to_device(outputs.device())?;
                let targets = if targets.is_floating_point() { targets.f_to_kind(outputs.kind())? } else { targets };
                if seen == 0 {
                    looks = probabilities(outputs, analysis.loss)?;
                }
                let sums = analysis.loss.loss().sums(outputs, &targets)?;
                seen += block;
                done += block;
                if let Some(correct) = sums.correct.filter(|_| sums.counted > 0) {
                    right += correct.f_double_value(&[])? / sums.counted as f64 * block as f64;
                    let so_far = share(right.round() as usize, seen as usize);
                    if let Some([low, high]) = so_far.interval {
                        let value = so_far.value;
                        cx.note(format!(
                            "{name} accuracy so far {value:.4} ({low:.4} to {high:.4}, 95 %) over {seen} samples"
                        ));
                    }
                }
                cx.step_done(done as u64, all as u64, f64::NAN)
            })?;
            measured = measured.and([(&format!("{name}_loss"), found.loss)]);
            if !found.accuracy.is_nan() {
                let right = (found.accuracy * samples.len() as f64).round() as usize;
                let [low, high] = share(right, samples.len() as usize).interval.unwrap_or([f64::NAN; 2]);
                let of = |what: &str| format!("{name}_accuracy{what}");
                measured = measured.and([(&of(""), found.accuracy), (&of("_low"), low), (&of("_high"), high)]);
                if analysis.loss != LossName::Bce {
                    notes.extend(near_chance(name, samples.target, found.accuracy, low));
                }
            }
            notes.extend(looks);
        }
        notes.dedup();
        Ok(Analysed { measured, notes })
    }

    fn gradient(&self, analysis: &Analysis, over: &Over, cx: &Context) -> Result<Analysed> {
        let samples = self.samples(over, analysis.seed)?;
        let mut objective = self.objective(analysis, &samples)?;
        let loss = objective.gradient_and(&mut || cx.check_stop())?.get()?;
        let gradient = objective.gradient().copy();
        let length = norm(&gradient)?.get()?;
        let of_layers = self.layout.layers().into_iter().map(|(_, slots)| {
            let squares = slots.iter().map(|&slot| norm(&self.layout.view(&gradient, slot))?.get());
            Ok(squares.collect::<Result<Vec<f64>>>()?.iter().map(|norm| norm * norm).sum::<f64>().sqrt())
        });
        let of_layers: Vec<f64> = of_layers.collect::<Result<_>>()?;
        let along = |objective: &dyn Objective| -> Result<f64> {
            let product = objective.hessian()?.times(&gradient, &mut || cx.check_stop())?;
            let g = gradient.to_kind(Kind::Double).to_device(product.device());
            Ok(g.f_dot(&product)?.f_double_value(&[])? / (length * length))
        };
        let (curvature, notes) = or_note(along(&*objective), f64::NAN)?;
        let scalars = [("loss", loss), ("gradient_norm", length), ("samples", samples.len() as f64)];
        let measured = self.measurements(scalars, [("layer_gradient_norms", of_layers)]);
        let measured = if curvature.is_nan() { measured } else { measured.and([("gradient_curvature", curvature)]) };
        Ok(Analysed { measured, notes })
    }

    fn spectrum(&self, analysis: &Analysis, over: &Over, probes: &Probes, cx: &Context) -> Result<Analysed> {
        let samples = self.samples(over, analysis.seed)?;
        let objective = self.objective(analysis, &samples)?;
        let mut said = Vec::new();
        let found = self.spectrum_of(&*objective, analysis, probes, (&mut said, cx)).map(Some);
        let (found, mut notes) = or_note(found, None)?;
        notes.extend(said);
        let measured = found.unwrap_or_else(|| self.measurements([("has_second_derivatives", 0.0)], []));
        Ok(Analysed { measured: measured.and([("samples", samples.len() as f64)]), notes })
    }

    fn spectrum_of(
        &self,
        objective: &dyn Objective,
        analysis: &Analysis,
        probes: &Probes,
        (notes, cx): (&mut Vec<String>, &Context),
    ) -> Result<Measurements> {
        let slots = match &probes.layer {
            None => None,
            Some(layer) => {
                let found = self.layout.layers().into_iter().find(|(name, _)| name == layer);
                Some(found.with_context(|| format!("the model has no layer {layer}"))?.1)
            }
        };
        let n = match &slots {
            None => self.layout.parameters(),
            Some(slots) => slots.iter().map(|&slot| self.layout.slots[slot].len()).sum(),
        };
        let matrix = match probes.matrix {
            MatrixName::Hessian => Matrix::Hessian,
            MatrixName::Ggn => Matrix::GaussNewton,
        };
        if n == 0 {
            return Ok(Measurements::new(n, [("has_second_derivatives", 1.0)], []));
        }
        let map = objective.curvature(matrix, slots.as_deref())?;
        let mut products = Products::new(&*map, phases(probes), cx);
        let name = probes.layer.as_deref().unwrap_or("analyse");
        let rng = |which| Rng::keyed(analysis.seed, name, Purpose::CurvatureProbe, which);
        let mut measured = Measurements::new(n, [("has_second_derivatives", 1.0)], []);
        if probes.trace_probes > 0 {
            let asked = (probes.trace_probes, at_once(n), kept());
            let Trace { value, standard_error, estimator, .. } =
                trace(n, asked, &mut rng(0), |rows| products.times(rows))?;
            measured = measured.and([("trace", value), ("trace_standard_error", standard_error)]);
            if estimator == Estimator::Hutchinson {
                notes.push(BY_HUTCHINSON.to_owned());
            }
        }
        if probes.eigenvalues > 0 {
            let ends = probes.eigenvalues.min((n / 2).max(1) as usize);
            // Of a layer the largest alone: there are many.
            let bottom = if probes.layer.is_some() { 0 } else { ends.min(n as usize - ends) };
            let steps = most_steps(probes.eigenvalues);
            let wanted = Wanted { top: ends, bottom, tolerance: probes.tolerance, steps, block: BLOCK, sweeps: 1 };
            products.begin("eigenvalues");
            let found = extremes(n, wanted, self.kind(), &mut rng(1), (&mut products, cx))?;
            let of = |ritz: &[Ritz]| -> [Vec<f64>; 2] {
                [ritz.iter().map(|ritz| ritz.value).collect(), ritz.iter().map(|ritz| ritz.residual).collect()]
            };
            let ([top, top_residuals], [bottom, bottom_residuals]) = (of(&found.top), of(&found.bottom));
            measured = measured.and([("converged", flag(found.converged)), ("lanczos_products", found.steps as f64)]);
            let series = [
                ("top_eigenvalues", top),
                ("top_residuals", top_residuals),
                ("bottom_eigenvalues", bottom),
                ("bottom_residuals", bottom_residuals),
            ];
            measured = measured.with(Measurements::new(n, [], series));
        }
        if probes.density_probes > 0 {
            products.begin("density");
            let (steps, times) = (probes.density_steps, |rows: &Tensor| products.times(rows));
            let asked = (probes.density_probes, steps, at_once(n));
            let density = if is_large(n, steps, total_memory()) {
                spectral_density_of_large(n, asked, &mut rng(2), times)?
            } else {
                with_room(cx, |room| spectral_density(n, asked, room, &mut rng(2), times))?
            };
            let (nodes, weights) = density.nodes.into_iter().unzip();
            let series = [("density_eigenvalues", nodes), ("density_weights", weights)];
            measured = measured.with(Measurements::new(n, [], series));
        }
        Ok(measured)
    }

    fn sensitivity(&self, analysis: &Analysis, over: &Over, batch_size: u32, cx: &Context) -> Result<Analysed> {
        let samples = self.samples(over, analysis.seed)?.cast(self.weights.theta.kind(), cx.device);
        let objective = self.objective(analysis, &samples)?;
        let mut network = objective.by_inputs()?;
        let outputs = network.outputs(&samples.first(1).inputs()?)?.size();
        ensure!(outputs.len() == 2, "outputs of shape {outputs:?}: sensitivity is of one row of logits a sample");
        let block = self.block.min(SENSITIVITY_BLOCK);
        let mut blocks = 0u64;
        let all = 2 * (samples.len() as u64).div_ceil(block.unsigned_abs());
        let mut observe = || {
            blocks += 1;
            cx.step_done(blocks, all, f64::NAN)
        };
        let input_gradient = input_gradient_norm_by(&mut *network, &samples, batch_size.into(), block, &mut observe)?;
        let jacobian = jacobian_norm_by(&mut *network, &samples, block, &mut observe)?;
        let scalars =
            [("input_gradient_norm", input_gradient), ("jacobian_norm", jacobian), ("samples", samples.len() as f64)];
        Ok(Analysed { measured: self.measurements(scalars, []), notes: Vec::new() })
    }
}

/// What needs second derivatives that libtorch does not have is left out, and said.
fn or_note<T>(found: Result<T>, without: T) -> Result<(T, Vec<String>)> {
    match found {
        Ok(found) => Ok((found, Vec::new())),
        Err(error) => match error.downcast_ref::<NoSecondDerivative>() {
            Some(missing) => Ok((without, vec![format!("No curvature: {missing}.")])),
            None => Err(error),
        },
    }
}

/// Where [`trace`] had no sketch.
const BY_HUTCHINSON: &str = "The trace is by Hutchinson's estimator, whose error falls slowly: fewer than four probes, or \
    vectors of which memory has no place for a sketch of two.";

/// Vectors whose products are taken together; of very long ones each alone.
fn at_once(n: i64) -> usize {
    if is_large(n, 2 * ROWS, total_memory()) { 1 } else { ROWS }
}

/// What takes products, in order.
pub(super) fn phases(probes: &Probes) -> Vec<Phase> {
    let eigenvalues = if probes.eigenvalues == 0 { 0 } else { most_steps(probes.eigenvalues) + 2 * probes.eigenvalues };
    let density = probes.density_probes * probes.density_steps;
    vec![Phase::trace(probes.trace_probes), Phase::eigenvalues(eigenvalues), Phase::density(density)]
}

/// A sentence where the first outputs look like probabilities.
fn probabilities(outputs: &Tensor, loss: LossName) -> Result<Option<String>> {
    let first = outputs.f_narrow(0, 0, outputs.size()[0].min(64))?.f_to_kind(Kind::Double)?;
    let within = first.f_ge(0.0)?.f_logical_and(&first.f_le(1.0)?)?.f_all()?.f_int64_value(&[])? == 1;
    if loss == LossName::Mse || !within {
        return Ok(None);
    }
    let is_one = |sums: Tensor| sums.f_sub_scalar(1.0)?.f_abs()?.f_max()?.f_double_value(&[]);
    let adds_up = [1, -1].into_iter().any(|dim| {
        let has = first.dim() > 1;
        has && first.f_sum_dim_intlist(dim, false, Kind::Double).and_then(is_one).is_ok_and(|far| far < 1e-3)
    });
    let note = "The outputs look like probabilities, and the loss takes logits: export the model without its last softmax \
                or sigmoid.";
    Ok((adds_up || loss == LossName::Bce).then(|| note.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_look_like_probabilities_are_told() {
        let logits = Tensor::from_slice(&[2.0, -1.0, 0.5, 0.3, 0.1, 4.0]).view([2, 3]);
        let of = |outputs: &Tensor, loss| probabilities(outputs, loss).unwrap().is_some();
        let p = logits.softmax(-1, Kind::Double);
        assert!(of(&p, LossName::CrossEntropy) && !of(&logits, LossName::CrossEntropy));
        assert!(!of(&p.log(), LossName::CrossEntropy) && !of(&p, LossName::Mse));
        assert!(of(&logits.sigmoid(), LossName::Bce) && !of(&logits, LossName::Bce));
        assert!(!of(&logits.sigmoid(), LossName::CrossEntropy), "they do not add up");
    }
}
