//! Products with a Hessian as tasks take them: counted, priced and told, with the time that is left at most; and where a
//! basis of Lanczos goes that is too large for memory.

use crate::analysis::curvature::{Room, Spill};
use crate::data::total_memory;
use crate::files::Scratch;
use crate::objective::HessianMap;
use crate::study::Context;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tch::Tensor;

/// Probes of a trace or of a density whose products are taken together.
pub const ROWS: usize = 8;

/// Vectors of Lanczos whose products are taken together. Products of blocks of 1, 2, 4 and 8 until residuals of ten
/// eigenvalues at either end are 1e-10 of the largest: at two solutions of 1-30-30-1 70, 78, 92 and 112, and 70, 78, 100
/// and 136; of 1-120-120-1 150, 170 and 200. So a block of four pays where four vectors together cost less than 2.8 alone.
pub const BLOCK: usize = 1;

/// The share of the machine's memory that a basis, or the sketch of a trace, takes at most; of a basis the rest goes to a
/// file. By the machine's memory, not by what is free of it, so that the same machine gives the same numbers.
const SHARE: u64 = 8;

/// Bytes that a basis, or a sketch, takes at most.
pub fn kept() -> u64 {
    total_memory() / SHARE
}

/// What takes products: its name, and how many at most.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    pub name: &'static str,
    pub products: usize,
    /// Whether each product is made orthogonal to all before, so that what is beside the products grows with their square.
    pub is_one_basis: bool,
}

impl Phase {
    pub fn eigenvalues(products: usize) -> Self {
        Self { name: "eigenvalues", products, is_one_basis: true }
    }

    pub fn trace(products: usize) -> Self {
        Self { name: "trace", products, is_one_basis: false }
    }

    pub fn density(products: usize) -> Self {
        Self { name: "density", products, is_one_basis: false }
    }
}

/// A map whose products are shown as they come, phase by phase.
pub struct Products<'a> {
    map: &'a dyn HessianMap,
    cx: &'a Context<'a>,
    /// The one that runs first.
    phases: Vec<Phase>,
    tally: Tally,
}

/// What products took so far.
#[derive(Clone, Copy, Debug)]
struct Tally {
    done: u64,
    within: Duration,
    /// In the phase that runs: since when, products and their time.
    begin: Instant,
    done_here: u64,
    within_here: Duration,
}

impl<'a> Products<'a> {
    /// In these phases, one after the other.
    pub fn new(map: &'a dyn HessianMap, phases: Vec<Phase>, cx: &'a Context<'a>) -> Self {
        let zero = Duration::ZERO;
        let tally = Tally { done: 0, within: zero, begin: Instant::now(), done_here: 0, within_here: zero };
        Self { map, cx, phases, tally }
    }

    /// The phase of this name begins; those before it are over, whatever they took.
    pub fn begin(&mut self, phase: &str) {
        while self.phases.first().is_some_and(|first| first.name != phase) {
            self.phases.remove(0);
        }
        self.tally = Tally { begin: Instant::now(), done_here: 0, within_here: Duration::ZERO, ..self.tally };
    }

    /// The products of rows [k, n].
    ///
    /// # Errors
    /// Those of the map, and [`crate::error::Interrupted`].
    pub fn times(&mut self, rows: &Tensor) -> Result<Tensor> {
        let start = Instant::now();
        let products = self.map.times(rows, &mut || self.cx.check_stop())?;
        let (tally, count, took) = (&mut self.tally, rows.size()[0] as u64, start.elapsed());
        tally.done += count;
        tally.done_here += count;
        tally.within += took;
        tally.within_here += took;
        let (all, text) = told(&self.phases, tally, tally.begin.elapsed());
        self.cx.note(text);
        self.cx.step_done(tally.done, all, f64::NAN)?;
        Ok(products)
    }
}

/// How many products there are at most, and where they stand, in words; `here` is since the phase began.
fn told(phases: &[Phase], tally: &Tally, here: Duration) -> (u64, String) {
    let later: u64 = phases.iter().skip(1).map(|phase| phase.products as u64).sum();
    let Some(phase) = phases.first() else { return (tally.done, format!("product {}", tally.done)) };
    let left_here = (phase.products as u64).saturating_sub(tally.done_here);
    let one = tally.within.as_secs_f64() / tally.done.max(1) as f64;
    // As many products as are left, at the price of those so far; and what goes with those of this phase.
    let share = (tally.done_here + left_here) as f64 / tally.done_here.max(1) as f64;
    let beside = here.saturating_sub(tally.within_here).as_secs_f64();
    let beside = beside * (if phase.is_one_basis { share * share } else { share } - 1.0);
    let left = in_words(Duration::from_secs_f64((one * (left_here + later) as f64 + beside).min(1e15)));
    let (all, name) = (tally.done + left_here + later, phase.name);
    let text = if tally.done == tally.done_here && tally.done <= ROWS as u64 {
        let one = in_words(Duration::from_secs_f64(one));
        format!("{name}: a product takes {one}: at most {all} of them, at most {left} left")
    } else {
        format!("{name}: product {} of at most {all}, at most {left} left", tally.done)
    };
    (all, text)
}

