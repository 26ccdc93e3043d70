//! Threads whose work goes in one launch: each hands in its part and waits; one of them, when all are there, runs the parts
//! of all. Knows nothing of what the work is.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long those who are there wait for a member that does something else (it writes a checkpoint, say).
const PATIENCE: Duration = Duration::from_millis(20);

/// Those who may go together, by what makes them alike.
pub(super) struct Companies<K, P, S> {
    by_key: Mutex<BTreeMap<K, Arc<Company<P, S>>>>,
}

/// Members, and the parts that wait. `P` is a part, before and after it ran; `S` what launches keep for the next.
pub(super) struct Company<P, S> {
    state: Mutex<State<P, S>>,
    changed: Condvar,
}

struct State<P, S> {
    members: usize,
    next: u64,
    waiting: Vec<(u64, P)>,
    done: Vec<(u64, Result<P, String>)>,
    since: Option<Instant>,
    /// Not there while a launch runs.
    kept: Option<S>,
}

/// A member, until this is dropped.
pub(super) struct Member<P, S: Default>(Arc<Company<P, S>>);

impl<K: Ord, P, S: Default> Companies<K, P, S> {
    pub(super) const fn new() -> Self {
        Self { by_key: Mutex::new(BTreeMap::new()) }
    }

    /// Joins those of this key.
    pub(super) fn join(&self, key: K) -> Member<P, S> {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody is a member of any more goes, with all it kept.
        by_key.retain(|other, company| *other == key || company.lock().members > 0);
        let company = by_key.entry(key).or_insert_with(|| {
            let state = State {
                members: 0,
                next: 0,
                waiting: Vec::new(),
                done: Vec::new(),
                since: None,
                kept: Some(S::default()),
            };
            Arc::new(Company { state: Mutex::new(state), changed: Condvar::new() })
        });
        company.lock().members += 1;
        Member(company.clone())
    }
}

impl<P, S> Company<P, S> {
    /// Poisoned by a launch that panicked: whose parts are lost, which their owners see.
    fn lock(&self) -> MutexGuard<'_, State<P, S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P, S: Default> Drop for Member<P, S> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.members -= 1;
        if state.members == 0 {
            // Memory is others' now.
            state.kept = Some(S::default());
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

impl<P, S: Default> Member<P, S> {
    /// Hands in a part and waits for it; `launch` runs the parts of all who are there, on one of their threads.
    ///
    /// # Errors
    /// The launch's, to all whose parts were in it.
    pub(super) fn run(
        &self,
        part: P,
        launch: impl FnOnce(&mut S, &mut Vec<P>) -> Result<(), String>,
    ) -> Result<P, String> {
        let company = &*self.0;
        let mut state = company.lock();
        let mine = state.next;
        state.next += 1;
        state.waiting.push((mine, part));
        state.since.get_or_insert_with(Instant::now);
        if state.waiting.len() >= state.members {
            company.changed.notify_all();
        }
        loop {
            if let Some(at) = state.done.iter().position(|(of, _)| *of == mine) {
                return state.done.swap_remove(at).1;
            }
            let is_waiting = state.waiting.iter().any(|(of, _)| *of == mine);
            let is_time =
                state.waiting.len() >= state.members || state.since.is_some_and(|since| since.elapsed() >= PATIENCE);
            if is_waiting
                && is_time
                && let Some(mut kept) = state.kept.take()
            {
                let (numbers, mut parts): (Vec<u64>, Vec<P>) = std::mem::take(&mut state.waiting).into_iter().unzip();
                state.since = None;
                drop(state);
                let run = || launch(&mut kept, &mut parts);
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                let result = result.unwrap_or_else(|_| Err("the launch panicked".to_owned()));
                state = company.lock();
                // What a failed launch kept may be of no more use.
                state.kept = Some(if result.is_ok() { kept } else { S::default() });
                // Those who came meanwhile wait for those who were in the launch.
                state.since = if state.waiting.is_empty() { None } else { Some(Instant::now()) };
                let mut parts = parts.into_iter();
                for of in numbers {
                    let part = parts.next().ok_or_else(|| "the launch lost a part".to_owned());
                    state.done.push((of, result.clone().and(part)));
                }
                company.changed.notify_all();
                let at = state.done.iter().position(|(of, _)| *of == mine);
                return at.map_or_else(|| Err("the launch lost a part".to_owned()), |at| state.done.swap_remove(at).1);
            }
            state = company.changed.wait_timeout(state, PATIENCE / 4).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    type Launched = Vec<usize>;

    fn run(companies: &Companies<u8, u32, Launched>, key: u8, parts: &[u32]) -> (Vec<u32>, Launched) {
        let sizes = Mutex::new(Vec::new());
        let results = thread::scope(|scope| {
            let members: Vec<_> = parts.iter().map(|_| companies.join(key)).collect();
            let threads: Vec<_> = members
                .into_iter()
                .zip(parts)
                .map(|(member, &part)| {
                    let sizes = &sizes;
                    let launch = |_: &mut Launched, parts: &mut Vec<u32>| {
                        sizes.lock().unwrap().push(parts.len());
                        parts.iter_mut().for_each(|part| *part *= 10);
                        Ok(())
                    };
                    thread::Builder::new().spawn_scoped(scope, move || {
                        let once = member.run(part, launch).unwrap();
                        member.run(once, launch).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.unwrap().join().unwrap()).collect()
        });
        (results, sizes.into_inner().unwrap())
    }

    #[test]
    fn all_members_go_together_and_each_gets_its_own_back() {
        let companies = Companies::new();
        for key in [1, 2] {
            let (results, sizes) = run(&companies, key, &[1, 2, 3, 4, 5]);
            assert_eq!(results, [100, 200, 300, 400, 500]);
            // Each once a round, whatever rounds a slow machine makes of them.
            assert_eq!(sizes.iter().sum::<usize>(), 10);
        }
        assert_eq!(companies.by_key.lock().unwrap().len(), 1, "nobody is a member of the first any more");
    }

    #[test]
    fn who_is_there_does_not_wait_for_ever_for_who_is_not() {
        let companies: Companies<u8, u32, ()> = Companies::new();
        let (here, _elsewhere) = (companies.join(0), companies.join(0));
        assert_eq!(
            here.run(3, |(), parts| {
                parts[0] += 1;
                Ok(())
            }),
            Ok(4)
        );
    }

    #[test]
    fn a_launch_that_fails_or_panics_is_told_and_the_next_one_runs() {
        let companies: Companies<u8, u32, ()> = Companies::new();
        let member = companies.join(0);
        assert_eq!(member.run(3, |(), _| Err("no memory".to_owned())), Err("no memory".to_owned()));
        assert!(member.run(3, |(), _| panic!("oh")).is_err());
        assert!(
            member
                .run(3, |(), parts| {
                    parts.clear();
                    Ok(())
                })
                .is_err()
        );
        assert_eq!(member.run(3, |(), _| Ok(())), Ok(3));
    }
}
