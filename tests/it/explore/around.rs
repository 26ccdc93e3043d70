//! The page around its figures: all of them live; without a script, on paper and with data that is odd or broken it stands
//! as well.

use super::made::{SIMULATE, made};
use super::{browser, on_each_screen};
use crate::common::Dir;
use crate::common::browser::{PLAIN, Page, Screen, until};
use serde_json::{Value, json};
use std::fs;

/// An image is seen, and nothing that one can use.
fn stands(figure: &str) -> String {
    format!(
        "(figure => {{
            const image = figure.querySelector('img');
            const shown = [...figure.querySelectorAll('canvas, button, input, .reading, .explore')]
                .filter(element => element.checkVisibility());
            return image.checkVisibility() && image.offsetHeight > 50 && image.naturalWidth > 0 && shown.length === 0;
        }})({figure})"
    )
}

fn all_stand() -> String {
    format!("[...document.querySelectorAll('figure')].every(figure => {})", stands("figure"))
}

#[test]
fn every_figure_lives_and_has_a_name() {
    on_each_screen(|page| {
        for (study, name) in made().figures() {
            let at = page.figure(&study, &name);
            let panels = made().figure(&study, &name)["panels"].as_array().unwrap().len();
            assert_eq!(page.texts(&at, ".panel").len(), panels, "{study} {name}");
            assert!(!page.is(&format!("document.querySelector('{at} img').checkVisibility()")), "{study} {name}");
            let named = "every(canvas => canvas.getAttribute('aria-label') && canvas.tabIndex === 0)";
            assert!(page.is(&format!("[...document.querySelectorAll('{at} canvas.above')].{named}")), "{study} {name}");
            for panel in 0..panels {
                assert!(page.about(&at, panel).len() > 20, "{study} {name}");
                page.wait_for(&format!("[...document.querySelectorAll('{at} canvas.drawn')][{panel}].width > 100"));
            }
            // Buttons are named by what is seen on them and by what they do.
            let buttons = "[...document.querySelectorAll('figure button')]";
            assert!(
                page.is(&format!("{buttons}.every(button => button.textContent && button.title)")),
                "{study} {name}"
            );
        }
        assert!(page.is("document.documentElement.scrollWidth <= innerWidth"));
    });
}

#[test]
fn without_a_script_and_on_paper_the_images_stand() {
    let Some(mut browser) = browser() else { return };
    for width in [375, 1280] {
        let mut page = browser.open(&made().page(), Screen::wide(width).without_script());
        assert!(page.is(&all_stand()), "{width}");
        assert_eq!(page.faults(), [""; 0]);
        drop(page);

        let mut page = browser.open(&made().page(), Screen::wide(width));
        let loss = page.figure(SIMULATE, "training-loss");
        page.press(&loss, "DNN_1");
        page.press(&loss, "+");
        assert!(!page.is(&stands(&format!("document.querySelector('{loss}')"))));
        page.media("print");
        assert!(page.is(&all_stand()), "{width}");
        let pdf = page.pdf();
        assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 50_000, "{}", pdf.len());
        page.media("");
        page.settle();
        assert!(!page.is(&stands(&format!("document.querySelector('{loss}')"))));
        assert_eq!(page.faults(), [""; 0]);
    }
}

#[test]
fn dark_is_another_picture_and_reads_the_same() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let shot = folder.path().join("page.png");
    let mut seen = Vec::new();
    for screen in [Screen::wide(1280), Screen::wide(1280).dark(), Screen::wide(1280)] {
        let mut page = browser.open(&made().page(), screen);
        let loss = page.figure(SIMULATE, "training-loss");
        page.focus(&loss, 0);
        page.key("End", PLAIN);
        page.screenshot(&shot);
        seen.push((page.picture(&loss, 0), fs::read(&shot).unwrap(), page.heard(&loss)));
        assert_eq!(page.faults(), [""; 0]);
    }
    let [light, dark, again] = &seen[..] else { unreachable!() };
    assert!(light.0 != dark.0 && light.1 != dark.1 && light.2 == dark.2);
    assert!(light.0 == again.0);
}

