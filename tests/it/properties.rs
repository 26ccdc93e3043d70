//! Parsers under inputs of every kind: no panic, no hang, and no more memory at a time than the input's
//! size accounts for.

use crate::common::{memory::LARGEST, weights_of};
use hw1::data::functions::Target;
use hw1::data::mnist::{IdxFile, Items, parse};
use hw1::experiments::simulate::Simulate;
use hw1::runner::identity;
use hw1::store::RunDir;
use hw1::store::{Stored, checkpoint, weights};
use hw1::study::settings::Layers;
use hw1::study::{Finished, Planned, Study};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What any input may take besides its own size.
const ROOM: usize = 1 << 20;

/// Runs a parser; its longest piece of memory and its time are bounded.
fn bounded<T>(input: &[u8], parser: impl FnOnce() -> T) -> T {
    LARGEST.set(0);
    let begin = Instant::now();
    let parsed = parser();
    assert!(LARGEST.get() <= ROOM + 64 * input.len(), "{} bytes for {}", LARGEST.get(), input.len());
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    parsed
}

/// A change of some bytes: where, as a share of the length, and what.
#[derive(Clone, Debug)]
enum Change {
    Flip(f64, u8),
    Cut(f64),
    Insert(f64, Vec<u8>),
    Repeat(f64, f64),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let place = || 0.0..1.0f64;
    let change = prop_oneof![
        (place(), 1..=255u8).prop_map(|(at, with)| Change::Flip(at, with)),
        place().prop_map(Change::Cut),
        (place(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (place(), place()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ];
    prop::collection::vec(change, 1..5)
}

fn changed(good: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for change in changes {
        let at = |share: f64| (share * bytes.len() as f64) as usize;
        match change {
            Change::Flip(share, with) => {
                let at = at(*share);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= with;
                }
            }
            Change::Cut(share) => bytes.truncate(at(*share)),
            Change::Insert(share, more) => {
                let at = at(*share);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Repeat(from, to) => {
                let (from, to) = (at(from.min(*to)), at(from.max(*to)));
                let piece = bytes[from..to].to_vec();
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

fn study(config: &str) -> anyhow::Result<Vec<Box<dyn Study>>> {
    let mut layers = Layers::default();
    layers.read_config(PathBuf::from("settings.toml"), config)?;
    layers.studies::<Simulate>()
}

/// A small trial with its record, of a real run.
struct Example {
    _folder: tempfile::TempDir,
    run_dir: RunDir,
    study: Box<dyn Study>,
    planned: Planned,
    path: PathBuf,
    record: Vec<u8>,
    weights: Vec<u8>,
}

fn example() -> &'static Example {
    static EXAMPLE: OnceLock<Example> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["simulate", "--fn", "x", "--model", "1-2-1", "--epochs", "3", "--set", "validation_size=3"];
        let ran = std::process::Command::new(env!("CARGO_BIN_EXE_hw1"))
            .args(arguments)
            .args(["--preset", "smoke", "--quiet", "--out"])
            .arg(folder.path())
            .output();
        assert!(ran.unwrap().status.success());
        let run_dir = RunDir::new(folder.path().to_owned());
        let (_, dir) = run_dir.studies().unwrap().remove(0);
        let study = study(&std::fs::read_to_string(dir.root().join("settings.toml")).unwrap()).unwrap().remove(0);
        let planned = study.plan(&[], &Finished::new(), "cpu").unwrap().remove(0);
        let path = dir.root().join(format!("trials/{}.json", planned.fingerprint));
        let (record, weights) = (std::fs::read(&path).unwrap(), std::fs::read(weights_of(&path)).unwrap());
        Example { _folder: folder, run_dir, study, planned, path, record, weights }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records(changes in changes()) {
        let Example { run_dir, study, planned, path, record, .. } = example();
        let bytes = changed(record, &changes);
        std::fs::write(path, &bytes).unwrap();
        let dir = run_dir.study(&study.folder());
        let stored = bounded(&bytes, || {
            let of_trial = || identity(study.as_ref(), &planned.trial, "cpu");
            dir.load(&planned.fingerprint, of_trial, |record| study.decode(record)).unwrap()
        });
        // A change may leave a record of the same trial, with another number in it.
        prop_assert!(!matches!(stored, Stored::Nothing));
        let _ = bounded(&bytes, || {
            let diverged = |record| Ok(study.measurements(&study.decode(record)?)?.diverged());
            dir.check(&planned.fingerprint, study.experiment(), diverged).map(drop)
        });
    }

    #[test]
    fn weights_and_checkpoints(changes in changes()) {
        let good = &example().weights;
        let bytes = changed(good, &changes);
        let _ = bounded(&bytes, || weights::decode(&bytes));
        // With a digest that fits, so that the parser behind it is reached.
        let file = [format!("hw1 checkpoint 1 {}\n", hw1::files::sha256(&bytes)).as_bytes(), &bytes].concat();
        let _ = bounded(&file, || checkpoint::decode(&file));
    }

    #[test]
    fn checkpoints_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(bounded(&bytes, || checkpoint::decode(&bytes)).is_err());
    }

    #[test]
    fn idx_files(changes in changes(), is_gzipped in any::<bool>()) {
        let file = IdxFile { name: "tiny", items: Items::Images, count: 3, sha256: "" };
        let mut good = vec![0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 28, 0, 0, 0, 28];
        good.resize(16 + 3 * 784, 7);
        if is_gzipped {
            use std::io::Write as _;
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&good).unwrap();
            good = encoder.finish().unwrap();
        }
        let bytes = changed(&good, &changes);
        if let Ok(pixels) = bounded(&bytes, || parse(&file, Path::new("x"), &bytes[..])) {
            prop_assert_eq!(pixels.len(), 3 * 784);
        }
    }

    #[test]
    fn settings(changes in changes()) {
        static GOOD: &str = "preset = \"smoke\"\nfunction = \"sin-sq\"\nepochs = 3\nseed = 0\ndomain = [-1.0, 1.0]\n\
            models = [\"a=1-4-1\", \"1-3-3-1\"]\nlearning_rate = 1e-3\n";
        let bytes = changed(GOOD.as_bytes(), &changes);
        let text = String::from_utf8_lossy(&bytes);
        for study in bounded(&bytes, || study(&text)).unwrap_or_default() {
            let folder = study.folder();
            prop_assert!(folder.len() <= 100, "{folder}");
            prop_assert!(folder.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{folder}");
        }
    }

    #[test]
    fn expressions(text in "[-+*/^(),.x0-9a-z ]{0,60}|\\PC{0,40}|(\\(){0,500}|(-){0,900}x", x in any::<f64>()) {
        let values = bounded(text.as_bytes(), || text.parse::<Target>().and_then(|target| target.values(&[x])));
        prop_assert!(values.is_err() || values.is_ok_and(|values| values.len() == 1));
    }
}
