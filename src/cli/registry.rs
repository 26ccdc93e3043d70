//! The registry: all experiments by name, each with what makes its studies of settings. The only place that names
//! them all.

use crate::data::Access;
use crate::experiments::{
    analyse::Analyse, grad_norm::GradNorm, interpolate::Interpolate, min_ratio::MinRatio, mnist_cnn::MnistCnn,
};
use crate::experiments::{params_sweep::ParamsSweep, pca_weights::PcaWeights, random_labels::RandomLabels};
use crate::experiments::{sensitivity::Sensitivity, simulate::Simulate};
use crate::store::{StudyDir, log_time};
use crate::study::settings::{Layers, vocabulary};
use crate::study::{Experiment, Flag, Study};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// What the command line needs of an experiment, its types left behind.
pub(super) struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub flags: &'static [Flag],
    /// Whether `hw1 all` runs it.
    pub in_all: bool,
    pub repeats_in_all: u64,
    pub studies: Maker,
    /// Names of its presets, and of its settings.
    pub vocabulary: fn() -> Result<[Vec<String>; 2]>,
}

/// What an experiment becomes: one study, or more.
pub type Studies = Vec<Box<dyn Study>>;

/// All experiments, in the order of the report. To add one: a file in `src/experiments`, a TOML
/// in `experiments`, a line here.
pub(super) static REGISTRY: &[Entry] = &[
    entry::<Simulate>(),
    entry::<MnistCnn>(),
    entry::<PcaWeights>(),
    entry::<GradNorm>(),
    entry::<MinRatio>(),
    entry::<RandomLabels>(),
    entry::<ParamsSweep>(),
    entry::<Interpolate>(),
    entry::<Sensitivity>(),
    entry::<Analyse>(),
];

pub(super) const fn entry<E: Experiment>() -> Entry {
    Entry {
        name: E::NAME,
        about: E::ABOUT,
        flags: E::FLAGS,
        in_all: E::IN_ALL,
        repeats_in_all: E::REPEATS_IN_ALL,
        studies: |layers| layers.studies::<E>(),
        vocabulary: vocabulary::<E>,
    }
}

/// What makes an experiment's studies of settings.
pub type Maker = fn(&Layers) -> Result<Studies>;

/// All experiments by name that need no file of the user's own.
pub fn experiments() -> impl Iterator<Item = (&'static str, Maker)> {
    REGISTRY.iter().filter(|entry| entry.in_all).map(|entry| (entry.name, entry.studies))
}