/// Changes the JSON of a figure, as a study writes it, in `run` of a folder.
fn change(dir: &Dir, figure: &str, to: impl FnOnce(&mut Value)) {
    let path = format!("run/{figure}.json");
    let mut value = dir.json(&path);
    to(&mut value);
    fs::write(dir.path().join(path), value.to_string()).unwrap();
}

fn report(dir: &Dir) -> std::path::PathBuf {
    dir.succeed(&["report", "--out", "run"]);
    dir.path().join("run/report.html")
}

/// A figure of a changed page, alive.
fn living(page: &mut Page, study: &str, title: &str) -> String {
    let at = page.figure_titled(study, title);
    page.wait_for(&format!("document.querySelector('{at}').classList.contains('live')"));
    page.settle();
    at
}

#[test]
fn odd_data_are_shown_for_what_they_are() {
    const MARKUP: &str = "</script><img src=x onerror=alert(1)>";
    const MANY: usize = 100_000;
    let Some(mut browser) = browser() else { return };
    let dir = made().copy(&["grad-norm", SIMULATE, "min-ratio"]);
    // A rate at which training diverges: after a step its loss is NaN.
    let diverges = ["grad-norm", "--preset", "smoke", "--out", "run", "--quiet", "--set", "learning_rate=1e30"];
    dir.succeed(&[&diverges[..], &["--set", "epochs=5", "--set", "train_size=100"]].concat());
    let empty = "min-ratio/figures/ratio";
    change(&dir, empty, |figure| {
        for panel in figure["panels"].as_array_mut().unwrap() {
            panel["plot"]["series"].as_array_mut().unwrap().iter_mut().for_each(|series| series["points"] = json!([]));
        }
    });
    let many: Vec<(f64, f64)> =
        (0..MANY).map(|i| (i as f64, 2.0 + (i as f64 / 5e3).sin() + (i % 7) as f64 / 20.0)).collect();
    let long = format!("{SIMULATE}/figures/training-loss");
    change(&dir, &long, |figure| {
        let series = figure["panels"][0]["plot"]["series"].as_array_mut().unwrap();
        series.retain(|series| series["label"] == "DNN_1");
        series[0]["points"] = json!(many);
        series[0]["label"] = json!(MARKUP);
        series[0]["name"] = json!("");
    });
    let title = |figure: &str| dir.json(&format!("run/{figure}.json"))["title"].as_str().unwrap().to_owned();
    let titles = ["grad-norm/figures/loss", empty, &long].map(title);
    let file = report(&dir);

    let mut page = browser.open(&file, Screen::wide(1280));
    let diverged = living(&mut page, "grad-norm", &titles[0]);
    let about = page.about(&diverged, 0);
    assert!(about.contains("1 point is not finite."), "{about}");
    page.focus(&diverged, 0);
    for key in ["ArrowRight", "End", "ArrowUp", "Home", "+", "ArrowDown"] {
        page.key(key, PLAIN);
        let heard = page.heard(&diverged);
        assert!(
            !heard.contains("NaN") && !heard.contains("not finite") && !heard.contains("undefined"),
            "{key}: {heard}"
        );
    }

    let empty = living(&mut page, "min-ratio", &titles[1]);
    let about = page.about(&empty, 0);
    assert!(about.contains("no finite data."), "{about}");
    page.focus(&empty, 0);
    for key in ["ArrowRight", "ArrowUp", "+", "End", "-", "Escape"] {
        page.key(key, PLAIN);
    }
    assert_eq!(page.read(&empty, 0), []);

    let long = living(&mut page, SIMULATE, &titles[2]);
    // A name is a text, wherever it stands.
    assert_eq!(page.texts(&long, ".legend button"), [MARKUP]);
    assert!(page.is("[...document.images].every(image => image.getAttribute('src') !== 'x')"));
    page.focus(&long, 0);
    for (key, last) in [("ArrowRight", 0), ("End", MANY - 1)] {
        page.key(key, PLAIN);
        let heard = page.heard(&long);
        let value = super::made::at(&many, last as f64);
        assert!(heard.starts_with(&format!("{MARKUP}: epoch {last}, ")), "{heard}");
        assert!(super::made::agrees(heard.rsplit(' ').next().unwrap(), value), "{heard}, not {value}");
    }
    // Thinned for the screen, with what is lowest and highest kept; and the reader is told.
    let extremes = |pick: fn(f64, f64) -> f64, from: f64| many.iter().map(|point| point.1).fold(from, pick);
    let about = page.about(&long, 0);
    let (low, high) =
        about.split_once("Values from ").unwrap().1.split_once(". ").unwrap().0.split_once(" to ").unwrap();
    assert!(super::made::agrees(low, extremes(f64::min, f64::INFINITY)), "{about}");
    assert!(super::made::agrees(high, extremes(f64::max, 0.0)), "{about}");
    let spot = page.spot(&long, 0, (0.5, 0.5));
    page.move_to(spot);
    let read = page.read(&long, 0);
    let epoch = super::made::number(super::reader::beside(&read, "epoch"));
    assert!(super::made::agrees(super::reader::beside(&read, MARKUP), super::made::at(&many, epoch)), "{read:?}");
    assert_eq!(page.faults(), [""; 0]);
}

