//! `hw1 verify`: what is as it should be passes, each kind of damage is named on a line of its own.

use crate::common::{Dir, weights_of};
use std::fs;

const RUN: [&str; 7] = ["all", "--only", "random-labels,simulate", "--preset", "smoke", "--out", "runs"];

#[test]
fn every_kind_of_damage_is_found() {
    let dir = Dir::new();
    dir.succeed(&RUN);
    let ran = dir.succeed(&["verify", "--out", "runs", "--recompute", "2"]);
    assert_eq!(ran.stdout().lines().count(), 3, "{}", ran.stdout());
    assert!(ran.stdout().contains("random-labels: 1 record, 1 run again with the same bytes: ok"), "{}", ran.stdout());

    let record = dir.only_record("runs/random-labels");
    let weights = weights_of(&record);
    let checkpoint = record.with_extension("checkpoint");
    let (good, good_weights) = (fs::read_to_string(&record).unwrap(), fs::read(&weights).unwrap());
    let stem = record.file_stem().unwrap().to_str().unwrap();
    let not_finite = {
        let mut bytes = good_weights.clone();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    };
    let digest = |bytes: &[u8]| hw1::files::sha256(bytes);
    let renamed = good.replace(&digest(&good_weights), &digest(&not_finite));
    let edited = good.replace("\"epochs\":", "\"epochs\":1");
    assert!(renamed != good && edited != good);
    let half = &good[..good.len() / 2];
    // The name of weights has a part of their digest.
    let of_not_finite = weights.with_file_name(format!("{stem}.{}.safetensors", &digest(&not_finite)[..16]));
    for (text, bytes, word) in [
        (half, Some(&good_weights[..]), "EOF"),
        ("{}", Some(&good_weights), "missing field"),
        (&edited, Some(&good_weights), "another trial"),
        (&good, None, "weights are missing"),
        (&good, Some(&good_weights[1..]), "weights are not those"),
        (&renamed, Some(&not_finite), "not finite"),
    ] {
        fs::write(&record, text).unwrap();
        match bytes {
            Some(bytes) if word == "not finite" => fs::write(&of_not_finite, bytes).unwrap(),
            Some(bytes) => fs::write(&weights, bytes).unwrap(),
            None => fs::remove_file(&weights).unwrap(),
        }
        let ran = dir.run(&["verify", "--out", "runs"]);
        ran.fails(1, &["1 problem in runs"]);
        let expected = format!("random-labels/trials/{stem}.json: ");
        let lines: Vec<String> = ran.stdout().lines().filter(|l| l.starts_with(&expected)).map(str::to_owned).collect();
        assert!(lines.len() == 1 && lines[0].contains(word), "'{word}' in {}", ran.stdout());
    }
    fs::remove_file(&of_not_finite).unwrap();
    fs::write(&weights, &good_weights).unwrap();

    // A number that was changed by hand looks like any other until it is computed again.
    let (before, after) = good.split_once("\"diverged\":0").unwrap();
    fs::write(&record, format!("{before}\"diverged\":0,\"made_up\":1{after}")).unwrap();
    dir.succeed(&["verify", "--out", "runs"]);
    let ran = dir.run(&["verify", "--out", "runs", "--recompute", "1"]);
    ran.fails(1, &["1 problem"]);
    assert!(ran.stdout().contains("run again, the record's numbers differ"), "{}", ran.stdout());
    fs::write(&record, &good).unwrap();

    fs::write(&checkpoint, "half a").unwrap();
    let ran = dir.run(&["verify", "--out", "runs"]);
    ran.fails(1, &["1 problem"]);
    assert!(ran.stdout().contains(&format!("{stem}.checkpoint: it is no checkpoint")), "{}", ran.stdout());

    // Looking changed nothing, and the run repairs all.
    dir.succeed(&RUN);
    dir.succeed(&["verify", "--out", "runs"]);
}

#[test]
fn what_another_machine_computed_is_not_compared() {
    let dir = Dir::new();
    dir.succeed(&RUN);
    let record = dir.only_record("runs/random-labels");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"libtorch\":\"", "\"libtorch\":\"0.")).unwrap();
    let ran = dir.succeed(&["verify", "--out", "runs", "--recompute", "1"]);
    assert!(ran.stdout().contains("random-labels: 1 record, 0 run again"), "{}", ran.stdout());
    assert!(ran.stderr().contains("its libtorch was"), "{}", ran.stderr());
}

#[test]
fn where_nothing_ran() {
    let dir = Dir::new();
    dir.run(&["verify"]).fails(1, &["runs/report", "--out"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    dir.run(&["verify", "--out", "empty"]).fails(1, &["no study has run in empty"]);
}
