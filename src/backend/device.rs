//! Where tensors live and how libtorch is set up: the choice of device, CUDA opened at run time,
//! threads, malloc and MKL's instruction set. Knows nothing of models or experiments.

use super::cpu;
use anyhow::{Result, bail, ensure};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tch::{Device, Kind, Tensor};

/// What `--device` asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    #[default]
    Cpu,
    /// CUDA device by index.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown device '{text}': use cpu, cuda or cuda:N");
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) if index.bytes().all(|b| b.is_ascii_digit()) => {
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl Serialize for DeviceChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl DeviceChoice {
    /// "cpu" or "cuda": the part of the device that a trial's fingerprint covers.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }

    /// The GPU's name, as its driver tells it; `None` for the CPU.
    pub fn gpu_name(self) -> Option<String> {
        match self {
            Self::Cpu => None,
            Self::Cuda(index) => {
                Some(cuda_name(c"libcuda.so.1", index).unwrap_or_else(|| "unnamed CUDA device".into()))
            }
        }
    }

    /// Variables that are set and make the libraries that compute on it round in another way than hw1 has them do.
    pub fn environment(self) -> BTreeMap<&'static str, String> {
        let on_cuda: &[(&str, &str)] = if self == Self::Cpu { &[] } else { &CUDA_ENVIRONMENT };
        let variables = ROUNDING.iter().map(|name| (*name, "")).chain(on_cuda.iter().copied());
        let set = variables.filter_map(|(name, usual)| {
            let value = std::env::var_os(name)?.to_string_lossy().into_owned();
            (value != usual).then_some((name, value))
        });
        set.collect()
    }

    /// Opens the device for this process.
    ///
    /// # Errors
    /// When CUDA is asked for and its libraries or the device are missing; the message says which
    /// and what to do. The CPU keeps working after such an error.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => {
                let count = cuda_devices()?;
                if count == 0 {
                    bail!(
                        "--device {self}: libtorch's CUDA part is here, but no CUDA device answers; \
                         see whether `nvidia-smi` lists one, or use --device cpu"
                    );
                }
                if index >= count {
                    bail!("--device {self}: this machine has {count} CUDA device(s), cuda:0 to cuda:{}", count - 1);
                }
                Ok(Device::Cuda(index))
            }
        }
    }
}

/// What CUDA's libraries read of the environment, where it does not say otherwise: full float32 products
/// (convolutions use TF32 by default), and repeatable cuBLAS.
const CUDA_ENVIRONMENT: [(&str, &str); 2] = [("NVIDIA_TF32_OVERRIDE", "0"), ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")];

/// What keeps the libraries to AVX2, where that is asked for: see [`cpu::VECTOR`].
const NARROW_ENVIRONMENT: [(&str, &str); 3] =
    [("ATEN_CPU_CAPABILITY", "avx2"), ("MKL_ENABLE_INSTRUCTIONS", "AVX2"), ("ONEDNN_MAX_CPU_ISA", "AVX2")];

/// Sets up this process once, before any other thread starts and before any tensor is made.
///
/// One intra-op thread, since trials run side by side; and glibc keeps freed blocks of tensors,
/// which it would otherwise map and fault in anew at every step (10-40 % of small networks' time).
///
/// # Safety
/// No other thread runs: the environment and malloc's settings have no lock.
pub unsafe fn set_up_process() {
    let narrow: &[_] = if cpu::are_narrow_wanted() { &NARROW_ENVIRONMENT } else { &[] };
    for (variable, value) in CUDA_ENVIRONMENT.iter().chain(narrow) {
        if std::env::var_os(variable).is_none() {
            // SAFETY: as promised.
            unsafe { std::env::set_var(variable, value) };
        }
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: as promised; an unknown parameter is refused, not an error.
    unsafe {
        const GIBIBYTE: i32 = 1 << 30;
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIBIBYTE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, GIBIBYTE);
        libc::mallopt(libc::M_TOP_PAD, 1 << 26);
    }
    tch::set_num_threads(1);
}

/// Sets up a thread that runs trials, before its first tensor.
///
/// A new thread learns of [`set_up_process`]'s one intra-op thread with libtorch's first parallel loop
/// on it: a matrix product before that takes all cores, and rounds differently, so that a trial's bits
/// would depend on what its thread ran before.
pub fn set_up_thread() {
    tch::set_num_threads(1);
}

/// Whether MKL is told to use all instruction sets ("native") or left to its own choice.
pub fn mkl_choice() -> &'static str {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if mkl_serv_intel_cpu_true() == 1 {
        return "native";
    }
    "default"
}

