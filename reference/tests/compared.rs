//! Real nodes and their models, in simulated clusters.

use std::time::Duration;

use gossip_core::{ApplicationState, Membership, MessagingVersion};
use gossip_reference::{Compare, Deviations, Settings, Twin};
use gossip_sim::Cluster;

const CLUSTER: &str = "simulated";

/// The seeds of the band: 1 to 20, or what the environment variable SEEDS says, as `FIRST..END`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else { return 1..21 };
    let parsed = text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    parsed.expect("SEEDS is two numbers, as 100..200")
}

fn compare(settings: Settings) -> Compare {
    Compare::new(settings, MessagingVersion::V13)
}

/// Numbers from a seed, for what happens in a run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        // The constants of SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn host(&mut self, hosts: usize) -> usize {
        usize::try_from(self.below(hosts as u64)).expect("it is small")
    }
}

/// After so many seconds of silence an endpoint that is no member is forgotten, in some runs.
const SILENCE: Duration = Duration::from_secs(30);

/// What goes on in a cluster of six, by chance.
fn troubled(seed: u64, mut settings: Settings) -> Cluster<Compare> {
    const HOSTS: usize = 6;
    let mut chance = Chance(seed);
    let forgets = chance.below(2) == 0;
    if forgets {
        settings.silence = Some(SILENCE);
        settings.failed_join = Some(SILENCE * 2);
    }
    let builder = Cluster::new(HOSTS)
        .seed(seed)
        .latency(Duration::from_millis(1), Duration::from_millis(1 + chance.below(400)))
        .loss_percent(u32::try_from(chance.below(20)).expect("small"))
        .duplicate_percent(u32::try_from(chance.below(20)).expect("small"))
        .configure(move |host, config| {
            let config =
                if host == 5 { config.state(ApplicationState::STATUS_WITH_PORT, "BOOT,5") } else { config };
            if !forgets {
                return config;
            }
            config.membership(Membership {
                fat_client_timeout: Some(SILENCE),
                failed_bootstrap_timeout: Some(SILENCE * 2),
                ..Membership::default()
            })
        })
        .probe(compare(settings));
    let builder = if chance.below(2) == 0 { builder.reorder() } else { builder };
    let mut cluster = builder.start();
    // Nothing calls a process that is stalled: a call would tell it the time.
    let mut stalled = [false; HOSTS];
    for _ in 0..60 {
        let host = chance.host(HOSTS);
        match chance.below(14) {
            1 | 8 | 12 if stalled[host] => {}
            0 => cluster.kill(host),
            1 => cluster.shutdown(host),
            2..=4 if cluster.view().gossiper(host).is_none() => {
                cluster.restart(host);
            }
            5 => cluster.cut(host, chance.host(HOSTS)),
            6 => cluster.heal(),
            7 => cluster.set_clock(host, i64::try_from(chance.below(7_200)).expect("small") - 3_600),
            8 => cluster.leave(host),
            9 => {
                cluster.stall(host);
                stalled[host] = true;
            }
            10 => {
                (0..HOSTS).for_each(|host| cluster.resume(host));
                stalled = [false; HOSTS];
            }
            11 => cluster.wipe(host),
            12 if cluster.view().gossiper(host).is_some() => {
                let value = format!("{}", chance.below(1_000));
                // A node that stops takes no more values.
                let _ = cluster.set_state(host, ApplicationState::LOAD, &value);
            }
            _ => {}
        }
        cluster.run_rounds(1 + u32::try_from(chance.below(8)).expect("small"));
    }
    cluster
}

#[test]
fn a_calm_cluster_does_what_the_model_says() {
    let mut cluster = Cluster::new(5).seed(1).probe(compare(Twin::settings(CLUSTER))).start();
    cluster.run_rounds(60);
    assert_eq!(cluster.probe().differences(), Vec::<String>::new());
    assert!(cluster.probe().compared() > 1_000);
}

#[test]
fn a_troubled_cluster_does_what_the_model_says() {
    let mut all = Vec::new();
    for seed in seeds() {
        let cluster = troubled(seed, Twin::settings(CLUSTER));
        for difference in cluster.probe().differences() {
            all.push(format!("seed {seed}: {difference}"));
        }
    }
    assert!(all.is_empty(), "{} differences: {:#?}", all.len(), all.iter().take(12).collect::<Vec<_>>());
}

#[test]
fn a_model_with_cassandras_rules_differs() {
    let settings = Settings { deviations: Deviations::NONE, ..Twin::settings(CLUSTER) };
    let cluster = troubled(1, settings);
    assert!(!cluster.probe().differences().is_empty());
}

/// A rule of ours, by name, and how it is taken out.
type Rule = (&'static str, fn(&mut Deviations));

const RULES: [Rule; 12] = [
    ("whole_only_if_requested", |rules| rules.whole_only_if_requested = false),
    ("greatest_heartbeat_stays", |rules| rules.greatest_heartbeat_stays = false),
    ("legacy_values_stay", |rules| rules.legacy_values_stay = false),
    ("stops_are_believed", |rules| rules.stops_are_believed = false),
    ("marks_are_constant", |rules| rules.marks_are_constant = false),
    ("stopped_get_no_echo", |rules| rules.stopped_get_no_echo = false),
    ("one_echo", |rules| rules.one_echo = false),
    ("silent_echo_is_unreachable", |rules| rules.silent_echo_is_unreachable = false),
    ("stopping_is_silent", |rules| rules.stopping_is_silent = false),
    ("pause_between_rounds", |rules| rules.pause_between_rounds = false),
    ("quarantine_by_generation", |rules| rules.quarantine_by_generation = false),
    ("parts_are_doubted", |rules| rules.parts_are_doubted = false),
];

/// Says which rules the comparison notices when the model lacks them: `docs/reference-model.md` has the table.
#[test]
#[ignore = "it takes a minute, and prints a table"]
fn a_rule_that_is_taken_out_is_noticed() {
    for (name, take_out) in RULES {
        let mut settings = Twin::settings(CLUSTER);
        take_out(&mut settings.deviations);
        let noticed =
            seeds().find(|seed| !troubled(*seed, settings.clone()).probe().differences().is_empty());
        println!("{name}: {noticed:?}");
    }
}
