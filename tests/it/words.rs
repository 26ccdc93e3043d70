//! The words that studies are written in, on two that train nothing: settings in layers, texts, tables, curves, and
//! what several seeds show together.

use anyhow::Result;
use hw1::data::{Access, Built, DataSpec, Dataset};
use hw1::error::Usage;
use hw1::plot::{Axis, Color, Content, Mark, Panel, Plot, Scale, Series};
use hw1::settings;
use hw1::study::claim::{Quantity, SEEDS, Verdict};
use hw1::study::curves::{curve, of_both_sets, of_each_quantity, of_series};
use hw1::study::seeds::{means_at_points, means_over_epochs, rows};
use hw1::study::settings::Layers;
use hw1::study::{Cell, Context, Done, Experiment, Findings, Fingerprint, Measurements, Records, Seeds, Settings};
use hw1::study::{Size, Stated, Table, Texts, Trial, cell};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use toml::Value;

settings! {
    /// A study of kinds, each with defaults of its own.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Toy {
        kind: String,
        epochs: u64,
        rate: f64,
        size: u64,
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct ToyTrial {
    seed: u64,
}

impl Trial for ToyTrial {
    fn seed(&self) -> u64 {
        self.seed
    }
}

/// What the studies have in common: no trial.
macro_rules! trains_nothing {
    () => {
        const ABOUT: &'static str = "";
        const VERSION: u32 = 1;
        type Trial = ToyTrial;
        type Record = Measurements;

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
    };
}

impl Experiment for Toy {
    const NAME: &'static str = "toy";
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
    const VARIANT: Option<&'static str> = Some("kind");

    fn check(&self) -> Result<(), String> {
        if self.epochs == 0 { Err("epochs is 0".into()) } else { Ok(()) }
    }
    fn size(&self) -> Size {
        Size::of_seeds(self.epochs, self.size.into(), "lower epochs or size")
    }
    fn folder(&self) -> String {
        self.kind.clone()
    }
    trains_nothing!();
}

/// A finished trial of this name and seed, with a loss, also as a series of one.
fn done(label: &str, seed: u64, loss: f64) -> Done<Toy> {
    let series =
        [("train_loss", vec![loss]), ("train_accuracy", vec![loss]), ("test_loss", vec![]), ("test_accuracy", vec![])];
    Done {
        fingerprint: Fingerprint::of("toy", 1, "cpu", None, &json!(format!("{label} {seed}"))),
        label: label.to_owned(),
        trial: ToyTrial { seed },
        record: Arc::new(Measurements::new(3, [("epochs_run", 7.0), ("loss", loss), ("diverged", 0.0)], series)),
    }
}

settings! {
    /// A study of what its TOML says in words.
    #[derive(Serialize)]
    struct Words {
        epochs: u64,
        rate: f64,
        half: f64,
        name: String,
        list: Value,
    }
}

impl Experiment for Words {
    const NAME: &'static str = "words";
    const SETTINGS: &'static str = r#"
        epochs = 10
        rate = 1e-3
        half = 0.5
        name = "x"
        list = [1]

        [figure]
        settings = { title = "{name} at {rate}, {half}: {epochs} on {data}{over_seeds}.", caption = "1 } 2" }
        given = { name = "{name}", title = "{name} {data}", caption = "{epochs}" }
        unknown = { title = "{colour}", caption = "" }
        list = { title = "", caption = "{list}" }
        open = { name = "{epochs", title = "", caption = "" }

        [claim.small]
        id = "small-{name}"
        says = "It is at most {bound}."
        rule = "size after {epochs} epochs"
        at_most = 2.0
        differs = "paper"
        [claim.within]
        says = "±{bound}"
        rule = "r"
        within = [-0.25, 0.5]
        [claim.lost]
        says = "s"
        rule = "r"
        differs = "nobody"
        [differs]
        paper = "Others did otherwise."

        [[reported]]
        when = { name = "x", half = 0.5 }
        note = "After {epochs} epochs."
        [[reported]]
        when = { name = "y" }
        note = "Never."
        [[reported]]
        when = { model = "1-2-1", range = [-1.0, 1.0] }
        loss = 0.25
    "#;

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Some(Arc::new(DataSpec::of(Built::Synthetic, [1, 1])))
    }
    fn size(&self) -> Size {
        Size::of_seeds(1, 1, "")
    }
    trains_nothing!();
}

