//! A card that is the CPU, for tests: kernels compiled as C++, a block's threads as threads or as coroutines, memory as the
//! host's. With the feature `emulated-card` hw1 itself has it (`scripts/test-cuda --emulated`).

// Of tests and of developers: what fails here ends them.
#![allow(clippy::unwrap_used)]

use super::{Card, Kernel, Launch, Limits, Source};
use anyhow::{Result, ensure};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

thread_local! {
    static CARD: RefCell<Option<Arc<dyn Card>>> = const { RefCell::new(None) };
}

/// The card that stands for the CPU's tensors on this thread: a test's, or of as many multiprocessors as the variable
/// `HW1_EMULATED_CARD` says.
pub fn on_this_thread() -> Option<Arc<dyn Card>> {
    static OF_ALL: OnceLock<Option<Arc<dyn Card>>> = OnceLock::new();
    CARD.with_borrow(Clone::clone).or_else(|| {
        let card = || {
            let multiprocessors = std::env::var("HW1_EMULATED_CARD").ok()?.parse().ok()?;
            Some(Arc::new(Emulated::new(multiprocessors, usize::MAX)) as Arc<dyn Card>)
        };
        OF_ALL.get_or_init(card).clone()
    })
}

/// Runs `test` with such a card, of so many multiprocessors.
pub fn with_card<T>(multiprocessors: usize, test: impl FnOnce(&Arc<dyn Card>) -> T) -> T {
    with(Emulated::new(multiprocessors, usize::MAX), test)
}

/// The same with one that is lost after so many launches.
pub fn with_card_that_is_lost<T>(after: usize, test: impl FnOnce(&Arc<dyn Card>) -> T) -> T {
    with(Emulated::new(2, after), test)
}

fn with<T>(card: Emulated, test: impl FnOnce(&Arc<dyn Card>) -> T) -> T {
    let card: Arc<dyn Card> = Arc::new(card);
    on(card.clone(), || test(&card))
}

/// The same with a card that is there.
pub fn on<T>(card: Arc<dyn Card>, test: impl FnOnce() -> T) -> T {
    CARD.set(Some(card));
    let result = test();
    CARD.set(None);
    result
}

struct Emulated {
    multiprocessors: usize,
    memory: Mutex<BTreeMap<u64, Vec<u128>>>,
    /// How many it will survive: each writes its arguments first.
    launches: AtomicUsize,
}

impl Emulated {
    fn new(multiprocessors: usize, launches: usize) -> Self {
        Self { multiprocessors, memory: Mutex::default(), launches: AtomicUsize::new(launches) }
    }
}

impl Card for Emulated {
    fn limits(&self) -> Limits {
        Limits { multiprocessors: self.multiprocessors, shared_bytes: 227 * 1024, memory_bytes: 4 << 30 }
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        ensure!(bytes < 1 << 32, "out of memory");
        // As on a card: anything.
        let numbers = vec![u128::MAX; bytes.div_ceil(16)];
        let at = numbers.as_ptr() as u64;
        self.memory.lock().unwrap().insert(at, numbers);
        Ok(at)
    }

    fn free(&self, at: u64) {
        assert!(self.memory.lock().unwrap().remove(&at).is_some(), "freed twice");
    }

    fn zero(&self, at: u64, bytes: usize) -> Result<()> {
        self.write(at, &vec![0; bytes])
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let left = self.launches.load(Ordering::Relaxed);
        ensure!(left > 0, "copying to memory on the GPU: the GPU is lost");
        if left < usize::MAX {
            self.launches.store(left - 1, Ordering::Relaxed);
        }
        // SAFETY: memory of `allocate`, which the caller knows the size of.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
        Ok(())
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(at as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn kernel(&self, source: &Source) -> Result<Arc<dyn Kernel>> {
        /// Compiled once for all tests.
        static KERNELS: Mutex<BTreeMap<Source, Arc<Compiled>>> = Mutex::new(BTreeMap::new());
        let mut kernels = KERNELS.lock().unwrap_or_else(PoisonError::into_inner);
        let kernel = kernels.entry(source.clone()).or_insert_with(|| Arc::new(compile(source)));
        Ok(kernel.clone())
    }
}

type Start = unsafe extern "C" fn(u32, u32, u32, *const u64) -> i32;

struct Compiled(Start);

fn compile(source: &Source) -> Compiled {
    let folder = tempfile::tempdir().unwrap();
    let (prefix, library) = (folder.path().join("prefix.h"), folder.path().join("kernel.so"));
    std::fs::write(&prefix, &source.prefix).unwrap();
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend/cuda/kernels");
    let built = Command::new("c++")
        .args(["-std=c++17", "-O2", "-shared", "-fPIC", "-pthread", "-ffp-contract=off", "-w"])
        // What is inline in two kernels is not the same.
        .args(["-fno-gnu-unique", "-fvisibility=hidden"])
        .arg(format!("-DPREFIX=\"{}\"", prefix.display()))
        .arg("-o")
        .args([&library, &kernels.join(format!("{}_emulated.cpp", source.name))])
        .status();
    assert!(built.unwrap().success());
    let library = CString::new(library.into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: a library of ours, which stays open; the function has this signature.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null());
        Compiled(std::mem::transmute::<*mut libc::c_void, Start>(libc::dlsym(handle, c"launch".as_ptr())))
    }
}

impl Kernel for Compiled {
    unsafe fn run(&self, launch: Launch, arguments: &[u64]) -> Result<()> {
        /// Blocks take turns on one thread: a launch at a time.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let Launch { blocks, together, shared_bytes, .. } = launch;
        // SAFETY: the caller's.
        let result = unsafe { (self.0)(blocks as u32, together as u32, shared_bytes as u32, arguments.as_ptr()) };
        ensure!(result == 0, "the kernel's shared memory is not {shared_bytes} bytes");
        Ok(())
    }

    unsafe fn queue(&self, launch: Launch, arguments: &[u64]) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { self.run(launch, arguments) }
    }
}
