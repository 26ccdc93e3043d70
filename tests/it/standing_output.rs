//! What stands on disk is looked at, not taken for granted: outputs that are cut off or changed are found and mended,
//! dates that no calendar has are passed over, and what an older version did not write is no reason to leave a study out.

use crate::common::Dir;
use serde_json::Value;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

const RUN: [&str; 11] =
    ["simulate", "--preset", "smoke", "--fn", "x^2", "--model", "1-2-1", "--set", "epochs=3", "--out", "runs"];

/// A run directory of one small study, and its folder.
fn ran() -> (Dir, String) {
    let dir = Dir::new();
    dir.succeed(&RUN);
    let study = dir.only_study("runs");
    (dir, study)
}

/// metrics.json of that study, changed, as an older version might have written it: without a digest of itself.
fn change(dir: &Dir, study: &str, to: impl FnOnce(&mut Value)) {
    let path = format!("runs/{study}/metrics.json");
    let mut metrics = dir.json(&path);
    metrics.as_object_mut().unwrap().remove("sha256");
    to(&mut metrics);
    fs::write(dir.path().join(&path), metrics.to_string()).unwrap();
}

#[test]
fn a_number_that_was_changed_in_metrics_json_is_found_and_mended() {
    let (dir, study) = ran();
    let path = dir.path().join(format!("runs/{study}/metrics.json"));
    let whole = fs::read_to_string(&path).unwrap();
    dir.succeed(&["verify", "--out", "runs"]);
    for (from, to) in [("\"seed\":0", "\"seed\":1"), ("\"sha256\":\"", "\"sha256\":\"0"), ("\"}\n", "\"}")] {
        let at = whole.rfind(from).unwrap_or_else(|| panic!("{from} in {whole}"));
        fs::write(&path, format!("{}{to}{}", &whole[..at], &whole[at + from.len()..])).unwrap();
        let verified = dir.run(&["verify", "--out", "runs"]);
        verified.fails(1, &["1 problem in runs"]);
        assert!(verified.stdout().contains("metrics.json: it is not what was written"), "{}", verified.stdout());
        dir.succeed(&RUN);
        dir.succeed(&["verify", "--out", "runs"]);
    }
    change(&dir, &study, |_| {});
    dir.succeed(&["verify", "--out", "runs"]);
}

#[test]
fn outputs_that_are_cut_off_or_changed_are_found_and_mended() {
    let (dir, study) = ran();
    let told = dir.json(&format!("runs/{study}/metrics.json"))["files"].clone();
    let names: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert!(names.iter().any(|name| *name == "metrics.csv") && names.len() >= 7, "{names:?}");
    let path = |name: &str| dir.path().join("runs").join(&study).join(name);
    let whole: Vec<Vec<u8>> = names.iter().map(|name| fs::read(path(name)).unwrap()).collect();
    for (name, bytes) in names.iter().zip(&whole) {
        assert_eq!(told[*name], hw1::files::sha256(bytes).as_str());
    }
    let flipped = |bytes: &[u8]| [&bytes[..9], &[bytes[9] ^ 1], &bytes[10..]].concat();
    type Damage<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;
    let damages: [(Damage, &[&str]); 4] = [
        (&|_| Some(Vec::new()), &[]),
        (&|bytes| Some(bytes[..bytes.len() / 2].to_vec()), &["--force"]),
        (&|bytes| Some(flipped(bytes)), &[]),
        (&|_| None, &[]),
    ];
    for (damage, again) in damages {
        for (name, bytes) in names.iter().zip(&whole) {
            match damage(bytes) {
                Some(bytes) => fs::write(path(name), bytes).unwrap(),
                None => fs::remove_file(path(name)).unwrap(),
            }
        }
        let verified = dir.run(&["verify", "--out", "runs"]);
        verified.fails(1, &[&format!("{} problems in runs", names.len())]);
        for name in &names {
            let line = format!("{study}/{name}: it is ");
            assert!(verified.stdout().lines().any(|said| said.starts_with(&line)), "{line}: {}", verified.stdout());
        }
        dir.succeed(&[&RUN, again].concat());
        for (name, bytes) in names.iter().zip(&whole) {
            assert!(fs::read(path(name)).unwrap() == *bytes, "{name} is not as it was");
        }
        dir.succeed(&["verify", "--out", "runs"]);
    }
    // What tells of the others, too.
    let path = path("metrics.json");
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    let verified = dir.run(&["verify", "--out", "runs"]);
    verified.fails(1, &["1 problem in runs"]);
    assert!(verified.stdout().contains(&format!("{study}/metrics.json: ")), "{}", verified.stdout());
    dir.succeed(&RUN);
    dir.succeed(&["verify", "--out", "runs"]);
}

