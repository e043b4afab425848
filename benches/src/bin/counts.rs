//! Counts the instructions of each step, and the branches that a simple predictor guesses wrong: see `benches/README.md`.
//!
//! | Command | Does |
//! | --- | --- |
//! | `counts` | runs the steps under callgrind, and fails if a step takes 3 % more or less than `benches/counts.txt` says |
//! | `counts --record` | writes `benches/counts.txt` anew |
//! | `counts --bare [NAME]` | runs the steps that have NAME in their names, and counts nothing: for profilers |
//! | `counts --times` | measures how long they take, and how many times as long as the baseline |

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use gossip_benches::floor::walk;
use gossip_benches::interleaved::{self, Effort};
use gossip_benches::messages::{DIGEST, ordinary_states, syn_head};
use gossip_benches::order::{Hash, Order};
use gossip_benches::steps::{Bench, News, Step};
use gossip_benches::world::World;

/// By how much a count may differ from the record.
const TOLERANCE: f64 = 0.03;

/// What a count may differ by in any case: the record is rounded to as much.
const ROUNDING: f64 = 0.1;

/// How many wrong guesses an item may have more or less. The predictor confuses branches whose addresses are alike, so that code that moves
/// changes them by a tenth; of ten endpoints by more, and there they are not judged.
const GUESSES: f64 = 0.15;

/// How many digests and states are worked through for one count, about.
const ITEMS: u64 = 24_000;

/// How many rounds are counted.
const ROUNDS: u32 = 8;

const SIZES: [u32; 2] = [10, 1_000];

/// The name of a round, of which only the SYN is left out.
const ROUND: &str = "round without its SYN";

