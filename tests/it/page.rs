//! `hw1 report`: one page of all studies, as text and in a browser.

use crate::common::Dir;
use crate::common::browser::Browser;
use serde_json::{Value, json};
use std::fs;

const OUT: [&str; 5] = ["--preset", "smoke", "--out", "run", "--quiet"];

fn run(dir: &Dir, arguments: &[&str]) {
    dir.succeed(&[arguments, &OUT].concat());
}

fn page(dir: &Dir, format: &str) -> String {
    let ran = dir.succeed(&["report", "--out", "run", "--format", format]);
    fs::read_to_string(dir.path().join(ran.stdout().trim_end())).unwrap()
}

fn change_metrics(dir: &Dir, study: &str, to: impl FnOnce(&mut Value)) {
    change(dir, &format!("run/{study}/metrics.json"), to);
}

fn change(dir: &Dir, path: &str, to: impl FnOnce(&mut Value)) {
    let mut metrics = dir.json(path);
    to(&mut metrics);
    fs::write(dir.path().join(path), metrics.to_string()).unwrap();
}

/// The page less its own script and what that reads, which nobody's data may bring about.
fn without_script(html: &str) -> String {
    let (before, script) = html.split_once("<script>(() => {\n").expect("the page's script");
    let (_, after) = script.split_once("})();\n</script>").unwrap();
    let mut plain = format!("{before}{after}");
    const DATA: &str = "<script type=\"application/octet-stream\" class=\"figure-data\">";
    while let Some((before, rest)) = plain.split_once(DATA) {
        let (data, after) = rest.split_once("</script>").unwrap();
        assert!(data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)), "{data:.200}");
        plain = format!("{before}{after}");
    }
    plain
}

/// Whether the words come in this order.
fn in_order(text: &str, words: &[&str]) -> bool {
    let mut rest = text;
    words.iter().all(|word| {
        let found = rest.split_once(word);
        rest = found.map_or("", |(_, rest)| rest);
        found.is_some()
    })
}

#[test]
fn all_studies_are_on_one_page_in_the_reports_order() {
    let dir = Dir::new();
    run(&dir, &["grad-norm"]);
    run(&dir, &["simulate"]);
    run(&dir, &["simulate", "--fn", "x^2", "--model", "1-4-1"]);
    run(&dir, &["params-sweep"]);
    let html = page(&dir, "html");
    let order =
        ["What was found", ">simulate-sin-sq</h2>", ">simulate-sign-sin</h2>", ">simulate-x-2-", ">grad-norm</h2>"];
    assert!(in_order(&html, &order), "{html:.5000}");
    for words in [
        "Preset smoke, not the report&#39;s settings: all 5 studies.",
        "Synthetic digits in place of MNIST: params-sweep.",
        "Not among the report&#39;s studies: simulate-x-2-",
        "The deeper the model, the lower the loss at convergence.",
        "<small>(report: 20000)</small>",
        "DNN_1 2361, DNN_2 1511, DNN_3 701",
        "<td class=\"number reported\">0.001236</td>",
        "<code>hw1 grad-norm --preset smoke --out run --quiet</code>",
    ] {
        assert!(html.contains(words), "{words}");
    }
    assert_eq!(html.matches("<img ").count(), 3 * 3 + 3 + 2);
    assert!(!html.contains(env!("CARGO_MANIFEST_DIR")), "paths of this machine");
    assert_eq!(page(&dir, "html"), html);

    let markdown = page(&dir, "markdown");
    assert!(in_order(
        &markdown,
        &["| [simulate-sin-sq](#simulate-sin-sq) |", "\n## simulate-sin-sq\n", "| DNN\\_1 | 2361 |"]
    ));
    for link in markdown.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
        let path = link.replace('\\', "");
        assert!(path.starts_with('#') || dir.path().join("run").join(&path).is_file(), "{path}");
    }
    assert_eq!(markdown.matches("](").count() - markdown.matches("](#").count(), 3 * 3 + 3 + 2);
}

