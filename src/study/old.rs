//! What studies use that are not yet written in the words of `curves`.

use super::Measurements;
use super::seeds::means_over_epochs;
use crate::plot::{Axis, Color, Mark, Panel, Series};
use anyhow::Result;

/// First or last value of a series; NaN where it is empty.
///
/// # Errors
/// Where the record has no such series.
pub fn ends(record: &Measurements, name: &str) -> Result<(f64, f64)> {
    let values = record.series(name)?;
    Ok((values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN)))
}

/// A curve of a figure over epochs.
pub struct Curve<'a> {
    /// Empty for none in the legend.
    pub label: String,
    /// Place in the colour cycle.
    pub color: usize,
    pub dashed: bool,
    pub values: &'a [f64],
}

impl Curve<'_> {
    /// Over epochs, counted from 1.
    #[must_use]
    pub fn series(&self) -> Series {
        // Few epochs are shown as the points they are.
        let mark = match (self.dashed, self.values.len()) {
            (true, _) => Mark::Dashed,
            (false, 0..=15) => Mark::LinePoints,
            (false, _) => Mark::Line,
        };
        Series::over_epochs(self.label.clone(), Color::Cycle(self.color), 1, self.values).mark(mark)
    }
}

/// A panel of curves over epochs, counted from 1; those of one colour and dash are of several seeds.
#[must_use]
pub fn panel(y: Axis, curves: &[Curve]) -> Panel {
    Panel::plot("", Axis::linear("epoch"), y, means_over_epochs(curves.iter().map(Curve::series).collect()))
}
