//! Work in a fixed number of pieces, on cores that have nothing else to do.
//!
//! Whoever has an idle core lends it ([`lend`]); a trial that runs takes it for the pieces of one step. What
//! the pieces are depends on the problem alone, so that no result depends on who computed them.
//!
//! Steps take a millisecond and have several such calls, while to wake a thread takes a twentieth of one: those
//! who help stay awake between calls. (A pool of rayon's, which waits for each of its threads to wake, won half
//! as much from a second core.)

use super::schedule;
use crate::backend::device::set_up_thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Cores that are lent and not in use.
static SPARE: AtomicIsize = AtomicIsize::new(0);

/// A core that is lent until this is dropped.
pub struct Lent(());

/// Lends the calling thread's core, while it waits, to trials that run.
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

/// Spare cores that were taken until this is dropped.
struct Taken(isize);

/// Takes up to `wanted` spare cores.
fn take(wanted: usize) -> Taken {
    let wanted = isize::try_from(wanted).unwrap_or(isize::MAX);
    let taken = |spare: isize| spare.clamp(0, wanted);
    let before = SPARE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spare| Some(spare - taken(spare)));
    Taken(before.map_or(0, taken))
}

impl Drop for Taken {
    fn drop(&mut self) {
        SPARE.fetch_add(self.0, Ordering::Relaxed);
    }
}

/// Runs `work` on each piece, the caller's thread and spare cores side by side.
///
/// # Panics
/// Where `work` does.
pub fn for_each<T: Send>(pieces: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
    let cores = take(pieces.len().saturating_sub(1));
    if cores.0 == 0 {
        return schedule::each(pieces.iter_mut().enumerate(), work);
    }
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
    let job = Job { help: &|| run(true), helpers: AtomicUsize::new(0), panicked: AtomicBool::new(false) };
    {
        let _open = Open::new(&job, cores.0.unsigned_abs());
        run(false);
    }
    assert!(!job.panicked.load(Ordering::Relaxed), "a piece of work panicked");
}

/// Work that others may help with.
struct Job<'a> {
    help: &'a (dyn Fn() + Sync),
    /// Threads that help at this moment.
    helpers: AtomicUsize,
    panicked: AtomicBool,
}

/// A job while it is on offer: none joins it any more, and all have left it, when this is dropped.
struct Open<'a>(&'a Job<'a>);

/// A job on offer, and how many more may join.
struct Offer {
    job: *const Job<'static>,
    wanted: usize,
}

// SAFETY: what a job holds may be used from any thread; it stays where it is until its owner has withdrawn the
// offer and seen all helpers leave ([`Open`]).
unsafe impl Send for Offer {}

struct Crew {
    offers: Vec<Offer>,
    /// Threads that look for work, and those of them that sleep.
    idle: usize,
    asleep: usize,
}

static CREW: Mutex<Crew> = Mutex::new(Crew { offers: Vec::new(), idle: 0, asleep: 0 });
static WAKE: Condvar = Condvar::new();
/// How many all offers together want: a glance that needs no lock.
static WANTED: AtomicUsize = AtomicUsize::new(0);

/// How long a thread without work stays awake: longer than from one call to the next within a training.
const AWAKE: Duration = Duration::from_micros(500);

/// Nothing panics while it holds this lock.
fn crew() -> MutexGuard<'static, Crew> {
    CREW.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Open<'a> {
    fn new(job: &'a Job<'a>, wanted: usize) -> Self {
        // First of all: whatever happens below, the offer is withdrawn.
        let open = Self(job);
        let mut crew = crew();
        let pointer: *const Job<'a> = job;
        crew.offers.push(Offer { job: pointer.cast(), wanted });
        // Of all that is on offer: no helper is counted on twice.
        let all = WANTED.fetch_add(wanted, Ordering::Relaxed) + wanted;
        let to_wake = crew.asleep.min((all + crew.asleep).saturating_sub(crew.idle));
        for _ in crew.idle..all {
            // Without further threads the pieces are done by those there are.
            if thread::Builder::new().name("hw1 helper".into()).spawn(help).is_err() {
                break;
            }
            crew.idle += 1;
        }
        for _ in 0..to_wake {
            WAKE.notify_one();
        }
        open
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut crew = crew();
        let pointer: *const Job = self.0;
        if let Some(at) = crew.offers.iter().position(|offer| std::ptr::addr_eq(offer.job, pointer)) {
            let offer = crew.offers.swap_remove(at);
            WANTED.fetch_sub(offer.wanted, Ordering::Relaxed);
        }
        drop(crew);
        let begin = Instant::now();
        while self.0.helpers.load(Ordering::Acquire) > 0 {
            if begin.elapsed() < AWAKE { std::hint::spin_loop() } else { thread::sleep(AWAKE / 10) }
        }
    }
}

