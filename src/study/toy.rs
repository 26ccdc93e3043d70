//! An experiment for the tests of this room: it trains nothing.

use super::{Context, Done, Experiment, Findings, Fingerprint, Measurements, Records, Size, Trial};
use crate::settings;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

settings! {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Toy {
        pub kind: String,
        pub epochs: u64,
        pub rate: f64,
        pub size: u64,
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ToyTrial {
    pub seed: u64,
}

impl Trial for ToyTrial {
    fn seed(&self) -> u64 {
        self.seed
    }
}

impl Experiment for Toy {
    const NAME: &'static str = "toy";
    const ABOUT: &'static str = "";
    const SETTINGS: &'static str = "
        kind = ['a', 'b']
        epochs = 10
        rate = 0.5
        [variant.a]
        size = 1
        [variant.b]
        size = 2
        epochs = 20
        [variant.'*']
        size = 3
        [preset.only-b]
        kind = 'b'
        [preset.smoke]
        epochs = 5
        [preset.smoke.variant.b]
        size = 7
        [figure.curves]
        title = '{kind}'
        caption = 'c'
    ";
    const VERSION: u32 = 1;
    const VARIANT: Option<&'static str> = Some("kind");
    type Trial = ToyTrial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        if self.epochs == 0 { Err("epochs is 0".into()) } else { Ok(()) }
    }
    fn size(&self) -> Size {
        Size::of_seeds(self.epochs, self.size.into(), "lower epochs or size")
    }
    fn folder(&self) -> String {
        self.kind.clone()
    }
    fn label(&self, _: &ToyTrial) -> String {
        String::new()
    }
    fn trials(&self, _: &Records<Self>) -> Result<Vec<ToyTrial>> {
        Ok(Vec::new())
    }
    fn run_trial(_: &ToyTrial, _: &mut Context) -> Result<Measurements> {
        Ok(Measurements::default())
    }
    fn findings(&self, _: &Records<Self>) -> Result<Findings> {
        Findings::of(self)
    }
}

/// A finished trial of this name and seed, with a loss, also as a series of one.
pub(crate) fn done(label: &str, seed: u64, loss: f64) -> Done<Toy> {
    let series =
        [("train_loss", vec![loss]), ("train_accuracy", vec![loss]), ("test_loss", vec![]), ("test_accuracy", vec![])];
    Done {
        fingerprint: Fingerprint::of("toy", 1, "cpu", None, &json!(format!("{label} {seed}"))),
        label: label.to_owned(),
        trial: ToyTrial { seed },
        record: Arc::new(Measurements::new(3, [("epochs_run", 7.0), ("loss", loss), ("diverged", 0.0)], series)),
    }
}
