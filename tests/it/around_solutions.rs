//! `hw1 analyse` between solutions, along checkpoints and around each: through the binary, against PyTorch's numbers, closed
//! forms and the same weights looked at one by one; and what it says of solutions that are none.

use crate::common::Dir;
use crate::common::sets::{npy, npz};
use hw1::store::weights::{NamedTensor, Tensors, decode, encode};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn program(name: &str) -> String {
    goldens().join(format!("networks/{name}.pt2")).to_string_lossy().into_owned()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A golden network's inputs and targets as data.npz, one split; or two of them.
fn write_data(dir: &Dir, name: &str, with_test: bool) {
    let golden = read_json(&goldens().join(format!("networks/{name}.json")));
    let array = |value: &Value| {
        let shape: Vec<usize> =
            value["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let data = value["data"].as_array().unwrap();
        if value["dtype"] == "int64" {
            return npy(
                "<i8",
                &shape,
                &data.iter().flat_map(|n| n.as_i64().unwrap().to_le_bytes()).collect::<Vec<u8>>(),
            );
        }
        let bytes: Vec<u8> = data.iter().flat_map(|n| (n.as_f64().unwrap() as f32).to_le_bytes()).collect();
        npy("<f4", &shape, &bytes)
    };
    let (x, y) = (array(&golden["x"]), array(&golden["y"]));
    let arrays = match with_test {
        false => vec![("x", x), ("y", y)],
        true => vec![("x_train", x.clone()), ("y_train", y.clone()), ("x_test", x), ("y_test", y)],
    };
    std::fs::write(dir.path().join("data.npz"), npz(&arrays)).unwrap();
}

/// The numbers of a program of the goldens, each slice changed by its name.
fn changed(name: &str, change: impl Fn(&str, Tensor) -> Tensor) -> Tensors {
    let program = hw1::model::program::Program::read(&std::fs::read(program(name)).unwrap()).unwrap();
    let (layout, weights) = (program.layout(), program.weights(Kind::Double, Device::Cpu).unwrap());
    let mut tensors = Tensors::new();
    for (slots, flat) in [(&layout.slots, &weights.theta), (&layout.buffers, &weights.buffers)] {
        for slot in slots {
            let tensor = change(&slot.name, slot.view(flat).copy());
            tensors.insert(slot.name.clone(), NamedTensor::copy_of(&tensor).unwrap());
        }
    }
    tensors
}

fn write(dir: &Dir, file: &str, tensors: &Tensors) {
    let path = dir.path().join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, encode(tensors, None).unwrap()).unwrap();
}

fn analysed(dir: &Dir, arguments: &[&str]) -> Value {
    let ran = dir.succeed(&[&["analyse"], arguments, &["--json"]].concat());
    serde_json::from_str(&ran.stdout()).unwrap()
}

fn trial<'a>(metrics: &'a Value, label: &str) -> &'a Value {
    let trials = metrics["trials"].as_array().unwrap();
    trials.iter().find(|trial| trial["label"] == label).unwrap_or_else(|| panic!("no {label}"))
}