#[test]
fn two_runs_stand_in_one_figure_and_their_settings_beside() {
    let dir = Dir::new();
    for (out, epochs) in [("short", "epochs=4"), ("long", "epochs=6")] {
        dir.succeed(&["grad-norm", "--preset", "smoke", "--quiet", "--out", out, "--set", epochs]);
    }
    let names: Vec<String> = dir.json("long/grad-norm/metrics.json")["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|figure| figure["name"].as_str().unwrap().to_owned())
        .collect();
    dir.succeed(&["report", "--out", "long", "--against", "short"]);
    let html = fs::read_to_string(dir.path().join("long/report.html")).unwrap();
    let section = |html: &str, id: &str| -> String {
        let (_, from) = html.split_once(&format!("<section id=\"{id}\">")).unwrap();
        from.split_once("</section>").unwrap().0.to_owned()
    };
    let of_both = section(&html, "of-both");
    assert!(
        section(&html, "against")
            .contains("<td class=\"words\">epochs</td><td class=\"words\">4</td><td class=\"words\">6</td>")
    );
    assert_eq!(of_both.matches("<img ").count(), names.len());
    assert_eq!(of_both.matches("class=\"figure-data\"").count(), names.len());
    // Numbered on from the studies' own.
    assert!(of_both.contains(&format!("<b>Figure {}.</b>", names.len() + 1)), "{of_both:.3000}");
    for name in &names {
        for ending in ["png", "svg", "json"] {
            assert!(dir.path().join(format!("long/against/grad-norm/figures/{name}.{ending}")).is_file(), "{name}");
        }
        let both = dir.json(&format!("long/against/grad-norm/figures/{name}.json"));
        let own = dir.json(&format!("long/grad-norm/figures/{name}.json"));
        assert_eq!(both["title"], own["title"]);
    }
    // All that either run shows: the loss of four epochs and of six.
    let loss = dir.json("long/against/grad-norm/figures/loss.json");
    let lengths = |panels: &Value| -> Vec<usize> {
        let series = panels.as_array().unwrap().iter().flat_map(|panel| panel["plot"]["series"].as_array().unwrap());
        let mut lengths: Vec<usize> = series.map(|series| series["points"].as_array().unwrap().len()).collect();
        lengths.sort_unstable();
        lengths
    };
    let of = |out: &str| lengths(&dir.json(&format!("{out}/grad-norm/figures/loss.json"))["panels"]);
    let mut all = [of("short"), of("long")].concat();
    all.sort_unstable();
    assert_eq!(lengths(&loss["panels"]), all);
    // The folder beside is no study.
    assert!(!dir.succeed(&["show", "--out", "long"]).stdout().contains("against"));

    let markdown = dir.succeed(&["report", "--out", "long", "--against", "short", "--format", "markdown"]);
    let markdown = fs::read_to_string(dir.path().join(markdown.stdout().trim_end())).unwrap();
    assert!(markdown.contains("](against/grad-norm/figures/loss.png)"), "{markdown}");

    // Data that names itself a path to elsewhere is none of this figure, and nothing is written there.
    let path = dir.path().join("long/grad-norm/figures/loss.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("\"name\":\"loss\"", "\"name\":\"../../../../loss\"", 1)).unwrap();
    dir.succeed(&["report", "--out", "long", "--against", "short"]);
    let html = fs::read_to_string(dir.path().join("long/report.html")).unwrap();
    assert_eq!(section(&html, "of-both").matches("<img ").count(), names.len() - 1);
    assert!(["png", "svg", "json"].iter().all(|ending| !dir.path().join(format!("loss.{ending}")).exists()));
    fs::write(&path, whole).unwrap();

    // An older version wrote no data of its figures: said, and no reason for less.
    for name in &names {
        fs::remove_file(dir.path().join(format!("short/grad-norm/figures/{name}.json"))).unwrap();
    }
    dir.succeed(&["report", "--out", "long", "--against", "short"]);
    let html = fs::read_to_string(dir.path().join("long/report.html")).unwrap();
    let of_both = section(&html, "of-both");
    assert!(of_both.contains("Of grad-norm there is no figure of both") && !of_both.contains("<img "));
}

#[test]
fn the_reports_own_settings_need_no_warning() {
    let dir = Dir::new();
    run(&dir, &["grad-norm"]);
    assert!(page(&dir, "html").contains("Before you believe"));
    let toml: toml::Table = include_str!("../../experiments/grad-norm.toml").parse().unwrap();
    change_metrics(&dir, "grad-norm", |metrics| {
        metrics["provenance"]["preset"] = "report".into();
        for (key, value) in metrics["settings"].as_object_mut().unwrap() {
            *value = serde_json::to_value(&toml[key]).unwrap();
        }
        // The words in it stand for MNIST's numbers.
        metrics["settings"]["digits_model"] = "784-32-10".into();
        // More seeds of the same are the same.
        metrics["settings"]["repeats"] = 10.into();
    });
    assert!(!page(&dir, "html").contains("Before you believe"));
    change_metrics(&dir, "grad-norm", |metrics| metrics["settings"]["epochs"] = 7.into());
    assert!(page(&dir, "html").contains("Some settings are not the report&#39;s: grad-norm."));
}