/// As its own TOML has it.
fn words() -> Words {
    Words::read(&mut Words::SETTINGS.parse().unwrap(), &Access::default()).unwrap()
}

fn resolved(layers: &Layers) -> Vec<Toy> {
    let studies = layers.studies::<Toy>().unwrap();
    studies.iter().map(|study| toml::from_str(&study.settings().unwrap().0).unwrap()).collect()
}

fn toy(kind: &str, epochs: u64, rate: f64, size: u64) -> Toy {
    Toy { kind: kind.into(), epochs, rate, size }
}

fn error(layers: &Layers) -> String {
    let error = layers.studies::<Toy>().err().expect("an error");
    assert!(error.is::<Usage>(), "{error:#}");
    format!("{error:#}")
}

#[test]
fn every_value_of_the_variant_key_is_a_study() {
    assert_eq!(resolved(&Layers::default()), [toy("a", 10, 0.5, 1), toy("b", 20, 0.5, 2)]);
}

#[test]
fn a_preset_may_choose_the_variant() {
    let layers = Layers { preset: Some("only-b".into()), ..Layers::default() };
    assert_eq!(resolved(&layers), [toy("b", 20, 0.5, 2)]);
}

#[test]
fn later_layers_win() {
    let mut layers = Layers { preset: Some("smoke".into()), ..Layers::default() };
    assert_eq!(resolved(&layers), [toy("a", 5, 0.5, 1), toy("b", 5, 0.5, 7)]);
    layers.read_config("c.toml".into(), "epochs = 6\nrate = 1\nkind = 'b'").unwrap();
    assert_eq!(resolved(&layers), [toy("b", 6, 1.0, 7)]);
    layers.flags.push(("--epochs".into(), "epochs".into(), Value::Integer(8)));
    assert_eq!(resolved(&layers), [toy("b", 8, 1.0, 7)]);
    layers.sets = vec!["epochs=9".into(), "kind=other".into(), "rate = 2e-3".into()];
    assert_eq!(resolved(&layers), [toy("other", 9, 0.002, 3)]);
}

#[test]
fn resolved_settings_repeat_the_study() {
    let layers = Layers { sets: vec!["kind=b".into(), "rate=0.25".into()], ..Layers::default() };
    let text = layers.studies::<Toy>().unwrap()[0].settings().unwrap().0;
    let mut again = Layers::default();
    again.read_config("settings.toml".into(), &format!("preset = 'smoke'\n{text}")).unwrap();
    assert_eq!(resolved(&again), resolved(&layers));
    assert_eq!(again.preset(), "smoke");
    again.preset = Some("report".into());
    assert_eq!(again.preset(), "report");
}

#[test]
fn what_is_wrong_is_named_with_the_way_out() {
    let set = |text: &str| Layers { sets: vec![text.into()], ..Layers::default() };
    assert!(error(&set("epoch=3")).contains("no setting 'epoch'; it has epochs, kind, rate, size"));
    assert!(error(&set("epochs")).contains("key=value"));
    let wrong_type = error(&set("epochs=many"));
    assert!(wrong_type.contains("many") && wrong_type.contains("'epochs'; its default is 10"), "{wrong_type}");
    assert!(error(&set("epochs=0")).contains("epochs is 0"));
    assert!(error(&set("epochs=-3")).contains("-3"));
    assert!(error(&set("kind=[]")).contains("at least one"));
    let preset = Layers { preset: Some("paper".into()), ..Layers::default() };
    assert!(error(&preset).contains("unknown preset 'paper' of toy: use report or only-b or smoke"));
    let mut config = Layers::default();
    let broken = config.read_config("c.toml".into(), "epochs = [").unwrap_err();
    assert!(broken.is::<Usage>() && broken.to_string().starts_with("--config c.toml: "), "{broken}");
    config.read_config("c.toml".into(), "colour = 1").unwrap();
    assert!(error(&config).contains("no setting 'colour'"));
}

