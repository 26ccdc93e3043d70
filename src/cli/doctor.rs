//! `hw1 doctor`: what a run on this machine would find, and what to do where something is amiss. Asks no network, and
//! leaves nothing behind.

use crate::backend::device::{
    DeviceChoice, computes, cpu_features, cpu_name, cuda_devices, has_nvidia_gpu, libtorch_folder, libtorch_version,
    mkl_choice,
};
use crate::backend::{Backend, cuda};
use crate::cli::{answer, look::Look, memory};
use crate::data::{self, Memory, mnist};
use crate::error::one_line;
use crate::files::{Abilities, free_space, try_folder};
use crate::store::RunDir;
use crate::terminal::{paragraph, plain};
use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::{fs, num::NonZeroUsize};

/// Check this machine: libtorch, processor, CUDA, MNIST, where runs go
#[derive(Args)]
pub struct Doctor {
    /// Folder whose file system to check, as --out
    #[arg(value_name = "DIR", conflicts_with_all = ["out", "preset"])]
    dir: Option<PathBuf>,
    #[command(flatten)]
    look: Look,
    /// MNIST's folder [default: HW1_DATA_DIR, else the cache]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn run(Doctor { dir, look, data_dir }: &Doctor) -> Result<()> {
    let run_dir = dir.clone().map_or_else(|| look.run_dir(), RunDir::new);
    let checks = examine(run_dir.root(), data_dir.as_deref());
    answer(look.json, &checks, |width| text(&checks, width))?;
    let problems = checks.iter().filter(|check| check.state == State::Problem).count();
    if problems > 0 {
        bail!("{problems} of {} checks found a problem, see above", checks.len());
    }
    Ok(())
}

/// One thing looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    state: State,
    /// What was found and, where something is amiss, what to do.
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Something does not work, but all studies can be run on the CPU.
    Warning,
    /// What is asked for cannot run as things are.
    Problem,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// Looks at everything, whatever it finds.
fn examine(run_dir: &Path, data_dir: Option<&Path>) -> Vec<Check> {
    // First, as it must come before the first tensor.
    let cuda = cuda();
    let check = |name, (state, text): (State, String)| Check { name, state, text };
    let (runs, files) = runs(run_dir);
    let mut checks = vec![
        check("hw1", (State::Ok, format!("{}, commit {}", env!("CARGO_PKG_VERSION"), env!("HW1_COMMIT")))),
        check("system", (State::Ok, system())),
        check("libtorch", libtorch()),
        check("processor", processor()),
        check("memory", memory()),
        check("CUDA", cuda),
        check("MNIST", mnist(data_dir).unwrap_or_else(|error| (State::Problem, one_line(&error)))),
        check("runs", runs),
    ];
    checks.extend(files.map(|files| check("files", files)));
    checks
}

/// A line a check, or more where it is wider than `width`.
fn text(checks: &[Check], width: Option<usize>) -> String {
    let line = |check: &Check| {
        let head = format!("{:7}  {:9}  ", check.state.word(), check.name);
        let body = paragraph(&plain(&check.text), head.len(), width);
        format!("{head}{}", body.get(head.len()..).unwrap_or_default())
    };
    checks.iter().map(line).collect()
}

fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"'));
    let name = name.unwrap_or(std::env::consts::OS);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let name = format!("{name}, glibc {}", crate::backend::device::glibc_version());
    format!("{name}, {}", std::env::consts::ARCH)
}

fn libtorch() -> (State, String) {
    let built = env!("HW1_LIBTORCH");
    let version = libtorch_version().unwrap_or_else(|| built.to_owned());
    let folder = libtorch_folder().map_or("an unknown place".into(), |folder| folder.display().to_string());
    let what = format!("{version} from {folder}");
    if let Err(error) = computes() {
        return (State::Problem, format!("{what} does not compute: {}; run scripts/setup again", one_line(&error)));
    }
    if version != built {
        let text = format!("{what}, but hw1 was built for {built}: unset LD_LIBRARY_PATH, or build hw1 again");
        return (State::Problem, text);
    }
    (State::Ok, what)
}

fn processor() -> (State, String) {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let cores = format!("{cores} {}", if cores == 1 { "core" } else { "cores, as many trials at a time" });
    let features = cpu_features();
    let mkl = match mkl_choice() {
        "native" => "MKL uses all instruction sets",
        _ if std::env::var_os("HW1_MKL_NATIVE").is_some() => "MKL chooses its instruction sets, by HW1_MKL_NATIVE",
        _ => "MKL chooses its instruction sets",
    };
    let what = format!(
        "{}, {cores}; {}",
        cpu_name(),
        if features.is_empty() { "no AVX2".into() } else { features.join(", ") }
    );
    if cfg!(target_arch = "x86_64") && !features.contains(&"AVX2") {
        return (State::Warning, format!("{what}; without AVX2 training is several times slower"));
    }
    let mut words = vec![what];
    words.extend(cfg!(target_arch = "x86_64").then(|| mkl.to_owned()));
    words.extend(Backend::of(DeviceChoice::Cpu).switches());
    (State::Ok, words.join("; "))
}

fn memory() -> (State, String) {
    /// Less than this and a study on MNIST may not fit.
    const LITTLE: u64 = 1_000_000_000;
    let Some(Memory { free, total, is_limited }) = data::memory() else {
        return (State::Ok, "the system does not say".into());
    };
    let limit = if is_limited { ", the limit of this container or job" } else { "" };
    let text = format!("{} free of {}{limit}", size(free), size(total));
    if free < LITTLE {
        return (State::Warning, format!("{text}; run fewer trials at a time with --jobs"));
    }
    (State::Ok, text)
}