fn scalar(metrics: &Value, label: &str, name: &str) -> f64 {
    trial(metrics, label)["scalars"][name].as_f64().unwrap_or_else(|| panic!("{label} {name}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

fn series(metrics: &Value, label: &str, name: &str) -> Vec<f64> {
    let found = &trial(metrics, label)["series"][name];
    assert!(found.is_array(), "{label} has no {name}");
    numbers(found)
}

fn verdict(metrics: &Value, id: &str) -> String {
    let claims = metrics["claims"].as_array().unwrap();
    let ids: Vec<&str> = claims.iter().map(|claim| claim["id"].as_str().unwrap()).collect();
    let found = claims.iter().find(|claim| claim["id"] == id).unwrap_or_else(|| panic!("no {id} in {ids:?}"));
    found["verdict"].as_str().unwrap().to_owned()
}

fn near(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs().max(1e-3), "{found} against {expected}");
}

/// A change that belongs to the index, as tests/goldens/recalibration.py has it.
fn second(name: &str, t: Tensor) -> Tensor {
    if name.contains("running_mean") {
        return t * 0.5;
    }
    if name.contains("running_var") {
        return t * 1.5;
    }
    let i = Tensor::arange(t.numel() as i64, (Kind::Int64, Device::Cpu));
    let w = ((&i * &i * 7i64 + &i * 3i64).remainder(11i64) - 5i64).to_kind(Kind::Double) / 5.0;
    &t * 0.8 + w.reshape(t.size()) * 0.02
}

#[test]
fn a_line_has_pytorchs_losses_with_statistics_interpolated_and_taken_anew() {
    let dir = Dir::new();
    write_data(&dir, "resnet", true);
    write(&dir, "other.safetensors", &changed("resnet", second));
    let program = program("resnet");
    let common = [program.as_str(), "--weights", "other.safetensors", "--data", "data.npz", "--measure", "line"];
    let few = ["--set", "alphas=5", "--precision", "float64", "--set", "recalibration_batch=8"];
    // One file: from the program's own weights to it.
    let metrics = analysed(&dir, &[&common[..], &few].concat());
    let golden = read_json(&goldens().join("recalibration.json"));
    for (name, values) in golden["line"].as_object().unwrap() {
        let expected = numbers(values);
        assert_eq!(series(&metrics, "line", name).len(), expected.len());
        for (found, expected) in series(&metrics, "line", name).into_iter().zip(&expected) {
            near(found, *expected, 1e-9);
        }
        if name != "alpha" {
            // The test split holds the same samples; its statistics are those of the training samples.
            assert_eq!(
                series(&metrics, "line", &name.replace("train", "test")),
                series(&metrics, "line", name),
                "{name}"
            );
        }
    }
    let losses = numbers(&golden["line"]["train_loss"]);
    let rise = (0..5).map(|at| losses[at] - (1.0 - at as f64 / 4.0) * losses[0] - at as f64 / 4.0 * losses[4]);
    near(scalar(&metrics, "line", "barrier"), rise.fold(0.0, f64::max), 1e-7);
    assert!(scalar(&metrics, "line", "recalibrated_barrier") >= 0.0);
    assert!(dir.path().join("runs/report/analyse-resnet/figures/line.png").is_file());
    // Without, and by 25 α where nothing is said; in float32, whose rounding is known.
    let plain = analysed(&dir, &[&common[..], &["--set", "recalibration_batch=0", "--out", "plain"]].concat());
    let alphas = series(&plain, "line", "alpha");
    assert!(alphas.len() == 25 && alphas[0] == 0.0 && alphas[24] == 1.0 && alphas[12] == 0.5);
    assert!(trial(&plain, "line")["series"]["recalibrated_train_loss"].is_null());
    let noise = scalar(&plain, "line", "float32_noise");
    assert!(noise > 0.0 && noise < 1e-5, "{noise}");
    near(series(&plain, "line", "train_loss")[12], losses[2], 1e-5);
}

#[test]
fn solutions_are_programs_or_files_and_each_pair_has_its_line() {
    let dir = Dir::new();
    write_data(&dir, "resnet", false);
    std::fs::copy(program("resnet"), dir.path().join("first.pt2")).unwrap();
    std::fs::create_dir_all(dir.path().join("a")).unwrap();
    write(&dir, "a/w.safetensors", &changed("resnet", second));
    write(&dir, "b/w.safetensors", &changed("resnet", |_, t| t * 1.25));
    let common = ["--data", "data.npz", "--measure", "accuracy,line", "--set", "alphas=3"];
    let files = ["--weights", "first.pt2", "a/w.safetensors", "b/w.safetensors"];
    let metrics = analysed(&dir, &[&["first.pt2"], &files[..], &common].concat());
    let labels: Vec<&str> =
        metrics["trials"].as_array().unwrap().iter().map(|trial| trial["label"].as_str().unwrap()).collect();
    let lines = ["line-first-a-w", "line-first-b-w", "line-a-w-b-w"];
    assert_eq!(labels, [&["accuracy-first", "accuracy-a-w", "accuracy-b-w"][..], &lines].concat());
    // A line begins and ends at the solutions themselves, by the smallest and largest α as by any.
    for (label, ends) in lines.iter().zip([["first", "a-w"], ["first", "b-w"], ["a-w", "b-w"]]) {
        let losses = series(&metrics, label, "train_loss");
        for (at, end) in [0, 2].into_iter().zip(ends) {
            near(losses[at], scalar(&metrics, &format!("accuracy-{end}"), "train_loss"), 1e-6);
        }
    }
    // Beyond the ends, where 0 and 1 are added; and two programs without a flag.
    write(&dir, "w.safetensors", &changed("resnet", second));
    let beyond = ["--set", "alpha_min=-0.5", "--set", "alpha_max=1.5", "--set", "alphas=4", "--out", "beyond"];
    let one = analysed(&dir, &[&["first.pt2", "--weights", "w.safetensors"][..], &common[..4], &beyond].concat());
    let alphas = series(&one, "line", "alpha");
    assert_eq!(alphas.len(), 6, "{alphas:?}");
    assert!(alphas.contains(&0.0) && alphas.contains(&1.0) && alphas[0] == -0.5 && alphas[5] == 1.5);
    std::fs::copy(program("mobilenet"), dir.path().join("mobile.pt2")).unwrap();
    dir.run(&[&["analyse", "first.pt2", "mobile.pt2"], &common[..]].concat())
        .fails(2, &["mobile.pt2: it has", "a program of another layout"]);
}

/// The grid's points as weights of their own, looked at one by one.
#[test]
fn a_surface_has_the_losses_of_the_weights_at_its_points() {
    let dir = Dir::new();
    write_data(&dir, "resnet", false);
    let program = program("resnet");
    let common = [program.as_str(), "--data", "data.npz", "--precision", "float64"];
    let surface = ["--measure", "surface", "--grid", "9", "--set", "range=0.4", "--set", "pairs=2"];
    let metrics = analysed(&dir, &[&common[..], &surface].concat());
    let folder = dir.path().join("runs/report/analyse-resnet");
    let [x, y, losses] = ["x", "y", "train_loss"].map(|name| series(&metrics, "surface", name));
    // Five even lines, four more where it bends.
    assert!(x.len() == 9 && y.len() == 9 && losses.len() == 81);
    assert!([&x, &y].iter().all(|at| at.is_sorted_by(|a, b| a < b) && at[0] == -0.4 && at[8] == 0.4));
    for even in [-0.2, 0.0, 0.2] {
        assert!([&x, &y].iter().all(|at| at.iter().any(|place| (place - even).abs() < 1e-12)), "{x:?} {y:?}");
    }
    let saved = std::fs::read(dir.weights("runs/report/analyse-resnet", trial(&metrics, "surface"))).unwrap();
    let (directions, _) = decode(&saved).unwrap();
    for (column, row) in [(0, 0), (4, 4), (8, 2), (1, 7)] {
        let place = changed("resnet", |name, t| {
            let along =
                |number: u32| directions.get(&format!("direction_{number}.{name}")).map(|d| d.tensor().unwrap());
            match (along(1), along(2)) {
                (Some(one), Some(two)) => t + one * x[column] + two * y[row],
                // Running statistics stay.
                _ => t,
            }
        });
        write(&dir, "place.safetensors", &place);
        let out = format!("place-{column}-{row}");
        let looked = ["--weights", "place.safetensors", "--measure", "accuracy", "--out", &out];
        let one = analysed(&dir, &[&common[..], &looked].concat());
        near(losses[row * 9 + column], scalar(&one, "accuracy", "train_loss"), 1e-12);
    }
    // Every filter of a direction is as long as that of the weights, and nothing else moves.
    for (name, own) in changed("resnet", |_, t| t) {
        let Some(direction) = directions.get(&format!("direction_1.{name}")) else { continue };
        let (direction, own) = (direction.tensor().unwrap(), own.tensor().unwrap());
        if own.dim() < 2 {
            assert_eq!(direction.abs().max().double_value(&[]), 0.0, "{name}");
        } else {
            let lengths = |of: &Tensor| of.flatten(1, -1).norm_scalaropt_dim(2, 1, false);
            assert!((lengths(&direction) / lengths(&own) - 1.0).abs().max().double_value(&[]) < 1e-9, "{name}");
        }
    }
    // The same numbers for other programs.
    let text = std::fs::read_to_string(folder.join("surface.csv")).unwrap();
    let rows: Vec<Vec<f64>> =
        text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
    assert!(text.starts_with("x,y,train_loss,train_accuracy\n") && rows.len() == 81);
    assert_eq!(rows[9 * 2 + 8][..3], [x[8], y[2], losses[9 * 2 + 8]]);
    let arrays = read_npz(&folder.join("surface.npz"));
    assert_eq!(arrays["train_loss"], (vec![9, 9], losses.clone()));
    assert_eq!((&arrays["x"].1, &arrays["y"].1), (&x, &y));
    assert_eq!(read_npz(&folder.join("surface-2.npz"))["train_loss"].1, series(&metrics, "surface-2", "train_loss"));
    assert_ne!(series(&metrics, "surface-2", "train_loss"), losses);
    assert!(folder.join("figures/surface.png").is_file() && folder.join("figures/surfaces.png").is_file());
}

/// Name, shape and numbers of each array, by what NumPy writes.
fn read_npz(path: &Path) -> std::collections::BTreeMap<String, (Vec<usize>, Vec<f64>)> {
    let bytes = std::fs::read(path).unwrap();
    let archive = rawzip::ZipArchive::from_slice(&bytes).unwrap();
    let mut found = std::collections::BTreeMap::new();
    for entry in archive.entries() {
        let entry = entry.unwrap();
        let name = String::from_utf8(entry.file_path().as_ref().to_vec()).unwrap();
        let data = archive.get_entry(entry.wayfinder()).unwrap().data().to_vec();
        let length = u16::from_le_bytes([data[8], data[9]]) as usize;
        let header = String::from_utf8(data[10..10 + length].to_vec()).unwrap();
        let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
        let shape = shape.split(',').filter_map(|side| side.trim().parse().ok()).collect();
        let numbers =
            data[10 + length..].chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
        found.insert(name.strip_suffix(".npy").unwrap().to_owned(), (shape, numbers));
    }
    found
}

#[test]
fn points_side_by_side_or_one_by_one_are_the_same_to_the_byte() {
    let dir = Dir::new();
    write_data(&dir, "resnet", false);
    write(&dir, "other.safetensors", &changed("resnet", second));
    let program = program("resnet");
    let measured = ["--weights", "other.safetensors", "--data", "data.npz", "--measure", "line,slices,surface"];
    let few = ["--grid", "7", "--set", "slice_points=5", "--set", "alphas=4", "--set", "pairs=1"];
    for (jobs, out) in [("1", "one"), ("3", "three")] {
        dir.succeed(&[&["analyse", &program], &measured[..], &few, &["--jobs", jobs, "--out", out]].concat());
    }
    let records = |out: &str| dir.files(&format!("{out}/analyse-resnet/trials"));
    assert!(!records("one").is_empty() && records("one") == records("three"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_surface_goes_on_with_the_points_it_has() {
    let dir = Dir::new();
    write_data(&dir, "resnet", false);
    let program = program("resnet");
    let arguments = |out: &'static str| {
        let surface = ["--measure", "surface", "--grid", "81", "--set", "pairs=1", "--precision", "float64"];
        [&["analyse", program.as_str(), "--data", "data.npz"][..], &surface, &["--out", out, "--jobs", "2"]].concat()
    };
    let mut child = dir
        .command(&arguments("cut"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Long enough for some points, not for 6561.
    let begin = std::time::Instant::now();
    while !dir.path().join("cut/analyse-resnet/settings.toml").is_file() {
        assert!(begin.elapsed().as_secs() < 60);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    // SAFETY: a child of ours that has not been waited for.
    assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), libc::SIGINT) }, 0);
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(130), "a faster machine needs a larger grid");
    let trials = dir.path().join("cut/analyse-resnet/trials");
    let has = |ending: &str| {
        let all = std::fs::read_dir(&trials).unwrap();
        all.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|own| own == ending)).count()
    };
    assert_eq!((has("json"), has("checkpoint")), (0, 1));
    let log = |out: &str| std::fs::read_to_string(dir.path().join(format!("{out}/analyse-resnet/log.jsonl"))).unwrap();
    dir.succeed(&arguments("cut"));
    assert!(log("cut").contains("\"resumed\""), "{}", log("cut"));
    dir.succeed(&arguments("whole"));
    let files = |out: &str| dir.files(&format!("{out}/analyse-resnet/trials"));
    assert_eq!(files("cut"), files("whole"));
}

