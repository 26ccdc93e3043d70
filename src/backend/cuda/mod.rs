//! Our engine on a CUDA card: whole trainings of small fully connected networks in one launch each, many of one shape side by
//! side. Kernels are CUDA C++ (`kernels/`), compiled at run time for the network and the card; the same text compiles as C++
//! for the CPU, which the tests run. Knows numbers and addresses only, no shapes; [`crate::objective`] decides what runs
//! here, and its way through libtorch is the oracle.

pub mod adam;
mod company;
mod compiler;
mod driver;
#[cfg(any(test, feature = "emulated-card"))]
pub mod emulated;
pub mod full_batch;
pub mod mini_batch;
mod mini_batch_plan;

use anyhow::{Error, Result, anyhow};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What kernels run on, and where their numbers lie.
pub trait Card: Send + Sync {
    fn limits(&self) -> Limits;

    /// Memory of so many bytes, anything in them.
    ///
    /// # Errors
    /// Where there is not as much.
    fn allocate(&self, bytes: usize) -> Result<u64>;

    /// Gives memory back.
    fn free(&self, at: u64);

    /// Writes zeros.
    ///
    /// # Errors
    /// As of [`Self::write`].
    fn zero(&self, at: u64, bytes: usize) -> Result<()>;

    /// Copies to the card.
    ///
    /// # Errors
    /// The driver's, which may be of something earlier.
    fn write(&self, at: u64, bytes: &[u8]) -> Result<()>;

    /// Copies from the card.
    ///
    /// # Errors
    /// As of [`Self::write`].
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<()>;

    /// The kernel of this name in a source, compiled once.
    ///
    /// # Errors
    /// The compiler's, which is a mistake of ours, and the driver's.
    fn kernel(&self, source: &Source) -> Result<Arc<dyn Kernel>>;
}

/// What a card has for a launch.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub multiprocessors: usize,
    /// Bytes of a block's shared memory at most.
    pub shared_bytes: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// A kernel before it is compiled: constants, and the text behind them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Of the kernel and of its text.
    pub name: &'static str,
    pub prefix: String,
}

impl Source {
    /// What the compiler is told beside the card.
    fn options(&self) -> &'static [&'static str] {
        match self.name {
            // Sizes are reckoned by functions of both sides.
            "full_batch" => &["--std=c++17", "--device-as-default-execution-space"],
            // Sums are fused where the text says so, and the same in every plan.
            _ => &["--std=c++17", "--prec-div=false", "--prec-sqrt=false", "--fmad=false"],
        }
    }

    /// All of the text.
    fn text(&self) -> String {
        let [first, second] = match self.name {
            "adam" => ["", include_str!("kernels/adam.cu")],
            "full_batch" => [include_str!("kernels/full_batch_layers.cu"), include_str!("kernels/full_batch.cu")],
            "mini_batch" => [include_str!("kernels/mini_batch_sizes.cu"), include_str!("kernels/mini_batch.cu")],
            other => unreachable!("no kernel {other}"),
        };
        format!("{}{first}{second}", self.prefix)
    }
}

/// How a kernel is started.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    pub blocks: usize,
    /// Blocks that wait for one another: all run at a time, or none.
    pub together: usize,
    pub threads: usize,
    pub shared_bytes: usize,
}

/// A compiled kernel.
pub trait Kernel: Send + Sync {
    /// Runs it and waits for its end. Each argument is the first bytes of its number, which are as many as the kernel's own
    /// has.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Safety
    /// The arguments are those that the kernel takes, and what they point to is there.
    unsafe fn run(&self, launch: Launch, arguments: &[u64]) -> Result<()>;

    /// Runs it behind what libtorch has under way, and does not wait.
    ///
    /// # Errors
    /// The driver's on starting it; what goes wrong later is told of whatever comes next.
    ///
    /// # Safety
    /// As of [`Self::run`], until it has ended.
    unsafe fn queue(&self, launch: Launch, arguments: &[u64]) -> Result<()>;
}

