//! A card through CUDA's driver. libtorch's primary context is shared, so that addresses of its tensors serve here.

use super::compiler::{Compiler, names, probe};
use super::{Card, Kernel, Launch, Limits, Source};
use anyhow::{Context as _, Result, bail, ensure};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUfunction_attribute, CUresult};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

/// What is used of the driver. The bindings panic where one is missing (an old driver), so that is asked first.
const FUNCTIONS: [&CStr; 17] = [
    c"cuInit",
    c"cuDeviceGet",
    c"cuDeviceGetAttribute",
    c"cuDeviceTotalMem_v2",
    c"cuDevicePrimaryCtxRetain",
    c"cuCtxSetCurrent",
    c"cuModuleLoadData",
    c"cuModuleGetFunction",
    c"cuFuncSetAttribute",
    c"cuLaunchKernel",
    c"cuLaunchCooperativeKernel",
    c"cuMemsetD8_v2",
    c"cuMemcpyHtoD_v2",
    c"cuMemcpyDtoH_v2",
    c"cuStreamCreate",
    c"cuStreamSynchronize",
    c"cuGetErrorString",
];

/// Opens a card.
///
/// # Errors
/// In a line: what is missing.
pub(super) fn open(index: usize) -> Result<CudaCard> {
    probe(&names("cuda"), &FUNCTIONS).context("CUDA's driver")?;
    let mut device = 0;
    // SAFETY: the driver's own functions, which are there, with addresses of what they write.
    let context = unsafe {
        check(sys::cuInit(0), "starting the driver")?;
        check(sys::cuDeviceGet(&raw mut device, c_int::try_from(index)?), "finding the card")?;
        let mut context = null_mut();
        check(sys::cuDevicePrimaryCtxRetain(&raw mut context, device), "opening the card")?;
        context
    };
    let attribute = |attribute| {
        let mut value = 0;
        // SAFETY: as above.
        check(unsafe { sys::cuDeviceGetAttribute(&raw mut value, attribute, device) }, "asking the card")?;
        Ok::<_, anyhow::Error>(value)
    };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    ensure!(
        (major, minor) >= (7, 5),
        "the card is of compute capability {major}.{minor}, and the kernels are for 7.5 and newer"
    );
    let multiprocessors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize;
    let shared_bytes = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)? as usize;
    let compiler = Compiler::open(major * 10 + minor)?;
    let mut memory = 0;
    // SAFETY: as above.
    check(unsafe { sys::cuDeviceTotalMem_v2(&raw mut memory, device) }, "asking the card")?;
    let limits = Limits { multiprocessors, shared_bytes, memory_bytes: memory as u64 };
    let (kernels, memory) = Default::default();
    Ok(CudaCard { index, context: Context(context), limits, compiler, kernels, memory })
}

/// As `Ok`, or what the driver says of it.
fn check(result: CUresult, doing: &str) -> Result<()> {
    if result == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let mut text = std::ptr::null();
    // SAFETY: the driver's, and a constant text of its own.
    let said = unsafe {
        if sys::cuGetErrorString(result, &raw mut text) == CUresult::CUDA_SUCCESS && !text.is_null() {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        } else {
            format!("{result:?}")
        }
    };
    bail!("{doing} on the GPU: {said}")
}

/// The context, which every thread may use that has made it its own.
#[derive(Clone, Copy)]
struct Context(sys::CUcontext);

// SAFETY: contexts belong to the process; each use is after `enter` on the calling thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    fn enter(self) -> Result<()> {
        // SAFETY: a context that is never given back.
        check(unsafe { sys::cuCtxSetCurrent(self.0) }, "using the card")
    }
}

pub(super) struct CudaCard {
    index: usize,
    context: Context,
    limits: Limits,
    compiler: Compiler,
    kernels: Mutex<BTreeMap<Source, Arc<Place>>>,
    /// What was taken, by its address: from libtorch, which then gives up what it holds in reserve, as it would not to others.
    memory: Mutex<BTreeMap<u64, Tensor>>,
}

/// A kernel's place, before and after it is compiled.
type Place = Mutex<Option<Arc<CudaKernel>>>;

