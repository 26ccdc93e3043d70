//! Loss and accuracy along the straight line through two solutions, θ(α) = (1-α)θ₁ + αθ₂ (Goodfellow et al. 2015).
//! The α are evaluated in blocks, a trial each: blocks run side by side, and resume.

use crate::analysis::interpolation::{barrier, error_hill, point, with_solutions};
use crate::analysis::statistics::{RANKED_ALIKE, highest, spearman};
use crate::data::functions::evenly_spaced;
use crate::model::Weights;
use crate::objective::Splits;
use crate::settings;
use crate::study::{Context, Measurements, check};
use crate::train::measure;
use anyhow::Result;
use serde::Serialize;
use std::slice::Chunks;
use std::sync::OnceLock;
use tch::Tensor;

settings! {
    /// The α of a line.
    #[derive(Clone, Debug, Serialize)]
    pub struct Alphas {
        /// So many, evenly spaced from `alpha_min` to `alpha_max`; 0 and 1 are added.
        pub alphas: usize,
        pub alpha_min: f64,
        pub alpha_max: f64,
        /// α that one trial evaluates.
        pub block_size: usize;
        /// All α, ascending: looked up for each block's name.
        grid: OnceLock<Vec<f64>>,
    }
}

/// More than this are a slip of the pen.
const MOST_ALPHAS: u64 = 100_000;

impl Alphas {
    pub fn check(&self) -> Result<(), String> {
        check_range(self.alphas, MOST_ALPHAS, [self.alpha_min, self.alpha_max])
    }

    /// All α, ascending.
    pub fn all(&self) -> &[f64] {
        self.grid.get_or_init(|| even(self.alphas, [self.alpha_min, self.alpha_max]))
    }

    pub fn blocks(&self) -> Chunks<'_, f64> {
        self.all().chunks(self.block_size)
    }

    /// How many blocks there are at most: 0 and 1 may come to the α that are asked for.
    pub fn most_blocks(&self) -> usize {
        self.alphas.saturating_add(2).div_ceil(self.block_size.max(1))
    }

    /// Which of the blocks, from 1.
    pub fn number_of(&self, block: &[f64]) -> usize {
        let first = block.first().copied().unwrap_or_default();
        self.all().binary_search_by(|alpha| alpha.total_cmp(&first)).unwrap_or(0) / self.block_size + 1
    }
}

/// So many α, evenly spaced, with both solutions: ascending.
pub fn even(alphas: usize, ends: [f64; 2]) -> Vec<f64> {
    with_solutions(evenly_spaced(ends, alphas))
}

/// That so many α, at most `most`, can be told apart between two ends that networks can be multiplied by.
pub fn check_range(alphas: usize, most: u64, [min, max]: [f64; 2]) -> Result<(), String> {
    check::within("alphas", alphas as u64, 2..=most)?;
    let shown = format!("alpha_min is {} and alpha_max {}", check::plain(min), check::plain(max));
    if !(min.is_finite() && max.is_finite() && min < max) {
        return Err(format!("{shown}; it must be below, and both finite"));
    }
    for (name, alpha) in [("alpha_min", min), ("alpha_max", max)] {
        // θ(α) has both.
        check::factor(name, alpha)?;
        check::factor(&format!("1 - {name}"), 1.0 - alpha)?;
    }
    // As networks see them: in float32.
    if even(alphas, [min, max]).windows(2).any(|pair| pair[0] as f32 >= pair[1] as f32) {
        return Err(format!("{shown}: too near each other for {alphas} α that differ"));
    }
    Ok(())
}

/// The work of so many α for so many parameters over so many samples, as [`crate::study::Trial::cost`]: a pass forward is
/// a third of a step.
pub fn cost(parameters: f64, alphas: &[f64], samples: usize) -> f64 {
    let evaluations = alphas.len() * samples;
    parameters * evaluations as f64 / 3.0
}

