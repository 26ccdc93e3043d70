//! Settings say where they are wrong, and what was meant is done.

use crate::common::{Dir, Ran};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

fn of(study: &str, arguments: &[&str]) -> Ran {
    Dir::new().run(&[&[study, "--preset", "smoke", "--dry-run"], arguments].concat())
}

fn refused(arguments: &[&str], words: &[&str]) {
    of("simulate", arguments).fails(2, words);
}

#[test]
fn a_file_of_settings_says_line_column_and_key() {
    for (text, words) in [
        ("seed = 1\nepochs = 3\nseed = 2\n", &["line 3, column 1, at 'seed': duplicate key"][..]),
        ("seed = 1\n\nmodels = [\n    \"a = 1-5-1\"\n    \"b = 1-6-1\",\n]\n", &["line 5, column 5, at 'models'"]),
        ("epochs = = 3\n", &["line 1, column 10, at 'epochs'"]),
        ("seed = 99999999999999999999\n", &["line 1, column 8, at 'seed'"]),
        ("preset = 3\n", &["preset is 3; it is a name in quotes"]),
        ("preset = [\"smoke\"]\n", &["it is a name in quotes"]),
    ] {
        let dir = Dir::new();
        fs::write(dir.path().join("a.toml"), text).unwrap();
        dir.run(&["simulate", "--config", "a.toml", "--dry-run"]).fails(2, &[words, &["--config a.toml: "]].concat());
    }
}

#[test]
fn standard_input_is_a_file_of_settings() {
    let dir = Dir::new();
    let with_input = |text: &str| {
        let mut command = dir.command(&["simulate", "--config", "-", "--dry-run"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Ran::new(child.wait_with_output().unwrap())
    };
    let ran = with_input("preset = \"smoke\"\nfunction = \"x\"\nmodels = [\"only = 1-5-1\"]\n");
    assert!(ran.code() == 0 && ran.stdout().contains("  only, seed 0  due"), "{}{}", ran.stdout(), ran.stderr());
    with_input("seed = 1\nseed = 1\n").fails(2, &["--config -: line 2, column 1, at 'seed'"]);
    with_input(&" ".repeat((1 << 20) + 1)).fails(2, &["more than 1048576 bytes"]);
}

#[test]
fn numbers_are_taken_as_they_were_meant() {
    let dir = Dir::new();
    let planned = |study: &str, arguments: &[&str]| {
        let ran = dir.succeed(&[&[study, "--preset", "smoke", "--dry-run"], arguments].concat());
        // Without what is free at the moment.
        ran.stdout().lines().filter(|line| !line.starts_with("They hold ")).collect::<Vec<_>>().join("\n")
    };
    let listed = |arguments: &[&str]| planned("simulate", arguments);
    for (written, toml) in [
        (&["--set", "learning_rate=.001"][..], &["--set", "learning_rate=0.001"][..]),
        (&["--set", "learning_rate=1."], &["--set", "learning_rate=1.0"]),
        (&["--set", "train_size=1e2"], &["--set", "train_size=100"]),
        (&["--epochs", "1e3"], &["--epochs", "1000"]),
        (&["--set", "domain=[-.5, 1.]"], &["--set", "domain=[-0.5, 1.0]"]),
        (&["--fn", "x", "--domain", "-pi:2*pi"], &["--fn", "x", "--domain", "-3.141592653589793:6.283185307179586"]),
    ] {
        assert_eq!(listed(written), listed(toml), "{written:?}");
    }
    let trainings = |count: &str| planned("min-ratio", &["--trainings", count]);
    assert_eq!(trainings("1e1"), trainings("10"));
}

#[test]
fn what_is_wrong_with_a_number_is_said() {
    refused(&["--set", "learning_rate=inf"], &["learning_rate is inf; it must be a finite number, from"]);
    refused(&["--set", "learning_rate=-1"], &["learning_rate is -1; it must be above 0, from"]);
    refused(&["--set", "convergence=inf"], &["convergence is inf; it must be a finite number"]);
    refused(&["--set", "seed=99999999999999999999"], &["seed is 1e20: too large", "at most 9223372036854775807"]);
    refused(&["--set", "train_size=0.5"], &["a whole number"]);
    for (flag, value, word) in [
        ("--seed", "99999999999999999999", "too large: it is at most 9223372036854775807"),
        ("--seed", "-1", "not a whole number"),
        ("--epochs", "2.5", "not a whole number"),
    ] {
        let ran = of("simulate", &[flag, value]);
        assert!(ran.code() == 2 && ran.stderr().contains(word), "{}", ran.stderr());
    }
}

#[test]
fn an_expression_is_checked_before_it_is_computed() {
    refused(&["--fn", "sqrt(x-1)+y", "--domain", "2:3"], &["unknown variable at 'y' (there are x, pi, e and tau)"]);
    refused(&["--fn", "sqrt(x-1)+log(x,2,3)", "--domain", "2:3"], &["wrong number of arguments at 'log'"]);
    refused(&["--fn", "X"], &["did you mean x?"]);
    refused(&["--fn", "x(x+1)"], &["products as x*(x+1)"]);
    let help = Dir::new().succeed(&["simulate", "--help"]).stdout();
    let words: Vec<&str> = help.split(|c: char| !c.is_alphanumeric()).collect();
    for name in ["atan2", "asinh", "acosh", "atanh", "ln", "trunc", "hypot", "clamp", "fact", "tau"] {
        assert!(words.contains(&name), "{name}: {help}");
    }
}

#[test]
fn what_float32_cannot_tell_apart_is_refused() {
    refused(
        &["--fn", "x", "--domain", "1000000000:1000000001"],
        &["domain 1000000000:1000000001 has 200 points", "cannot tell x = 1000000000 from 1000000000.00502"],
    );
    refused(&["--fn", "x", "--domain", "0:1e-44"], &["cannot tell x = 0 from"]);
    of("interpolate", &["--set", "epsilons=[1e-3, 1.00000000001e-3]"]).fails(2, &["which float32 cannot tell apart"]);
    of("interpolate", &["--set", "epsilons=[1e-3, 1e-3]"]).fails(2, &["epsilons has 0.001 twice"]);
    of("interpolate", &["--set", "alpha_min=1.0", "--set", "alpha_max=1.0000000001"])
        .fails(2, &["too near each other"]);
    of("sensitivity", &["--training", "32 adam 1e-3", "--training", "32 adam 1.00000000001e-3"])
        .fails(2, &["float32 cannot tell the learning rates of '32 adam 1e-3' and"]);
}