/// Though this experiment's own check minds none of it.
#[test]
fn what_no_experiment_may_forget_is_refused() {
    let set = |texts: &[&str]| Layers { sets: texts.iter().map(|&text| text.into()).collect(), ..Layers::default() };
    for rate in ["nan", "inf", "-inf"] {
        assert!(error(&set(&[&format!("rate={rate}")])).contains("rate is not a finite number"), "{rate}");
    }
    assert!(
        error(&set(&["kind=a", "epochs=100001"]))
            .contains("would be 100001 trials; at most 100000: lower epochs or size")
    );
    assert_eq!(resolved(&set(&["kind=a", "epochs=100000"])).len(), 1);
    // Of all studies together; the same study twice is one.
    assert!(error(&set(&["epochs=40000"])).contains("would be 120000 trials"));
    assert_eq!(resolved(&set(&["kind=['a', 'a', 'a']", "epochs=40000"])).len(), 1);
    // More than 128 bits hold.
    let most = i64::MAX;
    assert!(error(&set(&[&format!("epochs={most}"), &format!("size={most}")])).contains("trials; at most"));
    assert_eq!(Size::of_seeds(u64::MAX, u128::MAX, "").trials, u128::MAX);
    let kinds: Vec<String> = (0..1001).map(|i| format!("'{i}'")).collect();
    assert!(error(&set(&[&format!("kind=[{}]", kinds.join(","))])).contains("kind has 1001 entries"));
}

#[test]
fn values_are_toml_or_bare_text() {
    for (text, value) in [
        ("3", Value::Integer(3)),
        ("1e-3", Value::Float(1e-3)),
        ("true", Value::Boolean(true)),
        ("[-1, 2.5]", Value::Array(vec![Value::Integer(-1), Value::Float(2.5)])),
        ("sin-sq", Value::String("sin-sq".into())),
        ("1\nseed = 2", Value::String("1\nseed = 2".into())),
    ] {
        let layers = Layers { sets: vec![format!("list={text}")], ..Layers::default() };
        let settings = layers.studies::<Words>().unwrap()[0].settings().unwrap().0;
        assert_eq!(settings.parse::<toml::Table>().unwrap()["list"], value);
    }
}

#[test]
fn names_stand_for_what_is_given_then_what_is_known_then_settings() {
    let texts = Texts::of(&words()).unwrap();
    let figure = texts.figure("settings", &[]).unwrap();
    assert_eq!((&*figure[0], &*figure[1]), ("settings", "x at 0.001, 0.5: 10 on synthetic digits."));
    assert_eq!(figure[2], "1 } 2");
    let figure = texts.figure("given", &[("name", &1.5), ("data", &"y")]).unwrap();
    assert_eq!((&*figure[0], &*figure[1], &*figure[2]), ("1.5", "1.5 y", "10"));
    for (key, what) in [("unknown", "colour"), ("list", "list"), ("open", "not closed"), ("none", "[figure.none]")] {
        assert!(texts.figure(key, &[]).err().unwrap().to_string().contains(what), "{key}");
    }
}

#[test]
fn claims_are_a_statement_a_rule_and_where_a_number_lies() {
    let texts = Texts::of(&words()).unwrap();
    let claim = texts.claim("small", &[]).unwrap().interval(SEEDS, &[Quantity::new("q", vec![1.0; 5])]);
    assert_eq!((claim.id.as_str(), claim.statement.as_str()), ("small-x", "It is at most 2."));
    assert_eq!(
        (claim.verdict, claim.evidence["protocol"].as_str()),
        (Verdict::Supported, Some("Others did otherwise."))
    );
    assert!(claim.evidence["rule"].as_str().unwrap().contains("size after 10 epochs; at most 2 by"));
    let judged = |stated: Stated| stated.interval(SEEDS, &[Quantity::new("q", vec![0.4; 5])]);
    let verdict = |stated| judged(stated).verdict;
    let within = || texts.claim("within", &[]).unwrap();
    assert_eq!((&*judged(within()).statement, verdict(within())), ("±0.5", Verdict::Supported));
    assert_eq!(verdict(within().within([0.0, 0.3])), Verdict::Refuted);
    assert_eq!(verdict(within().at_least(0.5)), Verdict::Refuted);
    for (key, what) in [("lost", "nobody"), ("none", "[claim.none]")] {
        assert!(texts.claim(key, &[]).err().unwrap().to_string().contains(what), "{key}");
    }
}

