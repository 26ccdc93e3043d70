//! Curves: values are read, curves switched, axes zoomed and changed, data saved.

use super::made::{SIMULATE, agrees, at, made, number, points, points_of};
use super::reader::{BLUE, beside};
use super::{browser, on_each_screen};
use crate::common::browser::{CONTROL, PLAIN, SHIFT, Screen, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const LOSS: &str = "training-loss";

/// Curves that are means over seeds, each on its band.
const MEANS: (&str, &str) = ("grad-norm", "loss");
const OF_MEANS: [&str; 2] = ["train", "validation"];
const QUANTITY: &str = "loss (mean squared error)";

/// The ends of a band by x.
fn band(series: &Value) -> BTreeMap<u64, (f64, f64)> {
    points_of(series).chunks(2).map(|ends| (ends[0].0 as u64, (ends[0].1, ends[1].1))).collect()
}

#[test]
fn a_value_is_what_was_measured() {
    let figure = made().figure(MEANS.0, MEANS.1);
    on_each_screen(|page| {
        let loss = page.figure(MEANS.0, MEANS.1);
        let mut seen = Vec::new();
        for place in [(0.3, 0.4), (0.6, 0.5), (0.95, 0.3)] {
            let spot = page.spot(&loss, 0, place);
            page.point_at(spot);
            let rows = page.read(&loss, 0);
            let epoch = number(beside(&rows, "epoch"));
            for name in OF_MEANS {
                // The nearest curve has its value beside what is measured, the others beside their names.
                let shown = match beside(&rows, name) {
                    "" => beside(&rows, QUANTITY),
                    shown => shown,
                };
                assert!(agrees(shown, at(&points(&figure, 0, name), epoch)), "{name}, epoch {epoch}: {rows:?}");
            }
            let (low, high) = beside(&rows, "band").split_once(" to ").unwrap();
            let bands: Vec<(f64, f64)> = figure["panels"][0]["plot"]["series"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|series| series["mark"] == "band")
                .map(|series| band(series)[&(epoch as u64)])
                .collect();
            let is = |ends: &(f64, f64)| [(low, ends.0), (high, ends.1)].iter().all(|(shown, end)| close(shown, *end));
            assert!(bands.iter().any(is), "{rows:?} {bands:?}");
            seen.push(epoch);
        }
        assert!(seen.is_sorted() && seen[0] < seen[2], "{seen:?}");
    });
}

/// The same to the digits shown, zeros at the end left out.
fn close(shown: &str, exact: f64) -> bool {
    (number(shown) - exact).abs() <= 1e-3 * exact.abs()
}

#[test]
fn keys_read_point_by_point_and_say_so() {
    let figure = made().figure(MEANS.0, MEANS.1);
    on_each_screen(|page| {
        let loss = page.figure(MEANS.0, MEANS.1);
        let about = page.about(&loss, 0);
        let what = format!("{QUANTITY} over epoch, logarithmic. 2 series: train; validation. Values from ");
        assert!(about.starts_with(&what), "{about}");
        page.focus(&loss, 0);
        let mut curves = Vec::new();
        for (key, held, epoch) in [
            ("ArrowRight", PLAIN, 0.0),
            ("ArrowRight", PLAIN, 1.0),
            ("ArrowRight", SHIFT, 11.0),
            ("PageDown", PLAIN, 21.0),
            ("ArrowUp", PLAIN, 21.0),
            ("ArrowLeft", PLAIN, 20.0),
            ("End", PLAIN, 29.0),
            ("ArrowDown", PLAIN, 29.0),
            ("Home", PLAIN, 0.0),
        ] {
            page.key(key, held);
            let heard = page.heard(&loss);
            let (curve, rest) = heard.split_once(": epoch ").unwrap_or_else(|| panic!("{key}: {heard}"));
            let (x, rest) = rest.split_once(&format!(", {QUANTITY} ")).unwrap();
            let (value, _) = rest.split_once(", band ").unwrap();
            assert_eq!(number(x), epoch, "{key}: {heard}");
            assert!(agrees(value, at(&points(&figure, 0, curve), epoch)), "{key}: {heard}");
            // The box shows what is said.
            let rows = page.read(&loss, 0);
            assert_eq!([beside(&rows, "epoch"), beside(&rows, curve)], [x, value]);
            curves.push(curve.to_owned());
        }
        // On top first; up and down to the next curve and back.
        assert_eq!([&curves[3][..], &curves[4], &curves[7]], ["validation", "train", "validation"]);
        // Out of the figure with Tab, as from any other field.
        page.key("Tab", PLAIN);
        assert!(page.is("document.activeElement.matches('button')"));
        assert_eq!(page.read(&loss, 0), []);
    });
}

#[test]
fn what_the_table_says_is_read_at_its_size() {
    let metrics = made().metrics("params-sweep");
    let table = &metrics["table"];
    let column = |name: &str| table["columns"].as_array().unwrap().iter().position(|column| column == name).unwrap();
    let (parameters, error) = (column("parameters"), column("test error"));
    let all = table["rows"].as_array().unwrap().iter();
    let without_noise = all.filter(|row| row[0].as_str().unwrap().ends_with(", 0 % label noise"));
    let text = |cell: &Value| cell.as_str().unwrap().to_owned();
    let rows: Vec<(String, String)> = without_noise.map(|row| (text(&row[parameters]), text(&row[error]))).collect();
    assert_eq!(rows.len(), 11);
    on_each_screen(|page| {
        let descent = page.figure("params-sweep", "double-descent");
        page.focus(&descent, 0);
        page.key("ArrowRight", PLAIN);
        // The first colour is without noise, below the other; on top is the last.
        page.key("ArrowUp", PLAIN);
        page.key("Home", PLAIN);
        for (size, value) in &rows {
            let heard = page.heard(&descent);
            assert!(
                heard.contains(&format!("parameters {size}, ")) && heard.contains(value),
                "{size} {value}: {heard}"
            );
            page.key("ArrowRight", PLAIN);
        }
        // Beside it the same size is read.
        let (own, beside_it) = (page.read(&descent, 0), page.read(&descent, 1));
        assert_eq!(beside(&own, "parameters"), beside(&beside_it, "parameters"));
    });
}

#[test]
fn the_legend_switches_a_curve_in_all_figures_of_the_study() {
    on_each_screen(|page| {
        let both = [LOSS, "predictions"];
        for name in both {
            let at = page.figure(SIMULATE, name);
            page.wait_for_pixels(&at, 0, BLUE, true);
        }
        let loss = page.figure(SIMULATE, LOSS);
        page.press(&loss, "DNN_1");
        for name in both {
            let at = page.figure(SIMULATE, name);
            assert!(!page.is_pressed(&at, "DNN_1") && page.is_pressed(&at, "DNN_2"), "{name}");
            page.wait_for_pixels(&at, 0, BLUE, false);
        }
        // What is not seen is not read.
        page.focus(&loss, 0);
        for _ in 0..4 {
            page.key("ArrowDown", PLAIN);
            assert!(!page.heard(&loss).contains("DNN_1"), "{}", page.heard(&loss));
        }
        // Another study has a legend of its own.
        let other = page.figure("grad-norm", "loss");
        assert!(page.is_pressed(&other, "train"));
        page.wait_for_pixels(&other, 0, BLUE, true);
        // Back, by key on the button this time.
        let predictions = page.figure(SIMULATE, "predictions");
        page.evaluate(&format!(
            "[...document.querySelectorAll('{predictions} .legend button')].find(one => one.textContent === 'DNN_1').focus()"
        ));
        page.key(" ", PLAIN);
        for name in both {
            let at = page.figure(SIMULATE, name);
            assert!(page.is_pressed(&at, "DNN_1"), "{name}");
            page.wait_for_pixels(&at, 0, BLUE, true);
        }
        if page.is_touch() {
            return;
        }
        let loss = page.figure(SIMULATE, LOSS);
        page.press_holding(&loss, "DNN_1", SHIFT);
        assert_eq!(["DNN_1", "DNN_2", "DNN_3"].map(|name| page.is_pressed(&loss, name)), [true, false, false]);
        page.press_holding(&loss, "DNN_1", SHIFT);
        assert_eq!(["DNN_1", "DNN_2", "DNN_3"].map(|name| page.is_pressed(&loss, name)), [true; 3]);
    });
}

#[test]
fn it_zooms_in_and_back() {
    on_each_screen(|page| {
        let loss = page.figure("grad-norm", "gradient-norm-and-loss");
        let whole = page.picture(&loss, 0);
        let (from, to) = (page.spot(&loss, 0, (0.4, 0.3)), page.spot(&loss, 0, (0.7, 0.6)));
        let middle = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
        if page.is_touch() {
            page.pinch(middle, 40.0, 130.0);
            assert_eq!(page.number("visualViewport.scale"), 1.0, "the page itself is not zoomed");
        } else {
            page.drag(from, to, PLAIN);
        }
        assert!(page.is_zoomed(&loss, 0), "{}", page.about(&loss, 0));
        page.wait_for_another(&loss, 0, &whole);
        if page.is_touch() {
            page.double_tap(middle);
        } else {
            page.double_click(middle);
        }
        assert!(!page.is_zoomed(&loss, 0));
        page.move_to((2.0, 2.0));
        page.wait_for_same(&loss, 0, &whole);

        // By key, where it reads; Escape goes back.
        page.focus(&loss, 0);
        page.key("ArrowRight", PLAIN);
        page.key("+", PLAIN);
        page.key("+", PLAIN);
        assert!(page.heard(&loss).starts_with("Zoomed to epoch "), "{}", page.heard(&loss));
        // What is read stays in view.
        page.key("End", PLAIN);
        assert!(page.heard(&loss).contains(": epoch 29, ") && !page.read(&loss, 0).is_empty());
        page.key("-", PLAIN);
        page.key("Escape", PLAIN);
        assert!(!page.is_zoomed(&loss, 0) && page.heard(&loss) == "All of it is shown.");
        // By buttons, for hands that neither drag nor pinch.
        page.press(&loss, "+");
        assert!(page.is_zoomed(&loss, 0));
        page.press(&loss, "All");
        assert!(!page.is_zoomed(&loss, 0));
        if page.is_touch() {
            return;
        }
        // A wheel scrolls the page; with Control, as a trackpad's pinch comes, it zooms; a drag with shift moves what is
        // shown.
        let spot = page.spot(&loss, 0, (0.5, 0.5));
        page.wheel(spot, -120.0, CONTROL);
        assert!(page.is_zoomed(&loss, 0));
        let before = page.about(&loss, 0);
        page.drag(spot, (spot.0 - 60.0, spot.1), SHIFT);
        assert!(page.is_zoomed(&loss, 0) && page.about(&loss, 0) != before, "{before}");
        page.key("Escape", PLAIN);
        let scrolled = page.number("scrollY");
        page.wheel(spot, 90.0, PLAIN);
        page.wait_for(&format!("scrollY > {scrolled}"));
    });
}

#[test]
fn panels_beside_each_other_show_the_same_part() {
    on_each_screen(|page| {
        let trainings = page.figure("min-ratio", "trainings");
        page.focus(&trainings, 0);
        for key in ["ArrowRight", "+", "+"] {
            page.key(key, PLAIN);
        }
        let part = |about: &str| about.split_once("Zoomed to epoch ").map(|(_, part)| part.to_owned());
        let (own, other) = (page.about(&trainings, 0), page.about(&trainings, 1));
        assert!(part(&own).is_some(), "{own}");
        assert_eq!(part(&own), part(&other), "what a screen reader hears of both");
        page.key("Escape", PLAIN);
        assert!(!page.is_zoomed(&trainings, 0) && !page.is_zoomed(&trainings, 1));
    });
}

#[test]
fn axes_are_linear_or_logarithmic_as_asked() {
    // One that is logarithmic at first, and one that is not.
    for (study, name, curve, quantity, is_log) in [
        (MEANS.0, MEANS.1, "validation", QUANTITY, true),
        (SIMULATE, LOSS, "DNN_3", "training loss (mean squared error)", false),
    ] {
        let figure = made().figure(study, name);
        let value = at(&points(&figure, 0, curve), 29.0);
        let series = figure["panels"][0]["plot"]["series"].as_array().unwrap();
        let of_curve = series.iter().find(|series| series["label"] == curve && series["mark"] != "band").unwrap();
        // Of one seed: with its name.
        let read_as = of_curve["name"].as_str().map_or(curve.to_owned(), |seed| format!("{curve}, {seed}"));
        on_each_screen(|page| {
            let loss = page.figure(study, name);
            let axis = format!("log: vertical axis, {quantity}");
            let before = page.picture(&loss, 0);
            assert_eq!(page.is_pressed(&loss, &axis), is_log);
            page.press(&loss, &axis);
            assert_eq!(page.is_pressed(&loss, &axis), !is_log);
            page.wait_for_another(&loss, 0, &before);
            // The same is read.
            page.focus(&loss, 0);
            page.key("End", PLAIN);
            let shown = page.read(&loss, 0);
            assert!(agrees(beside(&shown, &read_as), value), "{shown:?}");
            page.key("Escape", PLAIN);
            page.press(&loss, &axis);
            assert_eq!(page.is_pressed(&loss, &axis), is_log);
            page.wait_for_same(&loss, 0, &before);
        });
    }
}

#[test]
fn seeds_are_shown_one_by_one() {
    let figure = made().figure(MEANS.0, MEANS.1);
    let series = figure["panels"][0]["plot"]["series"].as_array().unwrap();
    let mean = series.iter().find(|series| series["label"] == "validation" && series["mark"] != "band").unwrap();
    let seeds: Vec<Vec<(f64, f64)>> = mean["members"].as_array().unwrap().iter().map(points_of).collect();
    assert_eq!(seeds.len(), 2);
    on_each_screen(|page| {
        let loss = page.figure(MEANS.0, MEANS.1);
        let before = page.picture(&loss, 0);
        page.press(&loss, "Seeds");
        page.wait_for_another(&loss, 0, &before);
        for seed in ["seed 0", "seed 1"] {
            assert!(page.texts(&loss, ".legend button").contains(&seed.to_owned()), "{seed}");
        }
        page.focus(&loss, 0);
        page.key("End", PLAIN);
        let mut heard = BTreeMap::new();
        for _ in 0..12 {
            page.key("ArrowDown", PLAIN);
            let said = page.heard(&loss);
            let (name, rest) = said.split_once(": epoch ").unwrap();
            let (epoch, rest) = rest.split_once(&format!(", {QUANTITY} ")).unwrap();
            let value = rest.split(", band").next().unwrap().to_owned();
            heard.insert(name.to_owned(), (number(epoch), value));
        }
        for (seed, points) in seeds.iter().enumerate() {
            let (epoch, value) = &heard[&format!("validation, seed {seed}")];
            assert!(agrees(value, at(points, *epoch)), "seed {seed}: {heard:?}");
        }
        // In the study's other figures too, and one can be left out.
        let with_all = page.picture(&loss, 0);
        page.press(&loss, "seed 1");
        page.wait_for_another(&loss, 0, &with_all);
        page.press(&loss, "seed 1");
        page.press(&loss, "Seeds");
        assert!(!page.texts(&loss, ".legend button").iter().any(|text| text.starts_with("seed")));
    });
}

/// A line of CSV.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            letter => cells.last_mut().unwrap().push(letter),
        }
    }
    cells
}