#[test]
fn figures_that_an_older_version_told_of_by_name_are_looked_at_too() {
    let (dir, study) = ran();
    change(&dir, &study, |metrics| drop(metrics.as_object_mut().unwrap().remove("files")));
    dir.succeed(&["verify", "--out", "runs"]);
    let name = dir.json(&format!("runs/{study}/metrics.json"))["figures"][0]["name"].as_str().unwrap().to_owned();
    for ending in ["svg", "png"] {
        let path = dir.path().join(format!("runs/{study}/figures/{name}.{ending}"));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        dir.run(&["verify", "--out", "runs"]).fails(1, &["1 problem"]);
        let format = if ending == "svg" { "html" } else { "markdown" };
        let page = dir.succeed(&["report", "--out", "runs", "--format", format]).stdout();
        let page = fs::read_to_string(dir.path().join(page.trim_end())).unwrap();
        assert_eq!(page.matches("this figure is missing").count(), 1);
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn dates_that_no_calendar_has_are_passed_over() {
    let (dir, study) = ran();
    fs::remove_file(dir.path().join(format!("runs/{study}/metrics.json"))).unwrap();
    let record = dir.only_record(&format!("runs/{study}"));
    let century = Duration::from_secs(100 * 365 * 86_400);
    for time in [SystemTime::UNIX_EPOCH - century, SystemTime::UNIX_EPOCH + 81 * century] {
        // Some file systems know no such time, and keep another.
        if File::options().write(true).open(&record).unwrap().set_modified(time).is_ok() {
            let shown = dir.succeed(&["show", "--out", "runs"]);
            assert!(shown.stdout().contains("1 of 1"), "{}", shown.stdout());
            dir.succeed(&["show", "--out", "runs", "--json"]);
        }
    }
}

#[test]
fn a_study_without_some_of_its_provenance_is_on_the_page_as_it_is_in_show_and_compare() {
    let (dir, study) = ran();
    let whole = dir.json(&format!("runs/{study}/metrics.json"));
    let of_provenance = whole["provenance"].as_object().unwrap().keys().map(|key| format!("/provenance/{key}"));
    let others = ["/asked", "/table", "/figures", "/summary", "/files"].map(str::to_owned);
    for pointers in [of_provenance.collect::<Vec<_>>(), others.into()] {
        change(&dir, &study, |metrics| {
            *metrics = whole.clone();
            for pointer in &pointers {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                metrics.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
            }
        });
        for format in ["html", "markdown"] {
            let ran = dir.succeed(&["report", "--out", "runs", "--format", format]);
            assert_eq!(ran.stderr(), "", "without {pointers:?}");
            let page = fs::read_to_string(dir.path().join(ran.stdout().trim_end())).unwrap();
            assert!(!page.contains("Without results") && page.contains(&study), "without {pointers:?}");
        }
        assert!(dir.succeed(&["show", "--out", "runs"]).stdout().contains("1 of 1"), "without {pointers:?}");
        dir.succeed(&["compare", "runs", "runs"]);
    }
}

#[test]
fn a_study_that_is_left_out_of_the_page_is_named_with_the_reason() {
    let (dir, study) = ran();
    fs::create_dir_all(dir.path().join("runs/begun/trials")).unwrap();
    fs::create_dir_all(dir.path().join("runs/newer")).unwrap();
    fs::write(dir.path().join("runs/newer/metrics.json"), "{\"schema\": 99}").unwrap();
    let said = dir.succeed(&["report", "--out", "runs"]).stderr();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("hw1: begun is without results on the page: there is no metrics.json"), "{said}");
    assert!(said.contains("hw1: newer is without results on the page") && said.contains("its schema is 99"), "{said}");
    assert!(!said.contains(&study));
}
