//! Work in a fixed number of pieces, on cores that have nothing else to do.
//!
//! Whoever has an idle core lends it ([`lend`]); a trial that runs takes it for the pieces of one step. What
//! the pieces are depends on the problem alone, so that no result depends on who computed them.

use crate::device::set_up_thread;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Cores that are lent and not in use.
static SPARE: AtomicIsize = AtomicIsize::new(0);

/// A core that is lent until this is dropped.
pub struct Lent(());

/// Lends the calling thread's core, while it waits, to trials that run.
#[must_use]
pub fn lend() -> Lent {
    SPARE.fetch_add(1, Ordering::Relaxed);
    Lent(())
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Below zero while somebody still uses it: nobody takes one then.
        SPARE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes up to `wanted` spare cores.
fn take(wanted: usize) -> isize {
    let wanted = isize::try_from(wanted).unwrap_or(isize::MAX);
    let taken = |spare: isize| spare.clamp(0, wanted);
    let before = SPARE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spare| Some(spare - taken(spare)));
    before.map_or(0, taken)
}

/// Threads that help. They stay: libtorch keeps what it needs for its products by thread.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    // Without further threads the pieces are done by those there are.
    POOL.get_or_init(|| ThreadPoolBuilder::new().start_handler(|_| set_up_thread()).build().ok()).as_ref()
}

/// Runs `work` on each piece, the caller's thread and spare cores side by side.
pub fn for_each<T: Send>(pieces: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
    let helpers = take(pieces.len().saturating_sub(1));
    let waiting = Mutex::new(pieces.iter_mut().enumerate());
    // Those who help begin at the other end: from one step to the next a piece mostly meets the same core, and
    // what it needs in that core's cache.
    let run = |helping: bool| {
        loop {
            // A poisoned lock is one of a thread that panicked between two pieces: the iterator is whole.
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let next = if helping { waiting.next_back() } else { waiting.next() };
            drop(waiting);
            let Some((index, piece)) = next else { break };
            work(index, piece);
        }
    };
    if helpers == 0 {
        return run(false);
    }
    match pool() {
        Some(pool) => pool.in_place_scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|_| run(true));
            }
            run(false);
        }),
        None => run(false),
    }
    SPARE.fetch_add(helpers, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_with_and_without_spare_cores() {
        for lent in [0, 1, 3] {
            let _cores: Vec<Lent> = (0..lent).map(|_| lend()).collect();
            for count in [0, 1, 2, 7, 100] {
                let mut pieces = vec![0; count];
                for_each(&mut pieces, |index, piece| *piece += index + 1);
                assert_eq!(pieces, (1..=count).collect::<Vec<_>>());
            }
        }
    }
}
