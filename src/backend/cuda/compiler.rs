//! NVRTC, which compiles kernels at run time, and a cache of what it made. It lies beside libtorch's CUDA part.

use crate::backend::device::libtorch_folder;
use crate::files::{sha256, write_atomically};
use anyhow::{Context as _, Result, bail, ensure};
use cudarc::nvrtc::sys::{self, nvrtcResult};
use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

/// What is used of NVRTC; the bindings panic where one is missing.
const FUNCTIONS: [&CStr; 8] = [
    c"nvrtcVersion",
    c"nvrtcCreateProgram",
    c"nvrtcCompileProgram",
    c"nvrtcGetCUBINSize",
    c"nvrtcGetCUBIN",
    c"nvrtcGetProgramLogSize",
    c"nvrtcGetProgramLog",
    c"nvrtcDestroyProgram",
];

/// Opens the first of these libraries that is there, for ever and for all, and asks for functions in it.
///
/// # Errors
/// In a line: which is missing.
pub(super) fn probe(libraries: &[CString], functions: &[&CStr]) -> Result<()> {
    // SAFETY: C strings, of libraries whose initialisers may run at any time; dlerror's text is copied at once.
    unsafe {
        let opened = libraries.iter().map(|name| libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL));
        let Some(handle) = opened.into_iter().find(|handle| !handle.is_null()) else {
            let error = libc::dlerror();
            let why = if error.is_null() { "unknown reason".into() } else { CStr::from_ptr(error).to_string_lossy() };
            bail!("cannot be opened: {why}");
        };
        for name in functions {
            let missing = libc::dlsym(handle, name.as_ptr()).is_null();
            ensure!(!missing, "has no {}: it is too old", name.to_string_lossy());
        }
    }
    Ok(())
}

/// The names of a library in the order in which the bindings try them.
pub(super) fn names(library: &str) -> Vec<CString> {
    cudarc::get_lib_name_candidates(library).into_iter().filter_map(|name| CString::new(name).ok()).collect()
}

/// Compiles for one kind of card.
pub(super) struct Compiler {
    /// "sm_90".
    architecture: String,
    version: (i32, i32),
    cache: Option<PathBuf>,
}

impl Compiler {
    /// # Errors
    /// In a line: what is missing, and what to do.
    pub(super) fn open(capability: i32) -> Result<Self> {
        // Of site-packages: torch/lib, and NVIDIA's wheels beside torch.
        let beside = |folder: PathBuf| [folder.join("../../nvidia/cu13/lib"), folder];
        let folders = libtorch_folder().map(beside).into_iter().flatten().collect::<Vec<_>>();
        let compiler = Self { cache: cache(), ..Self::among(&folders, capability)? };
        // Of a card that is newer than it, it knows nothing.
        compiler.binary("probe", "extern \"C\" __global__ void probe() {}", &[])?;
        Ok(compiler)
    }

    /// The same in one of these folders, or by its name.
    fn among(folders: &[PathBuf], capability: i32) -> Result<Self> {
        let mut paths: Vec<CString> = Vec::new();
        for folder in folders {
            // What the compiler itself opens by name is open then.
            for name in ["libnvrtc-builtins.so.13.0", "libnvrtc.so.13"] {
                let path = folder.join(name);
                if !path.exists() {
                    continue;
                }
                let path = CString::new(path.into_os_string().into_encoded_bytes())?;
                if name.contains("builtins") {
                    // SAFETY: as in `probe`. Where it fails the compiler will say so.
                    unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
                } else {
                    paths.push(path);
                }
            }
        }
        // Once it is open by its path the bindings find it by its name.
        for path in &paths {
            // SAFETY: as in `probe`.
            unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        }
        probe(&names("nvrtc"), &FUNCTIONS).context("NVRTC, CUDA's compiler")?;
        let mut version = (0, 0);
        // SAFETY: it is there, and writes two numbers.
        check(unsafe { sys::nvrtcVersion(&raw mut version.0, &raw mut version.1) }, "asking NVRTC's version")?;
        Ok(Self { architecture: format!("sm_{capability}"), version, cache: None })
    }

    /// The binary of a text, from the cache or compiled.
    ///
    /// # Errors
    /// With the compiler's first line: the card may be newer than it.
    pub(super) fn binary(&self, name: &str, text: &str, options: &[&str]) -> Result<Vec<u8>> {
        let architecture = format!("--gpu-architecture={}", self.architecture);
        let options: Vec<String> =
            std::iter::once(architecture).chain(options.iter().map(|option| (*option).to_owned())).collect();
        let (major, minor) = self.version;
        // All that makes the binary. The name says what it is; of another content there is another name.
        let key = sha256(format!("{major}.{minor} {options:?} {text}").as_bytes());
        let path = self.cache.as_ref().map(|folder| folder.join(format!("{name}-{key}.cubin")));
        if let Some(found) = path.as_deref().and_then(cached) {
            return Ok(found);
        }
        let (binary, _) = compiled(name, text, &options)?;
        if let Some(path) = path {
            // Without a cache all goes as well, a second later.
            let mut bytes = sha256(&binary).into_bytes();
            bytes.extend(&binary);
            let made = path.parent().map(std::fs::create_dir_all);
            let _ = made.map(|made| made.and_then(|()| write_atomically(&path, &bytes)));
        }
        Ok(binary)
    }
}

/// Digits of a digest, in front of what it is of.
const DIGEST: usize = 64;

/// What is whole in the cache.
fn cached(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let (digest, binary) = bytes.split_at_checked(DIGEST)?;
    (sha256(binary).as_bytes() == digest).then(|| binary.to_vec())
}

/// `$XDG_CACHE_HOME/hw1/kernels`, or `~/.cache/hw1/kernels`.
fn cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(home.join("hw1/kernels"))
}