/// Loss and accuracy of each θ(α), with the buffers of α, over both splits, from the objectives' own weights at α = 0 to
/// those of the `second` solution at 1, where it leaves them at the last α: series `alpha`, `train_loss`,
/// `train_accuracy`, `test_loss` and `test_accuracy`; of values there are no accuracies.
///
/// Running variances are extrapolated too, and beyond the solutions may come out below 0: a loss there is no number.
pub fn evaluate(splits: &mut Splits, second: &Weights, alphas: &[f64], cx: &Context) -> Result<Measurements> {
    let (first, parameters) = (splits.weights().each(Tensor::copy), splits.train.layout().parameters());
    let mut measured = Measurements::new(parameters, [], [("alpha", alphas.to_vec())]);
    for (done, &alpha) in (1..).zip(alphas) {
        let [theta, buffers] = [(&first.theta, &second.theta), (&first.buffers, &second.buffers)]
            .map(|(first, second)| point(first, second, alpha));
        splits.move_to(&Weights { theta, buffers })?;
        let mut last = f64::NAN;
        for (split, objective) in [("train", &mut splits.train), ("test", &mut splits.test)] {
            let found = objective.evaluate()?;
            measure(&mut measured.series, &format!("{split}_loss"), found.loss);
            // Of values there is none.
            if !found.accuracy.is_nan() {
                measure(&mut measured.series, &format!("{split}_accuracy"), found.known_accuracy());
            }
            last = found.loss;
            cx.check_stop()?;
        }
        cx.step_done(done, alphas.len() as u64, last)?;
    }
    Ok(measured)
}

/// Fewer α than this show no curve.
pub const FEWEST_ALPHAS: usize = 10;
/// Accuracies further apart do not move together. Far outside the segment both lie at chance, where ranks would be
/// noise.
pub const CLOSE: f64 = 0.05;

/// What the blocks of one line measured together, α ascending: the series of [`evaluate`].
pub struct Line {
    pub measured: Measurements,
    /// Whether all its blocks are done: of a line with a hole nothing can be told.
    pub is_whole: bool,
}

impl Line {
    /// The blocks in their order, as far as they are done.
    pub fn of<'a>(alphas: &Alphas, blocks: impl IntoIterator<Item = &'a Measurements>) -> Self {
        let mut measured = Measurements::default();
        for (name, values) in blocks.into_iter().flat_map(|block| &block.series) {
            measured.series.entry(name.clone()).or_default().extend(values);
        }
        let is_whole = measured.series.get("alpha").map(Vec::len) == Some(alphas.all().len());
        Self { measured, is_whole }
    }

    /// How far the training loss rises between the solutions, by [`barrier`]; NaN where it is not known.
    pub fn loss_barrier(&self) -> Result<f64> {
        let found = barrier(self.measured.series("alpha")?, self.measured.series("train_loss")?);
        Ok(found.filter(|_| self.is_whole).unwrap_or(f64::NAN))
    }

    /// How far the training error rises, by [`error_hill`], likewise.
    pub fn error_hill(&self) -> Result<f64> {
        let found = error_hill(self.measured.series("alpha")?, self.measured.series("train_accuracy")?);
        Ok(found.filter(|_| self.is_whole).unwrap_or(f64::NAN))
    }

    /// A quantity over both sets, at each α.
    fn of_both_sets(&self, quantity: &str) -> Result<Vec<(f64, f64)>> {
        let [train, test] = ["train", "test"].map(|set| self.measured.series(&format!("{set}_{quantity}")));
        Ok(train?.iter().copied().zip(test?.iter().copied()).collect())
    }

    /// Spearman's, of both sets' losses; NaN where it is undefined.
    pub fn loss_correlation(&self) -> Result<f64> {
        Ok(spearman(&self.of_both_sets("loss")?).unwrap_or(f64::NAN))
    }

    /// Between both sets' accuracies; NaN where one is no number.
    pub fn widest_accuracy_gap(&self) -> Result<f64> {
        let apart: Vec<f64> = self.of_both_sets("accuracy")?.iter().map(|(train, test)| (train - test).abs()).collect();
        Ok(highest(&apart).unwrap_or(f64::NAN))
    }

    /// Whether loss and accuracy move together on both sets; `None` where it cannot be told.
    pub fn moves_together(&self) -> Result<Option<bool>> {
        let alphas = self.measured.series("alpha")?.len();
        let held = together_along(alphas, self.loss_correlation()?, self.widest_accuracy_gap()?);
        Ok(held.filter(|_| self.is_whole))
    }
}

