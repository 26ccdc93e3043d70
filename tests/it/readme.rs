//! Every command of the README is one the binary takes.

use crate::common::{Dir, sets};
use hw1::data::{Signature, Target};
use hw1::model::{Model as _, Network};
use hw1::store::weights::{NamedTensor, encode};
use tch::{Device, Kind};

/// The words of a shell line: quotes group, a # begins a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            '#' if !quoted && !begun => break,
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// What `hw1 analyse` is told to look at: a network with weights, and images for it.
fn analysed(dir: &Dir) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/networks");
    std::fs::copy(folder.join("resnet.pt2"), dir.path().join("model.pt2")).unwrap();
    let images: Vec<u8> = (0..120 * 3 * 8 * 8u32).map(|at| (at * 37 % 251) as u8).collect();
    let labels: Vec<u8> = (0..120u8).map(|at| at % 5).collect();
    let arrays = [("x", sets::npy("|u1", &[120, 3, 8, 8], &images)), ("y", sets::npy("|u1", &[120], &labels))];
    std::fs::write(dir.path().join("images.npz"), sets::npz(&arrays)).unwrap();
    let data = Signature { input: vec![1, 28, 28], tokens: None, target: Target::Classes(10) };
    let layout = Network::parse("conv8-conv16-128-10", &data).unwrap().layout();
    let theta = layout.initial(0, "readme", Kind::Float, Device::Cpu);
    let slices = layout.slots.iter().map(|slot| (slot.name.clone(), NamedTensor::copy_of(&slot.view(&theta)).unwrap()));
    std::fs::write(dir.path().join("w.safetensors"), encode(&slices.collect(), None).unwrap()).unwrap();
    // Solutions beside the program's own, and checkpoints of a training.
    let program = hw1::model::program::Program::read(&std::fs::read(folder.join("resnet.pt2")).unwrap()).unwrap();
    let (layout, own) = (program.layout(), program.weights(Kind::Float, Device::Cpu).unwrap());
    std::fs::create_dir(dir.path().join("checkpoints")).unwrap();
    for (file, seed) in ["a", "b", "checkpoints/1", "checkpoints/2", "checkpoints/10"].into_iter().zip(1..) {
        let place = tch::Tensor::arange(layout.parameters(), (Kind::Float, Device::Cpu));
        let theta = &own.theta + (place * f64::from(seed)).sin() * 0.01;
        let slots = [(&layout.slots, &theta), (&layout.buffers, &own.buffers)].into_iter();
        let all = slots.flat_map(|(slots, flat)| slots.iter().map(move |slot| (slot.name.clone(), slot.view(flat))));
        let tensors = all.map(|(name, tensor)| (name, NamedTensor::copy_of(&tensor).unwrap())).collect();
        std::fs::write(dir.path().join(format!("{file}.safetensors")), encode(&tensors, None).unwrap()).unwrap();
    }
}