/// Checkpoints in a plane of their own, at known places.
#[test]
fn a_path_in_a_plane_is_seen_as_it_is() {
    let dir = Dir::new();
    write_data(&dir, "resnet", false);
    // Two directions that are orthogonal, of length 1: in the first convolution's and in the head's weights.
    let unit = |like: &Tensor| {
        let i = Tensor::arange(like.numel() as i64, (Kind::Double, Device::Cpu));
        let wave: Tensor = (i * 0.7 + 0.3).sin();
        (&wave / wave.norm()).reshape(like.size())
    };
    let names: Vec<String> =
        changed("resnet", |_, t| t).keys().filter(|name| name.ends_with("weight")).cloned().collect();
    let places = [(3.0, 0.0), (2.0, 1.5), (1.0, 1.0), (0.5, 0.25), (0.0, 0.0)];
    for ((a, b), step) in places.iter().zip([9, 10, 11, 100, 200]) {
        let weights = changed("resnet", |name, t| {
            if name == names[0] {
                &t + unit(&t) * *a
            } else if name == names[1] {
                &t + unit(&t) * *b
            } else {
                t
            }
        });
        write(&dir, &format!("steps/step-{step}.safetensors"), &weights);
    }
    // Given out of order.
    let files: Vec<String> = [100, 9, 200, 11, 10].map(|step| format!("steps/step-{step}.safetensors")).to_vec();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let program = program("resnet");
    let common = [program.as_str(), "--data", "data.npz", "--precision", "float64"];
    let path = ["--measure", "path,accuracy", "--grid", "7"];
    let metrics = analysed(&dir, &[&common[..], &["--weights"], &files, &path].concat());
    near(
        scalar(&metrics, "path", "explained_variance_1") + scalar(&metrics, "path", "explained_variance_2"),
        1.0,
        1e-9,
    );
    let [one, two] = ["component_1", "component_2"].map(|name| series(&metrics, "path", name));
    for (at, (a, b)) in places.iter().enumerate() {
        // Distances are those of the plane, whichever way the components lie in it.
        near(one[at].hypot(two[at]), f64::hypot(*a, *b), 1e-9);
        near(series(&metrics, "path", "distance_from_last")[at], f64::hypot(*a, *b), 1e-9);
        assert!(series(&metrics, "path", "distance_from_plane")[at] < 1e-9);
    }
    // Each checkpoint's own loss, which in its plane is that of its place.
    for (at, step) in [9, 10, 11, 100, 200].into_iter().enumerate() {
        let own = scalar(&metrics, &format!("accuracy-step-{step}"), "train_loss");
        near(series(&metrics, "path", "train_loss")[at], own, 1e-12);
        near(series(&metrics, "path", "projected_train_loss")[at], own, 1e-9);
    }
    let (x, y) = (series(&metrics, "path", "x"), series(&metrics, "path", "y"));
    assert!(x.len() == 7 && y.len() == 7 && series(&metrics, "path", "surface_train_loss").len() == 49);
    for (x_own, y_own) in one.iter().zip(&two) {
        assert!(x[0] < *x_own && *x_own < x[6] && y[0] < *y_own && *y_own < y[6]);
    }
    assert!(dir.path().join("runs/report/analyse-resnet/path.npz").is_file());
    let figures = metrics["figures"].as_array().unwrap();
    let caption = figures.iter().find(|figure| figure["name"] == "path").unwrap()["caption"].as_str().unwrap();
    assert!(caption.contains("from step-9 to step-200") && caption.contains("What it cannot show"), "{caption}");
}

