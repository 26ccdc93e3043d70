//! How numbers are shown to people: so many significant digits. Knows nothing else.

/// A number with so many significant digits.
pub fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "not finite".into();
    }
    // Rounded first: 9.96 to two digits is 10, not 10.0.
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent: i32 = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or_default();
    if !(-5..6).contains(&exponent) {
        return scientific;
    }
    let decimals = i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent;
    format!("{value:.*}", usize::try_from(decimals).unwrap_or(0))
}

/// The same, but whole numbers whole.
pub fn whole_or_significant(value: f64, digits: usize) -> String {
    if value.fract() == 0.0 && value.abs() < 1e9 { format!("{value:.0}") } else { significant(value, digits) }
}

/// A share in percent, "27.3 %"; "-" where there is none.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { "-".to_owned() }
}

/// "2 of 9 trainings are left out."; nothing where there are none.
pub fn some_of(count: usize, all: usize, what: &str) -> String {
    if count > 0 { format!("{count} of {all} {what}") } else { String::new() }
}

/// A name of at most so many letters: of a longer one its beginning and its end, which tell names of one kind apart.
pub fn shortened(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let (begin, end) = (most / 2, most - 1 - most / 2);
    letters[..begin].iter().chain(&['…']).chain(&letters[letters.len() - end..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("automobile", 10), "automobile");
        assert_eq!(shortened("class_002_with_a_name", 11), "class…_name");
        assert_eq!(shortened("äöüäöüäöü", 5), "äö…öü");
    }

    #[test]
    fn numbers_have_the_digits_that_were_asked_for() {
        for (value, digits, text) in [
            (0.0, 4, "0.000"),
            (0.001_236_2, 4, "0.001236"),
            (-12.345_6, 4, "-12.35"),
            (123_456.0, 4, "123456"),
            (1.5e-7, 4, "1.500e-7"),
            (2.5e9, 4, "2.500e9"),
            (0.999_96, 4, "1.000"),
            (9.96, 2, "10"),
            (f64::NAN, 4, "not finite"),
        ] {
            assert_eq!(significant(value, digits), text);
        }
        for (value, text) in
            [(60.0, "60"), (-3.0, "-3"), (0.25, "0.250"), (1e9, "1.00e9"), (f64::INFINITY, "not finite")]
        {
            assert_eq!(whole_or_significant(value, 3), text);
        }
        assert_eq!([0.273, 0.0, f64::NAN].map(percent), ["27.3 %", "0.0 %", "-"]);
    }
}