#[test]
fn every_command_runs() {
    let readme = include_str!("../../README.md");
    let lines = readme.lines().filter_map(|line| line.strip_prefix("    scripts/hw1 "));
    let inline = readme.split('`').filter_map(|code| code.strip_prefix("scripts/hw1 "));
    let mut commands = 0;
    for command in lines.chain(inline) {
        let dir = Dir::new();
        let words = words(command);
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(at) = arguments.iter().position(|word| *word == "--points") {
            std::fs::write(dir.path().join(arguments[at + 1]), "x,y\n0,1\n1,3\n2,4\n3,8\n4,9\n").unwrap();
        }
        if arguments[0] == "analyse" {
            analysed(&dir);
            // As a shell does.
            if let Some(at) = arguments.iter().position(|word| *word == "checkpoints/*.safetensors") {
                let files = ["1", "2", "10"].map(|name| &*format!("checkpoints/{name}.safetensors").leak());
                arguments.splice(at..=at, files);
            }
            if arguments.contains(&"mnist") {
                // Which tests have not.
                arguments.push("--dry-run");
            }
        }
        if arguments[0] == "slurm" {
            // What it submits tests/it/slurm.rs runs.
            arguments.retain(|word| *word != "--submit");
            dir.succeed(&arguments);
            commands += 1;
            continue;
        }
        if arguments[0] == "report" {
            // It is of studies that have run.
            dir.succeed(&["grad-norm", "--preset", "smoke"]);
            if let Some(at) = arguments.iter().position(|word| *word == "--against") {
                dir.succeed(&["grad-norm", "--preset", "smoke", "--out", arguments[at + 1]]);
            }
        }
        if arguments == ["--help"] || arguments.contains(&"--help") {
            dir.succeed(&arguments);
        } else if arguments.contains(&"--device") {
            // Its parsing at least: most machines have no CUDA.
            dir.succeed(&[&arguments[..], &["--dry-run"]].concat());
        } else if arguments.contains(&"canonical") {
            // Half an hour on MNIST, which tests have not; canonical.rs runs it in miniature.
            dir.succeed(&[&arguments[..], &["--dry-run"]].concat());
        } else if arguments[0] == "bench" {
            // All of them take a minute.
            dir.succeed(&["bench", "dnn3", "mlp-22"]);
        } else if arguments.starts_with(&["data", "fetch"]) {
            // No test asks the network: a mirror that is refused before anything is sent.
            dir.run(&[&arguments[..], &["--mirror", "http://mirror.invalid/"]].concat())
                .fails(1, &["only https is asked"]);
        } else if ["doctor", "completions", "data"].contains(&arguments[0]) {
            dir.succeed(&arguments);
        } else if let ["compare", run_dirs @ ..] = &arguments[..] {
            // What looks at runs finds some.
            for run_dir in run_dirs {
                dir.succeed(&["simulate", "--preset", "smoke", "--out", run_dir]);
            }
            dir.succeed(&arguments);
        } else {
            if ["show", "claims", "export"].contains(&arguments[0]) {
                dir.succeed(&["simulate", "--preset", "smoke"]);
            }
            // Tiny, and on synthetic digits.
            if !arguments.contains(&"--preset") {
                arguments.extend(["--preset", "smoke"]);
            }
            if arguments[0] == "verify" {
                dir.succeed(&["simulate", "--preset", "smoke"]);
            }
            dir.succeed(&arguments);
        }
        commands += 1;
    }
    assert!(commands >= 8, "only {commands} commands found");
}

#[test]
fn the_script_it_shows_is_the_one_that_is_written() {
    let dir = Dir::new();
    dir.succeed(&["slurm", "min-ratio", "--repeats", "100", "--time", "60", "--", "--partition=short"]);
    let written = std::fs::read_to_string(dir.path().join("runs/report/hw1.slurm")).unwrap();
    let shown = include_str!("../../README.md").lines().skip_while(|line| *line != "    #!/bin/bash");
    // What differs by machine.
    let own = |line: &&str| !["folder=", "hw1=", "# Written by", "tasks="].iter().any(|start| line.starts_with(start));
    let shown = shown.take_while(|line| line.starts_with("    ") || line.is_empty()).map(str::trim_start).filter(own);
    let pairs: Vec<(&str, &str)> = shown.zip(written.lines().filter(own)).collect();
    assert!(pairs.len() >= 16, "{pairs:?}");
    pairs.iter().for_each(|(shown, written)| assert_eq!(shown, written));
}

#[test]
fn every_file_it_names_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = include_str!("../../README.md");
    let named = readme.split(['`', '(', ')', ' ', '\n', ',']).filter(|word| {
        ["src/", "templates/", "tests/", "scripts/", "experiments/", "docs/", "benches/", "examples/"]
            .iter()
            .any(|folder| word.starts_with(folder))
            && !word.contains(['<', '*'])
    });
    for path in named {
        let path = path.trim_end_matches([';', ':', '.']);
        assert!(root.join(path).exists(), "README names {path}");
    }
}