/// A network of two layers, as hw1's own files have it; the first layer's units scaled by c, what the second makes of them
/// by 1/c: the same function.
fn rescaled(c: f64) -> Tensors {
    let wave = |shape: &[i64], phase: f64| {
        let i = Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu));
        ((i * 1.7 + phase).sin() * 0.2).reshape(shape)
    };
    [
        ("fc1.weight", wave(&[6, 784], 0.1) * c),
        ("fc1.bias", wave(&[6], 0.5) * c),
        ("fc2.weight", wave(&[10, 6], 0.9) / c),
        ("fc2.bias", wave(&[10], 1.3)),
    ]
    .map(|(name, tensor)| (name.to_owned(), NamedTensor::copy_of(&tensor).unwrap()))
    .into()
}

#[test]
fn adaptive_sharpness_and_slices_do_not_see_a_rescaling_and_the_box_does() {
    let dir = Dir::new();
    let mut found = Vec::new();
    for (name, c) in [("plain", 1.0), ("scaled", 8.0)] {
        write(&dir, &format!("{name}.safetensors"), &rescaled(c));
        let file = format!("{name}.safetensors");
        let model = ["--model", "784-6-10", "--weights", &file, "--data", "synthetic", "--precision", "float64"];
        let sizes = ["--set", "train_size=60", "--set", "test_size=30", "--samples", "40", "--name", name];
        let searches = ["--measure", "sharpness,slices", "--set", "rhos=[0.1,0.5]", "--set", "epsilons=[1e-2]"];
        let few = ["--set", "sharpness_steps=6", "--set", "sharpness_starts=2", "--set", "slice_points=11"];
        found.push(analysed(&dir, &[&model[..], &sizes, &searches, &few].concat()));
        let by_signs = ["--set", "adaptive_norm=inf", "--measure", "sharpness", "--out", "signs"];
        found.push(analysed(&dir, &[&model[..], &sizes, &few, &["--set", "rhos=[0.1]"], &by_signs].concat()));
    }
    let [plain, by_signs, scaled, scaled_by_signs] = &found[..] else { panic!() };
    for split in ["train", "test"] {
        for rho in ["0.1", "0.5"] {
            let of = |metrics: &Value| scalar(metrics, &format!("adaptive-{rho}-{split}"), "adaptive_sharpness");
            assert!(of(plain) > 0.0);
            near(of(scaled), of(plain), 1e-9);
        }
        let of = |metrics: &Value| scalar(metrics, &format!("adaptive-0.1-{split}"), "adaptive_sharpness");
        near(of(scaled_by_signs), of(by_signs), 1e-9);
        let of = |metrics: &Value| scalar(metrics, &format!("sharpness-1e-2-{split}"), "sharpness");
        assert!((of(scaled) / of(plain) - 1.0).abs() > 0.1, "{} {}", of(scaled), of(plain));
    }
    for (a, b) in series(plain, "slices", "slice_3").iter().zip(series(scaled, "slices", "slice_3")) {
        near(b, *a, 1e-9);
    }
    near(scalar(scaled, "slices", "rise"), scalar(plain, "slices", "rise"), 1e-9);
    // Directions that are not normalised see it.
    let plain_directions = |name: &str| {
        let file = format!("{name}.safetensors");
        let arguments = ["--weights", &file, "--data", "synthetic", "--set", "train_size=60", "--out", "not"];
        let measured = ["--measure", "slices", "--normalise", "none", "--set", "range=0.05", "--name", name];
        let metrics = analysed(&dir, &[&["--model", "784-6-10"], &arguments[..], &measured].concat());
        scalar(&metrics, "slices", "rise")
    };
    assert!((plain_directions("scaled") / plain_directions("plain") - 1.0).abs() > 0.1);
}

