//! How values map to positions along an axis: ranges and ticks. Ticks stand at 1, 2 and 5 times powers of ten, as is
//! usual. Knows neither panels nor what is drawn.

use super::style::TICK_LABEL;
use super::text::{clean, shortened};

/// How values map to positions along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps for equal differences.
    Linear,
    /// Equal steps for equal ratios; values that are not positive have no place and are left out.
    Log,
    /// Logarithmic on both sides of zero, linear within ± ten to this power (kept within ±280),
    /// which takes the length of a decade on either side.
    SymLog(i32),
}

/// Both ends of an axis, in the scale's own coordinate (for `Log`, the exponent of ten; for
/// `SymLog`, ±1 where the linear part ends and ±1 for each decade from there).
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

    pub(super) fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    pub(super) fn padded(self, share: f64) -> Self {
        let pad = (self.hi - self.lo) * share;
        Self { lo: self.lo - pad, hi: self.hi + pad }
    }
}

/// Marks along an axis, placed by fraction of its length.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticks {
    pub(super) major: Vec<(f64, String)>,
    pub(super) minor: Vec<f64>,
}

impl Scale {
    /// The scale's own coordinate of a value, if it has a place on the axis.
    pub(super) fn transform(self, v: f64) -> Option<f64> {
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
        half.map_or_else(|| data.padded(padding), |h| Range { lo: middle - h, hi: middle + h })
    }

    /// Ticks with at most `most` labels (a few more where the scale has no coarser choice).
    pub(super) fn ticks(self, range: Range, most: usize) -> Ticks {
        match self {
            Self::Linear => linear_ticks(range, range, |v| v, most),
            Self::Log => log_ticks(range, most),
            Self::SymLog(linear) => symlog_ticks(clamped_exponent(linear), range, most),
        }
    }
}

/// The exponent of ten where a `SymLog` axis becomes linear; nearer to the ends of the
/// floating-point range there would be nothing to subdivide.
pub(super) fn clamped_exponent(linear: i32) -> i32 {
    linear.clamp(-280, 280)
}

/// The smallest `m * 10^e` with m in {1, 2, 5} that is not below `raw`.
pub(super) fn nice_step(raw: f64) -> (i64, i32) {
    let e = raw.log10().floor() as i32;
    let mantissa = scaled(1, -e) * raw;
    for m in [1, 2, 5] {
        if mantissa <= m as f64 * (1.0 + 1e-9) {
            return (m, e);
        }
    }
    (1, e + 1)
}

/// `n * 10^e`, exactly rounded where both factors are exact.
pub(super) fn scaled(n: i64, e: i32) -> f64 {
    let n = n as f64;
    if e < 0 { n / 10_f64.powi(-e) } else { n * 10_f64.powi(e) }
}

/// Ticks at equal differences over `values`, placed within `range` through `place`.
pub(super) fn linear_ticks(values: Range, range: Range, place: impl Fn(f64) -> f64, most: usize) -> Ticks {
    let (m, e) = nice_step((values.hi - values.lo) / most.max(1) as f64);
    let step = scaled(m, e);
    let first = (values.lo / step - 1e-9).ceil() as i64;
    let last = (values.hi / step + 1e-9).floor() as i64;
    let counts: Vec<i64> = (first..=last).map(|k| k * m).collect();
    let labels = decimal_labels(&counts, e);
    let major = counts.iter().zip(labels);
    Ticks { major: major.map(|(&n, label)| (range.fraction(place(scaled(n, e))), label)).collect(), minor: Vec::new() }
}