fn cuda() -> (State, String) {
    match cuda_devices() {
        Ok(count) if count > 0 => {
            let devices =
                if count == 1 { "device, cuda:0".into() } else { format!("devices, cuda:0 to cuda:{}", count - 1) };
            match cuda::card(0) {
                Ok(_) => (State::Ok, format!("{count} {devices}; use with --device cuda")),
                Err(error) => {
                    let why = one_line(&error);
                    let what = "fully connected networks train through libtorch there, several times slower";
                    (State::Warning, format!("{count} {devices}; hw1's own engine is off, since {why}: {what}"))
                }
            }
        }
        // What is not there does not ail.
        result if !has_nvidia_gpu() => {
            let reason = result.err().map_or("libtorch's CUDA part is here".into(), |error| cuda_reason(&error));
            (State::Ok, format!("no NVIDIA GPU shows here, so trials run on the CPU ({reason})"))
        }
        Ok(_) => (
            State::Warning,
            "there is an NVIDIA GPU and libtorch's CUDA part, but no CUDA device answers: see whether `nvidia-smi` \
             lists one and whether its driver is for CUDA 13; trials run on the CPU"
                .into(),
        ),
        Err(error) => (State::Warning, format!("there is an NVIDIA GPU, but {}", cuda_reason(&error))),
    }
}

/// What `--device cuda` would say.
fn cuda_reason(error: &anyhow::Error) -> String {
    let reason = one_line(error);
    reason.strip_prefix("--device cuda: ").unwrap_or(&reason).to_owned()
}

fn mnist(data_dir: Option<&Path>) -> Result<(State, String)> {
    let Some(folder) = mnist::find(data_dir)? else {
        let text = "not on this machine: the first study that needs it fetches it (11 MB) into";
        // Studies on points and synthetic digits need none.
        let into = match mnist::fetch_folder(data_dir) {
            Ok(into) => into,
            Err(error) => return Ok((State::Warning, format!("not on this machine: {}", one_line(&error)))),
        };
        return Ok((State::Warning, format!("{text} {}; `hw1 data fetch` does so now", into.display())));
    };
    let checks = mnist::verify(&folder);
    let bad: Vec<&str> = checks.iter().filter_map(|check| check.problem.as_deref()).collect();
    Ok(match bad.first() {
        None => (State::Ok, format!("{}, all four files verified", folder.display())),
        Some(problem) => (State::Problem, format!("{} of {} files are bad: {problem}", bad.len(), checks.len())),
    })
}

/// Whether the run directory can be made and written; where it can, what else its file system does.
fn runs(run_dir: &Path) -> ((State, String), Option<(State, String)>) {
    /// Less than this and a preset's figures and weights may not fit.
    const LITTLE: u64 = 500_000_000;
    let problem = |text: String| ((State::Problem, text), None);
    let Ok(path) = std::path::absolute(run_dir) else {
        return problem("the working directory is gone; change to another".into());
    };
    let shown = path.display();
    let Some(folder) = path.ancestors().find(|folder| folder.exists()) else {
        return problem(format!("{shown} has no folder above it; choose another with --out"));
    };
    let how = if folder == path { "is there" } else { "would be made" };
    if !folder.is_dir() {
        return problem(format!("{} is no folder; choose another with --out", folder.display()));
    }
    let abilities = match try_folder(folder) {
        Ok(abilities) => abilities,
        Err(error) => {
            let looks = "what is there can be shown, compared, verified and, by `hw1 report --to FILE`, reported on";
            let looks = if folder == path { format!("; {looks}") } else { String::new() };
            let (folder, kind) = (folder.display(), error.kind());
            return problem(format!(
                "cannot write into {folder} ({kind}); choose another run directory with --out{looks}"
            ));
        }
    };
    let space = match free_space(folder) {
        Some(free) if free < LITTLE => {
            (State::Warning, format!("{shown} {how}, but only {} are free on its disk", size(free)))
        }
        Some(free) => (State::Ok, format!("{shown} {how} and can be written; {} free on its disk", size(free))),
        None => (State::Ok, format!("{shown} {how} and can be written")),
    };
    (space, Some(files(&abilities)))
}

/// What a file system can do beside writing, and what it costs where it cannot.
fn files(Abilities { locks, syncs, links }: &Abilities) -> (State, String) {
    let (mut state, mut words) = (State::Ok, Vec::new());
    match locks {
        Ok(()) => words.push("locks".to_owned()),
        Err(error) => {
            state = State::Warning;
            words.push(format!(
                "no locks ({error}): run one hw1 at a time there, as two would do the same work twice, and what a killed \
                 one leaves is not cleared away"
            ));
        }
    }
    match syncs {
        Ok(()) => words.push("fsync of files and folders".to_owned()),
        Err(error) => {
            state = State::Warning;
            words.push(format!("no fsync of files or folders ({error}): a power cut may take the last files"));
        }
    }
    match links {
        Ok(()) => words.push("hard links".to_owned()),
        Err(error) => words.push(format!("no hard links ({error}), which hw1 does without")),
    }
    (state, words.join("; "))
}

fn size(bytes: u64) -> String {
    memory::size(bytes.into())
}