#[test]
fn what_the_report_gives_is_found_by_settings_and_by_trial() {
    let Findings { notes, texts, .. } = Findings::of(&words()).unwrap();
    assert_eq!(notes, ["After 10 epochs."]);
    assert_eq!(texts.reported_notes().unwrap(), notes);
    let of = |trial| texts.reported(&trial).and_then(|reported| reported.values.get("loss")?.as_f64());
    assert_eq!(of(json!({"model": "1-2-1", "range": [-1.0, 1.0], "seed": 3})), Some(0.25));
    assert_eq!(of(json!({"model": "1-2-1", "range": [-1.0, 2.0]})), None);
    assert_eq!(of(json!({"model": "1-2-1"})), None);
}

#[test]
fn a_table_has_a_row_a_trial_and_a_column_a_name() {
    let all = [done("a", 0, 1.0), done("b", 4, f64::NAN)];
    let table = Table::new("model", &all)
        .parameters()
        .seed()
        .count("epochs", "epochs_run")
        .scalars(&[("loss", "loss")])
        .number("twice", |record| Ok(2.0 * record.scalar("loss")?));
    assert_eq!(table.columns, ["model", "parameters", "seed", "epochs", "loss", "twice"]);
    let rows = table.rows.unwrap();
    assert_eq!(rows[0], ["a".into(), Cell::Count(3.0), Cell::Seed(0), Cell::Count(7.0), cell(1.0), cell(2.0)]);
    assert_eq!(rows[1][..3], ["b".into(), Cell::Count(3.0), Cell::Seed(4)]);
    let lacking = Table::new("model", &all).after_training(&[("accuracy", "final_accuracy")]).seed();
    assert!(lacking.rows.unwrap_err().to_string().contains("final_accuracy"));
}

fn plot(panel: &Panel) -> &Plot {
    let Content::Plot(plot) = &panel.content else { panic!("no curves") };
    plot
}

type Shown<'a> = (&'a str, Mark, &'a [(f64, f64)]);

fn shown(panel: &Panel) -> Vec<Shown<'_>> {
    plot(panel).series.iter().map(|one| (one.label.as_str(), one.mark, one.points.as_slice())).collect()
}

#[test]
fn a_panel_has_a_curve_a_variant_dashed_from_the_seventh_on() {
    let all = [done("a", 0, 1.0), done("a", 1, 3.0), done("g", 0, 5.0)];
    let look = |done: &Done<Toy>| (done.label.clone(), if done.label == "a" { 0 } else { 6 });
    let panel = of_series(Axis::linear("y"), &all, "train_loss", look).unwrap();
    let band = [(1.0, 1.0), (1.0, 3.0)];
    assert_eq!(
        shown(&panel),
        [("", Mark::Band, &band[..]), ("a", Mark::LinePoints, &[(1.0, 2.0)]), ("g", Mark::Dashed, &[(1.0, 5.0)])]
    );
    assert!(of_series(Axis::linear("y"), &all, "none", look).is_err());
    let long: Vec<f64> = vec![0.0; 16];
    assert_eq!(curve((String::new(), 0), false, &long).mark, Mark::Line);
    assert_eq!(curve((String::new(), 0), false, &long[1..]).mark, Mark::LinePoints);
}