/// Decades where there are enough of them, otherwise 1-2-5 positions in plain numbers, otherwise
/// (less than about half a decade) equal differences.
pub(super) fn log_ticks(range: Range, most: usize) -> Ticks {
    let first = (range.lo - 1e-9).ceil() as i32;
    let last = (range.hi + 1e-9).floor() as i32;
    if last - first >= 2 {
        return decade_ticks(range, first, last, most);
    }
    let dense = digit_positions(range, &[1, 2, 5]);
    if dense.len() < 3 {
        let values = Range { lo: 10_f64.powf(range.lo), hi: 10_f64.powf(range.hi) };
        // Beyond the floating-point range there is nothing to subdivide.
        if values.lo > 1e-290 && values.hi < 1e290 {
            return linear_ticks(values, range, f64::log10, most);
        }
    }
    let choices = [dense, digit_positions(range, &[1, 3])];
    let fitting = choices.into_iter().find(|c| c.len() <= most);
    let chosen = fitting.unwrap_or_else(|| digit_positions(range, &[1]));
    let plain = chosen.iter().all(|&(_, e)| (-4..=5).contains(&e));
    let label = |&(digit, e): &(i64, i32)| {
        if plain { fixed(digit, e) } else { format!("{digit}×{}", power_of_ten(e)) }
    };
    let at = |&(digit, e): &(i64, i32)| range.fraction((digit as f64).log10() + f64::from(e));
    let rest = digit_positions(range, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    Ticks {
        major: chosen.iter().map(|c| (at(c), label(c))).collect(),
        minor: rest.iter().filter(|p| !chosen.contains(p)).map(at).collect(),
    }
}

/// Zero and decades on both sides of it, or what another scale has where the axis shows little more
/// than a logarithmic or the linear part.
pub(super) fn symlog_ticks(linear: i32, range: Range, most: usize) -> Ticks {
    let exponents =
        |near: f64, far: f64| Range { lo: near - 1.0 + f64::from(linear), hi: far - 1.0 + f64::from(linear) };
    if range.lo >= 1.0 {
        return log_ticks(exponents(range.lo, range.hi), most);
    }
    if range.hi <= -1.0 {
        let Ticks { major, minor } = log_ticks(exponents(-range.hi, -range.lo), most);
        let major = major.into_iter().rev().map(|(at, label)| (1.0 - at, format!("−{label}")));
        return Ticks { major: major.collect(), minor: minor.into_iter().rev().map(|at| 1.0 - at).collect() };
    }
    let scale = Scale::SymLog(linear);
    let (first, last) = ((range.lo - 1e-9).ceil() as i32, (range.hi + 1e-9).floor() as i32);
    if last - first < 2 {
        let value = |t: f64| {
            let size = if t.abs() < 1.0 {
                t.abs() * scaled(1, linear)
            } else {
                10_f64.powf(t.abs() - 1.0 + f64::from(linear))
            };
            size.copysign(t)
        };
        let values = Range { lo: value(range.lo), hi: value(range.hi) };
        return linear_ticks(values, range, |v| scale.transform(v).unwrap_or(f64::NAN), most);
    }
    // Positions are whole numbers: zero, and n for the n-th power of ten from the linear part on.
    let exponent = |n: i32| linear + n.abs() - 1;
    // The labels nearest to zero keep the distance of the others.
    let shown = |n: i32, stride: i32| n == 0 || n.abs() >= stride && exponent(n).rem_euclid(stride) == 0;
    let fits = |stride: &i32| (first..=last).filter(|&n| shown(n, *stride)).count() <= most;
    let stride = [1, 2, 3, 4, 5, 10, 20, 50, 100].into_iter().find(fits).unwrap_or(200);
    let label = |n: i32| match n {
        0 => "0".to_owned(),
        n => format!("{}{}", if n < 0 { "−" } else { "" }, power_of_ten(exponent(n))),
    };
    let (major, between): (Vec<i32>, Vec<i32>) = (first..=last).partition(|&n| shown(n, stride));
    let minor = if stride == 1 && last - first <= 10 {
        let longest = first.abs().max(last.abs());
        let tenth = f64::from(linear - 1);
        let sizes =
            digit_positions(Range { lo: tenth, hi: tenth + f64::from(longest + 1) }, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let sizes = sizes.into_iter().filter(|&(digit, e)| digit > 1 || e < linear);
        let values = sizes.flat_map(|(digit, e)| [-1, 1].map(|sign| scaled(sign * digit, e)));
        let places = values.filter_map(|v| scale.transform(v)).filter(|t| (range.lo..=range.hi).contains(t));
        places.map(|t| range.fraction(t)).collect()
    } else if last - first <= 40 {
        between.into_iter().map(|n| range.fraction(f64::from(n))).collect()
    } else {
        Vec::new()
    };
    Ticks { major: major.into_iter().map(|n| (range.fraction(f64::from(n)), label(n))).collect(), minor }
}

pub(super) fn decade_ticks(range: Range, first: i32, last: i32, most: usize) -> Ticks {
    let multiples = |stride: i32| (first..=last).filter(move |e| e.rem_euclid(stride) == 0);
    let strides = [1, 2, 3, 5, 10, 20, 50, 100];
    let fitting = strides.into_iter().find(|&s| multiples(s).count() <= most);
    let stride = fitting.unwrap_or(200);
    let at = |digit: i64, e: i32| range.fraction((digit as f64).log10() + f64::from(e));
    let minor = if stride == 1 && last - first <= 10 {
        let digits = digit_positions(range, &[2, 3, 4, 5, 6, 7, 8, 9]);
        digits.into_iter().map(|(digit, e)| at(digit, e)).collect()
    } else if last - first <= 40 {
        let between = (first..=last).filter(|e| e.rem_euclid(stride) != 0);
        between.map(|e| at(1, e)).collect()
    } else {
        Vec::new()
    };
    Ticks { major: multiples(stride).map(|e| (at(1, e), power_of_ten(e))).collect(), minor }
}

/// All `digit * 10^e` within a range of exponents, in order.
pub(super) fn digit_positions(range: Range, digits: &[i64]) -> Vec<(i64, i32)> {
    let (first, last) = (range.lo.floor() as i32, range.hi.ceil() as i32);
    let all = (first..=last).flat_map(|e| digits.iter().map(move |&d| (d, e)));
    all.filter(|&(d, e)| {
        let t = (d as f64).log10() + f64::from(e);
        range.lo - 1e-9 <= t && t <= range.hi + 1e-9
    })
    .collect()
}

/// Labels of `n * 10^e` for each n, with as many decimals as the step needs; a power of ten is
/// split off only where plain digits would be long.
pub(super) fn decimal_labels(counts: &[i64], e: i32) -> Vec<String> {
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
pub(super) fn fixed(n: i64, e: i32) -> String {
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

pub(super) fn grouped(whole: &str) -> String {
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        let left = whole.len() - i;
        if i > 0 && left.is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub(super) fn power_of_ten(e: i32) -> String {
    let raised = e.to_string();
    let raised = raised.chars().map(|c| match c.to_digit(10) {
        Some(d) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][d as usize],
        None => '⁻',
    });
    "10".chars().chain(raised).collect()
}

/// A label for each cell of a row, or for every second, third, ... where they would be too close;
/// `room` gives the width of a label from the distance between two.
pub(super) fn named_ticks(names: &[String], length: f64, room: impl Fn(f64) -> f64) -> Ticks {
    let count = names.len() as f64;
    let stride = (2.0 * TICK_LABEL.size * count / length).ceil().max(1.0) as usize;
    let room = room(length / count * stride as f64);
    let tick = |(i, name): (usize, &String)| ((i as f64 + 0.5) / count, shortened(&clean(name), TICK_LABEL, room));
    Ticks { major: names.iter().enumerate().step_by(stride).map(tick).collect(), minor: Vec::new() }
}

/// The densest ticks whose labels keep clear of each other on an axis of this length;
/// `extent` gives the room that a label takes along the axis.
pub(super) fn fitting_ticks(
    scale: Scale,
    range: Range,
    length: f64,
    densest: usize,
    extent: impl Fn(&str) -> f64,
) -> Ticks {
    let fits = |ticks: &Ticks| {
        let room: Vec<(f64, f64)> = ticks.major.iter().map(|(at, label)| (at * length, extent(label) / 2.0)).collect();
        room.windows(2).all(|w| w[1].0 - w[0].0 >= w[0].1 + w[1].1)
    };
    let choices = (2..=densest).rev().map(|most| scale.ticks(range, most));
    let mut fitting = choices.filter(fits);
    fitting.next().unwrap_or_else(|| scale.ticks(range, 1))
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
    fn linear_ticks_stand_where_their_labels_say() {
        let range = Range { lo: -0.31, hi: 0.77 };
        let ticks = Scale::Linear.ticks(range, 8);
        assert!(ticks.major.len() >= 3);
        for (at, label) in ticks.major {
            let value: f64 = label.replace('−', "-").parse().unwrap();
            assert!((range.fraction(value) - at).abs() < 1e-12, "{label}");
        }
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

    #[test]
    fn symlog_ticks_stand_where_their_labels_say() {
        for (lo, hi) in [(-3.3, 2.6), (-19.0, 4.5), (1.5, 1.9), (-1.9, -1.5), (0.4, 1.3), (-0.2, 0.1), (-8.0, -0.5)] {
            let (scale, range) = (Scale::SymLog(-2), Range { lo, hi });
            let Ticks { major, minor } = scale.ticks(range, 8);
            assert!(major.len() >= 3, "{lo} {hi} {major:?}");
            assert!(major.windows(2).all(|w| w[0].0 < w[1].0));
            assert!(minor.iter().chain(major.iter().map(|(at, _)| at)).all(|at| (-1e-9..=1.0 + 1e-9).contains(at)));
            for (at, label) in major {
                let digit =
                    |c| "⁰¹²³⁴⁵⁶⁷⁸⁹⁻−".chars().position(|s| s == c).map_or(c, |i| char::from(b"0123456789--"[i]));
                // A power's exponent starts with the first raised character.
                let raised = label.find(|c| digit(c) != c && c != '−').unwrap_or(label.len());
                let [base, exponent] =
                    [&label[..raised], &label[raised..]].map(|t| t.chars().map(digit).collect::<String>());
                let value = base.parse::<f64>().unwrap();
                let value =
                    if exponent.is_empty() { value } else { value.signum() * 10_f64.powi(exponent.parse().unwrap()) };
                assert!((range.fraction(scale.transform(value).unwrap()) - at).abs() < 1e-9, "{label}");
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
            let figure = figure(Panel::plot(
                "",
                axis(),
                axis(),
                vec![Series::new("", Color::Ink, points), Series::new("", Color::Ink, turned)],
            ));
            laid_out(&figure, |layout| {
                assert_eq!(first_runs(layout).concat().len(), count);
                assert!(first_runs(layout).concat().iter().all(|&p| layout.plot.contains(p)));
                for ticks in [&layout.x.ticks, &layout.y[0].ticks] {
                    assert!(ticks.major.len() >= 3, "{:?}", ticks.major);
                }
                clear_of_each_other(layout);
            });
        }
    }

    fn clear_of_each_other(layout: &PanelLayout) {
        let mut end = f64::NEG_INFINITY;
        for (at, label) in &layout.x.ticks.major {
            let half = text_width(label, TICK_LABEL) / 2.0;
            let x = layout.plot.x0 + at * layout.plot.width();
            assert!(x - half > end && x + half <= layout.cell.x1, "{label}");
            end = x + half;
        }
        assert!(layout.x.ticks.major.len() >= 3);
    }

    #[test]
    fn tick_labels_keep_clear_of_each_other() {
        for hi in [1e-7, 0.3, 7.0, 1e4, 98_765.0, 3e6, 2e9] {
            let figure = figure(linear(line(|x| x, 0.0, hi, 9)));
            laid_out(&figure, clear_of_each_other);
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
