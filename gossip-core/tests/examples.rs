//! The example does what it says.

#[allow(dead_code, reason = "its `main` is not called here")]
#[path = "../examples/blocking.rs"]
mod blocking;

#[test]
fn blocking_sockets_are_enough() {
    blocking::run(core::time::Duration::from_millis(50)).unwrap();
}

/// `docs/embedding.md` shows the example's loop as it is.
#[test]
fn the_documents_show_the_loop_that_runs() {
    let example = include_str!("../examples/blocking.rs");
    let (_, rest) = example.split_once("// loop: shown in docs/embedding.md\n").unwrap();
    let (shown, _) = rest.split_once("    // loop: end\n").unwrap();
    let shown: Vec<&str> = shown.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let page = include_str!("../../docs/embedding.md");
    assert!(
        page.contains(&shown.join("\n")),
        "the loop of docs/embedding.md is not that of examples/blocking.rs"
    );
}
