//! Other people's programs read what hw1 writes, number by number.

use crate::common::Dir;
use std::process::Command;

/// Compares each value of metrics.csv, as pandas reads it, with metrics.json.
const COMPARE: &str = r#"
import json, math, sys, numpy, pandas
folder = sys.argv[1]
metrics = json.load(open(folder + "/metrics.json"))
told = []
for trial in metrics["trials"]:
    told.append(trial["parameters"])
    told.extend(trial["scalars"].values())
    for values in trial["series"].values():
        told.extend(values)
told = numpy.array([math.nan if value is None else value for value in told])
def worst(**how):
    read = pandas.read_csv(folder + "/metrics.csv", **how)["value"].to_numpy()
    assert read.dtype == float and len(read) == len(told), (read.dtype, len(read), len(told))
    assert (numpy.isnan(read) == numpy.isnan(told)).all()
    apart = numpy.abs(read - told) / numpy.where(told == 0, 1, numpy.abs(told))
    return numpy.nanmax(apart)
assert worst() <= 5e-16, worst()
if int(pandas.__version__.split(".")[0]) < 3:
    assert worst(float_precision="round_trip") == 0
else:
    assert worst() == 0
cells = [line.rsplit(",", 1)[1] for line in open(folder + "/metrics.csv").read().split()[1:]]
numpy.testing.assert_array_equal(numpy.array(cells, dtype=float), told)
print(pandas.__version__, len(told))
"#;

/// A Python with pandas: the one that `HW1_PANDAS` names, else the first in the path.
fn python() -> Option<String> {
    let python = std::env::var("HW1_PANDAS").unwrap_or_else(|_| "python3".to_owned());
    let has_pandas = Command::new(&python).args(["-c", "import pandas"]).output();
    has_pandas.is_ok_and(|output| output.status.success()).then_some(python)
}

#[test]
fn pandas_reads_every_number() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no Python with pandas here; HW1_PANDAS names one");
        return;
    };
    let dir = Dir::new();
    dir.succeed(&["min-ratio", "--preset", "smoke", "-q"]);
    let folder = dir.path().join("runs/smoke/min-ratio");
    let compared = Command::new(python).args(["-c", COMPARE]).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&compared.stderr);
    assert!(compared.status.success(), "{said}");
    eprintln!("pandas, numbers: {}", String::from_utf8_lossy(&compared.stdout));
}
