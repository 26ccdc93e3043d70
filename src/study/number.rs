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

/// "1 seed" for "1 seeds", wherever a text counts one of what studies count.
pub fn singular(text: &str) -> String {
    const COUNTED: [&str; 24] = [
        "seeds",
        "trainings",
        "trials",
        "points",
        "epochs",
        "steps",
        "directions",
        "repeats",
        "parameters",
        "records",
        "samples",
        "images",
        "eigenvalues",
        "probes",
        "pairs",
        "solutions",
        "stages",
        "layers",
        "networks",
        "claims",
        "starts",
        "values",
        "files",
        "spectra",
    ];
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("1 ") {
        // A 1 of its own: no digit of a longer number, nor a part of a name.
        let is_alone = before.chars().last().is_none_or(|last| last.is_whitespace() || last == '(');
        out.push_str(before);
        out.push_str("1 ");
        rest = after;
        let end = after.find(|c: char| !c.is_alphanumeric()).unwrap_or(after.len());
        let (word, behind) = after.split_at(end);
        if is_alone && COUNTED.contains(&word) {
            out.push_str(if word == "spectra" { "spectrum" } else { &word[..word.len() - 1] });
            rest = behind;
        }
    }
    out + rest
}

/// Names of at most so many letters, as [`shortened`], but different wherever the names are: those that would be one get
/// a number in the place of their last letters.
pub fn shortened_apart(names: &[String], most: usize) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let is_free =
            |text: &String| !names[..at].iter().zip(&shown).any(|(other, shown)| other != name && shown == text);
        let numbered = |number: usize| {
            let end = format!("…{number}");
            name.chars().take(most.saturating_sub(end.chars().count())).collect::<String>() + &end
        };
        let before = names[..at].iter().position(|other| other == name);
        let text = match before {
            Some(before) => shown[before].clone(),
            None => [shortened(name, most)].into_iter().chain((2..).map(numbered)).find(is_free).unwrap_or_default(),
        };
        shown.push(text);
    }
    shown
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
    fn shortened_names_stay_apart() {
        let names = [
            "class_001_a_long_name",
            "class_002_a_long_name",
            "class_001_a_long_name",
            "short",
            "class_003_a_long_name",
        ];
        let names = names.map(str::to_owned);
        assert_eq!(
            shortened_apart(&names, 11),
            ["class…_name", "class_001…2", "class…_name", "short", "class_003…2"]
                .map(|name| name.replace("class_001…2", "class_002…2").to_owned())
        );
        assert!(shortened_apart(&names, 11).iter().all(|name| name.chars().count() <= 11));
    }

    #[test]
    fn one_thing_is_singular() {
        for (text, told) in [
            ("1 seeds decide nothing", "1 seed decide nothing"),
            ("over 1 epochs, 11 epochs and (1 trials)", "over 1 epoch, 11 epochs and (1 trial)"),
            ("0.1 points, conv-1 layers, 1 things", "0.1 points, conv-1 layers, 1 things"),
            ("ends in 1", "ends in 1"),
            ("of 1 spectra.", "of 1 spectrum."),
        ] {
            assert_eq!(singular(text), told);
        }
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