/// Parts of it, and the functions that do them.
const PARTS: [(&str, &str); 3] = [
    ("round: choice of targets", "Rounds::choose_targets"),
    ("round: liveness", "::check_liveness"),
    ("round: removals", "::check_removals"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["--bare"] => {
            run("");
            Ok(())
        }
        ["--bare", name] => {
            run(name);
            Ok(())
        }
        ["--times"] => {
            times();
            Ok(())
        }
        ["--record"] => count().and_then(|counts| record(&counts)),
        [] => count().and_then(|counts| compare(&counts)),
        _ => {
            eprintln!("usage: counts [--record | --times | --bare [NAME]]");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("counts: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted: nothing outside of it.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

/// Runs each step that has `name` in its name, and prints that with its number of items, in the order in which they are counted.
fn run(name: &str) {
    for known in SIZES {
        let mut bench = None;
        for (step, news, order) in cases() {
            let title = format!("{}, {}, {}, {known}", step.name(), news.name(), order.name());
            if !title.contains(name) {
                continue;
            }
            let bench = bench.get_or_insert_with(|| Bench::new(known));
            let mut work = bench.work(step, news, order);
            work.shorten(ITEMS);
            // What is learned or taken once is not counted.
            bench.run(step, &mut work.prepare());
            let mut bodies = work.prepare();
            measured(&mut || bench.run(step, &mut bodies));
            println!("{title}\t{}", work.items());
        }
        let titles = [format!("{ROUND}, {known}"), format!("own SYN, {known}")];
        if !titles.iter().any(|title| title.contains(name)) {
            continue;
        }
        let mut world = World::new(known, 100, ordinary_states);
        let items = ROUNDS * (known + 1);
        measured(&mut || (0..ROUNDS).for_each(|_| world.round()));
        println!("{}\t{items}", titles[0]);
        world.drain();
        for _ in 0..ROUNDS {
            world.round();
            measured(&mut || {
                std::hint::black_box(world.drain());
            });
            println!("{}\t{}", titles[1], known + 1);
        }
    }
}

/// Measures each step and its baseline in turn.
fn times() {
    for known in [10, 100, 1_000, 5_000] {
        let mut bench = Bench::new(known);
        for (step, news, order) in cases() {
            let mut work = bench.work(step, news, order);
            let items = work.items();
            let bench = RefCell::new(&mut bench);
            let measured = interleaved::compare(
                Effort::Quick,
                items,
                || work.prepare(),
                |bodies| bench.borrow_mut().run(step, bodies),
                |bodies| {
                    std::hint::black_box(bench.borrow().run_floor(order, bodies));
                },
            );
            println!(
                "{}, {}, {}, {known}: {:.1} ns, floor {:.1}, ratio {:.2}",
                step.name(),
                news.name(),
                order.name(),
                measured.ours,
                measured.floor,
                measured.ratio,
            );
        }
        let world = RefCell::new(World::new(known, 100, ordinary_states));
        let rounds = || {
            world.borrow_mut().drain();
            world.borrow_mut().round();
        };
        let digests = {
            let mut world = world.borrow_mut();
            world.round();
            let size = world.drain();
            world.written(size)[syn_head()..].to_vec()
        };
        let items = digests.len() as u64 / DIGEST as u64;
        let own = interleaved::compare(
            Effort::Quick,
            items,
            rounds,
            |()| {
                std::hint::black_box(world.borrow_mut().drain());
            },
            |()| {
                std::hint::black_box(walk::<DIGEST>(std::hint::black_box(&digests)));
            },
        );
        println!("own SYN, {known}: {:.1} ns, walk {:.1}, ratio {:.2}", own.ours, own.floor, own.ratio);
        let round = interleaved::compare(
            Effort::Quick,
            items,
            || {
                world.borrow_mut().drain();
            },
            |()| world.borrow_mut().round(),
            |()| (),
        );
        println!("{ROUND}, {known}: {:.1} ns an endpoint", round.ours);
    }
}

fn cases() -> impl Iterator<Item = (Step, News, Order)> {
    let is_counted = |order: &&Order| **order != Order::Cassandra(Hash::V41);
    Step::ALL.into_iter().flat_map(move |step| {
        let news = News::ALL.into_iter().filter(move |news| news.concerns(step));
        news.flat_map(move |news| {
            step.orders().iter().filter(is_counted).map(move |order| (step, news, *order))
        })
    })
}

/// What a step took, for each item.
#[derive(Clone, Debug, PartialEq)]
struct Count {
    name: String,
    instructions: f64,
    wrong_guesses: f64,
}

/// Runs all steps under callgrind.
fn count() -> Result<Vec<Count>, String> {
    let folder = std::env::temp_dir().join(format!("gossip-counts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let counts = count_in(&folder);
    let _ = std::fs::remove_dir_all(&folder);
    counts
}

fn count_in(folder: &Path) -> Result<Vec<Count>, String> {
    let mut counts = count_run(folder, "counts::measured", "")?;
    for (part, function) in PARTS {
        let rounds = count_run(folder, &format!("*{function}*"), ROUND)?;
        counts.extend(
            rounds
                .into_iter()
                .filter(|count| count.name.starts_with(ROUND))
                .map(|count| Count { name: count.name.replacen(ROUND, part, 1), ..count }),
        );
    }
    Ok(counts)
}

/// Runs the steps with `name` in their names, and counts what is done within `function`.
fn count_run(folder: &Path, function: &str, name: &str) -> Result<Vec<Count>, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--branch-sim=yes", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={function}"))
        // What a part did before, while the world was made, does not count.
        .arg("--zero-before=counts::measured")
        .arg("--dump-after=counts::measured")
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(&this)
        .args(["--bare", name])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("valgrind failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut counts: Vec<Count> = Vec::new();
    for (nth, line) in (1..).zip(text.lines()) {
        let (name, items) = line.split_once('\t').ok_or_else(|| format!("what is \"{line}\"?"))?;
        let items: f64 = items.parse().map_err(|error| format!("{line}: {error}"))?;
        let path = folder.join(format!("out.{nth}"));
        let dump = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let [instructions, wrong_guesses] = own_costs(&dump)?;
        let each = Count {
            name: name.into(),
            instructions: instructions / items,
            wrong_guesses: wrong_guesses / items,
        };
        match counts.last_mut() {
            // Several of one name: that with the fewest instructions. A SYN begins elsewhere each time.
            Some(last) if last.name == each.name => {
                if each.instructions < last.instructions {
                    *last = each;
                }
            }
            _ => counts.push(each),
        }
    }
    Ok(counts)
}

/// Instructions and wrong guesses of a dump, of our own code alone: what the C library's functions take depends on the processor.
fn own_costs(dump: &str) -> Result<[f64; 2], String> {
    let events = dump.lines().find_map(|line| line.strip_prefix("events: "));
    let events: Vec<&str> = events.ok_or("a dump names no events")?.split_whitespace().collect();
    let column = |name: &str| {
        events.iter().position(|event| *event == name).ok_or_else(|| format!("a dump has no {name}"))
    };
    let (instructions, wrong) = (column("Ir")?, [column("Bcm")?, column("Bim")?]);
    let mut objects = std::collections::HashMap::<&str, &str>::new();
    let (mut sums, mut is_ours, mut is_of_callee) = ([0.0, 0.0], true, false);
    for line in dump.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            // "(7) /path" the first time, "(7)" afterwards.
            let (id, path) = object.split_once(' ').unwrap_or((object, ""));
            if !path.is_empty() {
                objects.insert(id, path);
            }
            is_ours = objects.get(id).is_some_and(|path| path.contains("counts"));
        } else if let Some(object) = line.strip_prefix("cob=") {
            if let Some((id, path)) = object.split_once(' ') {
                objects.insert(id, path);
            }
        } else if line.starts_with("calls=") {
            is_of_callee = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            && !core::mem::take(&mut is_of_callee)
            && is_ours
        {
            let mut costs = line.split_whitespace().skip(1).map(|cost| cost.parse::<f64>().unwrap_or(0.0));
            let costs: [f64; 16] = core::array::from_fn(|_| costs.next().unwrap_or(0.0));
            sums[0] += costs.get(instructions).copied().unwrap_or(0.0);
            sums[1] += wrong.iter().filter_map(|at| costs.get(*at)).sum::<f64>();
        }
    }
    Ok(sums)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.txt")
}

/// The compiler, whose every version makes other code.
fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").to_owned();
    Ok(format!("rustc {} {}", line("release: "), line("host: ")))
}

fn record(counts: &[Count]) -> Result<(), String> {
    let mut text = format!("# {}: instructions and wrong guesses for each item\n", compiler()?);
    for Count { name, instructions, wrong_guesses } in counts {
        let _ = writeln!(text, "{name}\t{instructions:.1}\t{wrong_guesses:.2}");
    }
    print!("{text}");
    std::fs::write(path(), text).map_err(|error| format!("{}: {error}", path().display()))
}

fn compare(counts: &[Count]) -> Result<(), String> {
    let text = std::fs::read_to_string(path()).map_err(|error| format!("{}: {error}", path().display()))?;
    let (head, lines) = text.split_once('\n').unwrap_or_default();
    let compiler = compiler()?;
    if !head.contains(&compiler) {
        println!("counts: skipped, benches/counts.txt is of another compiler than {compiler}");
        return Ok(());
    }
    let recorded: Vec<Count> = lines.lines().filter_map(parse).collect();
    let (mut wrong, mut missing) = (Vec::new(), Vec::new());
    for count in counts {
        let Some(before) = recorded.iter().find(|before| before.name == count.name) else {
            missing.push(count.name.as_str());
            continue;
        };
        let change = count.instructions / before.instructions - 1.0;
        let guesses = count.wrong_guesses - before.wrong_guesses;
        let is_judged = !count.name.ends_with(" 10");
        let is_more = (count.instructions - before.instructions).abs() > ROUNDING && change.abs() > TOLERANCE;
        let is_wrong = is_more || (is_judged && guesses.abs() > GUESSES);
        println!(
            "{:<42} {:>8.1} instructions ({:+.1} %), {:>5.2} wrong guesses ({guesses:+.2}){}",
            count.name,
            count.instructions,
            change * 100.0,
            count.wrong_guesses,
            if is_wrong { "  <--" } else { "" },
        );
        if is_wrong {
            wrong.push(count.name.as_str());
        }
    }
    let gone = recorded.len() + missing.len() - counts.len();
    if wrong.is_empty() && missing.is_empty() && gone == 0 {
        return Ok(());
    }
    Err(format!(
        "{} steps differ from benches/counts.txt, {} are not in it, {gone} in it are not counted. If that is meant, record them: cargo run --profile bench -p gossip-benches --bin counts -- --record",
        wrong.len(),
        missing.len(),
    ))
}

fn parse(line: &str) -> Option<Count> {
    let mut parts = line.split('\t');
    let name = parts.next()?.to_owned();
    let mut number = || parts.next()?.parse().ok();
    Some(Count { name, instructions: number()?, wrong_guesses: number()? })
}
