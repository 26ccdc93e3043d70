//! The page's script under others' tools: Node runs the tests beside it, TypeScript checks its types, axe-core the page.
//! scripts/test fetches what npm has and names its folder in HW1_NPM.

use super::browser;
use super::made::made;
use crate::common::browser::Screen;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// What a program says; `None`, said aloud, where it is not there.
fn said(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(arguments).current_dir(REPOSITORY).output();
    output.inspect_err(|error| eprintln!("skipped: no {program} to test the page's script with: {error}")).ok()
}

/// A file of a package that scripts/test installs.
fn package(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HW1_NPM").map(PathBuf::from);
    let path = folder.map(|folder| folder.join("node_modules").join(file)).filter(|path| path.is_file());
    if path.is_none() {
        eprintln!("skipped: no {file}: HW1_NPM names no folder that has it");
    }
    path
}

/// The modules of the page, or with `test` the tests beside them.
fn modules(folder: &str, ending: &str) -> Vec<String> {
    let folder = Path::new(REPOSITORY).join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let mut paths: Vec<String> = paths.filter(|path| path.ends_with(ending)).collect();
    paths.sort();
    assert!(paths.len() > 4, "{paths:?}");
    paths
}

fn assert_success(output: &Output) {
    let text = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

#[test]
fn its_modules_pass_their_own_tests() {
    let Some(version) = said("node", &["--version"]) else { return };
    let version = String::from_utf8(version.stdout).unwrap();
    let major: u32 = version.trim_start_matches('v').split('.').next().unwrap().parse().unwrap();
    if major < 20 {
        eprintln!("skipped: Node {version} knows no modules in .js files without being told");
        return;
    }
    let tests = modules("page/test", ".test.js");
    let arguments: Vec<&str> = std::iter::once("--test").chain(tests.iter().map(String::as_str)).collect();
    assert_success(&said("node", &arguments).unwrap());
}

#[test]
fn its_types_are_right() {
    let Some(tsc) = package("typescript/bin/tsc") else { return };
    let modules = modules("page", ".js");
    let checks = ["--noEmit", "--strict", "--allowJs", "--checkJs", "--target", "es2022", "--module", "es2022"];
    let rest = ["--moduleResolution", "bundler", "--lib", "es2023,dom,dom.iterable"];
    let arguments = [&[tsc.to_str().unwrap()][..], &checks, &rest];
    let arguments: Vec<&str> = arguments.concat().into_iter().chain(modules.iter().map(String::as_str)).collect();
    if let Some(output) = said("node", &arguments) {
        assert_success(&output);
    }
}

#[test]
fn readers_of_every_kind_can_use_it() {
    let Some(axe) = package("axe-core/axe.min.js") else { return };
    let axe = fs::read_to_string(axe).unwrap();
    let Some(mut browser) = browser() else { return };
    for (width, is_touch) in [(375, true), (1280, false)] {
        for is_dark in [false, true] {
            let mut screen = Screen::wide(width);
            if is_touch {
                screen = screen.touch();
            }
            if is_dark {
                screen = screen.dark();
            }
            let mut page = browser.open(&made().page(), screen);
            for (study, name) in made().figures() {
                page.figure(&study, &name);
            }
            // A curve that is switched off, seeds, a surface, and a box with what is read.
            let surface = page.figure("pca-weights", "surface");
            page.press(&surface, "3-D");
            let loss = page.figure("grad-norm", "loss");
            page.press(&loss, "train");
            page.press(&loss, "Seeds");
            let spot = page.spot(&loss, 0, (0.5, 0.5));
            page.point_at(spot);
            assert!(!page.read(&loss, 0).is_empty());
            page.evaluate(&format!("{axe};0"));
            let violations = page.text(
                "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) =>
                    `${id}: ${nodes.length} × ${nodes[0].html.slice(0, 200)} ${nodes[0].failureSummary}`).join('\\n'))",
            );
            assert_eq!(violations, "", "{width} wide, dark: {is_dark}");
        }
    }
}