pub fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.0} s") }
}

/// With what [`kept`] says of memory for a basis, and a file without a name beside the run's records for the rest.
pub fn with_room<T>(cx: &Context, run: impl FnOnce(Room) -> Result<T>) -> Result<T> {
    let spill = || Ok(Box::new(Spilled::new(cx.scratch())?) as Box<dyn Spill>);
    run(Room { memory: kept(), spill: &spill })
}

/// Rows in a file.
struct Spilled {
    file: Scratch,
    folder: PathBuf,
    bytes: Vec<u8>,
}

/// Bytes of a number.
const NUMBER: usize = size_of::<f64>();

impl Spilled {
    fn new(folder: &Path) -> Result<Self> {
        let file = Scratch::new(folder).with_context(|| {
            format!("a basis of Lanczos that memory has no place for: no file in {}", folder.display())
        })?;
        Ok(Self { file, folder: folder.to_owned(), bytes: Vec::new() })
    }
}

impl Spill for Spilled {
    fn append(&mut self, row: &[f64]) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend(row.iter().flat_map(|number| number.to_ne_bytes()));
        self.file.append(&self.bytes).with_context(|| {
            let (folder, gigabytes) = (self.folder.display(), self.file.written() as f64 / 1e9);
            format!(
                "a basis of Lanczos that memory has no place for: after {gigabytes:.1} GB no vector of {:.3} GB more could \
                 be written in {folder}: make room there, or ask for fewer steps or eigenvalues",
                self.bytes.len() as f64 / 1e9
            )
        })
    }

    fn read(&self, at: usize, row: &mut [f64]) -> Result<()> {
        let mut bytes = vec![0; row.len() * NUMBER];
        self.file.read_at((at * bytes.len()) as u64, &mut bytes).with_context(|| {
            format!("a basis of Lanczos in a file without a name in {} cannot be read", self.folder.display())
        })?;
        for (number, bytes) in row.iter_mut().zip(bytes.as_chunks::<NUMBER>().0) {
            *number = f64::from_ne_bytes(*bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::curvature::{Wanted, lanczos};
    use crate::rng::{Purpose, Rng};

    #[test]
    fn a_basis_in_a_file_gives_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let spectrum: Vec<f64> = (0..300).map(|i| (f64::from(i) / 9.0).sin()).collect();
        let spectrum = Tensor::from_slice(&spectrum);
        let wanted = Wanted { top: 3, bottom: 3, tolerance: 1e-9, steps: 200, block: 2, sweeps: 1 };
        let of = |memory: u64| {
            let spill = || Ok(Box::new(Spilled::new(folder.path())?) as Box<dyn Spill>);
            let mut rng = Rng::keyed(0, "spilled", Purpose::CurvatureProbe, 0);
            let found = lanczos(300, wanted, Room { memory, spill: &spill }, &mut rng, |rows| Ok(rows * &spectrum));
            let found = found.unwrap();
            found.top.into_iter().chain(found.bottom).map(|ritz| (ritz.value, ritz.residual, ritz.vector)).collect()
        };
        let whole: Vec<_> = of(u64::MAX);
        assert_eq!(whole, of(8 * 300 * 30));
        assert_eq!(whole, of(0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
        let error = Spilled::new(&folder.path().join("none")).map(drop).unwrap_err();
        assert!(error.to_string().contains("no file in"), "{error}");
    }

    #[test]
    fn the_time_left_is_told_from_the_first_product_on() {
        let phases = [Phase::eigenvalues(100), Phase::trace(20), Phase::density(80)];
        let seconds = Duration::from_secs;
        let mut tally =
            Tally { done: 1, within: seconds(2), begin: Instant::now(), done_here: 1, within_here: seconds(2) };
        // 200 products of 2 s; what is beside them takes 1 ms so far, and will have taken 100² of that.
        let words = "eigenvalues: a product takes 2.00 s: at most 200 of them, at most 408 s left";
        assert_eq!(told(&phases, &tally, Duration::from_millis(2001)), (200, words.to_owned()));
        (tally.done, tally.done_here, tally.within, tally.within_here) = (50, 50, seconds(100), seconds(100));
        let words = "eigenvalues: product 50 of at most 200, at most 330 s left";
        assert_eq!(told(&phases, &tally, seconds(110)), (200, words.to_owned()));
        // They were done after 60; then 8 of the trace in 8 s.
        (tally.done, tally.done_here, tally.within, tally.within_here) = (68, 8, seconds(128), seconds(8));
        let words = "trace: product 68 of at most 160, at most 173 s left";
        assert_eq!(told(&phases[1..], &tally, seconds(8)), (160, words.to_owned()));
        assert_eq!(told(&[], &tally, seconds(8)).0, 68);
    }
}