/// Along an eigenvector the loss bends by its eigenvalue.
#[test]
fn the_hessians_directions_bend_by_its_eigenvalues() {
    let dir = Dir::new();
    write_data(&dir, "transformer_encoder", false);
    let program = program("transformer_encoder");
    let common = [program.as_str(), "--data", "data.npz", "--precision", "float64", "--set", "tolerance=1e-8"];
    let slices =
        ["--directions", "hessian", "--set", "slice_directions=2", "--set", "slice_points=3", "--set", "range=1e-3"];
    let spectrum = ["--set", "eigenvalues=2", "--set", "trace_probes=0", "--set", "density_probes=0"];
    let measured = ["--measure", "slices,spectrum,surface", "--grid", "3"];
    let metrics = analysed(&dir, &[&common[..], &slices, &spectrum, &measured].concat());
    let eigenvalues = series(&metrics, "spectrum", "top_eigenvalues");
    for (number, eigenvalue) in eigenvalues.iter().enumerate() {
        let losses = series(&metrics, "slices", &format!("slice_{}", number + 1));
        let bend = (losses[0] - 2.0 * losses[1] + losses[2]) / 1e-6;
        near(bend, *eigenvalue, 1e-3);
    }
    // One pair of them.
    assert!(metrics["trials"].as_array().unwrap().iter().all(|trial| trial["label"] != "surface-2"));
    let losses = series(&metrics, "surface", "train_loss");
    near((losses[3] - 2.0 * losses[4] + losses[5]) / 1e-6, eigenvalues[0], 1e-3);
    near((losses[1] - 2.0 * losses[4] + losses[7]) / 1e-6, eigenvalues[1], 1e-3);
}