#[test]
fn what_cannot_be_read_is_a_line_on_the_page() {
    let dir = Dir::new();
    run(&dir, &["grad-norm"]);
    fs::create_dir_all(dir.path().join("run/interrupted/trials")).unwrap();
    fs::create_dir_all(dir.path().join("run/no-study")).unwrap();
    for (name, text) in [("broken", "{\"schema\": 1, "), ("newer", "{\"schema\": 99}")] {
        fs::create_dir_all(dir.path().join("run").join(name)).unwrap();
        fs::write(dir.path().join("run").join(name).join("metrics.json"), text).unwrap();
    }
    for file in ["loss.svg", "loss.png"] {
        fs::remove_file(dir.path().join("run/grad-norm/figures").join(file)).unwrap();
    }
    for format in ["html", "markdown"] {
        let text = page(&dir, format);
        assert!(text.contains("Without results: broken, interrupted, newer."), "{text:.3000}");
        assert!(text.contains("there is no metrics.json: its run did not end"));
        assert!(text.contains("Loss on sin(x) + x: this figure is missing"));
        assert_eq!(text.matches("<img ").count() + text.matches("![").count(), 2);
        assert!(!text.contains("no-study"));
    }
}

#[test]
fn an_empty_run_directory_is_an_error_that_says_what_to_do() {
    let dir = Dir::new();
    dir.run(&["report"]).fails(1, &["no study in runs/report", "hw1 simulate", "--out"]);
    dir.run(&["report", "--preset", "smoke"]).fails(1, &["no study in runs/smoke"]);
    fs::create_dir_all(dir.path().join("run")).unwrap();
    dir.run(&["report", "--out", "run"]).fails(1, &["no study in run:"]);
    assert!(dir.files("run").is_empty());
    let ran = dir.run(&["report", "--format", "pdf"]);
    assert!(ran.code() == 2 && ran.stderr().contains("[possible values: html, markdown]"), "{}", ran.stderr());
}

const HOSTILE: &str =
    "<script>console.error(1)</script><img src=x onerror=alert(1)>\"'&`|*_[a](http://127.0.0.1:9/)\n# h";

/// A study whose every text is an attack.
fn hostile(dir: &Dir) {
    run(dir, &["grad-norm"]);
    change_metrics(dir, "grad-norm", |metrics| {
        let claim = json!({
            "id": HOSTILE, "statement": HOSTILE, "verdict": "refuted", "detail": HOSTILE,
            "evidence": {HOSTILE: HOSTILE, "list": [{HOSTILE: [HOSTILE]}]},
            "effect_of": HOSTILE, "effect": -0.1, "interval": [-0.5, 1.0 / 3.0], "n": 12,
        });
        metrics["asked"] = HOSTILE.into();
        metrics["settings"] = json!({HOSTILE: HOSTILE, "function": HOSTILE});
        metrics["claims"] = json!([claim]);
        metrics["table"] = json!({"columns": [HOSTILE, "b"], "rows": [[HOSTILE, "1"], ["x"]], "notes": [HOSTILE]});
        metrics["trials"][0]["label"] = HOSTILE.into();
        metrics["trials"][0]["scalars"][HOSTILE] = Value::Null;
        metrics["figures"][0]["title"] = HOSTILE.into();
        metrics["figures"][0]["caption"] = HOSTILE.into();
        metrics["figures"][1]["name"] = "../../../elsewhere".into();
        metrics["figures"][2]["name"] = HOSTILE.into();
        metrics["provenance"]["command"] = json!(["hw1", HOSTILE]);
        metrics["provenance"]["cpu"] = HOSTILE.into();
        metrics["provenance"]["preset"] = HOSTILE.into();
    });
    for study in ["grad-norm", "<i>'\""] {
        let other = dir.path().join("other").join(study);
        fs::create_dir_all(&other).unwrap();
        fs::copy(dir.path().join("run/grad-norm/metrics.json"), other.join("metrics.json")).unwrap();
    }
    change(dir, "other/grad-norm/metrics.json", |metrics| {
        metrics["claims"][0]["verdict"] = "supported".into();
        metrics["provenance"]["preset"] = format!("{HOSTILE} other").into();
    });
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width=\"10\" height=\"10\"><script>console.error(2)</script>\
               <style>* { display: none }</style><image href='http://127.0.0.1:9/x.png'/></svg>\">#%41<h1>";
    fs::write(dir.path().join("run/grad-norm/figures/gradient-norm.svg"), svg.replace("\">#%41<h1>", "")).unwrap();
    let folder = dir.path().join("run/<b>\"&'");
    fs::create_dir_all(folder.join("figures")).unwrap();
    fs::copy(dir.path().join("run/grad-norm/metrics.json"), folder.join("metrics.json")).unwrap();
    fs::write(folder.join("figures/gradient-norm.svg"), svg).unwrap();
    fs::write(dir.path().join("elsewhere.svg"), "<svg width=\"7\" height=\"7\"></svg>").unwrap();
}