/// Asked by MKL, whose own answer on AMD's processors is 0 and costs them their AVX-512.
///
/// `HW1_MKL_NATIVE=0` leaves the choice to MKL, for comparison. Results agree up to rounding, so
/// which it was stands in provenance and logs.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
// SAFETY: MKL's own name for a function of this signature, which no other library defines.
#[unsafe(no_mangle)]
pub extern "C" fn mkl_serv_intel_cpu_true() -> i32 {
    use std::sync::OnceLock;
    static ANSWER: OnceLock<i32> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let wanted = std::env::var_os("HW1_MKL_NATIVE").is_none_or(|value| value != "0");
        i32::from(wanted && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
    })
}

/// Variables by which libtorch and the libraries below it choose among ways to compute that round differently.
const ROUNDING: [&str; 8] = [
    "ATEN_CPU_CAPABILITY",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
];

/// CUDA devices that answer. Before the first tensor of a process, as `DeviceChoice::open`.
///
/// # Errors
/// Where libtorch's CUDA part is missing or cannot be opened, and what to do.
pub fn cuda_devices() -> Result<usize> {
    open_cuda()?;
    Ok(usize::try_from(tch::Cuda::device_count()).unwrap_or(0))
}

/// Whether the system's own view has an NVIDIA GPU, with or without libraries for it.
pub fn has_nvidia_gpu() -> bool {
    ["/dev/nvidia0", "/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"]
        .iter()
        .any(|path| Path::new(path).exists())
}

/// The version of the libtorch that was loaded, which need not be the one hw1 was built for; `None`
/// where it does not say.
pub fn libtorch_version() -> Option<String> {
    // SAFETY: a C function of libtorch's stable interface without arguments, `uint64_t (void)`, looked up by
    // name since older ones lack it.
    let version: u64 = unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"aoti_torch_abi_version".as_ptr());
        if symbol.is_null() {
            return None;
        }
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> u64>(symbol)()
    };
    let [major, minor, patch, ..] = version.to_be_bytes();
    Some(format!("{major}.{minor}.{patch}"))
}

/// Whether libtorch's two ways of multiplying give what they should: MKL's and oneDNN's.
///
/// # Errors
/// Where one does not, or fails.
pub fn computes() -> Result<()> {
    let ones = |shape: &[i64]| Tensor::f_ones(shape, (Kind::Float, Device::Cpu));
    let product = f64::try_from(ones(&[128, 128])?.f_matmul(&ones(&[128, 128])?)?.f_sum(Kind::Float)?)?;
    let image = ones(&[1, 1, 8, 8])?;
    let convolved = image.f_conv2d(&ones(&[1, 1, 3, 3])?, None::<&Tensor>, 1, 0, 1, 1)?;
    let convolution = f64::try_from(convolved.f_sum(Kind::Float)?)?;
    for (what, value, expected) in [("product", product, 128.0_f64.powi(3)), ("convolution", convolution, 324.0)] {
        ensure!(value == expected, "a {what} of ones gives {value}, not {expected}");
    }
    Ok(())
}

/// The folder that the running process loaded libtorch_cpu from.
pub fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?;
    let path = PathBuf::from(&line[line.find('/')?..]);
    path.parent().map(PathBuf::from)
}

/// Loads libtorch_cuda beside libtorch_cpu. The linker drops it, which is good: who trains on the CPU does not wait
/// for it. It has to come before the first CUDA query, since libtorch remembers "no CUDA" for ever.
fn open_cuda() -> Result<()> {
    const WAY_OUT: &str = "run `scripts/setup --cuda` for the libraries, or use --device cpu";
    let Some(folder) = libtorch_folder() else {
        bail!("--device cuda: cannot tell where libtorch_cpu was loaded from; {WAY_OUT}");
    };
    let path = folder.join("libtorch_cuda.so");
    if !path.exists() {
        bail!("--device cuda: {} does not exist (a CPU-only libtorch); {WAY_OUT}", path.display());
    }
    let c_path = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: a valid C string, of a library whose initialisers may run at any time; dlerror's text, this thread's
    // own, is copied before any other dl call.
    unsafe {
        if libc::dlopen(c_path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            let error = libc::dlerror();
            let reason =
                if error.is_null() { "unknown reason".into() } else { CStr::from_ptr(error).to_string_lossy() };
            bail!("--device cuda: cannot open {}: {reason}; {WAY_OUT}", path.display());
        }
    }
    Ok(())
}