#[test]
fn what_is_saved_is_the_figure() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    browser.saves_to(folder.path());
    let mut page = browser.open(&made().page(), Screen::wide(1280));
    let loss = page.figure(MEANS.0, MEANS.1);
    page.press(&loss, "CSV");
    page.wait_for(&format!("document.querySelector('{loss} .told').textContent === 'copied'"));
    let csv = page.text("navigator.clipboard.readText()");
    let mut rows = csv.lines().map(cells);
    assert_eq!(rows.next().unwrap(), ["series", "mark", "epoch", QUANTITY, "to"]);
    let rows: Vec<Vec<String>> = rows.collect();

    // All numbers of the figure's JSON, and no other; a mean's seeds are before it.
    let figure = made().figure(MEANS.0, MEANS.1);
    let mut expected: Vec<Vec<String>> = Vec::new();
    let row = |name: &str, mark: &str, x: f64, y: f64, to: Option<f64>| {
        let to = to.map_or(String::new(), |to| to.to_string());
        vec![name.to_owned(), mark.to_owned(), x.to_string(), y.to_string(), to]
    };
    let names = OF_MEANS;
    for series in figure["panels"][0]["plot"]["series"].as_array().unwrap() {
        if series["mark"] == "band" {
            let name = names[series["color"]["cycle"].as_u64().unwrap() as usize];
            expected.extend(band(series).iter().map(|(x, ends)| row(name, "band", *x as f64, ends.0, Some(ends.1))));
            continue;
        }
        let name = series["label"].as_str().unwrap();
        for member in series["members"].as_array().into_iter().flatten() {
            let name = format!("{name}, {}", member["name"].as_str().unwrap());
            expected.extend(points_of(member).iter().map(|point| row(&name, "thin", point.0, point.1, None)));
        }
        let mark = series["mark"].as_str().unwrap();
        expected.extend(points_of(series).iter().map(|point| row(name, mark, point.0, point.1, None)));
    }
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row[..2], expected[..2]);
        for cell in 2..5 {
            assert_eq!(row[cell].parse::<f64>(), expected[cell].parse::<f64>(), "{row:?} {expected:?}");
        }
    }

    let saved = |name: &str| {
        let path = folder.path().join(name);
        // Written under another name first.
        until(&format!("{name} is saved"), || path.is_file());
        fs::read(path).unwrap()
    };
    page.press(&loss, "SVG");
    let svg = fs::read(made().file(MEANS.0, "figures/loss.svg")).unwrap();
    assert!(saved("loss.svg").trim_ascii() == svg.trim_ascii());
    page.press(&loss, "PNG");
    let png = saved("loss.png");
    assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert!(side(16) > 800 && side(20) > 400, "{} × {}", side(16), side(20));
    assert_eq!(page.faults(), [""; 0]);
}
