//! Checks of settings that many studies have, for [`super::Experiment::check`]: every number has a bound, every
//! product of numbers that is made or held one of its own.

use std::ops::RangeInclusive;

/// A curve has a number an epoch: beyond these a slip of the pen is more likely than a wish.
const MOST_EPOCHS: u64 = 100_000_000;

/// Learning rates that float32 can compute with: Adam takes up to 10 times one, and by 30 times its inverse.
const LEARNING_RATES: RangeInclusive<f64> = 1e-36..=1e36;

pub fn training(epochs: u64, learning_rate: f64) -> Result<(), String> {
    within("epochs", epochs, 1..=MOST_EPOCHS)?;
    if !LEARNING_RATES.contains(&learning_rate) {
        let (least, most) = (LEARNING_RATES.start(), LEARNING_RATES.end());
        let above = if learning_rate <= 0.0 { "above 0, " } else { "" };
        let finite = if learning_rate.is_finite() { "" } else { "a finite number, " };
        return Err(format!(
            "learning_rate is {}; it must be {finite}{above}from {least:e} to {most:e}",
            plain(learning_rate)
        ));
    }
    Ok(())
}

/// Of a number below which a training stops.
pub fn stopping(name: &str, value: f64) -> Result<(), String> {
    if value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        let finite = if value.is_finite() { "" } else { "a finite number, " };
        Err(format!("{name} is {}; it must be {finite}0 (never stop) or above", plain(value)))
    }
}

/// Of settings by name.
pub fn at_least_1(settings: &[(&str, u64)]) -> Result<(), String> {
    let zero = settings.iter().find(|(_, value)| *value == 0);
    zero.map_or(Ok(()), |(name, _)| Err(format!("{name} is 0; it must be at least 1")))
}

pub fn within(name: &str, value: impl Into<u128>, range: RangeInclusive<u64>) -> Result<(), String> {
    let (value, least, most) = (value.into(), *range.start(), *range.end());
    if (u128::from(least)..=u128::from(most)).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}; it must be from {least} to {most}"))
    }
}

/// Of settings that multiply, by name.
pub fn product(factors: &[(&str, u128)], most: u128) -> Result<(), String> {
    let product = factors.iter().fold(1u128, |product, (_, factor)| product.saturating_mul(*factor));
    if product <= most {
        return Ok(());
    }
    let names: Vec<&str> = factors.iter().map(|(name, _)| *name).collect();
    Err(format!("{} is {product}; it must be at most {most}", names.join(" · ")))
}

/// What one trial may hold in memory; in bytes.
const MOST_MEMORY: u128 = 16 << 30;

/// That what a trial holds at a time, so many `bytes`, fits into memory; else what makes it `smaller`.
pub fn memory(what: &str, bytes: u128, smaller: &str) -> Result<(), String> {
    if bytes <= MOST_MEMORY {
        return Ok(());
    }
    let gigabytes = |bytes: u128| bytes.div_ceil(1_000_000_000);
    let (needed, most) = (gigabytes(bytes), MOST_MEMORY / 1_000_000_000);
    Err(format!("{what} would take {needed} GB of memory; a trial may take {most}: {smaller}"))
}

/// Of a list of sizes that networks are to be moved by: each above 0, and none twice.
pub fn sizes(name: &str, values: &[f64]) -> Result<(), String> {
    for value in values {
        if !value.is_finite() || *value <= 0.0 {
            let finite = if value.is_finite() { "" } else { "a finite number " };
            return Err(format!("{name} has {}; each must be {finite}above 0", plain(*value)));
        }
        factor(&format!("one of {name}"), *value)?;
    }
    apart(name, values)
}

/// That no two values of a list are the same to networks, which compute in float32.
pub fn apart(name: &str, values: &[f64]) -> Result<(), String> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.windows(2).find(|pair| pair[0] as f32 == pair[1] as f32) {
        None => Ok(()),
        Some([one, other]) if one != other => {
            Err(format!("{name} has {} and {}, which float32 cannot tell apart", plain(*one), plain(*other)))
        }
        Some(pair) => Err(format!("{name} has {} twice", plain(pair[0]))),
    }
}

/// Of a number that networks, which compute in float32, are to be multiplied by: neither too large for that
/// nor, unless it is 0, too small.
pub fn factor(name: &str, value: f64) -> Result<(), String> {
    let (least, most) = (f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX));
    if value == 0.0 || (least..=most).contains(&value.abs()) {
        return Ok(());
    }
    let value = plain(value);
    Err(format!("{name} is {value}: networks compute in float32, from {least:.1e} to {most:.1e} in magnitude"))
}

/// A number as it would be written: 0.001 and 1e300.
pub fn plain(value: f64) -> String {
    if value == 0.0 || !value.is_finite() || (1e-5..1e15).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// The first value that a list has twice.
pub fn twice(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[1])
}
