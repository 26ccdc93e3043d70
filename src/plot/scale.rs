//! How values map to positions along an axis: ranges and ticks. Ticks stand at 1, 2 and 5 times powers of ten, as is
//! usual. Knows neither panels nor what is drawn.

use serde::{Deserialize, Serialize};

use super::style::TICK_LABEL;
use super::text::{clean, shortened_apart};

/// How values map to positions along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Equal steps for equal differences.
    Linear,
    /// Equal steps for equal ratios; values that are not positive are left out.
    Log,
    /// Logarithmic on both sides of zero, linear within ± ten to this power (kept within ±280),
    /// which takes the length of a decade on either side.
    SymLog(i32),
}

/// Both ends of an axis, in the scale's own coordinate (for `Log`, the exponent of ten; for `SymLog`, ±1 where the
/// linear part ends and ±1 for each decade from there).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) lo: f64,
    pub(super) hi: f64,
}

impl Range {
    /// Where `t` lies, 0 at the low end and 1 at the high end.
    pub(super) fn fraction(self, t: f64) -> f64 {
        (t - self.lo) / (self.hi - self.lo)
    }

    pub(super) fn point(t: f64) -> Self {
        Self { lo: t, hi: t }
    }

    /// The first and the last whole number in it.
    fn whole_numbers(self) -> (i32, i32) {
        ((self.lo - 1e-9).ceil() as i32, (self.hi + 1e-9).floor() as i32)
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }
}

/// Ticks along an axis, at fractions of its length.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticks {
    pub(super) major: Vec<(f64, String)>,
    pub(super) minor: Vec<f64>,
}

impl Scale {
    /// The scale's own coordinate of a value; `None` where the axis cannot show it.
    pub fn transform(self, v: f64) -> Option<f64> {
        // Beyond 1e300, the differences that layout needs would overflow.
        let t = match self {
            Self::Linear => v,
            Self::Log => v.log10(),
            Self::SymLog(linear) => {
                let beyond = v.abs().log10() - f64::from(clamped_exponent(linear));
                let size = if beyond < 0.0 { 10_f64.powf(beyond) } else { 1.0 + beyond };
                size.copysign(v)
            }
        };
        (v.is_finite() && t.abs() <= 1e300).then_some(t)
    }

    /// What an axis without data shows.
    pub(super) fn default_range(self) -> Range {
        match self {
            Self::Linear => Range { lo: 0.0, hi: 1.0 },
            Self::Log | Self::SymLog(_) => Range { lo: -1.0, hi: 1.0 },
        }
    }

    /// A range that shows `data` with some padding, also where all values agree.
    pub(super) fn padded_range(self, data: Range, padding: f64) -> Range {
        let span = data.hi - data.lo;
        let reach = data.lo.abs().max(data.hi.abs());
        let middle = data.lo / 2.0 + data.hi / 2.0;
        let half = match self {
            // Below this, ticks would need more digits than a label can hold.
            Self::Linear if span > 1e-9 * reach && span > 1e-305 => None,
            Self::Linear if middle.abs() > 1e-300 => Some(0.1 * middle.abs()),
            Self::Linear => Some(1.0),
            Self::Log | Self::SymLog(_) if span > 1e-9 => None,
            Self::Log => Some(0.5),
            Self::SymLog(_) => Some(1.0),
        };
        let pad = span * padding;
        half.map_or(Range { lo: data.lo - pad, hi: data.hi + pad }, |h| Range { lo: middle - h, hi: middle + h })
    }

    /// Ticks with at most `most` labels (a few more where the scale has no coarser choice).
    fn ticks(self, range: Range, most: usize) -> Ticks {
        match self {
            Self::Linear => linear_ticks(range, range, |v| v, most),
            Self::Log => log_ticks(range, most),
            Self::SymLog(linear) => symlog_ticks(clamped_exponent(linear), range, most),
        }
    }

