//! Whether a study's output is what was written: metrics.json as far as it can be read, and each file that it tells of.
//! Reads only; the study's command, again, writes all of it anew.

use crate::error::one_line;
use crate::files::sha256;
use crate::output::figures::{is_whole_png, is_whole_svg};
use crate::output::metrics::Metrics;
use crate::store::StudyDir;
use std::fs;
use std::path::{Component, Path};

/// What is wrong, a line a file, which begins with its name. Nothing where no call has come to its end.
pub fn problems(dir: &StudyDir) -> Vec<String> {
    let metrics = match Metrics::read(&dir.metrics()) {
        Ok(Some(metrics)) => metrics,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![line("metrics.json", &one_line(&error))],
    };
    let told = metrics.files.iter().map(|(name, digest)| (name.clone(), Some(digest)));
    // An older version told of figures by name only.
    let named = metrics.figures.iter().flatten().map(|figure| &figure.name);
    let figures = named.flat_map(|name| ["svg", "png"].map(|ending| format!("figures/{name}.{ending}")));
    let untold = figures.filter(|name| !metrics.files.contains_key(name)).map(|name| (name, None));
    let problem = |(name, digest): (String, Option<&String>)| {
        let bytes = match read(dir, &name) {
            Ok(bytes) => bytes,
            Err(why) => return Some(line(&name, &why)),
        };
        let is_whole = match digest {
            Some(digest) => *digest == sha256(&bytes),
            None if name.ends_with(".png") => is_whole_png(&bytes),
            None => std::str::from_utf8(&bytes).is_ok_and(is_whole_svg),
        };
        (!is_whole).then(|| line(&name, if bytes.is_empty() { "it is empty" } else { "it is not what was written" }))
    };
    let is_changed = fs::read(dir.metrics()).is_ok_and(|bytes| Metrics::is_as_written(&bytes) == Some(false));
    let changed = is_changed.then(|| line("metrics.json", "it is not what was written"));
    changed.into_iter().chain(told.chain(untold).filter_map(problem)).collect()
}

fn line(name: &str, why: &str) -> String {
    format!("{name}: {why}; the study's command, again, writes it anew")
}

/// A file of the folder: no path to elsewhere, no pipe.
fn read(dir: &StudyDir, name: &str) -> Result<Vec<u8>, String> {
    if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err("it is no file of this folder".into());
    }
    let path = dir.root().join(name);
    match fs::metadata(&path) {
        Ok(about) if !about.is_file() => Err("it is no file".into()),
        Ok(_) => fs::read(&path).map_err(|error| format!("it cannot be read ({error})")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("it is missing".into()),
        Err(error) => Err(format!("it cannot be read ({error})")),
    }
}
