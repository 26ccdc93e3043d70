//! The weights of a model among the named tensors of a file, whatever stands before their names: of wrappers, compilers,
//! checkpoints, or of hw1's own kinds of weights. Knows names and shapes, no path.

use crate::model::program::Program;
use crate::model::{Layout, Slot, Weights};
use crate::store::weights::{NamedTensor, Tensors};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// Before the names of weights that others save: of wrappers, compilers and checkpoints.
const PREFIXES: [&str; 4] = ["module.", "_orig_mod.", "model.", "state_dict."];

/// None of them, one, or two after each other.
fn prefixes() -> Vec<String> {
    let mut all = vec![String::new()];
    all.extend(PREFIXES.map(str::to_owned));
    all.extend(PREFIXES.iter().flat_map(|first| PREFIXES.map(|second| format!("{first}{second}"))));
    all
}

/// The weights of a layout among named tensors, whatever stands before their names; and which they are, of a file of
/// hw1's own.
///
/// # Errors
/// In a line: a name that is missing or one too many, another shape, tied weights that differ.
pub fn fitted(tensors: &Tensors, which: &str, layout: &Layout, program: Option<&Program>) -> Result<(Weights, String)> {
    let ours =
        ["final.", "initial.", "snapshot."].iter().any(|prefix| tensors.keys().any(|name| name.starts_with(prefix)));
    let own = format!("{which}.");
    // Another program may call a layer so.
    let has_all = layout.slots.iter().all(|slot| tensors.contains_key(&slot.name));
    let ours = ours && !has_all;
    ensure!(ours || which == "final", "it is no weights file of hw1's own: leave --which away");
    let (kept, used): (BTreeMap<String, &NamedTensor>, String) = if ours {
        let kept: BTreeMap<String, &NamedTensor> =
            tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&own)?.to_owned(), tensor))).collect();
        ensure!(!kept.is_empty(), "it holds no weights called {which}, but {}: choose with --which", kinds_of(tensors));
        (kept, which.to_owned())
    } else {
        (tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect(), String::new())
    };
    let names = Names::of(layout, program, &kept);
    names.refuse_others(layout, &kept, program)?;
    let is_double =
        layout.slots.iter().any(|slot| names.get(&slot.name, &kept).is_some_and(|tensor| tensor.kind == Kind::Double));
    let kind = if is_double { Kind::Double } else { Kind::Float };
    let flat = |slots: &[Slot]| -> Result<Tensor> {
        let total: i64 = slots.iter().map(|slot| slot.len()).sum();
        let flat = Tensor::f_zeros([total], (kind, Device::Cpu))?;
        for slot in slots {
            let tensor = names.tied(&slot.name, &kept)?;
            let shape: Vec<i64> = tensor.shape.iter().map(|side| *side as i64).collect();
            ensure!(shape == slot.shape, "{} has shape {shape:?}, and the model needs {:?}", slot.name, slot.shape);
            let is_real = matches!(tensor.kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
            ensure!(is_real, "{} holds whole numbers, and the model needs real ones", slot.name);
            slot.view(&flat).f_copy_(&tensor.tensor()?)?;
        }
        Ok(flat)
    };
    Ok((Weights { theta: flat(&layout.slots)?, buffers: flat(&layout.buffers)? }, used))
}

/// "final, initial".
fn kinds_of(tensors: &Tensors) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for name in tensors.keys() {
        let end = match name.strip_prefix("snapshot.") {
            Some(rest) => "snapshot.".len() + rest.find('.').unwrap_or(rest.len()),
            None => name.find('.').unwrap_or(name.len()),
        };
        if !kinds.contains(&&name[..end]) && kinds.len() < 8 {
            kinds.push(&name[..end]);
        }
    }
    kinds.join(", ")
}

/// How a layout's names become those of a file.
struct Names {
    /// To be taken off the layout's names, and put before what is left.
    off: String,
    on: String,
    /// Other names of slices.
    tied: BTreeMap<String, Vec<String>>,
}

impl Names {
    /// Those by which most are found.
    fn of(layout: &Layout, program: Option<&Program>, kept: &BTreeMap<String, &NamedTensor>) -> Self {
        let mut tied = BTreeMap::<String, Vec<String>>::new();
        for (other, first) in program.map(|program| &program.tied).into_iter().flatten() {
            tied.entry(first.clone()).or_default().push(other.clone());
        }
        let mut best = (0, Self { off: String::new(), on: String::new(), tied: tied.clone() });
        for off in prefixes() {
            if !off.is_empty() && !layout.slots.iter().all(|slot| slot.name.starts_with(&off)) {
                continue;
            }
            for on in prefixes() {
                let names = Self { off: off.clone(), on, tied: tied.clone() };
                let found = layout.slots.iter().filter(|slot| names.get(&slot.name, kept).is_some()).count();
                if found > best.0 {
                    best = (found, names);
                }
            }
        }
        best.1
    }

    fn in_file(&self, name: &str) -> String {
        format!("{}{}", self.on, name.strip_prefix(&self.off).unwrap_or(name))
    }

    /// All names under which a slice may stand in a file.
    fn all(&self, name: &str) -> Vec<String> {
        let others = self.tied.get(name).into_iter().flatten();
        std::iter::once(self.in_file(name)).chain(others.map(|other| self.in_file(other))).collect()
    }

    fn get<'a>(&self, name: &str, kept: &BTreeMap<String, &'a NamedTensor>) -> Option<&'a NamedTensor> {
        self.all(name).iter().find_map(|name| kept.get(name).copied())
    }

    /// Either name of tied weights suffices; where there are both, they are equal.
    fn tied<'a>(&self, name: &str, kept: &BTreeMap<String, &'a NamedTensor>) -> Result<&'a NamedTensor> {
        let all = self.all(name);
        let mut found = all.iter().filter_map(|name| Some((name, *kept.get(name)?)));
        let (first_name, first) = found.next().with_context(|| {
            let some: Vec<&str> = kept.keys().take(3).map(String::as_str).collect();
            format!(
                "it has no {}, but {}{}: are these the weights of another model?",
                all[0],
                some.join(", "),
                if kept.len() > 3 { ", …" } else { "" }
            )
        })?;
        for (other_name, other) in found {
            ensure!(
                first.bytes == other.bytes,
                "{first_name} and {other_name} are tied in the model, and differ here: save one of them alone"
            );
        }
        Ok(first)
    }

    /// Names that the model does not have.
    fn refuse_others(
        &self,
        layout: &Layout,
        kept: &BTreeMap<String, &NamedTensor>,
        program: Option<&Program>,
    ) -> Result<()> {
        let mut known: Vec<String> =
            layout.slots.iter().chain(&layout.buffers).flat_map(|slot| self.all(&slot.name)).collect();
        known.sort_unstable();
        for (name, tensor) in kept {
            if known.binary_search(name).is_ok() {
                continue;
            }
            let own = format!("{}{}", self.off, name.strip_prefix(&self.on).unwrap_or(name));
            let tensor = tensor.tensor()?;
            match program.and_then(|program| program.has_fixed(&own, &tensor)) {
                Some(true) => {}
                Some(false) => bail!(
                    "{name} differs from the model's own, which is fixed in the program: export the model anew with these weights"
                ),
                None => bail!("it has {name}, which the model has not: are these the weights of another model?"),
            }
        }
        Ok(())
    }
}