#[test]
fn panels_of_both_sets_and_of_each_quantity() {
    let all = [done("a", 0, 1.0)];
    let look = |_: &Done<Toy>, set: &str, quantity: &str| (format!("{set} {quantity}"), 0);
    let panels = of_both_sets(&all, look).unwrap();
    let labels: Vec<Vec<&str>> = panels.iter().map(|panel| shown(panel).iter().map(|one| one.0).collect()).collect();
    assert_eq!(labels, [["train loss", "test loss"], ["train accuracy", "test accuracy"]]);
    let marks: Vec<Mark> = shown(&panels[0]).iter().map(|one| one.1).collect();
    assert_eq!(marks, [Mark::LinePoints, Mark::Dashed]);
    assert_eq!(panels.iter().map(|panel| plot(panel).y.scale).collect::<Vec<_>>(), [Scale::Log, Scale::Linear]);

    let panels = of_each_quantity(Axis::log, &all, |done| (done.label.clone(), 0)).unwrap();
    let axes: Vec<(&str, Scale, &str)> =
        panels.iter().map(|p| (plot(p).y.label.as_str(), plot(p).y.scale, shown(p)[0].0)).collect();
    assert_eq!(
        axes,
        [
            ("train loss", Scale::Log, ""),
            ("train accuracy", Scale::Linear, "a"),
            ("test loss", Scale::Linear, ""),
            ("test accuracy", Scale::Linear, "")
        ]
    );
}

#[test]
fn trials_are_named_seed_after_seed_and_grouped_by_it() {
    let seeds = Seeds { seed: 3, repeats: 2 };
    assert_eq!(seeds.each(["a", "b"], |name, seed| format!("{name}{seed}")), ["a3", "b3", "a4", "b4"]);
    assert_eq!((seeds.legend(3, "a"), seeds.legend(4, "a")), ("a".to_owned(), String::new()));
    assert_eq!(seeds.size(4, "fewer").trials, 8);
    // Of seed 4 one has failed; seed 9 is no seed of these.
    let all = [done("a", 3, 1.0), done("a", 4, 5.0), done("b", 3, 2.0), done("a", 9, 7.0)];
    let groups: Vec<(u64, usize)> = seeds.groups(&all).iter().map(|(seed, trials)| (*seed, trials.len())).collect();
    assert_eq!(groups, [(3, 2), (4, 1)]);
    let sum = |trials: &[&_]| {
        let losses = trials.iter().map(|done: &&Done<_>| done.measured().scalar("loss"));
        Ok(losses.collect::<Result<Vec<_>>>()?.iter().sum())
    };
    let sums = seeds.numbers(&all, 2, sum).unwrap();
    assert!(sums[0] == 3.0 && sums[1].is_nan() && sums.len() == 2, "{sums:?}");
    assert_eq!(seeds.numbers(&all, 1, sum).unwrap(), [3.0, 5.0]);
    assert!(seeds.numbers(&all[3..], 1, sum).unwrap().is_empty());
    assert!(seeds.numbers(&all, 1, |trials| trials[0].measured().scalar("none")).is_err());
}

#[test]
fn curves_of_one_colour_and_mark_are_one() {
    let line = |color, points: &[f64]| Series::over_epochs("a", Color::Cycle(color), 0, points);
    let shown = means_over_epochs(vec![
        line(0, &[1.0, 4.0]),
        line(1, &[9.0]),
        line(0, &[3.0, 2.0, 6.0]),
        line(0, &[f64::NAN, 3.0, 3.0]).mark(Mark::Dashed),
    ]);
    let marks: Vec<Mark> = shown.iter().map(|series| series.mark).collect();
    assert_eq!(marks, [Mark::Band, Mark::Line, Mark::Line, Mark::Dashed]);
    // The first seed ended at 4.
    assert_eq!(shown[1].points, [(0.0, 2.0), (1.0, 3.0), (2.0, 5.0)]);
    let edges = [(0.0, 1.0), (0.0, 3.0), (1.0, 2.0), (1.0, 4.0), (2.0, 4.0), (2.0, 6.0)];
    assert_eq!(shown[0].points, edges);
    assert_eq!((shown[1].label.as_str(), shown[2].points.as_slice()), ("a", &[(0.0, 9.0)][..]));
}

