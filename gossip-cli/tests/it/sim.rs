//! `gossip sim`.

use serde_json::Value;

use crate::node::gossip;

fn simulated(options: &[&str]) -> Value {
    let output = gossip(&[&["sim", "--format", "json"], options].concat());
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn a_simulated_cluster_converges_and_finds_who_is_killed() {
    let options = ["--nodes", "8", "--rounds", "150", "--churn", "--transport", "datagram", "--loss", "5"];
    let result = simulated(&options);
    assert_eq!(result["failed"].as_array().unwrap().len(), 0, "{result}");
    assert!(result["convergence"]["samples"].as_u64().unwrap() > 0, "{result}");
    assert!(result["convergence"]["max"].as_f64().unwrap() < 60.0, "{result}");
    assert!(result["detection"]["p50"].as_f64().unwrap() > 5.0, "{result}");
    assert!(result["bytes_per_node_round"].as_f64().unwrap() > 100.0, "{result}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed: &str| {
        let mut result = simulated(&["--nodes", "5", "--rounds", "60", "--churn", "--trace", "--seed", seed]);
        let took = result.as_object_mut().unwrap().remove("us_per_node_round");
        assert!(took.is_some_and(|took| took.as_f64() > Some(0.0)));
        result
    };
    let first = run("7");
    assert!(!first["trace"].as_array().unwrap().is_empty());
    assert_eq!(first, run("7"));
    assert_ne!(first, run("8"));
}

#[test]
fn a_run_that_fails_names_the_command_that_repeats_it() {
    let lost = ["sim", "--nodes", "4", "--rounds", "30", "--loss", "100"];
    let output = gossip(&lost);
    let text = output.stdout;
    assert_eq!(output.code, Some(1), "{text}");
    assert!(text.contains("\nFailed                 1 of 1\nseed 1: "), "{text}");
    assert!(text.ends_with("  gossip sim --nodes 4 --rounds 30 --seed 1 --loss 100 --trace\n"), "{text}");

    let output = gossip(&[&lost[..], &["--seed", "7", "--seeds", "3"]].concat());
    let text = output.stdout;
    assert_eq!(output.code, Some(1), "{text}");
    assert!(
        text.contains("\nFailed                 3 of 3\nseed 7: ") && text.contains("\nseed 9: "),
        "{text}"
    );
    assert!(text.ends_with("  gossip sim --nodes 4 --rounds 30 --seed 9 --loss 100 --trace\n"), "{text}");
}

#[test]
fn a_band_counts_its_seeds_and_a_drawing_is_written() {
    let result = simulated(&["--nodes", "4", "--rounds", "30", "--seed", "3", "--seeds", "6"]);
    assert_eq!((&result["seed"], &result["seeds"]), (&3.into(), &6.into()));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.svg");
    let line = ["sim", "--nodes", "4", "--rounds", "30", "--svg", file.to_str().unwrap()];
    let text = gossip(&line).stdout;
    assert!(text.starts_with("Run                    4 nodes, 30 rounds, messages, seed 1\n"), "{text}");
    assert!(text.contains("\nFailed                 0 of 1\n"), "{text}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("<polyline"));

    let nowhere = folder.path().join("no/run.svg");
    let output = gossip(&["sim", "--nodes", "2", "--rounds", "3", "--svg", nowhere.to_str().unwrap()]);
    let line = output.stderr;
    assert_eq!(output.code, Some(1), "{line}");
    assert!(line.contains("cannot be written to") && line.contains("no/run.svg"), "{line}");
}
