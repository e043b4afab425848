//! The command in a pipe.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_reader_that_leaves_ends_the_command_and_is_no_error() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/frames");
    let files = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip-fuzz"));
    command.arg("frames").args(files).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
