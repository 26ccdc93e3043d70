//! What a trial's bits depend on beside the trial: the processor, its vectors, the libraries and the switches that
//! choose between them. One value, which stands in records, logs, provenance and the origin of checkpoints. In no
//! fingerprint: the mathematics is the same everywhere, and a finished trial counts wherever it was computed.

pub mod cpu;
pub mod cuda;
pub mod device;

use crate::backend::device::DeviceChoice;
use crate::model;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// What computes here. The same trial has the same bytes wherever this is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The processor's model name.
    cpu: String,
    /// The GPU's name; `None` where trials run on the processor.
    gpu: Option<String>,
    /// Width of the vectors that our kernels use on this processor.
    vector_bits: usize,
    /// "native" or "default": [`device::mkl_choice`].
    mkl: &'static str,
    /// "hw1" where training runs in our kernels, "libtorch" where all goes through libtorch.
    kernels: &'static str,
    /// "onednn" or "plain": what convolutions through libtorch go through.
    layout: &'static str,
    /// Version of the libtorch that is loaded.
    libtorch: String,
    /// Variables that are set and make libraries compute in another way.
    environment: BTreeMap<&'static str, String>,
}

impl Backend {
    /// Of this process on a device that it has opened.
    pub fn of(device: DeviceChoice) -> Self {
        // Our kernels and oneDNN's layout are for tensors on a CPU.
        let on_cpu = device == DeviceChoice::Cpu;
        let has_engine = match device {
            DeviceChoice::Cpu => true,
            DeviceChoice::Cuda(index) => cuda::card(index).is_ok(),
        };
        Self {
            cpu: device::cpu_name(),
            gpu: device.gpu_name(),
            vector_bits: cpu::vector_bits(),
            mkl: device::mkl_choice(),
            kernels: if cpu::wanted() && has_engine { "hw1" } else { "libtorch" },
            layout: if on_cpu && model::one_dnn_wanted() { "onednn" } else { "plain" },
            libtorch: device::libtorch_version().unwrap_or_else(|| env!("HW1_LIBTORCH").to_owned()),
            environment: device.environment(),
        }
    }

    /// What is not as it is where nobody sets a variable, beside [`device::mkl_choice`]: a line each.
    pub fn switches(&self) -> Vec<String> {
        let mut switches = Vec::new();
        if self.kernels != "hw1" {
            switches.push("training goes through libtorch alone, by HW1_KERNELS".to_owned());
        }
        if self.layout != "onednn" {
            switches.push("convolutions in libtorch take plain tensors, by HW1_ONEDNN_LAYOUT".to_owned());
        }
        switches.extend(self.environment.iter().map(|(name, value)| format!("{name}={value} is set")));
        switches
    }

    /// Each part under the name that it has in files, and as it is called in a sentence; null where there is none.
    fn parts(&self) -> [(&'static str, &'static str, Value); 8] {
        let environment = if self.environment.is_empty() { Value::Null } else { json!(self.environment) };
        [
            ("cpu", "cpu", json!(self.cpu)),
            ("gpu", "gpu", json!(self.gpu)),
            ("vector_bits", "vector width in bits", json!(self.vector_bits)),
            ("mkl", "mkl", json!(self.mkl)),
            ("kernels", "choice of kernels", json!(self.kernels)),
            ("layout", "layout of convolutions", json!(self.layout)),
            ("libtorch", "libtorch", json!(self.libtorch)),
            ("environment", "environment", environment),
        ]
    }

    /// Where a record is of another backend than this: "its choice of kernels was libtorch, here it is hw1".
    pub fn other_than(&self, record: &Value) -> Option<String> {
        static NONE: Value = Value::Null;
        let other = self.first_other(&|name| Some(record.get(name).unwrap_or(&NONE)));
        // A part that this program does not know of may be what makes the bytes.
        other.or_else(|| {
            let known = self.parts().map(|(name, ..)| name);
            let (name, was) = record.as_object()?.iter().find(|(name, _)| !known.contains(&name.as_str()))?;
            Some(format!("its {name} was {}, which this hw1 does not know of", word(was)))
        })
    }