/// Of grids whose lines miss the solution, and of solutions whose names are numbers.
#[test]
fn a_surface_knows_its_solution_and_each_has_files_of_its_own() {
    let dir = Dir::new();
    write_data(&dir, "resnet", false);
    for name in ["1", "2"] {
        let scale = if name == "1" { 1.0 } else { 1.1 };
        write(&dir, &format!("{name}.safetensors"), &changed("resnet", |_, t| t * scale));
    }
    let program = program("resnet");
    for grid in ["2", "4", "7", "8"] {
        let weights = ["--weights", "1.safetensors", "2.safetensors", "--data", "data.npz", "--precision", "float64"];
        let surface = ["--measure", "surface,accuracy", "--grid", grid, "--set", "pairs=2", "--out", grid];
        let metrics = analysed(&dir, &[&[program.as_str()][..], &weights, &surface].concat());
        for name in ["1", "2"] {
            let (own, label) = (scalar(&metrics, &format!("accuracy-{name}"), "train_loss"), format!("surface-{name}"));
            near(scalar(&metrics, &label, "center_loss"), own, 1e-12);
            near(scalar(&metrics, &format!("surface-2-{name}"), "center_loss"), own, 1e-12);
        }
        let folder = dir.path().join(format!("{grid}/analyse-resnet"));
        for (file, label) in [
            ("surface", "surface-1"),
            ("surface-2", "surface-2-1"),
            ("surface-solution-2", "surface-2"),
            ("surface-solution-2.pair-2", "surface-2-2"),
        ] {
            let losses = read_npz(&folder.join(format!("{file}.npz")))["train_loss"].1.clone();
            assert_eq!(losses, series(&metrics, label, "train_loss"), "{file}");
        }
        assert!(folder.join("figures/surface-solution-1.png").is_file());
        assert!(folder.join("figures/surface-solution-2.png").is_file());
    }
}

/// From a bad end to a good one without a rise there is no barrier, however unlike the ends are.
#[test]
fn a_line_that_never_rises_has_no_barrier() {
    let dir = Dir::new();
    let waves = rescaled(1.0);
    // Labels by the network's own outputs: the good end is right everywhere, the bad one says the same class always.
    let tensor = |name: &str| waves[name].tensor().unwrap();
    let i = Tensor::arange(400 * 784, (Kind::Double, Device::Cpu));
    let x = ((&i * 12.9898).sin() * 43758.5453).frac().abs().reshape([400, 784]);
    let hidden = (x.matmul(&tensor("fc1.weight").tr()) + tensor("fc1.bias")).relu();
    let outputs = hidden.matmul(&tensor("fc2.weight").tr()) + tensor("fc2.bias");
    let mut labels: Vec<i64> = outputs.argmax(1, false).try_into().unwrap();
    // Ten classes, the first ten samples one each.
    labels.iter_mut().zip(0..10).for_each(|(label, class)| *label = class);
    let numbers: Vec<f64> = x.reshape([-1]).try_into().unwrap();
    let x: Vec<u8> = numbers.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
    let y: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    let arrays = [("x_train", npy("<f4", &[400, 784], &x)), ("y_train", npy("<i8", &[400], &y))];
    let test = [("x_test", npy("<f4", &[400, 784], &x)), ("y_test", npy("<i8", &[400], &y))];
    std::fs::write(dir.path().join("own.npz"), npz(&[arrays, test].concat())).unwrap();
    write(&dir, "good.safetensors", &waves);
    let mut bad = waves.clone();
    let zero = tensor("fc2.weight") * 0.0;
    bad.insert("fc2.weight".into(), NamedTensor::copy_of(&zero).unwrap());
    write(&dir, "bad.safetensors", &bad);
    let model = ["--model", "784-6-10", "--weights", "bad.safetensors", "good.safetensors", "--data", "own.npz"];
    let line = ["--measure", "line", "--samples", "200", "--repeats", "5", "--set", "data.normalise=false"];
    let metrics = analysed(&dir, &[&model[..], &line].concat());
    let accuracies = series(&metrics, "line", "train_accuracy");
    assert!(accuracies[24] > 0.95 && accuracies[0] < 0.7, "{accuracies:?}");
    assert_eq!(verdict(&metrics, "analyse-barrier-bad-good"), "refuted", "{accuracies:?}");
    // The line alone tells which end is lower.
    assert_eq!(verdict(&metrics, "analyse-lower-train-bad-good"), "refuted");
}

