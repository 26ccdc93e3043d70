//! Tells the linker where libtorch is, so that the binary runs from any folder with no
//! LD_LIBRARY_PATH, and the program which libtorch and commit it was built from; joins the page's script.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let joined = script(Path::new("page")).unwrap_or_else(|why| panic!("page/: {why}"));
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

/// The page's modules as one script, each after those that it imports: `import {a} from "./b.js";` stands on a line of its
/// own, and no two declare the same name. Without lines of comments.
fn script(folder: &Path) -> Result<String, String> {
    let mut joined = String::from("(() => {\n\"use strict\";\n");
    join(folder, "main.js", &mut BTreeSet::new(), &mut joined)?;
    joined.push_str("})();\n");
    if joined.contains("</script") || joined.contains("<!--") {
        return Err("what would end a script stands in it".into());
    }
    Ok(joined)
}

fn join(folder: &Path, name: &str, seen: &mut BTreeSet<String>, joined: &mut String) -> Result<(), String> {
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let text = std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
    let (mut own, mut in_comment) = (String::new(), false);
    for line in text.lines() {
        let trimmed = line.trim();
        in_comment |= trimmed.starts_with("/*");
        if in_comment || trimmed.is_empty() || trimmed.starts_with("//") || trimmed == "export {};" {
            in_comment &= !trimmed.ends_with("*/");
        } else if let Some(import) = line.strip_prefix("import ") {
            let other = import.strip_suffix("\";").and_then(|import| import.split_once("from \"./"));
            let (_, other) = other.ok_or_else(|| format!("{name}: not understood: {line}"))?;
            join(folder, other, seen, joined)?;
        } else {
            own.push_str(line.strip_prefix("export ").unwrap_or(line));
            own.push('\n');
        }
    }
    joined.push_str(&own);
    Ok(())
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