    /// As [`Self::other_than`], of a line of a log, which says less the older it is: what it does not say is not
    /// held against it.
    pub fn other_than_logged(&self, line: &Value) -> Option<String> {
        self.first_other(&|name| line.get(name))
    }

    /// The first part that `said` has otherwise.
    fn first_other<'a>(&self, said: &dyn Fn(&str) -> Option<&'a Value>) -> Option<String> {
        self.parts().into_iter().find_map(|(name, called, here)| {
            let was = said(name).filter(|was| **was != here)?;
            Some(format!("its {called} was {}, here it is {}", word(was), word(&here)))
        })
    }
}

/// As a sentence has it.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// "cpu Intel Xeon; gpu none; vector_bits 512; …", all parts in one order.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let parts = self.parts().map(|(name, _, value)| format!("{name} {}", word(&value)));
        f.write_str(&parts.join("; "))
    }
}

/// A map without the parts that there are none of.
impl Serialize for Backend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.parts();
        serializer
            .collect_map(parts.iter().filter(|(.., value)| !value.is_null()).map(|(name, _, value)| (name, value)))
    }
}

/// What a file says of a backend, for those who show it. What another version did not write is `None`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Said {
    pub cpu: Option<String>,
    pub gpu: Option<String>,
    pub vector_bits: Option<u64>,
    pub mkl: Option<String>,
    pub kernels: Option<String>,
    pub layout: Option<String>,
    pub libtorch: Option<String>,
    pub environment: Option<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With every part there is.
    fn example() -> Backend {
        Backend {
            cpu: "Xeon".into(),
            gpu: Some("H100".into()),
            vector_bits: 512,
            mkl: "native",
            kernels: "hw1",
            layout: "onednn",
            libtorch: "2.11.0".into(),
            environment: [("MKL_CBWR", "AVX2".into())].into(),
        }
    }

    #[test]
    fn every_part_is_read_back_and_makes_another_backend() {
        let backend = example();
        let json = serde_json::to_value(&backend).unwrap();
        // A part that readers do not know would be shown nowhere.
        assert_eq!(serde_json::to_value(Said::deserialize(&json).unwrap()).unwrap(), json);
        assert_eq!((backend.other_than(&json), backend.other_than_logged(&json)), (None, None));
        let names: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names.len(), backend.parts().len());
        for name in names {
            let mut other = json.clone();
            other[&name] = "other".into();
            for difference in [backend.other_than(&other), backend.other_than_logged(&other)] {
                assert!(difference.unwrap().contains(" was other, here it is "), "{name}");
            }
            // What a record does not say was not there; what an old log does not say is not known.
            other.as_object_mut().unwrap().remove(&name);
            assert!(backend.other_than(&other).unwrap().contains(" was none, here it is "), "{name}");
            assert_eq!(backend.other_than_logged(&other), None);
        }
        for no_backend in [json!(5), Value::Null, json!({}), json!([1])] {
            assert!(backend.other_than(&no_backend).is_some(), "{no_backend}");
        }
    }

    #[test]
    fn a_part_that_only_the_record_has_makes_another_backend() {
        let backend = Backend { gpu: None, environment: BTreeMap::new(), ..example() };
        let json = serde_json::to_value(&backend).unwrap();
        assert!(json.get("gpu").is_none() && json.get("environment").is_none(), "{json}");
        let of = |name: &str| {
            let mut other = json.clone();
            other[name] = "other".into();
            backend.other_than(&other).unwrap_or_default()
        };
        assert_eq!(of("gpu"), "its gpu was other, here it is none");
        assert!(of("environment").contains("here it is none") && of("tomorrow").contains("does not know of"));
    }

    #[test]
    fn on_a_gpu_the_switches_of_the_cpu_do_not_count() {
        let (cpu, gpu) = (Backend::of(DeviceChoice::Cpu), Backend::of(DeviceChoice::Cuda(0)));
        assert!(cpu.gpu.is_none() && gpu.gpu.is_some());
        assert_eq!((gpu.kernels, gpu.layout), ("libtorch", "plain"));
        assert!(cpu.vector_bits.is_power_of_two() && cpu.vector_bits >= 32);
    }
}
