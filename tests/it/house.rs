//! The house's rules, read off the sources: imports point down only, and each outside concern has
//! one home.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may use, no more and no less. A room that is not here fails.
const MAY_USE: &[(&str, &[&str])] = &[
    ("main", &["run"]),
    ("lib", &["backend", "cli", "error", "runner", "study", "terminal"]),
    (
        "cli",
        &[
            "analysis",
            "backend",
            "data",
            "error",
            "experiments",
            "files",
            "model",
            "objective",
            "output",
            "runner",
            "store",
            "study",
            "tasks",
            "terminal",
            "train",
        ],
    ),
    ("output", &["analysis", "backend", "data", "error", "files", "plot", "runner", "store", "study", "terminal"]),
    ("runner", &["backend", "data", "error", "store", "study", "terminal"]),
    ("experiments", &["analysis", "data", "model", "objective", "plot", "study", "tasks", "train"]),
    ("tasks", &["analysis", "data", "error", "files", "model", "objective", "rng", "store", "study", "train"]),
    ("study", &["analysis", "data", "error", "model", "plot", "store"]),
    ("train", &["backend", "data", "model", "objective", "store"]),
    ("store", &["backend", "error", "files"]),
    ("analysis", &["data", "model", "objective", "rng"]),
    ("objective", &["backend", "data", "model"]),
    ("backend", &["error", "files", "model"]),
    ("model", &["data", "error", "rng"]),
    ("data", &["error", "files", "rng"]),
    ("plot", &[]),
    ("rng", &[]),
    ("files", &[]),
    ("terminal", &[]),
    ("error", &["terminal"]),
];

/// Crates with one home each.
const HOMES: &[(&str, &[&str])] = &[
    ("clap", &["cli"]),
    ("plotters", &["plot"]),
    ("resvg", &["plot"]),
    ("indicatif", &["runner"]),
    ("signal_hook", &["runner"]),
    ("tempfile", &["files"]),
    ("ureq", &["data"]),
    ("rustls", &["data"]),
    ("rustls_native_certs", &["data"]),
    ("webpki_roots", &["data"]),
    ("x509_cert", &["data"]),
    ("flate2", &["data", "output"]),
    ("rand_chacha", &["rng"]),
    ("nanoexpr", &["data"]),
    ("rawzip", &["data", "model", "output"]),
    ("tar", &["data"]),
    ("image", &["data"]),
    ("half", &["data"]),
    ("md5", &["data"]),
    ("base64", &["output", "plot"]),
    ("crc", &["output"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("comfy_table", &["terminal"]),
    ("console", &["terminal", "runner"]),
    ("askama", &["output"]),
    ("safetensors", &["store"]),
    ("statrs", &["analysis"]),
    ("pulp", &["backend"]),
    ("cudarc", &["backend"]),
    ("rayon", &["backend"]),
];

/// Words with few homes, or none.
const WORDS: &[(&str, &[&str])] = &[
    // They panic where standard error or output is gone: error::say and terminal::print do not.
    ("eprintln!", &[]),
    (" println!", &[]),
    ("fs::write", &[]),
    ("File::create", &[]),
    // They panic where a thread cannot be started: thread::Builder says so.
    ("thread::spawn", &[]),
    ("scope.spawn", &[]),
    // A slip in these is undefined behaviour: few places, to be read in a sitting.
    ("unsafe ", &["main", "lib", "backend", "files", "model", "objective", "train"]),
    ("transmute", &["backend"]),
    ("from_raw_parts", &["backend", "model", "objective"]),
    // And in what they are given: libtorch does not look.
    ("data_ptr", &["backend", "objective"]),
    ("from_data_size", &["model", "store"]),
    ("from_blob", &[]),
];

/// The code itself: no tests, no comments.
fn without_tests(text: &str) -> String {
    let end =
        ["#[cfg(test)]\nmod tests", "#[cfg(test)]\npub(crate) mod tests"].iter().find_map(|start| text.find(start));
    let code = &text[..end.unwrap_or(text.len())];
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Source text by room, without its tests.
fn sources() -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    // Some tests have a file of their own, and the card that is none is theirs.
    let is_of_tests = |path: &str| path.ends_with("tests.rs") || path.ends_with("cuda/emulated.rs");
    for (path, text) in files().into_iter().filter(|(path, _)| !is_of_tests(path)) {
        let room = path.split(['/', '.']).next().unwrap().to_owned();
        sources.entry(room).or_insert_with(String::new).push_str(&without_tests(&text));
    }
    sources
}

/// The items of a `{…}` list whose opening brace has been read; nested lists stay whole.
fn top_level(list: &str) -> Vec<String> {
    let (mut items, mut depth) = (vec![String::new()], 0);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ => {}
        }
        if let Some(item) = items.last_mut().filter(|_| c != ',' || depth > 0) {
            item.push(c);
        }
    }
    items
}