    /// The densest ticks whose labels keep clear of each other on an axis of this length; `extent` gives what a label
    /// takes along the axis.
    pub(super) fn fitting_ticks(self, range: Range, length: f64, most: usize, extent: impl Fn(&str) -> f64) -> Ticks {
        let fits = |ticks: &Ticks| {
            let labels = ticks.major.iter().map(|(at, label)| (at * length, extent(label) / 2.0));
            labels.collect::<Vec<_>>().windows(2).all(|w| w[1].0 - w[0].0 >= w[0].1 + w[1].1)
        };
        let mut choices = (2..=most).rev().map(|most| self.ticks(range, most));
        choices.find(fits).unwrap_or_else(|| self.ticks(range, 1))
    }
}

/// The exponent of ten where a `SymLog` axis becomes linear; nearer to the ends of the
/// floating-point range there would be nothing to subdivide.
fn clamped_exponent(linear: i32) -> i32 {
    linear.clamp(-280, 280)
}

/// The smallest `m * 10^e` with m in {1, 2, 5} that is not below `raw`.
fn nice_step(raw: f64) -> (i64, i32) {
    let e = raw.log10().floor() as i32;
    let mantissa = scaled(1, -e) * raw;
    let fits = |m: &i64| mantissa <= *m as f64 * (1.0 + 1e-9);
    [1, 2, 5].into_iter().find(fits).map_or((1, e + 1), |m| (m, e))
}

/// `n * 10^e`, exactly rounded where both factors are exact.
fn scaled(n: i64, e: i32) -> f64 {
    let n = n as f64;
    if e < 0 { n / 10_f64.powi(-e) } else { n * 10_f64.powi(e) }
}

/// Ticks at equal differences over `values`, at the fractions of `range` that the scale gives them.
fn linear_ticks(values: Range, range: Range, transform: impl Fn(f64) -> f64, most: usize) -> Ticks {
    let (m, e) = nice_step((values.hi - values.lo) / most.max(1) as f64);
    let step = scaled(m, e);
    let first = (values.lo / step - 1e-9).ceil() as i64;
    let last = (values.hi / step + 1e-9).floor() as i64;
    let counts: Vec<i64> = (first..=last).map(|k| k * m).collect();
    let major = counts.iter().zip(decimal_labels(&counts, e));
    let major = major.map(|(&n, label)| (range.fraction(transform(scaled(n, e))), label));
    Ticks { major: major.collect(), minor: Vec::new() }
}

/// Up to about so many values at 1, 2 and 5 times powers of ten, each with its number; none where they would need more
/// digits than a label can hold.
pub(super) fn round_values(range: Range, most: usize) -> Vec<(f64, String)> {
    let span = range.hi - range.lo;
    if !(span > 1e-9 * range.lo.abs().max(range.hi.abs()) && span > 1e-305 && span < f64::INFINITY) {
        return Vec::new();
    }
    // A fraction of this is the value itself.
    linear_ticks(range, Range { lo: 0.0, hi: 1.0 }, |v| v, most).major
}

/// Decades where there are enough of them, otherwise 1-2-5 positions in plain numbers, otherwise
/// (less than about half a decade) equal differences.
fn log_ticks(range: Range, most: usize) -> Ticks {
    let at = |&digit: &Digit| range.fraction(exponent(digit));
    let (first, last) = range.whole_numbers();
    if last - first >= 2 {
        let strides = [1, 2, 3, 5, 10, 20, 50, 100];
        let within = || digits_within(range, &[2, 3, 4, 5, 6, 7, 8, 9]).iter().map(at).collect();
        return decade_ticks(range, most, &strides, |e, stride| e.rem_euclid(stride) == 0, power_of_ten, within);
    }
    let dense = digits_within(range, &[1, 2, 5]);
    if dense.len() < 3 {
        let values = Range { lo: 10_f64.powf(range.lo), hi: 10_f64.powf(range.hi) };
        // Beyond the floating-point range there is nothing to subdivide.
        if values.lo > 1e-290 && values.hi < 1e290 {
            return linear_ticks(values, range, f64::log10, most);
        }
    }
    let choices = [dense, digits_within(range, &[1, 3])];
    let fitting = choices.into_iter().find(|c| c.len() <= most);
    let chosen = fitting.unwrap_or_else(|| digits_within(range, &[1]));
    let plain = chosen.iter().all(|&(_, e)| (-4..=5).contains(&e));
    let label = |&(digit, e): &Digit| if plain { fixed(digit, e) } else { format!("{digit}×{}", power_of_ten(e)) };
    let rest = digits_within(range, &DIGITS);
    Ticks {
        major: chosen.iter().map(|c| (at(c), label(c))).collect(),
        minor: rest.iter().filter(|p| !chosen.contains(p)).map(at).collect(),
    }
}