/// The study that a folder of a run directory is of, by the settings that stand there; with those, and
/// its subcommand's entry.
pub(super) fn study_in(
    folder: &str,
    dir: &StudyDir,
    access: &Access,
) -> Result<(&'static Entry, Layers, Box<dyn Study>)> {
    let of_folder = |entry: &&Entry| folder == entry.name || folder.starts_with(&format!("{}-", entry.name));
    // The longest name that fits.
    let entry = REGISTRY.iter().filter(of_folder).max_by_key(|entry| entry.name.len());
    let entry = entry.with_context(|| format!("no study is called {folder}"))?;
    let path = dir.root().join("settings.toml");
    let text = read_settings(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut layers = Layers { access: access.clone(), ..Layers::default() };
    layers.read_config(path, &text)?;
    let studies = (entry.studies)(&layers)?;
    let study = studies.into_iter().find(|study| study.folder() == folder).context("it is of another study")?;
    Ok((entry, layers, study))
}

/// The event of a study's log that says which folder a call named for data.
const CALL: &str = "call";

/// Notes in the logs of studies on data which folder a call names for it, so that who goes on with them can name it,
/// too. For the holder of the run directory's lock.
pub(super) fn log_data_dir(dir: &StudyDir, data_dir: Option<&Path>) -> Result<()> {
    // Wherever the next call is made from.
    let named = data_dir.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    if named == logged_data_dir(dir) {
        return Ok(());
    }
    dir.prepare()?;
    // Logs of several processes are read in the order of their times.
    dir.log(&json!({"event": CALL, "time": log_time(), "data_dir": named.as_deref().and_then(Path::to_str)}))
}

/// The folder that the last call of a study named for data; `None` where it named none.
pub(super) fn logged_data_dir(dir: &StudyDir) -> Option<PathBuf> {
    let last = dir.logged().ok()?.into_iter().rfind(|line| line["event"] == CALL)?;
    last["data_dir"].as_str().map(PathBuf::from)
}

/// Bytes read of a settings file; what is longer is none.
const LONGEST_CONFIG: u64 = 1 << 20;

/// A settings file's text; `-` is standard input, and `./-` a file of that name.
pub(super) fn read_settings(path: &Path) -> io::Result<String> {
    let source: Box<dyn io::Read> =
        if path == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) };
    let mut text = String::new();
    source.take(LONGEST_CONFIG + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST_CONFIG {
        return Err(io::Error::other(format!("it has more than {LONGEST_CONFIG} bytes, and is no file of settings")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Fingerprint, Finished, RAISED, version};
    use std::collections::BTreeSet;

    /// Folder and fingerprint of every study's first trial under the report's settings.
    fn first_trials() -> Vec<(String, Fingerprint)> {
        let studies =
            REGISTRY.iter().filter(|entry| entry.in_all).flat_map(|entry| (entry.studies)(&Layers::default()).unwrap());
        let first = |study: &dyn Study| study.plan(&[], &Finished::new(), "cpu").unwrap().remove(0).fingerprint;
        studies.map(|study| (study.folder(), first(study.as_ref()))).collect()
    }

    #[test]
    fn every_studys_fingerprints_are_pinned() {
        // Other ones mean that no record of before counts: only where results change.
        let pinned = [
            ("simulate-sin-sq", "db4ea9e203921afd5c7edf24"),
            ("simulate-sign-sin", "55f22d12a015a2e2be29ec9b"),
            ("mnist-cnn", "70a01504a6de32c1382f1743"),
            ("pca-weights", "0025595752b0d8bd6d198b14"),
            ("grad-norm", "f8552e9548a2268bf36feba5"),
            ("min-ratio", "0e91f225acee767f466baed3"),
            ("random-labels", "c7bad3bba72187cf668e8057"),
            ("params-sweep", "fb631a5a083ea69bf61662aa"),
            ("interpolate", "b28df01a609b474e2de9ee4e"),
            ("sensitivity", "6647bfa36769a022a4c9b267"),
        ];
        let found = first_trials();
        let found: Vec<(&str, &str)> = found.iter().map(|(folder, first)| (folder.as_str(), first.as_str())).collect();
        assert_eq!(found, pinned);
    }

    #[test]
    fn every_study_says_what_it_holds_in_memory() {
        for preset in ["report", "canonical", "smoke"] {
            let layers = || Layers { preset: Some(preset.into()), ..Layers::default() };
            for study in
                REGISTRY.iter().filter(|entry| entry.in_all).flat_map(|entry| (entry.studies)(&layers()).unwrap())
            {
                let held = study.memory().unwrap();
                assert!(held.iter().any(|held| held.trials > 0), "{}", study.folder());
                // The presets fit a small machine.
                assert!(held.iter().all(|held| (1..1 << 30).contains(&held.bytes)), "{}: {held:?}", study.folder());
            }
        }
    }

    #[test]
    fn a_raised_shared_version_changes_every_studys_fingerprints() {
        let before = first_trials();
        RAISED.set(Some(1));
        let raised = first_trials();
        RAISED.set(None);
        for ((folder, before), (_, raised)) in before.iter().zip(&raised) {
            assert_ne!(before, raised, "{folder}");
        }
        assert_eq!(first_trials(), before);
        // Whichever is raised, there is no way back to a version of before.
        let versions: Vec<u32> = [(3, 0), (3, 1), (4, 1), (4, 2)].map(|(study, shared)| version(study, shared)).into();
        assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), versions.len());
        assert!(versions.is_sorted());
    }
}