/// The names that follow `prefix` in the code: `crate::a::B` and `crate::{a, b::C}` give a and b.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.match_indices(prefix)
        .flat_map(|(at, _)| {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(list) => top_level(list).iter().map(|item| word(item.trim())).collect(),
                None => vec![word(rest)],
            }
        })
        .collect()
}

/// Macros stand at the root of the crate, wherever they are from.
const MACROS: &[&str] = &["settings", "settings_of"];

/// The other rooms that each uses.
fn used() -> BTreeMap<String, BTreeSet<String>> {
    let mut used = BTreeMap::new();
    for (room, code) in sources() {
        let names: BTreeSet<String> = match room.as_str() {
            "main" => names_after(&code, "hw1::").into_iter().collect(),
            "lib" => MAY_USE
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .filter(|name| code.contains(&format!("{name}::")))
                .collect(),
            _ => names_after(&code, "crate::").into_iter().collect(),
        };
        used.insert(
            room.clone(),
            names.into_iter().filter(|name| *name != room && !MACROS.contains(&name.as_str())).collect(),
        );
    }
    used
}

#[test]
fn imports_point_down_only() {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    for (room, used) in used() {
        let allowed = rules.get(room.as_str()).unwrap_or_else(|| panic!("src/{room}: name it and its imports here"));
        for name in used {
            assert!(allowed.contains(&name.as_str()), "src/{room} may not use {name}");
        }
    }
}

#[test]
fn no_permission_is_left_unused() {
    let used = used();
    for (room, allowed) in MAY_USE {
        let used = used.get(*room).unwrap_or_else(|| panic!("there is no src/{room}"));
        for name in *allowed {
            assert!(used.contains(*name), "src/{room} does not use {name}: take the permission away");
        }
    }
}

#[test]
fn the_rules_have_no_circle() {
    // Depth of a module: one more than the deepest it uses; a circle would never end.
    fn depth(module: &str, rules: &BTreeMap<&str, &[&str]>, path: &mut Vec<String>) -> usize {
        assert!(!path.contains(&module.to_owned()), "a circle: {path:?} {module}");
        path.push(module.to_owned());
        let below = rules
            .get(module)
            .map_or(0, |uses| uses.iter().map(|name| depth(name, rules, path)).max().map_or(0, |deepest| deepest + 1));
        path.pop();
        below
    }
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    for module in rules.keys() {
        depth(module, &rules, &mut Vec::new());
    }
}

#[test]
fn each_outside_concern_has_one_home() {
    for (module, code) in sources() {
        for (library, homes) in HOMES {
            let used = code.contains(&format!("{library}::"));
            assert!(!used || homes.contains(&module.as_str()), "src/{module} uses {library}, whose home is {homes:?}");
        }
    }
}

#[test]
fn each_risk_has_few_homes() {
    for (module, code) in sources() {
        for (word, homes) in WORDS {
            assert!(!code.contains(word) || homes.contains(&module.as_str()), "src/{module}: {word} is for {homes:?}");
        }
    }
}

#[test]
fn experiments_do_not_know_each_other() {
    for (path, text) in files() {
        let Some(own) = path.strip_prefix("experiments/").filter(|own| *own != "mod.rs") else { continue };
        let text = without_tests(&text);
        // A study in a folder of its own: its files know it, and nothing above.
        let is_part = own.contains('/') && !own.ends_with("/mod.rs");
        let above = if is_part { "super::super" } else { "super::" };
        assert!(!text.contains("experiments::") && !text.contains(above), "{path}");
    }
}

/// Every file of `src`, with its path from there.
fn files() -> Vec<(String, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect(&path, files) } else { files.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), text)
    };
    files.into_iter().map(named).collect()
}

#[test]
fn every_file_opens_with_its_purpose_and_a_long_one_says_why_it_is_whole() {
    for (path, text) in files() {
        // Rust; C++ and CUDA, of which a kernel is one structure.
        let (opens, most) = if path.ends_with(".rs") { ("//!", 700) } else { ("//", 800) };
        assert!(text.starts_with(&format!("{opens} ")), "{path}");
        let (lines, head) = (text.lines().count(), text.lines().take_while(|line| line.starts_with(opens)));
        assert!(lines <= most, "{path} has {lines} lines: split it by subject");
        let says_why = head.collect::<String>().to_lowercase().contains("whole");
        assert!(lines <= 500 || says_why, "{path} has {lines} lines: say in its head why it is whole, or split it");
    }
}