/// Zero and decades on both sides of it, or what another scale has where the axis shows little more
/// than a logarithmic or the linear part.
fn symlog_ticks(linear: i32, range: Range, most: usize) -> Ticks {
    let exponent = |t: f64| t - 1.0 + f64::from(linear);
    if range.lo >= 1.0 {
        return log_ticks(Range { lo: exponent(range.lo), hi: exponent(range.hi) }, most);
    }
    if range.hi <= -1.0 {
        let mirrored = Range { lo: exponent(-range.hi), hi: exponent(-range.lo) };
        let Ticks { major, minor } = log_ticks(mirrored, most);
        let major = major.into_iter().rev().map(|(at, label)| (1.0 - at, format!("−{label}")));
        return Ticks { major: major.collect(), minor: minor.into_iter().rev().map(|at| 1.0 - at).collect() };
    }
    let scale = Scale::SymLog(linear);
    let (first, last) = range.whole_numbers();
    if last - first < 2 {
        let size = |t: f64| if t < 1.0 { t * scaled(1, linear) } else { 10_f64.powf(exponent(t)) };
        let values = Range { lo: size(range.lo.abs()).copysign(range.lo), hi: size(range.hi.abs()).copysign(range.hi) };
        return linear_ticks(values, range, |v| scale.transform(v).unwrap_or(f64::NAN), most);
    }
    // Positions are whole numbers: zero, and n for the n-th power of ten from the linear part on.
    let power = |n: i32| linear + n.abs() - 1;
    // The labels nearest to zero keep the distance of the others.
    let labelled = |n: i32, stride: i32| n == 0 || n.abs() >= stride && power(n).rem_euclid(stride) == 0;
    let label = |n: i32| match n {
        0 => "0".to_owned(),
        n => format!("{}{}", if n < 0 { "−" } else { "" }, power_of_ten(power(n))),
    };
    let within = || {
        let tenth = f64::from(linear - 1);
        let longest = f64::from(first.abs().max(last.abs()) + 1);
        let sizes = digits_within(Range { lo: tenth, hi: tenth + longest }, &DIGITS);
        let sizes = sizes.into_iter().filter(|&(digit, e)| digit > 1 || e < linear);
        let values = sizes.flat_map(|(digit, e)| [-1, 1].map(|sign| scaled(sign * digit, e)));
        let shown = values.filter_map(|v| scale.transform(v)).filter(|t| (range.lo..=range.hi).contains(t));
        shown.map(|t| range.fraction(t)).collect()
    };
    decade_ticks(range, most, &[1, 2, 3, 4, 5, 10, 20, 50, 100], labelled, label, within)
}

/// Ticks at whole numbers: labels on those that are `labelled(n, stride)`, with the first stride that leaves few
/// enough of them. Between them are the other whole numbers, or, between a few decades in a row, the ticks `within`.
fn decade_ticks(
    range: Range,
    most: usize,
    strides: &[i32],
    labelled: impl Fn(i32, i32) -> bool,
    label: impl Fn(i32) -> String,
    within: impl Fn() -> Vec<f64>,
) -> Ticks {
    let (first, last) = range.whole_numbers();
    let fits = |&stride: &i32| (first..=last).filter(|&n| labelled(n, stride)).count() <= most;
    let stride = strides.iter().copied().find(fits).unwrap_or(200);
    let (major, between): (Vec<i32>, Vec<i32>) = (first..=last).partition(|&n| labelled(n, stride));
    let at = |n: i32| range.fraction(f64::from(n));
    let minor = match last - first {
        ..=10 if stride == 1 => within(),
        ..=40 => between.into_iter().map(at).collect(),
        _ => Vec::new(),
    };
    Ticks { major: major.into_iter().map(|n| (at(n), label(n))).collect(), minor }
}

/// `digit * 10^e`.
type Digit = (i64, i32);

