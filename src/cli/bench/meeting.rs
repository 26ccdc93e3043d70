//! Where trials side by side wait for each other. Knows nothing of what they measure.

use anyhow::{Result, anyhow, ensure};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Waits until all trials are there; but not for one that has left, or never comes.
pub struct Meeting {
    trials: usize,
    state: Mutex<Gathering>,
    changed: Condvar,
}

#[derive(Default)]
struct Gathering {
    here: usize,
    /// How often all were there.
    met: u64,
    over: bool,
}

/// Why a trial stopped that could have gone on.
const OVER: &str = "another trial broke off";

impl Meeting {
    pub fn new(trials: usize) -> Self {
        Self { trials, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, Gathering> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all trials do.
    ///
    /// # Errors
    /// Where one has left.
    pub fn wait(&self) -> Result<()> {
        let mut state = self.lock();
        let met = state.met;
        state.here += 1;
        if state.here == self.trials {
            (state.here, state.met) = (0, met + 1);
            self.changed.notify_all();
        }
        while state.met == met && !state.over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        ensure!(state.met > met, OVER);
        Ok(())
    }
}

/// Whoever takes part: for all of them it is over when one leaves, at its end, by an error or a panic.
pub struct Part<'a>(pub &'a Meeting);

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

/// What the trials of a meeting give, each on the thread that `start` gives it.
///
/// # Errors
/// The first that is a reason, of a trial or of `start`: trials that have begun then end at their next meeting.
pub fn side_by_side<'a, T>(
    meeting: &'a Meeting,
    start: impl for<'scope> Fn(&'scope Scope<'scope, 'a>, usize) -> Result<ScopedJoinHandle<'scope, Result<T>>>,
) -> Result<Vec<T>> {
    thread::scope(|scope| {
        // The scope waits for those that have begun, however it is left.
        let _part = Part(meeting);
        let handles: Vec<_> = (1..=meeting.trials).map(|number| start(scope, number)).collect::<Result<_>>()?;
        let join = |handle: ScopedJoinHandle<'_, Result<T>>| {
            handle.join().unwrap_or_else(|_| Err(anyhow!("a trial panicked")))
        };
        let mut ends: Vec<Result<T>> = handles.into_iter().map(join).collect();
        let reason = |end: &Result<T>| end.as_ref().is_err_and(|error| error.to_string() != OVER);
        if let Some(first) = ends.iter().position(reason) {
            ends.swap(0, first);
        }
        ends.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What the trials of a meeting give, or that they wait for ever.
    fn within_a_minute<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || sender.send(run()));
        receiver.recv_timeout(Duration::from_secs(60)).expect("nobody waits for ever")
    }

    #[test]
    fn trials_meet_as_often_as_they_want() {
        let most_apart = within_a_minute(|| {
            let (meeting, met) = (Meeting::new(3), std::sync::atomic::AtomicUsize::new(0));
            let trial = || -> Result<usize> {
                let _part = Part(&meeting);
                let mut most = 0;
                for round in 0..100 {
                    meeting.wait()?;
                    met.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    meeting.wait()?;
                    most = most.max(met.load(std::sync::atomic::Ordering::SeqCst).abs_diff(3 * (round + 1)));
                }
                Ok(most)
            };
            side_by_side(&meeting, |scope, _| Ok(scope.spawn(trial))).unwrap()
        });
        assert_eq!(most_apart, [0, 0, 0]);
    }

    #[test]
    fn nobody_waits_for_a_trial_that_leaves_or_never_comes() {
        for (leaving, says) in
            [("an error", "as the test wants it"), ("a panic", "a trial panicked"), ("no thread", "no thread")]
        {
            for odd in 1..=4 {
                let end = within_a_minute(move || {
                    let meeting = Meeting::new(4);
                    let trial = |number: usize| {
                        let _part = Part(&meeting);
                        meeting.wait()?;
                        assert!(number != odd || leaving != "a panic", "as the test wants it");
                        ensure!(number != odd || leaving != "an error", "as the test wants it");
                        meeting.wait()
                    };
                    let trial = &trial;
                    side_by_side(&meeting, |scope, number| {
                        ensure!(number != odd || leaving != "no thread", "no thread");
                        Ok(scope.spawn(move || trial(number)))
                    })
                    .map_err(|error| error.to_string())
                });
                assert_eq!(end.unwrap_err(), says, "{leaving} of trial {odd}");
            }
        }
    }
}
