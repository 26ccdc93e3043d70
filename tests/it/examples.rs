//! The tenth study of `examples/`, run as a newcomer would.

use serde_json::Value;
use std::process::Command;

#[test]
fn a_tenth_study_runs_and_says_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap().parent().unwrap().join("../examples/widths");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(&folder).args(arguments).output().unwrap()
    };
    let ran = run(&["--preset", "smoke"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(
        text.contains("1-64-64-1") && text.contains("The wide network ends with the lower training loss."),
        "{text}"
    );
    let study = folder.path().join("runs/smoke/widths");
    let metrics: Value = serde_json::from_slice(&std::fs::read(study.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["trials"].as_array().unwrap().len(), 10);
    assert_eq!(metrics["claims"][0]["n"], 5);
    assert!(
        metrics["figures"][0]["caption"]
            .as_str()
            .unwrap()
            .starts_with("Mean squared error over the 100 training points")
    );
    assert!(study.join("figures/training-loss.png").exists());
    // What is wrong is told as of any other study.
    let ran = run(&["--set", "wide=1-8-8-1"]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("narrow and wide are the same network"));
}