/// `None` where it cannot be told: too few α, or a number that is none.
fn together_along(alphas: usize, correlation: f64, gap: f64) -> Option<bool> {
    let known = alphas >= FEWEST_ALPHAS && correlation.is_finite() && gap.is_finite();
    known.then_some(correlation >= RANKED_ALIKE && gap <= CLOSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alphas(alphas: usize, [alpha_min, alpha_max]: [f64; 2], block_size: usize) -> Alphas {
        Alphas { alphas, alpha_min, alpha_max, block_size, grid: OnceLock::new() }
    }

    #[test]
    fn blocks_are_numbered_in_their_order() {
        for (alphas, most) in [(alphas(6, [-0.5, 1.5], 3), 3), (alphas(100, [0.0, 20.0], 5), 21)] {
            let numbers: Vec<usize> = alphas.blocks().map(|block| alphas.number_of(block)).collect();
            assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
            assert_eq!(alphas.blocks().flatten().copied().collect::<Vec<_>>(), alphas.all());
            assert_eq!(alphas.most_blocks(), most);
            assert!(numbers.len() <= most && alphas.check().is_ok());
        }
    }

    #[test]
    fn a_line_with_a_hole_has_no_barrier() {
        let alphas = alphas(3, [0.0, 1.0], 2);
        let block = |alphas: &[f64], losses: &[f64], accuracies: &[f64]| {
            let series = [("alpha", alphas), ("train_loss", losses), ("train_accuracy", accuracies)];
            Measurements::new(1, [], series.map(|(name, values)| (name, values.to_vec())))
        };
        let blocks = [block(&[0.0, 0.5], &[1.0, 2.5], &[1.0, 0.5]), block(&[1.0], &[2.0], &[0.75])];
        let line = Line::of(&alphas, &blocks);
        assert_eq!(line.measured.series("train_loss").unwrap(), [1.0, 2.5, 2.0]);
        assert_eq!((line.loss_barrier().unwrap(), line.error_hill().unwrap()), (1.0, 0.25));
        let with_hole = Line::of(&alphas, &blocks[..1]);
        assert!(with_hole.loss_barrier().unwrap().is_nan() && with_hole.error_hill().unwrap().is_nan());
        assert!(!with_hole.is_whole && line.measured.series("test_loss").is_err());
    }

    #[test]
    fn curves_move_together_or_do_not_or_it_cannot_be_told() {
        for (alphas, correlation, gap, held) in [
            (10, 0.9, 0.05, Some(true)),
            (10, 0.899, 0.05, Some(false)),
            (10, 0.9, 0.051, Some(false)),
            (10, -1.0, 0.0, Some(false)),
            (9, 1.0, 0.0, None),
            (10, f64::NAN, 0.0, None),
            (10, 1.0, f64::NAN, None),
        ] {
            assert_eq!(together_along(alphas, correlation, gap), held, "{alphas} {correlation} {gap}");
        }
    }
    #[test]
    fn what_makes_no_line_is_refused() {
        for (alphas, what) in [
            (alphas(1, [0.0, 1.0], 1), "alphas is 1; it must be from 2"),
            (alphas(3, [1.0, 1.0], 1), "alpha_min is 1 and alpha_max 1; it must be below"),
            (alphas(3, [0.0, f64::NAN], 1), "alpha_max NaN"),
            (alphas(3, [0.0, 1e39], 1), "float32"),
            (alphas(9, [1e16, 1.000_000_000_000_000_2e16], 1), "too near each other for 9 α"),
        ] {
            let error = alphas.check().unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
