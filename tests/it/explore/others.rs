//! All that is not a curve over epochs: α, paths and snapshots, surfaces, eigenvalues, confusion matrices, images.

use super::made::{agrees, at, made, number, points, points_of};
use super::on_each_screen;
use super::reader::beside;
use crate::common::browser::{PLAIN, SHIFT};
use serde_json::Value;

const SLIDER: &str = "input[type=range]";

#[test]
fn a_slider_over_alpha_reads_all_curves() {
    let figure = made().figure("interpolate", "interpolation");
    let names = ["train loss", "test loss", "train accuracy", "test accuracy"];
    let curves = names.map(|name| points(&figure, 0, name));
    let alphas: Vec<f64> = curves[0].iter().map(|point| point.0).collect();
    on_each_screen(|page| {
        let line = page.figure("interpolate", "interpolation");
        let slider = format!("document.querySelector('{line} {SLIDER}')");
        page.evaluate(&format!("({slider}.scrollIntoView({{ block: 'center' }}), {slider}.focus())"));
        page.key("Home", PLAIN);
        for (step, &alpha) in alphas.iter().enumerate() {
            if step > 0 {
                page.key("ArrowRight", PLAIN);
            }
            let said = page.text(&format!("{slider}.getAttribute('aria-valuetext')"));
            assert!((number(&said) - alpha).abs() < 1e-4, "{said} for {alpha}");
            assert_eq!(page.texts(&line, "output"), [&said[..]]);
            let cells = page.texts(&line, "tbody tr > *");
            for (name, curve) in names.iter().zip(&curves) {
                let from = cells.iter().position(|cell| cell == name).unwrap_or_else(|| panic!("{name} in {cells:?}"));
                let value = cells[from + 1..].iter().find(|cell| !cell.is_empty()).unwrap();
                assert!(agrees(value, at(curve, alpha)), "{name} at {alpha}: {cells:?}");
            }
        }
        // What is read in the figure moves the slider.
        let spot = page.spot(&line, 0, (0.3, 0.4));
        page.point_at(spot);
        let rows = page.read(&line, 0);
        assert_eq!(page.text(&format!("{slider}.getAttribute('aria-valuetext')")), beside(&rows, "α"));
    });
}

#[test]
fn a_slider_over_snapshots_moves_along_the_paths() {
    let snapshots = points(&made().figure("pca-weights", "paths"), 1, "training 1").len();
    assert!(snapshots > 2);
    on_each_screen(|page| {
        let paths = page.figure("pca-weights", "paths");
        let slider = format!("document.querySelector('{paths} {SLIDER}')");
        page.evaluate(&format!("{slider}.focus({{ preventScroll: true }})"));
        page.key("End", PLAIN);
        let all = page.picture(&paths, 0);
        for snapshot in (1..=snapshots).rev() {
            assert_eq!(page.texts(&paths, "output"), [format!("{snapshot} of {snapshots}")]);
            page.key("ArrowLeft", PLAIN);
        }
        page.wait_for_another(&paths, 0, &all);
        page.key("End", PLAIN);
        page.wait_for_same(&paths, 0, &all);
        // A path is read point by point.
        page.focus(&paths, 1);
        page.key("ArrowRight", PLAIN);
        page.key("ArrowRight", PLAIN);
        assert!(page.heard(&paths).ends_with(&format!("point 2 of {snapshots}")), "{}", page.heard(&paths));
    });
}