/// What a thread that helps does for as long as the process lives: libtorch keeps what it needs for its
/// products by thread.
fn help() {
    set_up_thread();
    loop {
        // SAFETY: who offered the job waits for its helpers, of whom this is one until it leaves `helpers`; nothing
        // of the job is touched after that.
        let job = unsafe { &*next() };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(job.help)) {
            job.panicked.store(true, Ordering::Relaxed);
            // Dropped it might panic again, and the owner would wait for this thread for ever.
            std::mem::forget(panic);
        }
        // In this order: when the job is over, this thread is seen to be free for the next.
        crew().idle += 1;
        job.helpers.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for a job and joins it.
fn next() -> *const Job<'static> {
    let mut begin = Instant::now();
    loop {
        if WANTED.load(Ordering::Relaxed) > 0 {
            let mut crew = crew();
            if let Some(offer) = crew.offers.iter_mut().find(|offer| offer.wanted > 0) {
                offer.wanted -= 1;
                let job = offer.job;
                WANTED.fetch_sub(1, Ordering::Relaxed);
                // SAFETY: on offer while the crew is locked, so that its owner has not gone on.
                unsafe { &*job }.helpers.fetch_add(1, Ordering::Relaxed);
                crew.idle -= 1;
                return job;
            }
        }
        if begin.elapsed() > AWAKE {
            let mut crew = crew();
            while crew.offers.iter().all(|offer| offer.wanted == 0) {
                crew.asleep += 1;
                crew = WAKE.wait(crew).unwrap_or_else(PoisonError::into_inner);
                crew.asleep -= 1;
            }
            begin = Instant::now();
        }
        std::hint::spin_loop();
    }
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

    #[test]
    fn helpers_come_again_asleep_or_awake_to_many_callers_at_once() {
        let _cores: Vec<Lent> = (0..3).map(|_| lend()).collect();
        thread::scope(|scope| {
            for caller in 0..4 {
                scope.spawn(move || {
                    for call in 0..300 {
                        let mut pieces = vec![0; 1 + (caller + call) % 9];
                        for_each(&mut pieces, |index, piece| *piece = index * call);
                        assert!(pieces.iter().enumerate().all(|(index, piece)| *piece == index * call));
                        if call % 100 == 0 {
                            thread::sleep(2 * AWAKE);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_that_panics_again_keeps_nobody_waiting() {
        struct Again;
        impl Drop for Again {
            fn drop(&mut self) {
                if !thread::panicking() {
                    panic!("again, as the test wants it");
                }
            }
        }
        let _cores: Vec<Lent> = (0..2).map(|_| lend()).collect();
        // Until it was a helper that panicked: the caller's own panic goes to the caller.
        for _ in 0..100 {
            let caller = thread::current().id();
            let mut pieces = vec![0; 6];
            let result = catch_unwind(AssertUnwindSafe(|| {
                for_each(&mut pieces, |_, _| {
                    thread::sleep(Duration::from_millis(1));
                    if thread::current().id() != caller {
                        std::panic::panic_any(Again);
                    }
                });
            }));
            if result.is_err() {
                return;
            }
        }
        panic!("no helper came");
    }

    #[test]
    fn a_panic_in_a_piece_reaches_the_caller_and_the_crew_goes_on() {
        let _cores: Vec<Lent> = (0..2).map(|_| lend()).collect();
        for bad in 0..6 {
            let mut pieces = vec![0; 6];
            let result = catch_unwind(AssertUnwindSafe(|| {
                for_each(&mut pieces, |index, _| assert!(index != bad, "as the test wants it"));
            }));
            assert!(result.is_err());
        }
        let mut pieces = vec![0; 50];
        for_each(&mut pieces, |_, piece| *piece += 1);
        assert_eq!(pieces, vec![1; 50]);
    }
}
