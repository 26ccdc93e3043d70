//! Tells the linker where libtorch is, so that the binary runs from any folder with no
//! LD_LIBRARY_PATH, and the program which libtorch and commit it was built from; joins the page's script.

use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "page/script.rs"]
mod script;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // From torch-sys, a direct dependency for this line's sake.
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let libraries = std::env::var("DEP_TCH_LIBTORCH_LIB").ok();
    if let Some(libraries) = &libraries {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libraries}");
    }
    if let Some(libraries) = &libraries {
        dispatch(Path::new(libraries));
    }
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // MKL looks this symbol up in the executable: see device.rs.
        println!("cargo:rustc-link-arg=-Wl,--export-dynamic-symbol=mkl_serv_intel_cpu_true");
    }
    let libtorch = libraries.as_deref().and_then(libtorch_version);
    println!("cargo:rustc-env=HW1_LIBTORCH={}", libtorch.unwrap_or_else(|| "unknown".into()));

    println!("cargo:rerun-if-changed=page");
    let joined = script::script(Path::new("page")).unwrap_or_else(|why| panic!("page/: {why}"));
    let out = std::env::var("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    std::fs::write(out.join("page.js"), joined).unwrap_or_else(|error| panic!("page.js: {error}"));

    // Moves with every commit, unlike HEAD. Naming a file that is not there would run this script every time.
    for path in [".git/HEAD", ".git/logs/HEAD"] {
        if Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rustc-env=HW1_COMMIT={}", commit().unwrap_or_else(|| "unknown".into()));
}

/// Compiles what calls any operator of libtorch, as torch-sys compiles its own.
fn dispatch(libraries: &Path) {
    const SOURCE: &str = "src/model/program/dispatch.cpp";
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let root =
        std::env::var("LIBTORCH_INCLUDE").map(Into::into).ok().or_else(|| libraries.parent().map(Path::to_owned));
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .includes(root.map(|root| root.join("include")))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .file(SOURCE)
        .compile("hw1_dispatch");
}

/// Put together from `#define TORCH_VERSION_MAJOR 2` and its kin in libtorch's headers.
fn libtorch_version(libraries: &str) -> Option<String> {
    let include = Path::new(libraries).parent()?.join("include/torch");
    let header = [include.join("headeronly/version.h"), include.join("csrc/api/include/torch/version.h")]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())?;
    let part = |name: &str| {
        let define = format!("#define TORCH_VERSION_{name} ");
        header.lines().find_map(|line| line.strip_prefix(&define)).map(str::trim)
    };
    Some(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
