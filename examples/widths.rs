//! A tenth study, as a newcomer would add it: two networks, one figure, one claim. In the house it would be
//! `src/experiments/widths.rs` with its TOML file in `experiments/` and a line in the registry; here it is a program
//! of its own: `cargo run --release --example widths -- --repeats 5`.

use anyhow::Result;
use hw1::analysis::statistics::PairedComparison;
use hw1::model::Mlp;
use hw1::plot::Axis;
use hw1::settings;
use hw1::study::claim::SEEDS;
use hw1::study::table::Table;
use hw1::study::{
    Context, DOMAIN_FLAG, Done, Experiment, FUNCTION_FLAG, Findings, Flag, Measurements, Records, Seeds, Size, curves,
};
use hw1::tasks::function::{FullBatch, FunctionTraining};
use hw1::tasks::problem::Problem;
use serde::Serialize;

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct Widths(problem: Problem, fit: FullBatch, seeds: Seeds) {
        narrow: Mlp,
        wide: Mlp,
    }
}

impl Experiment for Widths {
    const NAME: &'static str = "widths";
    const ABOUT: &'static str = "A narrow and a wide network learn a function of x";
    const SETTINGS: &'static str = include_str!("widths.toml");
    const VERSION: u32 = 1;
    const FLAGS: &'static [Flag] = &[FUNCTION_FLAG, DOMAIN_FLAG];

    type Trial = FunctionTraining;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.models().iter().try_for_each(|model| self.trial(model, self.seeds.seed).check())?;
        if self.narrow == self.wide {
            return Err("narrow and wide are the same network".into());
        }
        self.seeds.check()?;
        self.problem.check()
    }

    fn size(&self) -> Size {
        self.seeds.size(2, "lower --repeats")
    }

    fn label(&self, trial: &FunctionTraining) -> String {
        trial.model.to_string()
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<FunctionTraining>> {
        Ok(self.seeds.each(self.models(), |model, seed| self.trial(model, seed)))
    }

    fn run_trial(trial: &FunctionTraining, cx: &mut Context) -> Result<Measurements> {
        trial.fit(cx)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        let table = Table::new("model", done).parameters().seed().count("epochs", "epochs_run");
        findings.table(table.scalars(&[("train loss", "final_train_loss")]))?;
        let loss = curves::of_series(Axis::log("training loss"), done, "train_loss", |done| {
            (self.seeds.legend(done.seed(), &done.label), usize::from(done.trial.model == self.wide))
        })?;
        findings.figure("training-loss", &[], 1, vec![loss])?;
        let losses = |model: &Mlp| -> Result<Vec<(u64, f64)>> {
            let of_model = done.iter().filter(|done| done.trial.model == *model);
            of_model.map(|done: &Done<Self>| Ok((done.seed(), done.record.scalar("final_train_loss")?))).collect()
        };
        let pair = PairedComparison::of_losses(("wide", &losses(&self.wide)?), ("narrow", &losses(&self.narrow)?));
        findings.claims.push(findings.claim("widths-wide-is-better", &[])?.compared(SEEDS, &[pair]));
        Ok(findings)
    }
}

impl Widths {
    fn models(&self) -> [&Mlp; 2] {
        [&self.narrow, &self.wide]
    }

    fn trial(&self, model: &Mlp, seed: u64) -> FunctionTraining {
        self.fit.of(&self.problem, model, seed)
    }
}

fn main() -> std::process::ExitCode {
    // SAFETY: nothing was started before.
    unsafe { hw1::run_study::<Widths>() }
}
