//! Goes through everything that the fuzz targets found worth keeping, on any toolchain.

use std::fs;
use std::path::Path;

use gossip_fuzz::TARGETS;

#[test]
fn nothing_in_the_corpora_does_harm() {
    let corpora = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus"));
    for target in TARGETS {
        let folder = corpora.join(target.name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("the folder can be read").path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{} is empty", folder.display());
        for file in files {
            // The last line before a failure names its input.
            println!("{}", file.display());
            (target.run)(&fs::read(&file).expect("the file can be read"));
        }
    }
}

/// Each target is in both places, and has words that its inputs are made of.
#[test]
fn every_target_is_here_and_there() {
    let fuzz = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz"));
    let mut there: Vec<_> = fs::read_dir(fuzz.join("fuzz_targets"))
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .map(|path| path.file_stem().expect("files have names").to_string_lossy().into_owned())
        .collect();
    there.sort();
    assert_eq!(there, TARGETS.map(|target| target.name));
    for name in there {
        let words = fuzz.join("dictionaries").join(format!("{name}.dict"));
        assert!(words.is_file(), "{}", words.display());
    }
}
