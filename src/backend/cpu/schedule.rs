//! What more cores would bring: the pieces that work falls into are timed on one core, and laid out on several.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The pieces of each call of [`super::pieces::for_each`] that a thread made on its own, in the order in which they are
/// taken. Calls from within a piece are part of that piece.
#[derive(Debug, Default)]
pub struct Schedule {
    calls: Vec<Vec<Duration>>,
}

thread_local! {
    static RECORDED: RefCell<Option<Schedule>> = const { RefCell::new(None) };
}

/// Does `work` and times the pieces of this thread meanwhile; nobody may help it.
pub fn record<T>(work: impl FnOnce() -> T) -> (T, Schedule) {
    RECORDED.set(Some(Schedule::default()));
    let result = work();
    (result, RECORDED.take().unwrap_or_default())
}

/// Does the pieces of one call on this thread, and notes how long each takes where that is asked for.
pub(super) fn each<T>(pieces: impl Iterator<Item = (usize, T)>, work: impl Fn(usize, T)) {
    // What a piece calls is not noted: nothing is there to note it in.
    let Some(mut schedule) = RECORDED.take() else {
        return pieces.for_each(|(index, piece)| work(index, piece));
    };
    let timed = |(index, piece)| {
        let begin = Instant::now();
        work(index, piece);
        begin.elapsed()
    };
    schedule.calls.push(pieces.map(timed).collect());
    RECORDED.set(Some(schedule));
}

impl Schedule {
    /// How much shorter the work is on several cores: the time in which one core does its pieces, less that in which
    /// `cores` do, each of which takes the next piece whenever it is free. `hand_over` is what it costs to bring one
    /// further core to a call's pieces.
    pub fn saving(&self, cores: usize, hand_over: Duration) -> Duration {
        let of_call = |pieces: &Vec<Duration>| {
            let helpers = cores.min(pieces.len()).saturating_sub(1);
            let alone: Duration = pieces.iter().sum();
            // More cores are on offer whether or not they pay: a call may cost more than it saves.
            let together = makespan(pieces, helpers + 1) + hand_over * u32::try_from(helpers).unwrap_or(u32::MAX);
            (alone, together)
        };
        let (alone, together): (Vec<Duration>, Vec<Duration>) = self.calls.iter().map(of_call).unzip();
        alone.iter().sum::<Duration>().saturating_sub(together.iter().sum())
    }
}

/// When the last of the pieces is done: the first core takes them from the front, the others from the back.
fn makespan(pieces: &[Duration], cores: usize) -> Duration {
    let mut waiting: VecDeque<Duration> = pieces.iter().copied().collect();
    let mut free = vec![Duration::ZERO; cores.max(1)];
    while !waiting.is_empty() {
        let next = (0..free.len()).min_by_key(|&core| free[core]).unwrap_or(0);
        free[next] += if next == 0 { waiting.pop_front() } else { waiting.pop_back() }.unwrap_or_default();
    }
    free.into_iter().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::pieces;
    use super::*;

    fn milliseconds(pieces: &[u64]) -> Vec<Duration> {
        pieces.iter().map(|&piece| Duration::from_millis(piece)).collect()
    }

    #[test]
    fn pieces_are_laid_out_on_the_cores_there_are() {
        for (pieces, cores, expected) in [
            (&[][..], 4, 0),
            (&[5], 4, 5),
            (&[5, 5, 5, 5], 1, 20),
            (&[5, 5, 5, 5], 2, 10),
            (&[5, 5, 5, 5], 3, 10),
            (&[5, 5, 5, 5], 4, 5),
            (&[5, 5, 5, 5], 64, 5),
            // From the front 9; from the back 1, 2, 3, 4.
            (&[9, 4, 3, 2, 1], 2, 10),
            // The long one is met last.
            (&[1, 1, 9, 1, 1], 2, 11),
        ] {
            assert_eq!(
                makespan(&milliseconds(pieces), cores),
                Duration::from_millis(expected),
                "{pieces:?} on {cores}"
            );
        }
    }

    #[test]
    fn a_saving_is_of_all_calls_less_what_the_further_cores_cost() {
        let schedule = Schedule { calls: vec![milliseconds(&[4, 4, 4, 4]), milliseconds(&[3]), milliseconds(&[6, 2])] };
        for (cores, hand_over, expected) in
            [(1, 1, 0), (2, 0, 8 + 2), (2, 1, 10 - 2), (4, 0, 12 + 2), (4, 1, 14 - 4), (4, 9, 0)]
        {
            let saving = schedule.saving(cores, Duration::from_millis(hand_over));
            assert_eq!(saving, Duration::from_millis(expected), "{cores} cores at {hand_over} ms");
        }
    }

    #[test]
    fn the_calls_of_a_thread_are_recorded_while_that_is_asked_for() {
        let nap =
            |pieces: &mut [u64]| pieces::for_each(pieces, |_, &mut nap| std::thread::sleep(Duration::from_millis(nap)));
        nap(&mut [1, 1]);
        let ((), schedule) = record(|| {
            nap(&mut [2, 4]);
            pieces::for_each(&mut [0; 3], |_, _| nap(&mut [1, 1]));
        });
        nap(&mut [1]);
        assert_eq!(schedule.calls.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3]);
        assert!(schedule.calls[0][1] >= Duration::from_millis(4) && schedule.calls[1][0] >= Duration::from_millis(2));
        assert!(record(|| ()).1.calls.is_empty());
    }
}
