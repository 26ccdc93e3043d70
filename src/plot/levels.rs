//! Ticks at the few values that an axis has, such as batch sizes: at each of them, and nowhere else. Knows ranges and
//! scales, not what is drawn.

use super::scale::{Range, Scale, Ticks, grouped};

/// More values than these are a range, and have the ticks of one.
pub(super) const MOST: usize = 12;

/// The finite values among these, each once, ascending; none where they are too many.
pub(super) fn levels(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut levels: Vec<f64> = Vec::new();
    for value in values {
        if value.is_finite() && !levels.contains(&value) {
            levels.push(value);
            if levels.len() > MOST {
                return Vec::new();
            }
        }
    }
    levels.sort_by(f64::total_cmp);
    levels
}

/// A tick at each level that the axis shows; where their labels would overlap on an axis of this length, some have none,
/// never the first and the last. `extent` gives what a label takes along the axis. `None` where that leaves less than two
/// labels, or one would be too long to read.
pub(super) fn ticks(
    (levels, scale, range): (&[f64], Scale, Range),
    length: f64,
    extent: impl Fn(&str) -> f64,
) -> Option<Ticks> {
    let shown = |level: &f64| Some((range.fraction(scale.transform(*level)?), label(*level)?));
    let mut all: Vec<(f64, String)> = levels.iter().map(shown).collect::<Option<_>>()?;
    all.retain(|(at, _)| (0.0..=1.0).contains(at));
    let (last, rest) = all.split_last()?;
    let half = |label: &str| extent(label) / 2.0;
    let is_clear = |(a, left): &(f64, String), (b, right): &(f64, String)| (b - a) * length >= half(left) + half(right);
    let mut ticks = Ticks::default();
    for tick in rest {
        let is_labelled = ticks.major.last().is_none_or(|before| is_clear(before, tick)) && is_clear(tick, last);
        if is_labelled {
            ticks.major.push(tick.clone());
        } else {
            ticks.minor.push(tick.0);
        }
    }
    ticks.major.push(last.clone());
    (ticks.major.len() > 1 || all.len() == 1).then_some(ticks)
}

/// In plain digits, as few as tell it; `None` where these are many.
fn label(level: f64) -> Option<String> {
    const LONGEST: usize = 12;
    let digits = level.abs().to_string();
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let whole = if whole.len() < 5 { whole.to_owned() } else { grouped(whole) };
    let sign = if level < 0.0 { "−" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}")).filter(|label| label.len() <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn levels_are_told_in_plain_digits() {
        for (level, expected) in [
            (32.0, Some("32")),
            (0.5, Some("0.5")),
            (-0.25, Some("−0.25")),
            (0.0, Some("0")),
            (7850.0, Some("7850")),
            (101_770.0, Some("101,770")),
            (1e9, None),
            (1.0 / 3.0, None),
            (1e-12, None),
        ] {
            assert_eq!(label(level).as_deref(), expected, "{level}");
        }
        assert_eq!(levels([512.0, 32.0, f64::NAN, 32.0, f64::INFINITY, 64.0]), [32.0, 64.0, 512.0]);
        assert_eq!(levels((0..13).map(f64::from)), [0.0; 0]);
        assert_eq!(levels((0..12).map(f64::from)).len(), 12);
    }

    fn labels(axis: Axis, points: Vec<(f64, f64)>) -> Vec<String> {
        let figure = figure(Panel::plot("", axis, Axis::linear("y"), vec![Series::new("", Color::Ink, points)]));
        let panel = laid_out(&figure);
        let width = panel.plot.width();
        let ends =
            |(at, label): &(f64, String)| [-0.5, 0.5].map(|side| at * width + side * text_width(label, TICK_LABEL));
        let major = &panel.x.ticks.major;
        assert!(major.windows(2).all(|pair| ends(&pair[0])[1] < ends(&pair[1])[0]), "{major:?}");
        major.iter().map(|(_, label)| label.clone()).collect()
    }

    #[test]
    fn an_axis_of_few_levels_has_its_ticks_at_them() {
        let batches = [32.0, 64.0, 128.0, 256.0, 512.0];
        let points = || batches.iter().map(|x| (*x, 1.0 / x)).collect::<Vec<_>>();
        assert_eq!(labels(Axis::log("batch size").levels(batches), points()), ["32", "64", "128", "256", "512"]);
        assert!(labels(Axis::log("batch size"), points()).contains(&"50".to_owned()));
        // Beside each other on a linear axis there is no room for all, but for the ends.
        let sizes = [7850.0, 25_450.0, 25_460.0, 50_890.0, 101_770.0, 101_780.0];
        let of_sizes = || sizes.iter().map(|x| (*x, 1.0)).collect::<Vec<_>>();
        let figure = labels(Axis::linear("parameters").levels(sizes), of_sizes());
        assert_eq!(figure, ["7850", "25,450", "50,890", "101,780"]);
        // One that the axis cannot show, or too many: as on any axis.
        assert!(labels(Axis::log("x").levels([0.0, 32.0, 512.0]), points()).contains(&"50".to_owned()));
        assert!(labels(Axis::linear("x").levels((0..99).map(f64::from)), points()).contains(&"100".to_owned()));
    }
}
