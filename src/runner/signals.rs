//! The process's wish to stop. Knows nothing of what is to be stopped.

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The signals that stop a run in order: of a person, of the system, of a terminal that goes away, and of a scheduler
/// whose time is nearly up.
const STOPPING: [(i32, &str); 4] = [(SIGINT, "Ctrl-C"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP"), (SIGUSR1, "SIGUSR1")];

/// Set by the first of these signals. Ctrl-C after any of them ends the process at once; others wait for the checkpoint.
#[derive(Clone, Default)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    /// The last that came, and the first that was seen: what comes on top changes no exit code.
    last: Arc<AtomicUsize>,
    first: Arc<AtomicUsize>,
}

impl Signals {
    /// What was ignored when the process began, as by nohup, stays ignored.
    ///
    /// # Errors
    /// Where the handlers cannot be installed.
    pub fn install() -> Result<Self> {
        let signals = Self::default();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (signal, _) in STOPPING {
            if is_ignored(&status, signal) {
                continue;
            }
            if signal == SIGINT {
                // Before the flag is set: the first signal finds it unset.
                flag::register_conditional_shutdown(signal, 128 + signal, signals.stop.clone())?;
            }
            flag::register_usize(signal, signals.last.clone(), signal as usize)?;
            flag::register(signal, signals.stop.clone())?;
        }
        Ok(signals)
    }

    /// Set once a signal has come.
    pub fn flag(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether the process is to stop.
    pub fn stopped(&self) -> bool {
        let stopped = self.stop.load(Ordering::Relaxed);
        if stopped {
            let last = self.last.load(Ordering::Relaxed);
            let _ = self.first.compare_exchange(0, last, Ordering::Relaxed, Ordering::Relaxed);
        }
        stopped
    }

    /// As if a signal had come: trials that run end with a checkpoint.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// " by SIGTERM", or nothing where none came.
    pub fn by(&self) -> String {
        self.stopped();
        let first = self.first.load(Ordering::Relaxed);
        let name = STOPPING.iter().find(|(signal, _)| *signal as usize == first);
        name.map_or(String::new(), |(_, name)| format!(" by {name}"))
    }

    /// 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP, 138 after SIGUSR1.
    pub fn exit_code(&self) -> u8 {
        self.stopped();
        let number = self.first.load(Ordering::Relaxed);
        if number == 0 { 130 } else { u8::try_from(128 + number).unwrap_or(130) }
    }
}

/// Whether a process ignores a signal, by /proc/self/status; where there is none, it does not.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_off_the_mask() {
        // SIGHUP, and SIGPIPE as Rust leaves it.
        let status = "Name:\thw1\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        for (signal, ignored) in [(SIGHUP, true), (SIGINT, false), (SIGTERM, false), (13, true), (SIGUSR1, false)] {
            assert_eq!(is_ignored(status, signal), ignored, "{signal}");
        }
        assert!(!is_ignored("", SIGHUP) && !is_ignored("SigIgn:\tno number", SIGHUP));
    }

    #[test]
    fn the_first_signal_that_is_seen_gives_the_exit_code() {
        let signals = Signals::default();
        assert!(!signals.stopped());
        signals.stop();
        assert_eq!((signals.exit_code(), signals.by()), (130, String::new()));
        for (signal, code, by) in [(SIGUSR1, 138, " by SIGUSR1"), (SIGHUP, 129, " by SIGHUP")] {
            let signals = Signals::default();
            for comes in [signal, SIGTERM] {
                signals.last.store(comes as usize, Ordering::Relaxed);
                signals.stop();
                assert_eq!((signals.exit_code(), signals.by()), (code, by.to_owned()));
            }
        }
    }
}