const DIGITS: [i64; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

fn exponent((digit, e): Digit) -> f64 {
    (digit as f64).log10() + f64::from(e)
}

/// All `digit * 10^e` within a range of exponents, in order.
fn digits_within(range: Range, digits: &[i64]) -> Vec<Digit> {
    let (first, last) = (range.lo.floor() as i32, range.hi.ceil() as i32);
    let all = (first..=last).flat_map(|e| digits.iter().map(move |&d| (d, e)));
    all.filter(|&digit| (range.lo - 1e-9..=range.hi + 1e-9).contains(&exponent(digit))).collect()
}

/// Labels of `n * 10^e` for each n, with as many decimals as the step needs; a power of ten is
/// split off only where plain digits would be long.
fn decimal_labels(counts: &[i64], e: i32) -> Vec<String> {
    let largest = counts.iter().map(|n| n.unsigned_abs()).max().unwrap_or(0);
    let top = e + largest.checked_ilog10().unwrap_or(0) as i32;
    if (-3..7).contains(&top) && e >= -9 {
        return counts.iter().map(|&n| fixed(n, e)).collect();
    }
    let label = |&n: &i64| match n {
        0 => "0".to_owned(),
        n => format!("{}×{}", fixed(n, e - top), power_of_ten(top)),
    };
    counts.iter().map(label).collect()
}

/// `n * 10^e` in plain digits: real minus sign, commas from 10,000 on.
fn fixed(n: i64, e: i32) -> String {
    let digits = n.unsigned_abs().to_string();
    let decimals = e.min(0).unsigned_abs() as usize;
    let zeros = if n == 0 { 0 } else { e.max(0) as usize };
    let padded = format!("{digits:0>width$}{}", "0".repeat(zeros), width = decimals + 1);
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    let sign = if n < 0 { "−" } else { "" };
    let point = if decimals > 0 { "." } else { "" };
    let whole = if whole.len() < 5 { whole.to_owned() } else { grouped(whole) };
    format!("{sign}{whole}{point}{fraction}")
}

/// With a comma before every three digits.
pub(super) fn grouped(whole: &str) -> String {
    let with_comma = |(i, digit): (usize, char)| {
        let comma = i > 0 && (whole.len() - i).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    whole.chars().enumerate().flat_map(with_comma).collect()
}

fn power_of_ten(e: i32) -> String {
    let raised = e.to_string();
    let raised = raised.chars().map(|c| match c.to_digit(10) {
        Some(d) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][d as usize],
        None => '⁻',
    });
    "10".chars().chain(raised).collect()
}

/// A label for each category, or for every second, third, ... where they would be closer than `apart`; `max_width`
/// gives that of a label from the distance between two.
pub(super) fn category_ticks(names: &[String], length: f64, apart: f64, max_width: impl Fn(f64) -> f64) -> Ticks {
    let count = names.len() as f64;
    let stride = (apart * count / length).ceil().max(1.0) as usize;
    let max_width = max_width(length / count * stride as f64);
    let names: Vec<String> = names.iter().map(|name| clean(name)).collect();
    let names = shortened_apart(&names, TICK_LABEL, max_width);
    let tick = |(i, name): (usize, String)| ((i as f64 + 0.5) / count, name);
    Ticks { major: names.into_iter().enumerate().step_by(stride).map(tick).collect(), minor: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    fn labels(scale: Scale, lo: f64, hi: f64, most: usize) -> Vec<String> {
        let ticks = scale.ticks(Range { lo, hi }, most);
        ticks.major.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn linear_ticks_stand_at_one_two_five() {
        let all = |lo, hi, most| labels(Scale::Linear, lo, hi, most);
        assert_eq!(all(0.0, 1000.0, 5), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(all(-2.1, 2.1, 5), ["−2", "−1", "0", "1", "2"]);
        assert_eq!(all(0.0, 1.0, 2), ["0.0", "0.5", "1.0"]);
        assert_eq!(all(0.0, 21_000.0, 5), ["0", "5000", "10,000", "15,000", "20,000"]);
        assert_eq!(all(-1.2e6, 0.0, 3), ["−1,000,000", "−500,000", "0"]);
        assert_eq!(all(0.0, 2.1e30, 3), ["0", "1×10³⁰", "2×10³⁰"]);
        assert_eq!(all(0.0, 1.1e-300, 3), ["0", "0.5×10⁻³⁰⁰", "1.0×10⁻³⁰⁰"]);
        assert_eq!(all(0.0, 0.0021, 3), ["0.000", "0.001", "0.002"]);
    }

    #[test]
    fn log_ticks_are_decades_over_a_wide_range() {
        assert_eq!(labels(Scale::Log, -3.2, 0.4, 7), ["10⁻³", "10⁻²", "10⁻¹", "10⁰"]);
        assert_eq!(labels(Scale::Log, -6.0, 6.0, 4), ["10⁻⁵", "10⁰", "10⁵"]);
        assert_eq!(labels(Scale::Log, -300.0, 300.0, 7).len(), 7);
        let minor = Scale::Log.ticks(Range { lo: 0.0, hi: 2.0 }, 7).minor;
        assert_eq!(minor.len(), 16);
    }

    #[test]
    fn log_ticks_are_plain_numbers_over_a_narrow_range() {
        assert_eq!(labels(Scale::Log, -1.8, -0.6, 7), ["0.02", "0.05", "0.1", "0.2"]);
        assert_eq!(labels(Scale::Log, -8.8, -7.9, 7), ["2×10⁻⁹", "5×10⁻⁹", "1×10⁻⁸"]);
        for lo in [-3.0, -0.5, 0.31, 4.9] {
            for width in [0.02, 0.2, 0.5, 1.0, 1.4, 2.0, 3.0] {
                let found = labels(Scale::Log, lo, lo + width, 7);
                assert!(found.len() >= 3, "{lo} {width}: {found:?}");
            }
        }
    }

    #[test]
    fn symlog_is_linear_within_its_bounds_and_continuous() {
        for e in [-8, 0, 3] {
            let scale = Scale::SymLog(e);
            let place = |v: f64| scale.transform(v * scaled(1, e)).unwrap();
            for (v, t) in
                [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (10.0, 2.0), (1e5, 6.0), (1.0 - 1e-12, 1.0), (1.0 + 1e-12, 1.0)]
            {
                assert!((place(v) - t).abs() < 1e-10 && (place(-v) + t).abs() < 1e-10, "{e} {v} {}", place(v));
            }
            assert!([f64::NAN, f64::INFINITY].into_iter().all(|v| scale.transform(v).is_none()));
        }
        assert_eq!(Scale::SymLog(i32::MIN).transform(1.0), Some(281.0));
        assert!(Scale::SymLog(i32::MAX).transform(f64::MAX).unwrap() < 30.0);
    }

    #[test]
    fn symlog_ticks_are_zero_and_decades_on_both_sides() {
        let all = |e, lo, hi, most| labels(Scale::SymLog(e), lo, hi, most);
        assert_eq!(all(-1, -2.1, 3.1, 7), ["−10⁰", "−10⁻¹", "0", "10⁻¹", "10⁰", "10¹"]);
        assert_eq!(all(-9, -7.2, 11.9, 8), ["−10⁻³", "−10⁻⁶", "0", "10⁻⁶", "10⁻³", "10⁰"]);
        assert_eq!(all(-8, -1.0, 1.0, 8), ["−10⁻⁸", "0", "10⁻⁸"]);
        assert_eq!(all(-8, -12.1, 12.1, 1), ["0"]);
        // Little more than one part of the axis: as on an axis of that kind.
        assert_eq!(all(-3, 1.2, 4.4, 7), labels(Scale::Log, -2.8, 0.4, 7));
        assert_eq!(all(-3, -4.4, -1.2, 7), ["−10⁰", "−10⁻¹", "−10⁻²"]);
        assert_eq!(all(0, -1.5, -1.1, 7), ["−3.0", "−2.5", "−2.0", "−1.5"]);
        assert_eq!(all(0, 0.0, 0.5, 7), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(all(-2, 0.5, 1.4, 4), ["0.01", "0.02"]);
    }

    /// The number that a label says.
    fn value(label: &str) -> f64 {
        let digit = |c| "⁰¹²³⁴⁵⁶⁷⁸⁹⁻−".chars().position(|s| s == c).map_or(c, |i| char::from(b"0123456789--"[i]));
        // A power's exponent starts with the first raised character.
        let raised = label.find(|c| digit(c) != c && c != '−').unwrap_or(label.len());
        let [base, exponent] = [&label[..raised], &label[raised..]].map(|t| t.chars().map(digit).collect::<String>());
        let base = base.parse::<f64>().unwrap();
        if exponent.is_empty() { base } else { base.signum() * 10_f64.powi(exponent.parse().unwrap()) }
    }

    #[test]
    fn ticks_stand_where_their_labels_say() {
        let symlog = [(-3.3, 2.6), (-19.0, 4.5), (1.5, 1.9), (-1.9, -1.5), (0.4, 1.3), (-0.2, 0.1), (-8.0, -0.5)];
        let symlog = symlog.map(|(lo, hi)| (Scale::SymLog(-2), Range { lo, hi }));
        for (scale, range) in [(Scale::Linear, Range { lo: -0.31, hi: 0.77 })].into_iter().chain(symlog) {
            let Ticks { major, minor } = scale.ticks(range, 8);
            assert!(major.len() >= 3, "{range:?} {major:?}");
            assert!(major.windows(2).all(|w| w[0].0 < w[1].0));
            assert!(minor.iter().chain(major.iter().map(|(at, _)| at)).all(|at| (-1e-9..=1.0 + 1e-9).contains(at)));
            for (at, label) in major {
                let said = range.fraction(scale.transform(value(&label)).unwrap());
                assert!((said - at).abs() < if scale == Scale::Linear { 1e-12 } else { 1e-9 }, "{label}");
            }
        }
        // Nine in the linear part, eight in a decade.
        assert_eq!(Scale::SymLog(-2).ticks(Range { lo: 0.0, hi: 3.0 }, 8).minor.len(), 9 + 2 * 8);
    }

    #[test]
    fn symlog_axes_show_data_of_any_sign() {
        let decades = |sign: f64| line(move |x| sign * 10_f64.powf(x), -10.0, 5.0, 30);
        let mixed = [decades(-1.0), vec![(0.0, 0.0)], decades(1.0)].concat();
        for points in [decades(1.0), decades(-1.0), mixed, line(|_| 0.0, 0.0, 1.0, 2), vec![(0.0, -7.0)]] {
            let turned = points.iter().map(|&(x, y)| (y, x)).collect();
            let axis = || Axis::symlog("v", -8);
            let count = points.len();
            let series = [points, turned].map(|points| Series::new("", Color::Ink, points));
            let figure = figure(Panel::plot("", axis(), axis(), series.to_vec()));
            let panel = laid_out(&figure);
            let shown = first_runs(&panel).concat();
            assert!(shown.len() == count && shown.iter().all(|&p| panel.plot.contains(p)));
            assert!(panel.y[0].ticks.major.len() >= 3, "{:?}", panel.y[0].ticks.major);
            assert_clear_of_each_other(&panel);
        }
    }

    fn assert_clear_of_each_other(panel: &PanelLayout) {
        let mut end = f64::NEG_INFINITY;
        for (at, label) in &panel.x.ticks.major {
            let (half, x) = (text_width(label, TICK_LABEL) / 2.0, panel.x_at(*at));
            assert!(x - half > end && x + half <= panel.cell.x1, "{label}");
            end = x + half;
        }
        assert!(panel.x.ticks.major.len() >= 3, "{:?}", panel.x.ticks.major);
    }

    #[test]
    fn tick_labels_keep_clear_of_each_other() {
        for hi in [1e-7, 0.3, 7.0, 1e4, 98_765.0, 3e6, 2e9] {
            let figure = figure(linear(line(|x| x, 0.0, hi, 9)));
            assert_clear_of_each_other(&laid_out(&figure));
        }
    }

    #[test]
    fn equal_values_get_a_range_around_them() {
        for value in [0.0, 5.0, -3.0, 1e30, 1e-300, 1e-310, 1e300] {
            let point = Range { lo: value, hi: value };
            let range = Scale::Linear.padded_range(point, 0.05);
            assert!(range.lo < value && value < range.hi, "{value} {range:?}");
        }
        let range = Scale::Log.padded_range(Range { lo: 2.0, hi: 2.0 }, 0.05);
        assert_eq!(range, Range { lo: 1.5, hi: 2.5 });
    }
}