#[test]
fn a_broken_block_leaves_its_image_and_one_warning() {
    const DATA: &str = "class=\"figure-data\">";
    let Some(mut browser) = browser() else { return };
    let dir = made().copy(&["grad-norm"]);
    let whole = fs::read_to_string(report(&dir)).unwrap();
    let (before, rest) = whole.split_once(DATA).unwrap();
    let (first, rest) = rest.split_once("</script>").unwrap();
    let (between, rest) = rest.split_once(DATA).unwrap();
    let (second, after) = rest.split_once("</script>").unwrap();
    // Cut within, and no base64 at all.
    let cut = &first[..first.len() / 2 / 4 * 4];
    let broken = format!("{before}{DATA}{cut}</script>{between}{DATA}!{second}</script>{after}");
    let file = dir.path().join("broken.html");
    fs::write(&file, broken).unwrap();

    let mut page = browser.open(&file, Screen::wide(1280));
    let titles: Vec<String> = ["gradient-norm", "loss", "gradient-norm-and-loss"]
        .map(|name| made().figure("grad-norm", name)["title"].as_str().unwrap().to_owned())
        .into();
    // What can be read lives, beside such that cannot.
    let is_broken = |at: &String| ["#figure-1", "#figure-2"].contains(&at.as_str());
    let whole: Vec<&String> =
        titles.iter().filter(|title| !is_broken(&page.figure_titled("grad-norm", title))).collect();
    assert_eq!(whole.len(), 1);
    living(&mut page, "grad-norm", whole[0]);
    let mut warnings = Vec::new();
    until("a warning", || {
        warnings = page.faults();
        !warnings.is_empty()
    });
    for figure in ["#figure-1", "#figure-2"] {
        assert!(page.is(&stands(&format!("document.querySelector('{figure}')"))), "{figure}");
        page.evaluate(&format!("document.querySelector('{figure} .scroll').focus()"));
        page.settle();
    }
    warnings.extend(page.faults());
    assert!(warnings.len() == 1 && warnings[0].contains("Figures stay as they are"), "{warnings:?}");
}

#[test]
fn the_script_is_not_too_long() {
    let html = fs::read_to_string(made().page()).unwrap();
    let (_, script) = html.split_once("<script>(() => {\n").expect("the page's script");
    let (script, _) = script.split_once("</script>").unwrap();
    assert!(script.len() < 150_000, "{} bytes", script.len());
}