#[test]
fn curves_are_averaged_at_their_own_x() {
    let line = |points: &[(f64, f64)]| Series::new("a", Color::Cycle(0), points.to_vec());
    // The first seed never got to x = 2, the second has no number at x = 1, points come in any order.
    let seeds = || vec![line(&[(0.0, 1.0), (1.0, 2.0)]), line(&[(2.0, 9.0), (0.0, 3.0), (1.0, f64::NAN)])];
    let shown = means_at_points(seeds());
    assert_eq!(shown[1].points, [(0.0, 2.0), (1.0, 2.0), (2.0, 9.0)]);
    assert_eq!(shown[1].not_finite(), 1);
    // Over epochs it stays where it was.
    assert_eq!(means_over_epochs(seeds())[1].points, [(0.0, 2.0), (1.0, 2.0), (2.0, 5.5)]);
    // A hole in the middle is none of that.
    let shown = means_over_epochs(vec![line(&[(0.0, 1.0), (2.0, 1.0)]), line(&[(0.0, 3.0), (1.0, 5.0), (2.0, 3.0)])]);
    assert_eq!(shown[1].points, [(0.0, 2.0), (1.0, 5.0), (2.0, 2.0)]);
}

#[test]
fn rows_of_several_seeds_are_one() {
    let row = |name: &str, seed, epochs, loss, ended: &str| {
        vec![name.into(), Cell::Seed(seed), Cell::Count(epochs), Cell::Number(loss), ended.into()]
    };
    let table = [
        row("a", 0, 10.0, 0.0010, "converged"),
        row("b", 0, 10.0, 0.5, "converged"),
        row("a", 1, 10.0, 0.0014, "plateau"),
        row("a", 2, 10.0, 0.0012, "converged"),
    ];
    // scipy.stats.t.ppf(0.975, 2) · 0.0002 / √3 = 0.000497
    assert_eq!(rows(&table)[0], ["a", "3 seeds", "10", "0.00120 ± 0.00050", "2 converged, 1 plateau"]);
    assert_eq!(rows(&table)[1], ["b", "0", "10", "0.5000", "converged"]);
    let some = [row("a", 0, 1.0, f64::NAN, "x"), row("a", 1, 1.0, 2.0, "x"), row("a", 2, 1.0, 2.0, "x")];
    assert_eq!(rows(&some)[0][3], "2.000, not finite in 1 of 3");
    let gap = |seed, cell| vec!["a".into(), Cell::Seed(seed), cell];
    assert_eq!(rows(&[gap(0, Cell::Undefined), gap(1, Cell::Number(2.0))])[0][2], "2.000, - in 1 of 2");
    assert_eq!(rows(&[gap(0, Cell::Undefined), gap(1, Cell::Undefined)])[0][2], "-");
    let plain = [vec![Cell::from("x"), Cell::Number(1.0)], vec![Cell::from("x"), Cell::Number(2.0)]];
    assert_eq!(rows(&plain), [["x", "1.000"], ["x", "2.000"]]);
}

#[test]
fn means_are_written_to_the_place_of_their_interval() {
    let shown = |cells: [Cell; 2]| {
        let row = |(seed, cell)| vec!["a".into(), Cell::Seed(seed), cell];
        let [low, high] = cells;
        rows(&[row((0, low)), row((1, high))])[0][2].clone()
    };
    // Half the interval over two seeds, by their distance from the mean: scipy.stats.t.ppf(0.975, 1).
    const T: f64 = 12.706204736174698;
    for (value, half, text) in [
        (1.2344, 0.0321, "1.234 ± 0.032"),
        (1234.4, 210.0, "1234 ± 210"),
        (1.1e-5, 2.5e-6, "(1.10 ± 0.25)e-5"),
        (2.5e9, 3e8, "(2.50 ± 0.30)e9"),
        (0.0, 0.5, "0.00 ± 0.50"),
    ] {
        assert_eq!(shown([cell(value - half / T), cell(value + half / T)]), text);
    }
    assert_eq!(shown([cell(1.5), Cell::Undefined]), "1.500, - in 1 of 2");
}