/// Memory on a card, given back with this.
pub struct Memory {
    card: Arc<dyn Card>,
    pub at: u64,
    pub bytes: usize,
}

impl Memory {
    /// # Errors
    /// Where there is not as much.
    pub fn new(card: &Arc<dyn Card>, bytes: usize) -> Result<Self> {
        // Of nothing there is no address.
        Ok(Self { card: card.clone(), at: card.allocate(bytes.max(16))?, bytes })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.card.free(self.at);
    }
}

/// Arrays of a launch in one piece of memory: of each kind as many as there are trainings.
struct Arrays<const KINDS: usize> {
    at: u64,
    starts: [usize; KINDS],
    /// Bytes of one.
    sizes: [usize; KINDS],
}

impl<const KINDS: usize> Arrays<KINDS> {
    /// In the memory that an earlier launch had, or in more.
    ///
    /// # Errors
    /// Where there is not as much.
    fn new(memory: &mut Option<Memory>, card: &Arc<dyn Card>, count: usize, sizes: [usize; KINDS]) -> Result<Self> {
        let mut starts = [0; KINDS];
        let mut end = 0;
        for (start, size) in starts.iter_mut().zip(sizes) {
            *start = end;
            end += up(count * size, 256);
        }
        if memory.as_ref().is_none_or(|memory| memory.bytes < end) {
            // Given back before more is taken.
            *memory = None;
        }
        let memory = match memory {
            Some(memory) => memory,
            none => none.insert(Memory::new(card, end)?),
        };
        Ok(Self { at: memory.at, starts, sizes })
    }

    /// The address of a training's own of this kind.
    fn at(&self, kind: usize, index: usize) -> u64 {
        self.at + (self.starts[kind] + index * self.sizes[kind]) as u64
    }
}

/// The bytes of numbers without gaps between them.
fn bytes_of<T: Copy>(values: &[T]) -> &[u8] {
    // SAFETY: structures of the C layout above, which have no padding (their sizes are checked), and numbers.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn bytes_of_mut<T: Copy>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are such numbers.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// Why a launch failed, and the way out.
fn failed(why: String) -> Error {
    anyhow!("{why}; what is finished is kept: run it again with fewer --jobs, or with --device cpu")
}

fn up(value: usize, multiple: usize) -> usize {
    value.div_ceil(multiple) * multiple
}

/// Trainings that libtorch runs on a card at a time: their many small kernels go through one queue.
const MOST_BY_LIBTORCH: usize = 4;

static BY_LIBTORCH: Mutex<usize> = Mutex::new(0);

/// A training's place among those that libtorch runs on a card, until this is dropped.
pub struct Turn(());

impl Turn {
    /// Waits for a place, asking `stop` now and then.
    ///
    /// # Errors
    /// Those of `stop`.
    pub fn wait(mut stop: impl FnMut() -> Result<()>) -> Result<Self> {
        loop {
            {
                let mut running = BY_LIBTORCH.lock().unwrap_or_else(PoisonError::into_inner);
                if *running < MOST_BY_LIBTORCH {
                    *running += 1;
                    return Ok(Self(()));
                }
            }
            stop()?;
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *BY_LIBTORCH.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// Cards that were opened, and why others were not.
static CARDS: Mutex<BTreeMap<usize, Opened>> = Mutex::new(BTreeMap::new());

type Opened = Result<Arc<dyn Card>, String>;

/// The CUDA card of this index, opened once for the process; after libtorch's CUDA part.
///
/// # Errors
/// In a line: what is missing. libtorch may well train on the card all the same.
pub fn card(index: usize) -> Result<Arc<dyn Card>> {
    let mut cards = CARDS.lock().unwrap_or_else(PoisonError::into_inner);
    let card = cards.entry(index).or_insert_with(|| match driver::open(index) {
        Ok(card) => Ok(Arc::new(card) as Arc<dyn Card>),
        Err(error) => Err(format!("{error:#}")),
    });
    card.clone().map_err(|why| anyhow!(why))
}
