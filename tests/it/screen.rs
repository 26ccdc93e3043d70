//! What is drawn on a terminal: of any kind, width and locale, through a pseudo-terminal.
#![cfg(target_os = "linux")]

use crate::common::Dir;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::Stdio;

/// Some trials that take a few tenths of a second, and one after the other.
const STUDY: [&str; 12] = [
    "simulate",
    "--fn",
    "sin-sq",
    "--model",
    "1-20-30-1",
    "--repeats",
    "3",
    "--jobs",
    "1",
    "--epochs=1500",
    "--set=convergence=0",
    "--set=train_size=100",
];

/// What a run writes to standard error that is a terminal of so many columns, what that shows from one moment to the next,
/// and what goes to standard output, which is none.
fn screen(columns: u16, variables: &[(&str, Option<&str>)]) -> (String, Vec<Vec<String>>, String) {
    let dir = Dir::new();
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: places for two descriptors, which then belong to these values alone.
    let (ours, theirs) = unsafe {
        let opened =
            libc::openpty(&raw mut ours, &raw mut theirs, std::ptr::null_mut(), std::ptr::null(), &raw const size);
        assert_eq!(opened, 0, "no pseudo-terminal");
        (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    };
    let mut command = dir.command(&STUDY);
    // Through libtorch, so that no build is so fast that nothing is seen.
    command.stderr(Stdio::from(theirs)).stdout(Stdio::piped()).env_remove("COLUMNS").env("HW1_KERNELS", "0");
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let reader = std::thread::spawn(move || {
        let (mut terminal, mut bytes, mut some) = (File::from(ours), Vec::new(), [0; 4096]);
        let (mut shown, mut screens) =
            (vt100::Parser::new(24.try_into().unwrap(), columns.try_into().unwrap(), 0), Vec::new());
        // It ends with an error when nobody has the other side.
        while let Ok(count @ 1..) = terminal.read(&mut some) {
            bytes.extend_from_slice(&some[..count]);
            shown.process(&some[..count]);
            screens.push(shown.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect::<Vec<_>>());
        }
        (bytes, screens)
    });
    let child = command.spawn().unwrap();
    // Its own handle of the other side.
    drop(command);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let (seen, screens) = reader.join().unwrap();
    (String::from_utf8(seen).unwrap(), screens, String::from_utf8(output.stdout).unwrap())
}

const UNICODE: (&str, Option<&str>) = ("LC_ALL", Some("C.UTF-8"));

/// How many lines of a screen begin so.
fn count(screen: &[String], begin: &str) -> usize {
    screen.iter().filter(|line| line.starts_with(begin)).count()
}

#[test]
fn a_terminal_that_moves_its_cursor_has_bars_for_the_trials_and_a_line_for_the_run() {
    let (seen, screens, _) = screen(120, &[("TERM", Some("xterm")), UNICODE, ("NO_COLOR", Some("1"))]);
    assert!(seen.contains('\u{1b}') && seen.contains('━'), "{:.2000}", seen);
    let all = || screens.iter().flatten();
    assert!(all().any(|line| line.starts_with("1 of 3 trials done; about ")), "{:?}", screens.last());
    let of_trial = |line: &&String| line.contains(", seed 0  ━") && line.contains(" of 1500, loss ");
    assert!(all().find(of_trial).is_some(), "{:?}", screens.last());
    // What moved is gone in the end; what is told for good stays.
    let last = screens.last().unwrap();
    assert_eq!(
        (count(last, "simulate-sin-sq: 1-20-30-1, seed"), last.iter().any(|line| line.contains('━'))),
        (3, false)
    );
}

#[test]
fn nothing_is_torn_on_a_narrow_terminal() {
    for columns in [40, 20] {
        let (_, screens, _) = screen(columns, &[("TERM", Some("xterm")), UNICODE]);
        let mut moving = 0;
        for screen in &screens {
            // A line of the run, one of the trial, and nothing of them left behind.
            let of_run = (0..3).map(|done| count(screen, &format!("{done} of 3 trials"))).sum::<usize>();
            let of_trial = screen.iter().filter(|line| line.contains(" %")).count();
            assert!(of_run <= 1 && of_trial <= 1, "{columns}: {screen:?}");
            assert!(screen.iter().filter(|line| line.contains("left")).count() <= 2, "{columns}: {screen:?}");
            moving += of_trial;
        }
        assert!(moving > 3, "{columns}: {:?}", screens.last());
    }
}

#[test]
fn a_dumb_terminal_has_plain_lines() {
    for term in [Some("dumb"), None, Some("")] {
        let (seen, _, _) = screen(80, &[("TERM", term), UNICODE]);
        assert!(!seen.contains('\u{1b}') && seen.contains("seed 0: started\r\n"), "{term:?}: {seen:.2000}");
    }
}

#[test]
fn a_locale_without_unicode_gets_ascii_on_the_terminal_and_only_there() {
    let (seen, _, table) = screen(80, &[("TERM", Some("xterm")), ("LC_ALL", Some("C"))]);
    assert!(seen.is_ascii() && seen.contains("=>"), "{:.2000}", seen);
    assert!(table.contains('±'), "{table}");
}