#[test]
fn eigenvectors_that_did_not_converge_are_doubted() {
    let dir = Dir::new();
    write_data(&dir, "transformer_encoder", false);
    let program = program("transformer_encoder");
    let common = [program.as_str(), "--data", "data.npz", "--directions", "hessian", "--set", "slice_points=3"];
    let doubted = |tolerance: &str, out: &str| {
        let measured = ["--measure", "slices", "--set", tolerance, "--out", out, "--set", "slice_directions=5"];
        let metrics = analysed(&dir, &[&common[..], &measured].concat());
        let figures = metrics["figures"].as_array().unwrap();
        let caption = figures.iter().find(|figure| figure["name"] == "slices").unwrap()["caption"].as_str().unwrap();
        (scalar(&metrics, "slices", "converged") == 0.0, caption.contains("Lanczos ended before"))
    };
    assert_eq!(doubted("tolerance=0.5", "loose"), (false, false));
    assert_eq!(doubted("tolerance=1e-15", "tight"), (true, true));
}

#[test]
fn claims_of_solutions_need_subsets_or_draws_that_agree() {
    let dir = Dir::new();
    write(&dir, "small.safetensors", &rescaled(1.0));
    // Ten times as large outputs, and rises.
    let mut large = rescaled(1.0);
    for name in ["fc2.weight", "fc2.bias"] {
        let tensor = large[name].tensor().unwrap() * 10.0;
        large.insert(name.into(), NamedTensor::copy_of(&tensor).unwrap());
    }
    write(&dir, "large.safetensors", &large);
    let of = |first: &str, second: &str, more: &[&str], out: &str| {
        let files = [format!("{first}.safetensors"), format!("{second}.safetensors")];
        let model = ["--model", "784-6-10", "--weights", &files[0], &files[1], "--data", "synthetic"];
        let sizes =
            ["--set", "train_size=300", "--set", "test_size=30", "--set", "epsilons=[1e-2]", "--set", "rhos=[]"];
        let few = [
            "--set",
            "sharpness_steps=2",
            "--set",
            "sharpness_starts=1",
            "--set",
            "alphas=5",
            "--set",
            "slice_points=5",
        ];
        let measured = ["--measure", "sharpness,slices,line", "--out", out];
        analysed(&dir, &[&model[..], &sizes, &few, &measured, more].concat())
    };
    let several = ["--samples", "100", "--repeats", "5"];
    let metrics = of("small", "large", &several, "small-large");
    for id in ["lower-train", "flatter-slices", "flatter-sharpness-in-the-box-of-1e-2"] {
        assert_eq!(verdict(&metrics, &format!("analyse-{id}-small-large")), "supported", "{id}");
    }
    let other_way = of("large", "small", &several, "large-small");
    for id in ["lower-train", "flatter-slices"] {
        assert_eq!(verdict(&other_way, &format!("analyse-{id}-large-small")), "refuted", "{id}");
    }
    // The outputs of one are ten times the other's: on the line no label changes but by scale.
    assert_eq!(verdict(&metrics, "analyse-barrier-small-large"), "refuted");
    // One subset, and a whole split however often, are one case; other directions are further ones.
    let once = of("small", "large", &["--samples", "100"], "once");
    assert_eq!(verdict(&once, "analyse-lower-train-small-large"), "inconclusive");
    let whole = of("small", "large", &["--repeats", "5"], "whole");
    for id in ["lower-train", "flatter-sharpness-in-the-box-of-1e-2", "barrier"] {
        assert_eq!(verdict(&whole, &format!("analyse-{id}-small-large")), "inconclusive", "{id}");
    }
    assert_eq!(verdict(&whole, "analyse-flatter-slices-small-large"), "supported");
}