#[test]
fn hostile_text_stays_text() {
    let dir = Dir::new();
    hostile(&dir);
    let html = page(&dir, "html");
    assert!(html.contains("&#60;script&#62;console.error(1)"));
    assert_eq!(html.matches("<img ").count(), 2);
    for markup in ["<script", "<b>\"", "onerror=alert(1)>", "<h1>\n", "javascript:", "elsewhere.svg"] {
        assert!(!without_script(&html).contains(markup), "{markup}");
    }
    // So it does where another run's claims stand beside.
    dir.succeed(&["report", "--out", "run", "--against", "other"]);
    let against = fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    assert!(against.contains("<section id=\"against\">") && against.contains("There: preset &#60;script&#62;"));
    for markup in ["<script", "<b>\"", "onerror=alert(1)>", "<h1>\n", "javascript:"] {
        assert!(!without_script(&against).contains(markup), "{markup}");
    }
    assert!(html.contains("Effect -0.1000, 95 % interval -0.5000 to 0.3333, n = 12 (&#60;script"));

    let markdown = page(&dir, "markdown");
    let code = |line: &&str| line.starts_with("    ");
    for line in markdown.lines().filter(|line| !code(line)) {
        // Whatever could begin markup stands behind a backslash.
        let plain = line.replace("\\<", "").replace("\\[", "").replace("\\]", "").replace("\\`", "");
        assert!(!plain.contains('<') && !plain.contains("[a]") && !plain.contains('`'), "{line}");
    }
    assert!(!markdown.contains("\n# h"));
}

#[test]
fn a_browser_finds_no_fault_with_the_page() {
    let Some(mut browser) = Browser::start() else {
        eprintln!("skipped: there is no Chromium here (apt-get install chromium)");
        return;
    };
    let dir = Dir::new();
    run(&dir, &["simulate", "--repeats", "2"]);
    run(&dir, &["mnist-cnn"]);
    run(&dir, &["min-ratio"]);
    fs::create_dir_all(dir.path().join("run/interrupted/trials")).unwrap();
    assert!(page(&dir, "html").len() < 3_000_000);
    for width in [375, 1280] {
        assert_eq!(browser.faults(&dir.path().join("run/report.html"), width), [""; 0], "{width} pixels wide");
    }

    let dir = Dir::new();
    hostile(&dir);
    page(&dir, "html");
    dir.succeed(&["report", "--out", "run", "--against", "other"]);
    let faults = browser.faults(&dir.path().join("run/report.html"), 375);
    // An SVG with markup behind its end is no image; all else is as ever.
    assert!(faults.len() == 1 && faults[0].starts_with("image: "), "{faults:?}");
}

#[test]
fn the_browser_sees_what_is_wrong() {
    let Some(mut browser) = Browser::start() else {
        eprintln!("skipped: there is no Chromium here (apt-get install chromium)");
        return;
    };
    let dir = Dir::new();
    let path = dir.path().join("page.html");
    let good = "<!DOCTYPE html><html lang=en><meta name=viewport content='width=device-width'><link rel=icon href='data:,'>\
                <title>t</title><body><h1 id=a>a</h1><a href='#a'>a</a>";
    fs::write(&path, good).unwrap();
    assert_eq!(browser.faults(&path, 375), [""; 0]);
    for (markup, fault) in [
        ("<script>console.error('no')</script>", "console: "),
        ("<script>throw 1</script>", "console: "),
        ("<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\"><img src='data:,' alt=x>", "console: "),
        ("<img src='http://127.0.0.1:9/x.png' alt=x>", "request: http"),
        ("<link rel=stylesheet href=style.css>", "request: file"),
        ("<img src='data:image/svg+xml,<svg' alt=broken>", "image: broken"),
        (
            "<img src='data:image/svg+xml,%3Csvg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\"/>'>",
            "alternative text: none",
        ),
        ("<a href='#b'>b</a>", "link: no target #b"),
        ("<a href='/b'>b</a>", "link: leaves to /b"),
        (
            "<b id=c style='display: inline-block; position: fixed; top: -99px'>c</b><a href='#c'>c</a>",
            "link: does not land",
        ),
        ("<p style='width: 400px'>x</p>", "overflow: the page is"),
        ("<p style='width: 400px'>x</p>", "overflow: <p"),
        ("<p id=a></p>", "twice: a"),
        ("<h3>x</h3>", "heading: x"),
    ] {
        fs::write(&path, format!("{good}{markup}")).unwrap();
        let faults = browser.faults(&path, 375);
        assert!(faults.iter().any(|found| found.starts_with(fault)), "{markup}: {faults:?}");
    }
    // Laid out for a desktop, small on a phone.
    fs::write(&path, good.replace("<meta name=viewport content='width=device-width'>", "")).unwrap();
    assert!(browser.faults(&path, 375).iter().any(|fault| fault.starts_with("overflow: ")));
}