fn check(result: nvrtcResult, doing: &str) -> Result<()> {
    ensure!(result == nvrtcResult::NVRTC_SUCCESS, "{doing}: {result:?}");
    Ok(())
}

/// The binary, and what the compiler said of it.
fn compiled(name: &str, text: &str, options: &[String]) -> Result<(Vec<u8>, String)> {
    let text = CString::new(text)?;
    let file = CString::new(format!("{name}.cu"))?;
    let options: Vec<CString> = options.iter().map(|option| CString::new(option.as_str())).collect::<Result<_, _>>()?;
    let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    let mut program = null_mut();
    // SAFETY: functions that are there; strings that outlive them; room as large as they say they need.
    unsafe {
        let created = sys::nvrtcCreateProgram(&raw mut program, text.as_ptr(), file.as_ptr(), 0, null(), null());
        check(created, "compiling a kernel")?;
        let result = sys::nvrtcCompileProgram(program, i32::try_from(options.len())?, options.as_ptr());
        let mut binary = Vec::new();
        let mut log = String::new();
        let mut size = 0;
        if result == nvrtcResult::NVRTC_SUCCESS {
            check(sys::nvrtcGetCUBINSize(program, &raw mut size), "compiling a kernel")?;
            binary.resize(size, 0u8);
            check(sys::nvrtcGetCUBIN(program, binary.as_mut_ptr().cast()), "compiling a kernel")?;
        }
        if sys::nvrtcGetProgramLogSize(program, &raw mut size) == nvrtcResult::NVRTC_SUCCESS {
            let mut bytes = vec![0u8; size];
            let _ = sys::nvrtcGetProgramLog(program, bytes.as_mut_ptr().cast());
            log = String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned();
        }
        sys::nvrtcDestroyProgram(&raw mut program);
        let line = log.lines().find(|line| line.contains("error")).unwrap_or("");
        check(result, &format!("compiling a kernel for the GPU, {line}"))?;
        Ok((binary, log))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Source, adam, full_batch, mini_batch_plan};
    use super::*;

    /// Networks of the studies: on points in full batches, of classes in mini-batches.
    const ON_POINTS: [&[usize]; 3] = [&[1, 10, 20, 20, 20, 20, 20, 20, 1], &[1, 190, 1], &[1, 10, 30, 30, 30, 1]];
    const OF_CLASSES: [&[usize]; 2] = [&[784, 128, 64, 10], &[784, 22, 11, 10]];

    /// A compute capability, and its multiprocessors' shared memory.
    const CARDS: [(i32, usize); 3] = [(75, 64 << 10), (80, 163 << 10), (90, 227 << 10)];

    /// No card is needed to compile. `scripts/test` fetches the compiler.
    #[test]
    fn kernels_compile_for_cards_old_and_new_and_spill_no_registers() {
        let Some(folder) = std::env::var_os("HW1_NVRTC").map(PathBuf::from).filter(|folder| folder.exists()) else {
            eprintln!("skipped: HW1_NVRTC names no folder with CUDA's compiler");
            return;
        };
        let mut count = 0;
        for (capability, shared_bytes) in CARDS {
            let compiler = Compiler::among(std::slice::from_ref(&folder), capability).unwrap();
            assert_eq!(compiler.version.0, 13);
            let limits = Limits { multiprocessors: 100, shared_bytes, memory_bytes: 16 << 30 };
            let on_points = ON_POINTS.iter().filter_map(|widths| full_batch::source(widths, 4000, limits));
            let of_classes = OF_CLASSES.iter().filter_map(|widths| mini_batch_plan::source(widths, 128, limits));
            let sources: Vec<Source> = on_points.chain(of_classes).chain([adam::source()]).collect();
            // An old card's memory is too small for the wide ones.
            assert!(sources.len() == 6 || capability == 75 && sources.len() >= 3, "{capability}: {}", sources.len());
            for source in sources {
                let mut options = vec![format!("--gpu-architecture=sm_{capability}"), "--ptxas-options=-v".to_owned()];
                options.extend(source.options().iter().map(|option| (*option).to_owned()));
                let (binary, log) = compiled(source.name, &source.text(), &options).unwrap();
                assert!(binary.starts_with(b"\x7fELF"), "{log}");
                let what = format!("{} for sm_{capability}: {log}", source.prefix);
                assert!(log.contains("0 bytes spill stores"), "{what}");
                // With --nocapture: a table of what each takes.
                let used = log.lines().find(|line| line.contains("registers")).unwrap_or_default();
                let network = source.prefix.lines().find(|line| line.contains("DIMS")).unwrap_or_default();
                eprintln!("sm_{capability} {} {network} {used}", source.name);
                count += 1;
            }
        }
        assert!(count > 13);
    }

    #[test]
    fn what_is_not_there_is_said_in_a_line() {
        for (libraries, functions, expected) in [
            (&["no-such-library.so"][..], &[][..], "cannot be opened"),
            (&["no-such-library.so", "libm.so.6"], &[c"nvrtcVersion"], "has no nvrtcVersion"),
        ] {
            let libraries: Vec<CString> = libraries.iter().map(|name| CString::new(*name).unwrap()).collect();
            let error = probe(&libraries, functions).unwrap_err().to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
        assert!(probe(&[c"libm.so.6".to_owned()], &[c"sin"]).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernel.cubin");
        assert_eq!(cached(&path), None);
        for (bytes, expected) in [(b"short".to_vec(), None), (vec![b'0'; 80], None)] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(cached(&path), expected);
        }
        std::fs::write(&path, [sha256(b"binary").into_bytes(), b"binary".to_vec()].concat()).unwrap();
        assert_eq!(cached(&path).as_deref(), Some(&b"binary"[..]));
    }
}