#[test]
fn level_lines_are_a_surface_that_turns() {
    let figure = made().figure("pca-weights", "surface");
    let contours = figure["panels"][0]["plot"]["contours"].clone();
    let numbers = |name: &str| -> Vec<f64> {
        contours[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
    };
    let (columns, rows, values) = (numbers("x"), numbers("y"), numbers("z"));
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    on_each_screen(|page| {
        let surface = page.figure("pca-weights", "surface");
        // Between level lines the value is read: within what the grid has.
        let spot = page.spot(&surface, 0, (0.3, 0.15));
        page.point_at(spot);
        let read = page.read(&surface, 0);
        let value = number(beside(&read, "value"));
        assert!(value >= lowest * 0.999 && value <= values.iter().copied().fold(0.0, f64::max) * 1.001, "{read:?}");

        page.press(&surface, "3-D");
        assert!(page.is_pressed(&surface, "3-D"));
        assert_eq!(page.texts(&surface, ".panel").len(), 2);
        let (from, to) = (page.spot(&surface, 1, (0.5, 0.5)), page.spot(&surface, 1, (0.65, 0.52)));
        let before = page.picture(&surface, 1);
        if page.is_touch() {
            page.swipe(from, to);
        } else {
            page.drag(from, to, PLAIN);
        }
        page.wait_for_another(&surface, 1, &before);
        page.focus(&surface, 1);
        let before = page.picture(&surface, 1);
        page.key("ArrowLeft", PLAIN);
        page.wait_for_another(&surface, 1, &before);
        let azimuth = |heard: &str| {
            let degrees =
                heard.strip_prefix("azimuth ").unwrap_or_else(|| panic!("{heard}")).split_once('°').unwrap().0;
            number(degrees)
        };
        let first = azimuth(&page.heard(&surface));
        page.key("ArrowLeft", PLAIN);
        assert!(azimuth(&page.heard(&surface)) != first, "{}", page.heard(&surface));
        // With shift its grid is read, from the lowest node on.
        page.key("Escape", PLAIN);
        for step in 0..4 {
            page.key(if step % 2 == 0 { "ArrowLeft" } else { "ArrowUp" }, SHIFT);
            let read = page.read(&surface, 1);
            let [x, y, z] = &read[..] else { panic!("{read:?}") };
            let node = (0..values.len()).find(|node| {
                let (column, row) = (columns[node % columns.len()], rows[node / columns.len()]);
                agrees(&x.1, column) && agrees(&y.1, row) && agrees(&z.1, values[*node])
            });
            assert!(node.is_some(), "{read:?}");
            assert!(step > 0 || agrees(&z.1, lowest), "{read:?} {lowest}");
            assert!(page.heard(&surface).ends_with(&z.1), "{}", page.heard(&surface));
        }
        page.press(&surface, "3-D");
        assert_eq!(page.texts(&surface, ".panel").len(), 1);
    });
}

#[test]
fn what_is_in_a_range_is_counted() {
    let figure = made().figure("min-ratio", "eigenvalues");
    let series = &figure["panels"][0]["plot"]["series"][0];
    // A bar is two points: its left edge and its right one, both at its height.
    let bars: Vec<(f64, f64, f64)> =
        points_of(series).chunks(2).map(|edges| (edges[0].0, edges[1].0, edges[0].1)).collect();
    let all: f64 = bars.iter().map(|bar| bar.2).sum();
    // "12 of 180 eigenvalues from −1 to 0.1": edges to four digits.
    let check = |heard: &str| {
        let (counted, range) = heard.split_once(" eigenvalues from ").unwrap_or_else(|| panic!("{heard}"));
        let (inside, of) = counted.split_once(" of ").unwrap();
        let (low, high) = range.split_once(" to ").unwrap();
        let above = |edge: f64, end: f64| edge >= end - 1e-3 * end.abs();
        let within = bars.iter().filter(|bar| above(bar.0, number(low)) && above(number(high), bar.1));
        assert_eq!((number(inside), number(of)), (within.map(|bar| bar.2).sum(), all), "{heard}");
        number(inside)
    };
    on_each_screen(|page| {
        let eigenvalues = page.figure("min-ratio", "eigenvalues");
        page.press(&eigenvalues, "Count");
        assert!(page.is_pressed(&eigenvalues, "Count"));
        let (from, to) = (page.spot(&eigenvalues, 0, (0.5, 0.5)), page.spot(&eigenvalues, 0, (0.93, 0.55)));
        if page.is_touch() {
            page.swipe(from, to);
        } else {
            page.drag(from, to, PLAIN);
        }
        let dragged = check(&page.heard(&eigenvalues));
        assert!(dragged > 0.0 && dragged < all);
        // What was counted stays to be read.
        assert_eq!(beside(&page.read(&eigenvalues, 0), "eigenvalues"), format!("{dragged} of {all}"));
        // The arrow keys move the range's upper end, with shift its lower one.
        page.focus(&eigenvalues, 0);
        page.key("End", PLAIN);
        page.key("Home", SHIFT);
        assert_eq!(check(&page.heard(&eigenvalues)), all);
        let mut last = all;
        for (key, held) in [("ArrowLeft", PLAIN), ("ArrowRight", SHIFT), ("ArrowRight", SHIFT), ("ArrowLeft", PLAIN)] {
            page.key(key, held);
            let counted = check(&page.heard(&eigenvalues));
            assert!(counted <= last, "{key}: {counted} after {last}");
            last = counted;
        }
        assert!(last < all);
        page.press(&eigenvalues, "Count");
        // Without it a bar is read.
        let spot = page.spot(&eigenvalues, 0, (0.9, 0.8));
        page.point_at(spot);
        let read = page.read(&eigenvalues, 0);
        let (low, high) = beside(&read, "eigenvalue of ∇²L").split_once(" to ").unwrap();
        let near = |shown: &str, exact: f64| (number(shown) - exact).abs() <= 1e-3 * exact.abs();
        let bar = bars.iter().find(|bar| near(low, bar.0) && near(high, bar.1)).unwrap_or_else(|| panic!("{read:?}"));
        assert_eq!(number(beside(&read, "eigenvalues")), bar.2);
    });
}

#[test]
fn a_cell_of_a_matrix_is_named_with_its_count() {
    let figure = made().figure("mnist-cnn", "confusion-cnn_1");
    let map = &figure["panels"][0]["heat_map"];
    let names = |of: &str| -> Vec<String> {
        map[of].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let (columns, rows) = (names("columns"), names("rows"));
    let count = |row: usize, column: usize| map["counts"][row * columns.len() + column].as_u64().unwrap();
    on_each_screen(|page| {
        let confusion = page.figure("mnist-cnn", "confusion-cnn_1");
        for place in [(0.3, 0.2), (0.7, 0.7)] {
            let spot = page.spot(&confusion, 0, place);
            page.point_at(spot);
            let read = page.read(&confusion, 0);
            let at = |names: &[String], name: &str| names.iter().position(|one| one == beside(&read, name)).unwrap();
            let cell = count(at(&rows, "true"), at(&columns, "predicted"));
            assert_eq!(beside(&read, "count"), cell.to_string(), "{read:?}");
        }
        page.focus(&confusion, 0);
        page.key("ArrowUp", SHIFT);
        for row in [0, 1] {
            page.key("Home", PLAIN);
            for (column, predicted) in columns.iter().enumerate() {
                let heard = page.heard(&confusion);
                let says = format!("true {}, predicted {predicted}: {}", rows[row], count(row, column));
                assert!(heard == says || heard.starts_with(&format!("{says}, ")), "{heard}, not {says}");
                page.key("ArrowRight", PLAIN);
            }
            page.key("ArrowDown", PLAIN);
        }
    });
}

#[test]
fn an_image_says_its_caption() {
    let figure = made().figure("mnist-cnn", "misclassified-cnn_1");
    let images: Vec<String> = figure["panels"][0]["images"]["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image: &Value| image[0].as_str().unwrap().replace('\n', " "))
        .collect();
    on_each_screen(|page| {
        let wrong = page.figure("mnist-cnn", "misclassified-cnn_1");
        page.focus(&wrong, 0);
        page.key("ArrowRight", PLAIN);
        page.key("Home", PLAIN);
        for caption in &images[..3] {
            let heard = page.heard(&wrong).replace('\n', " ");
            assert!(heard.contains(caption), "{heard}, not {caption}");
            page.key("ArrowRight", PLAIN);
        }
        let spot = page.spot(&wrong, 0, (0.5, 0.5));
        page.point_at(spot);
        let read = page.read(&wrong, 0);
        let said: Vec<String> = read.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert!(!said.is_empty(), "{read:?}");
    });
}
