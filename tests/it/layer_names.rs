//! What a network's layers are called, in what a study leaves.

use crate::common::Dir;

#[test]
fn the_first_layer_of_a_convolutional_network_is_no_fc1() {
    let dir = Dir::new();
    let ran = dir.succeed(&[
        "pca-weights",
        "--preset",
        "smoke",
        "--model",
        "conv2-16-classes",
        "--set",
        "train_size=128",
        "--epochs",
        "2",
        "--set",
        "snapshot_every=1",
        "-q",
    ]);
    assert!(ran.stdout().contains("First layer's weights (conv1): two components"), "{}", ran.stdout());
    let folder = "runs/smoke/pca-weights";
    let metrics = dir.json(&format!("{folder}/metrics.json"));
    let parts = metrics["summary"]["pca"].as_object().unwrap();
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["conv1", "full"]);
    for name in ["metrics.json", "metrics.csv"] {
        let text = std::fs::read_to_string(dir.path().join(folder).join(name)).unwrap();
        assert!(text.contains("conv1_component_1") && !text.contains("fc1_"), "{name}");
    }
    let differs = metrics["claims"].as_array().unwrap().iter().filter_map(|claim| claim["differs"].as_str());
    for text in differs {
        assert!(!text.contains("fully connected"), "{text}");
    }
}