/// The name of the CUDA device that this process sees under an index, by the driver's library. `None` where it
/// does not say.
fn cuda_name(library: &CStr, index: usize) -> Option<String> {
    type Init = extern "C" fn(u32) -> i32;
    type Get = extern "C" fn(*mut i32, i32) -> i32;
    type GetName = extern "C" fn(*mut c_char, i32, i32) -> i32;
    const LENGTH: i32 = 256;
    let index = i32::try_from(index).ok()?;
    let mut device = 0;
    let mut name = [0; LENGTH as usize + 1];
    // SAFETY: functions of CUDA's driver interface, whose signatures have never changed; it writes one number, and
    // a text of up to LENGTH bytes with its end. The library stays open, as libtorch's own use of it does.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
        if handle.is_null() {
            return None;
        }
        let symbol = |name: &CStr| Some(libc::dlsym(handle, name.as_ptr())).filter(|symbol| !symbol.is_null());
        let init = std::mem::transmute::<*mut c_void, Init>(symbol(c"cuInit")?);
        let get = std::mem::transmute::<*mut c_void, Get>(symbol(c"cuDeviceGet")?);
        let get_name = std::mem::transmute::<*mut c_void, GetName>(symbol(c"cuDeviceGetName")?);
        if init(0) != 0 || get(&raw mut device, index) != 0 || get_name(name.as_mut_ptr(), LENGTH, device) != 0 {
            return None;
        }
        let name = CStr::from_ptr(name.as_ptr()).to_string_lossy().trim().to_owned();
        Some(name).filter(|name| !name.is_empty())
    }
}

/// The processor's model name, or its architecture where the system does not say.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Names of the processor's vector instructions that matter for speed, the widest last.
pub fn cpu_features() -> Vec<&'static str> {
    let mut features = Vec::new();
    #[cfg(target_arch = "x86_64")]
    for (name, has) in [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("AVX-512", is_x86_feature_detected!("avx512f")),
    ] {
        features.extend(has.then_some(name));
    }
    #[cfg(target_arch = "aarch64")]
    features.push("NEON");
    features
}

/// The version of the C library that was loaded.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn glibc_version() -> String {
    // SAFETY: returns a constant C string.
    unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_gpu_is_called_as_its_driver_calls_it() {
        const DRIVER: &str = r#"
            int cuInit(unsigned flags) { return flags; }
            int cuDeviceGet(int *device, int index) { *device = 10 * index; return index > 1; }
            int cuDeviceGetName(char *name, int length, int device) {
                const char *text = "Test GPU ?  ";
                int i = 0;
                while (i < length - 1 && text[i]) { name[i] = text[i] == '?' ? '0' + device / 10 : text[i]; i++; }
                name[i] = 0;
                return 0;
            }
        "#;
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("driver.c"), folder.path().join("driver.so"));
        std::fs::write(&source, DRIVER).unwrap();
        let built =
            std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        assert!(built.unwrap().success());
        let library = CString::new(library.into_os_string().into_encoded_bytes()).unwrap();
        assert_eq!(cuda_name(&library, 0).as_deref(), Some("Test GPU 0"));
        assert_eq!(cuda_name(&library, 1).as_deref(), Some("Test GPU 1"));
        // There is no such device; no such library; none of CUDA's.
        for (library, index) in [(&*library, 2), (&*library, usize::MAX), (c"no-such-library.so", 0), (c"libm.so.6", 0)]
        {
            assert_eq!(cuda_name(library, index), None);
        }
    }

    #[test]
    fn devices_parse_and_print() {
        for (text, device) in
            [("cpu", DeviceChoice::Cpu), ("cuda:0", DeviceChoice::Cuda(0)), ("cuda:3", DeviceChoice::Cuda(3))]
        {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda:99999999999999999999"] {
            assert!(bad.parse::<DeviceChoice>().unwrap_err().contains("cuda:N"), "{bad}");
        }
    }
}