impl Card for CudaCard {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        let place = (Kind::Uint8, Device::Cuda(self.index));
        let taken = Tensor::f_empty([i64::try_from(bytes)?], place);
        let taken = taken.with_context(|| format!("taking {bytes} bytes of the GPU's memory"))?;
        let at = taken.data_ptr() as u64;
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(at, taken);
        Ok(at)
    }

    fn free(&self, at: u64) {
        drop(self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(&at));
    }

    fn zero(&self, at: u64, bytes: usize) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the card checks its own addresses.
        check(unsafe { sys::cuMemsetD8_v2(at, 0, bytes) }, "clearing memory")
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.context.enter()?;
        // SAFETY: reads the slice; the card checks its own addresses.
        check(unsafe { sys::cuMemcpyHtoD_v2(at, bytes.as_ptr().cast(), bytes.len()) }, "copying to memory")
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        self.context.enter()?;
        // SAFETY: writes the slice; the card checks its own addresses.
        check(unsafe { sys::cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), at, bytes.len()) }, "copying from memory")
    }

    fn kernel(&self, source: &Source) -> Result<Arc<dyn Kernel>> {
        // Seconds each: who wants the same waits, others compile theirs side by side.
        let place = {
            let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
            kernels.entry(source.clone()).or_default().clone()
        };
        let mut kernel = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = &*kernel {
            return Ok(kernel.clone());
        }
        Ok(kernel.insert(Arc::new(self.load(source)?)).clone())
    }
}

impl CudaCard {
    fn load(&self, source: &Source) -> Result<CudaKernel> {
        let binary = self.compiler.binary(source.name, &source.text(), source.options())?;
        self.context.enter()?;
        let name = CString::new(source.name)?;
        let (mut module, mut function, mut stream) = (null_mut(), null_mut(), null_mut());
        // SAFETY: the compiler's whole binary; addresses of what is written; a module that is never unloaded.
        unsafe {
            check(sys::cuModuleLoadData(&raw mut module, binary.as_ptr().cast()), "loading a kernel")?;
            check(sys::cuModuleGetFunction(&raw mut function, module, name.as_ptr()), "finding a kernel")?;
            let shared = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let most = c_int::try_from(self.limits.shared_bytes)?;
            check(sys::cuFuncSetAttribute(function, shared, most), "giving a kernel shared memory")?;
            // A queue of its own, which waits for nobody else's.
            let apart = sys::CUstream_flags_enum::CU_STREAM_NON_BLOCKING as c_uint;
            check(sys::cuStreamCreate(&raw mut stream, apart), "making a queue")?;
        }
        Ok(CudaKernel { context: self.context, function, stream })
    }
}

struct CudaKernel {
    context: Context,
    function: sys::CUfunction,
    stream: sys::CUstream,
}

// SAFETY: handles of the process, for use by any thread in their context.
unsafe impl Send for CudaKernel {}
// SAFETY: as above.
unsafe impl Sync for CudaKernel {}

impl CudaKernel {
    /// # Safety
    /// As of [`Kernel::run`].
    unsafe fn start(&self, launch: Launch, arguments: &[u64], stream: sys::CUstream) -> Result<()> {
        let mut pointers: Vec<*mut c_void> =
            arguments.iter().map(|argument| std::ptr::from_ref(argument).cast_mut().cast()).collect();
        let blocks = c_uint::try_from(launch.blocks)?;
        let threads = c_uint::try_from(launch.threads)?;
        let shared = c_uint::try_from(launch.shared_bytes)?;
        let (function, pointers) = (self.function, pointers.as_mut_ptr());
        // SAFETY: the caller's arguments, which the driver copies.
        let started = unsafe {
            if launch.together > 1 {
                sys::cuLaunchCooperativeKernel(function, blocks, 1, 1, threads, 1, 1, shared, stream, pointers)
            } else {
                sys::cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared, stream, pointers, null_mut())
            }
        };
        check(started, "starting a kernel")
    }
}

impl Kernel for CudaKernel {
    unsafe fn run(&self, launch: Launch, arguments: &[u64]) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the caller's; queues that are there.
        unsafe {
            // What libtorch has under way may be what is read here.
            check(sys::cuStreamSynchronize(null_mut()), "finishing what came before")?;
            self.start(launch, arguments, self.stream)?;
            check(sys::cuStreamSynchronize(self.stream), "running a kernel")
        }
    }

    unsafe fn queue(&self, launch: Launch, arguments: &[u64]) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the caller's. libtorch's queue is the driver's first one, where nobody has chosen another.
        unsafe { self.start(launch, arguments, null_mut()) }
    }
}
