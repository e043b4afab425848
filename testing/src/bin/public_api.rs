//! Compares the public items of each published crate with the listing in `testing/api`. `.ci/run api` calls it:
//! `public_api FOLDER [--record]`, where `FOLDER` holds rustdoc's JSON. With `--record` it writes the listings.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use public_api::Builder;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, record) = match arguments.as_slice() {
        [folder] => (Path::new(folder), false),
        [folder, option] if option == "--record" => (Path::new(folder), true),
        _ => {
            eprintln!("public_api: usage: public_api FOLDER [--record]");
            return ExitCode::from(2);
        }
    };
    let listings = Path::new(env!("CARGO_MANIFEST_DIR")).join("api");
    match check(folder, &listings, record) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!(
                "public_api: if the change is intended, run `.ci/run api_record` and commit testing/api"
            );
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("public_api: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every listing is that of its crate.
fn check(folder: &Path, listings: &Path, record: bool) -> Result<bool, String> {
    let mut equal = true;
    let mut crates = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            crates.insert(path);
        }
    }
    if crates.is_empty() {
        return Err(format!("{} has no file of rustdoc", folder.display()));
    }
    let mut listed = BTreeSet::new();
    for entry in fs::read_dir(listings).map_err(|error| format!("{}: {error}", listings.display()))? {
        listed.insert(entry.map_err(|error| format!("{}: {error}", listings.display()))?.path());
    }
    for json in crates {
        let name = json.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
        let listing = listings.join(&name).with_extension("txt");
        listed.remove(&listing);
        let now = items(&json)?;
        if record {
            fs::write(&listing, &now).map_err(|error| format!("{}: {error}", listing.display()))?;
            continue;
        }
        // A new crate has no listing yet.
        let before = fs::read_to_string(&listing).unwrap_or_default();
        if before == now {
            println!("{name}: {} public items, as listed", now.lines().count());
            continue;
        }
        equal = false;
        println!("{name}: the public items differ from {}", listing.display());
        let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (before.lines().collect(), now.lines().collect());
        for gone in old.difference(&new) {
            println!("- {gone}");
        }
        for added in new.difference(&old) {
            println!("+ {added}");
        }
    }
    for stale in listed {
        equal = false;
        println!(
            "{}: rustdoc wrote nothing for this crate; remove the listing, or add the crate to `.ci/run`",
            stale.display()
        );
    }
    Ok(equal)
}

/// The public items of a crate, one a line. Implementations that the compiler adds are left out, and so are derived ones.
fn items(json: &Path) -> Result<String, String> {
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| {
            format!(
                "{}: {error}. Does this nightly write another format than public-api reads? Set NIGHTLY",
                json.display()
            )
        })?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}
