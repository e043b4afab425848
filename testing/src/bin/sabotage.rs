//! Takes out each protection of the protocol in turn, and prints which proof notices.
//!
//! `cargo run -p gossip-testing --bin sabotage [WORD...]` copies the repository to `target/sabotage`, builds the proofs there once, with a
//! switch for each protection, and runs them with one protection off after the other. With words it takes those whose names contain one
//! of them. The quick proofs run first; those behind the first that notices run only with `--all`. The exit code is 1 if a proof fails with
//! all protections, or if no proof notices that one is out.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use gossip_testing::sabotage::{PROTECTIONS, Protection, number};

/// The protections that are off, by their numbers from 1 on, with commas.
const SWITCH: &str = "GOSSIP_SABOTAGE";

/// The module that reads the switch.
const MODULE: &str = r#"
pub(crate) fn is_off(number: u32) -> bool {
    static OFF: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let read = || {
        let numbers = std::env::var("GOSSIP_SABOTAGE").unwrap_or_default();
        numbers.split(',').filter_map(|number| number.parse::<u32>().ok()).fold(0, |bits, number| bits | 1 << number)
    };
    *OFF.get_or_init(read) & 1 << number != 0
}
"#;

/// What is to notice: a title, and the names of the tests in the packages below. The quick ones come first.
const PROOFS: [(&str, &str); 4] = [
    ("histories", "histories::"),
    ("reference", "cluster_does_what_the_model_says"),
    ("seeds", "band::"),
    ("searches", "searches::no_small_history_breaks_a_law"),
];

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sabotage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<ExitCode> {
    let (options, words): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| word.starts_with("--"));
    let runs_all = match options[..] {
        [] => false,
        [option] if option == "--all" => true,
        _ => return Err(io::Error::other("the only option is --all")),
    };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let folder = repository.join("target/sabotage");
    let tree = folder.join("tree");
    copy(&repository, &tree)?;
    take_out(&tree)?;
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&tree).args(arguments).env("CARGO_TARGET_DIR", folder.join("build"));
        command.env("RUSTFLAGS", "--cap-lints allow");
        command
    };
    // Always all, since what each needs of the core would have it built more than once.
    let tests = [
        "test",
        "--locked",
        "--package=gossip-model",
        "--package=gossip-reference",
        "--package=gossip-sim",
        "--test=it",
        "--test=compared",
        "--no-fail-fast",
    ];
    let built = cargo(&tests).arg("--no-run").status()?;
    if !built.success() {
        return Err(io::Error::other("the copy does not build"));
    }
    let proves = |off: &str, names: &str| -> io::Result<bool> {
        let mut command = cargo(&tests);
        let status = command.args(["--", names]).env(SWITCH, off);
        Ok(status.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
    };
    let titles: Vec<&str> = PROOFS.iter().map(|(title, _)| *title).collect();
    println!("| without | {} | seconds |", titles.join(" | "));
    println!("| --- |{} --- |", " --- |".repeat(titles.len()));
    let mut is_good = true;
    let nothing = [(String::new(), "(nothing is taken out)")];
    let protections = PROTECTIONS.iter().map(|protection| (switches(protection), protection.name));
    for (off, name) in nothing.into_iter().chain(protections) {
        if !off.is_empty() && !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let began = Instant::now();
        let (mut is_noticed, mut shown) = (false, Vec::new());
        for (_, names) in PROOFS {
            if is_noticed && !runs_all {
                shown.push("");
                continue;
            }
            let holds = proves(&off, names)?;
            is_noticed |= !holds;
            shown.push(if holds { "holds" } else { "fails" });
        }
        is_good &= is_noticed != off.is_empty();
        println!("| {name} | {} | {} |", shown.join(" | "), began.elapsed().as_secs());
        io::stdout().flush()?;
    }
    Ok(ExitCode::from(u8::from(!is_good)))
}

/// The numbers of the protections that are taken out in a row of the table.
fn switches(protection: &Protection) -> String {
    let all = protection.and.iter().copied().chain((!protection.edits.is_empty()).then_some(protection.name));
    all.filter_map(number).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

/// Copies what git knows of. A file that is the same keeps its time, so that a second run builds less.
fn copy(repository: &Path, tree: &Path) -> io::Result<()> {
    let listed = Command::new("git").current_dir(repository).args(["ls-files", "-z"]).output()?;
    if !listed.status.success() {
        return Err(io::Error::other("git does not list the files of the repository"));
    }
    let names = String::from_utf8(listed.stdout).map_err(io::Error::other)?;
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // Another program may have removed it.
        if let Ok(bytes) = fs::read(repository.join(name)) {
            write_if_changed(&tree.join(name), &bytes)?;
        }
    }
    Ok(())
}

/// Puts the switches in.
fn take_out(tree: &Path) -> io::Result<()> {
    let source = tree.join("gossip-core/src");
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    let edits = PROTECTIONS.iter().zip(1..).flat_map(|(protection, number)| {
        protection.edits.iter().map(move |edit| (protection.name, edit, number))
    });
    for (name, edit, number) in edits {
        let path = source.join(edit.file);
        let at = match files.iter().position(|(known, _)| *known == path) {
            Some(at) => at,
            None => {
                let text = fs::read_to_string(&path)?;
                files.push((path, text));
                files.len() - 1
            }
        };
        let text = &mut files[at].1;
        let off = format!("crate::sabotage::is_off({number}_u32)");
        if text.matches(edit.text).count() != 1 {
            return Err(io::Error::other(format!("{name}: its place in {} was not found", edit.file)));
        }
        *text = text.replacen(edit.text, &edit.instead.replace("OFF", &off), 1);
    }
    let root = source.join("lib.rs");
    let text = fs::read_to_string(&root)?;
    files.push((root, format!("{text}\nmod sabotage;\n")));
    files.push((source.join("sabotage.rs"), MODULE.to_owned()));
    files.iter().try_for_each(|(path, text)| write_if_changed(path, text.as_bytes()))
}

fn write_if_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}