#[test]
fn what_is_no_solution_or_no_picture_is_refused_in_a_line() {
    let dir = Dir::new();
    write_data(&dir, "resnet", false);
    let program = program("resnet");
    for (name, change) in [("one", 1.1), ("two", 1.2), ("three", 1.3)] {
        write(&dir, &format!("{name}.safetensors"), &changed("resnet", |_, t| t * change));
    }
    std::fs::copy(dir.path().join("one.safetensors"), dir.path().join("copy.safetensors")).unwrap();
    std::fs::copy(dir.path().join("one.safetensors"), dir.path().join("copy2.safetensors")).unwrap();
    let mut other = changed("resnet", |_, t| t);
    let (name, tensor) =
        other.iter().find(|(name, _)| name.ends_with("weight")).map(|(n, t)| (n.clone(), t.clone())).unwrap();
    let shape = [&[2], &tensor.tensor().unwrap().size()[..]].concat();
    other.insert(name.clone(), NamedTensor::copy_of(&Tensor::zeros(shape, (Kind::Float, Device::Cpu))).unwrap());
    write(&dir, "shape.safetensors", &other);
    let nan = changed("resnet", |own, t| if own == name { t * f64::NAN } else { t });
    write(&dir, "nan.safetensors", &nan);
    let zeros = changed("resnet", |own, t| if own.contains("running_var") { t } else { t * 0.0 });
    write(&dir, "zeros.safetensors", &zeros);
    let files = |names: &[&str]| -> Vec<String> {
        let names = names.iter().map(|name| format!("{name}.safetensors"));
        if names.len() == 0 { Vec::new() } else { std::iter::once("--weights".to_owned()).chain(names).collect() }
    };
    let refused = |names: &[&str], more: &[&str], code: i32, words: &[&str]| {
        let files = files(names);
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let ran = dir.run(&[&["analyse", &program, "--data", "data.npz"], &files[..], more].concat());
        assert!(!ran.stderr().contains("panicked") && ran.code() == code, "{}", ran.stderr());
        assert!(code != 2 || ran.stderr().lines().count() == 1, "{}", ran.stderr());
        words.iter().for_each(|word| assert!(ran.stderr().contains(word), "{word}: {}", ran.stderr()));
    };
    let line = ["--measure", "line"];
    let path = ["--measure", "path"];
    refused(&["one", "shape"], &line, 2, &["shape.safetensors", &name, "has shape"]);
    refused(&["one", "nan"], &line, 2, &["nan.safetensors", "no finite number"]);
    refused(&[], &line, 2, &["a line is between two solutions, and there is one"]);
    refused(&["one", "copy"], &line, 2, &["one and copy are the same weights"]);
    refused(&["one", "one"], &line, 2, &["twice"]);
    refused(&[], &path, 2, &["none is named"]);
    refused(&["one"], &path, 2, &["one is none"]);
    refused(&["one", "two"], &path, 2, &["2 checkpoints span a line and no plane", "--measure line"]);
    refused(&["one", "copy", "copy2"], &path, 2, &["all 3 checkpoints are equal"]);
    // On one line: known when they are read.
    refused(&["one", "two", "three"], &path, 1, &["on one straight line", "a direction of length 0"]);
    for (set, words) in [
        ("grid=1", "grid is 1; it must be from 2"),
        ("range=0", "range is 0; it must be above 0"),
        ("range=-1", "range is -1"),
        ("slice_points=4", "the solution itself must be among them: try 5"),
        ("slice_directions=0", "slice_directions is 0"),
        ("pairs=0", "pairs is 0"),
        ("alphas=1", "alphas is 1"),
        ("alpha_max=0", "alpha_min is 0 and alpha_max 0"),
        ("epsilons=[0.0]", "epsilons has 0"),
        ("rhos=[1.0, 1.0]", "rhos has 1 twice"),
        ("recalibration_batch=1", "one sample has no variance"),
    ] {
        refused(&[], &["--measure", "surface,slices,sharpness", "--set", set], 2, &[words]);
    }
    refused(&[], &["--measure", "sharpness", "--set", "epsilons=[]", "--set", "rhos=[]"], 2, &["measured in no box"]);
    refused(&["zeros"], &["--measure", "surface", "--grid", "3"], 1, &["a direction of length 0", "--normalise none"]);
    refused(&[], &["--measure", "surfaces"], 2, &["surfaces"]);
    refused(&[], &["--directions", "newton"], 2, &["newton"]);
    // The order of words on the command line, and names that make two trials one.
    let swallowed = ["analyse", "--weights", "one.safetensors", &program, "--data", "data.npz"];
    dir.run(&swallowed).fails(2, &["no model", "put", "before it"]);
    for (name, change) in [("a", 1.4), ("b-c", 1.5), ("a-b", 1.6), ("c", 1.7)] {
        write(&dir, &format!("{name}.safetensors"), &changed("resnet", |_, t| t * change));
    }
    refused(&["a", "b-c", "a-b", "c"], &line, 2, &["two trials would be called line-a-b-c"]);
    refused(&[], &["--measure", "surface", "--samples", "4", "--repeats", "3"], 2, &["of the first seed alone"]);
}
