//! Writes a run of the simulator as a module in Quint, which follows it step by step: `.ci/run quint`.
//!
//! ```sh
//! cargo run -p gossip-sim --example quint -- 7 8 >target/quint/trace.qnt   # the runs with these seeds
//! quint test target/quint/trace.qnt --main trace --backend typescript --max-samples 1
//! ```
//!
//! The steps are those of `spec/traces.qnt`. They leave out liveness (echoes, phi, conviction), the texts of values, and time. Generations
//! are counted from 1 for each host. The first run comes also with one wrong step, in several
//! ways. Each must be refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use gossip_core::message::{Codec, Digests, Message, StateMap};
use gossip_core::{
    ApplicationState, Endpoint, Generation, Gossiper, MessagingVersion, Outgoing, Phase, Timestamp,
};
use gossip_sim::{Cluster, Probe, seconds};

/// The specification has places for so many hosts.
const HOSTS: usize = 4;

/// The key of heartbeats. Those of values are one more than their number.
const HEARTBEAT: i32 = 0;

/// What is known of an endpoint.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Known {
    generation: usize,
    heartbeat: i32,
    /// Versions, by key.
    values: BTreeMap<i32, i32>,
}

/// A digest: endpoint, generation, version.
type Digest = (usize, usize, i32);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Letter {
    kind: &'static str,
    from: usize,
    sender: usize,
    to: usize,
    process: usize,
    digests: Vec<Digest>,
    states: Vec<(usize, Known)>,
}

#[derive(Clone, Debug)]
struct Step {
    kind: &'static str,
    node: usize,
    peer: usize,
    key: i32,
    arrived: Option<Letter>,
    sent: Vec<Letter>,
    /// What does not arrive any more after it.
    gone: Vec<Letter>,
    changed: Vec<(usize, Known)>,
    asks: bool,
}

/// What the recorder saw last of a host.
#[derive(Debug, Default)]
struct Seen {
    /// The generations of its processes so far. The specification counts them.
    generations: Vec<Generation>,
    view: BTreeMap<usize, Known>,
    asks: bool,
}

/// Turns calls into steps.
#[derive(Debug, Default)]
struct Recorder {
    hosts: [Seen; HOSTS],
    steps: Vec<Step>,
    /// What was sent, with its id.
    flown: Vec<(u64, Letter)>,
    /// The message that the next call handles.
    arrived: Option<Letter>,
    /// The step of the last message that arrived at each host: its answers belong there.
    last: [Option<usize>; HOSTS],
}

fn address(host: usize) -> Endpoint {
    Endpoint::v4([10, 0, 0, u8::try_from(host + 1).expect("hosts are few")], 7000)
}

fn host_of(endpoint: Endpoint) -> usize {
    (0..HOSTS).find(|host| address(*host) == endpoint).expect("only these hosts are in the cluster")
}

impl Recorder {
    fn count(&self, host: usize, generation: Generation) -> usize {
        let found = self.hosts[host].generations.iter().position(|known| *known == generation);
        found.expect("no generation is known that no process has had") + 1
    }

    fn known(&self, gossiper: &Gossiper) -> BTreeMap<usize, Known> {
        let one = |endpoint| {
            let (host, heartbeat) = (host_of(endpoint), gossiper.heartbeat(endpoint)?);
            let values =
                gossiper.values(endpoint).map(|(key, _, version)| (key_of(key), version.get())).collect();
            let generation = self.count(host, heartbeat.generation);
            Some((host, Known { generation, heartbeat: heartbeat.version.get(), values }))
        };
        gossiper.endpoints().filter_map(one).collect()
    }

    fn digests(&self, digests: &Digests<'_>) -> Vec<Digest> {
        let plain = |digest: gossip_core::message::Digest| {
            let host = host_of(digest.endpoint);
            (host, self.count(host, digest.generation), digest.max_version.get())
        };
        digests.iter().map(plain).collect()
    }

    fn states(&self, states: &StateMap<'_>) -> Vec<(usize, Known)> {
        let plain = |(endpoint, state): (Endpoint, gossip_core::message::EndpointState<'_>)| {
            let host = host_of(endpoint);
            let values = state.values().map(|(key, value)| (key_of(key), value.version.get())).collect();
            let generation = self.count(host, state.heartbeat.generation);
            (host, Known { generation, heartbeat: state.heartbeat.version.get(), values })
        };
        states.iter().map(plain).collect()
    }

    /// A message of the exchange, sent now; nothing if it is another.
    fn letter(&self, from: usize, to: usize, message: &Message<'_>) -> Option<Letter> {
        let (kind, digests, states) = match message {
            Message::Syn(syn) => ("SYN", self.digests(&syn.digests), Vec::new()),
            Message::Ack(ack) => ("ACK", self.digests(&ack.requests), self.states(&ack.states)),
            Message::Ack2(ack2) => ("ACK2", Vec::new(), self.states(&ack2.states)),
            Message::EchoRequest | Message::EchoResponse | Message::Shutdown(_) => return None,
        };
        let generations = |host: usize| self.hosts[host].generations.len();
        Some(Letter { kind, from, sender: generations(from), to, process: generations(to), digests, states })
    }

    fn add(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn step(&self, kind: &'static str, node: usize) -> Step {
        let asks = self.hosts[node].asks;
        Step {
            kind,
            node,
            peer: node,
            key: 0,
            arrived: None,
            sent: Vec::new(),
            gone: Vec::new(),
            changed: Vec::new(),
            asks,
        }
    }

    /// Notes what has changed in a node. What it knows of others changes by a message alone, and what it says of itself by itself.
    fn look(&mut self, host: usize, gossiper: &Gossiper, arrived: Option<Letter>) {
        let after = self.known(gossiper);
        let before = std::mem::replace(&mut self.hosts[host].view, after.clone());
        let has_asked = self.hosts[host].asks;
        self.hosts[host].asks = gossiper.phase() == Phase::Asking;
        let has_joined = has_asked && !self.hosts[host].asks;
        let changed: Vec<_> = after
            .iter()
            .filter(|(other, known)| **other != host && before.get(other) != Some(known))
            .map(|(other, known)| (*other, known.clone()))
            .collect();
        if let Some(letter) = arrived {
            self.last[host] = Some(self.steps.len());
            self.add(Step { arrived: Some(letter), changed, ..self.step("deliver", host) });
        } else if has_joined {
            self.add(Step { changed, ..self.step("alone", host) });
        } else if !changed.is_empty() {
            // No rule has a step like this.
            self.add(Step { changed, ..self.step("nothing", host) });
        }
        let (Some(mut own), Some(now)) = (before.get(&host).cloned(), after.get(&host)) else { return };
        let mut news: Vec<_> = now.values.iter().map(|(key, version)| (*version, *key)).collect();
        news.push((now.heartbeat, HEARTBEAT));
        news.sort_unstable();
        for (version, key) in news {
            let known = if key == HEARTBEAT { Some(own.heartbeat) } else { own.values.get(&key).copied() };
            if known == Some(version) {
                continue;
            }
            if key == HEARTBEAT {
                own.heartbeat = version;
            } else {
                own.values.insert(key, version);
            }
            self.add(Step { key, changed: vec![(host, own.clone())], ..self.step("publish", host) });
        }
        assert_eq!(own, *now, "a node replaces its own values, and raises its heartbeat");
    }
}

fn key_of(key: ApplicationState) -> i32 {
    key.number() + 1
}

impl Probe for Recorder {
    fn on_start(&mut self, host: usize, gossiper: &Gossiper) {
        self.hosts[host].generations.push(gossiper.generation());
        self.hosts[host].asks = gossiper.phase() == Phase::Asking;
        self.hosts[host].view = self.known(gossiper);
        self.last[host] = None;
        let changed = (0..HOSTS)
            .map(|other| (other, self.hosts[host].view.get(&other).cloned().unwrap_or_default()))
            .collect();
        self.add(Step { changed, ..self.step("start", host) });
    }

    fn before(&mut self, host: usize, gossiper: &Gossiper) {
        self.look(host, gossiper, None);
    }

    fn after(&mut self, host: usize, gossiper: &Gossiper) {
        let arrived = self.arrived.take();
        self.look(host, gossiper, arrived);
    }

    fn on_receive(&mut self, _: Timestamp, host: usize, from: Endpoint, id: u64, message: &Message<'_>) {
        let from = host_of(from);
        let Some(said) = self.letter(from, host, message) else { return };
        let is_it = |sent: &Letter| {
            (sent.from, sent.to, sent.kind) == (said.from, said.to, said.kind)
                && (&sent.digests, &sent.states) == (&said.digests, &said.states)
        };
        let sent = self.flown.iter().rev().find(|(of, sent)| *of == id && is_it(sent));
        self.arrived = Some(sent.expect("what arrives was sent").1.clone());
    }

    fn on_message(&mut self, _: Timestamp, host: usize, to: Endpoint, outgoing: Outgoing, body: &[u8]) {
        let codec = Codec::new(MessagingVersion::V13);
        let message = Message::decode(outgoing.verb, body, codec).expect("only gossip is sent");
        let to = host_of(to);
        let Some(letter) = self.letter(host, to, &message.expect("it can be read")) else { return };
        self.flown.push((outgoing.id, letter.clone()));
        if letter.kind == "SYN" {
            let kind = if letter.digests.is_empty() { "ask" } else { "SYN" };
            self.add(Step { peer: to, sent: vec![letter], ..self.step(kind, host) });
        } else {
            let last = self.last[host].expect("an answer answers something");
            self.steps[last].sent.push(letter);
        }
    }
}

/// A run: messages get lost, arrive twice, and overtake each other. A process is killed while messages are in flight, and starts anew.
fn run(seed: u64) -> Vec<Step> {
    let nodes = 2 + usize::try_from(seed % 3).unwrap_or(0);
    let mut cluster = Cluster::new(nodes)
        .seed(seed)
        .seeds(1)
        .loss_percent(10)
        .duplicate_percent(15)
        .latency(Duration::from_millis(1), Duration::from_millis(900))
        .reorder()
        .configure(move |_, config| {
            config.change_membership(|membership| membership.shadow_round = seed.is_multiple_of(2))
        })
        .probe(Recorder::default())
        .start();
    let last = nodes - 1;
    cluster.run_for(seconds(4));
    for (at, value) in ["a", "b", "c"].into_iter().enumerate() {
        // A node that asks publishes, too.
        cluster.set_state(at % nodes, ApplicationState::LOAD, value).expect("it runs");
        cluster.run_for(Duration::from_millis(1_300));
        if at == 1 {
            cluster.restart(last);
        }
    }
    cluster.run_for(seconds(5));
    let mut steps = cluster.probe().steps.clone();
    lose(&mut steps);
    steps
}

/// Notes after which step each message is gone: the one in which its last copy arrived, or the one that sent it.
fn lose(steps: &mut [Step]) {
    let mut last: Vec<(Letter, usize)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        for letter in step.arrived.iter().chain(&step.sent) {
            match last.iter_mut().find(|(known, _)| known == letter) {
                Some((_, last)) => *last = at,
                None => last.push((letter.clone(), at)),
            }
        }
    }
    for (letter, at) in last {
        steps[at].gone.push(letter);
    }
}

/// A run of which one step was changed: what is wrong, which step, what it became, and whether its effect is refused or the step itself.
type Wrong = (&'static str, usize, Step, bool);

fn wrong(steps: &[Step]) -> Vec<Wrong> {
    let mut found = Vec::new();
    let late = steps.len() / 4;
    let mut add = |name, change: &dyn Fn(&Step) -> Option<Step>, by_effect| {
        let change = |at: usize| change(&steps[at]).map(|step| (name, at, step, by_effect));
        // One from where nodes know each other; else any.
        let wrong = (late..steps.len()).chain(0..late).find_map(change);
        found.push(
            wrong.unwrap_or_else(|| panic!("no step can become {name}: another seed has to be the first")),
        );
    };
    add(
        "aChangedValue",
        &|step| {
            let mut wrong = step.clone();
            let (_, known) = wrong.changed.first_mut().filter(|_| step.arrived.is_some())?;
            *known.values.values_mut().next_back()? += 1;
            Some(wrong)
        },
        true,
    );
    add(
        "aVersionThatGoesBack",
        &|step| {
            let mut wrong = step.clone();
            let (_, known) = wrong.changed.first_mut().filter(|_| step.arrived.is_some())?;
            known.heartbeat = known.heartbeat.checked_sub(1).filter(|heartbeat| *heartbeat > 0)?;
            Some(wrong)
        },
        true,
    );
    add(
        "aSecondAnswer",
        &|step| {
            let mut wrong = step.clone();
            wrong.sent.push(step.sent.first().filter(|_| step.kind == "deliver")?.clone());
            Some(wrong)
        },
        false,
    );
    add(
        "anAnswerWithoutAValue",
        &|step| {
            let mut wrong = step.clone();
            let (_, known) =
                wrong.sent.first_mut()?.states.iter_mut().find(|(_, known)| known.values.len() > 1)?;
            known.values.pop_last();
            Some(wrong)
        },
        false,
    );
    add(
        "aMessageThatNobodySent",
        &|step| {
            let mut wrong = step.clone();
            wrong.arrived.as_mut()?.digests.first_mut()?.2 += 1;
            wrong.sent.clear();
            Some(wrong)
        },
        false,
    );
    found
}

fn list(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(", ")
}

/// Definitions that steps share. Quint takes long to read what is written out each time.
#[derive(Debug, Default)]
struct Names {
    values: Vec<String>,
    letters: Vec<String>,
    lines: String,
}

impl Names {
    /// The name of a definition, which is added if it is not there.
    fn name(known: &mut Vec<String>, lines: &mut String, letter: char, text: String) -> String {
        let at = known.iter().position(|other| *other == text).unwrap_or_else(|| {
            let _ = writeln!(lines, "  pure val {letter}{} = {text}", known.len());
            known.push(text);
            known.len() - 1
        });
        format!("{letter}{at}")
    }

    fn known(&mut self, known: &Known) -> String {
        let values = list(known.values.iter().map(|(key, version)| format!("({key}, {version})")));
        let values = Self::name(&mut self.values, &mut self.lines, 'V', format!("Set({values})"));
        format!("{}, {}, {values}", known.generation, known.heartbeat)
    }

    fn letter(&mut self, letter: &Letter) -> String {
        let digest =
            |(host, generation, version): &Digest| format!("d({}, {generation}, {version})", host + 1);
        let digests = list(letter.digests.iter().map(digest));
        let states =
            list(letter.states.iter().map(|(host, known)| format!("s({}, {})", host + 1, self.known(known))));
        let Letter { kind, from, sender, to, process, .. } = letter;
        let text = format!(
            r#"m("{kind}", {}, {sender}, {}, {process}, Set({digests}), Set({states}))"#,
            from + 1,
            to + 1
        );
        Self::name(&mut self.letters, &mut self.lines, 'M', text)
    }

    fn step(&mut self, step: &Step) -> String {
        let Step { kind, node, peer, key, asks, .. } = step;
        let changed = list(
            step.changed.iter().map(|(host, known)| format!("({}, k({}))", host + 1, self.known(known))),
        );
        let mut letters = |letters: &[Letter]| list(letters.iter().map(|letter| self.letter(letter)));
        let arrived = letters(step.arrived.as_slice());
        let (sent, gone) = (letters(&step.sent), letters(&step.gone));
        format!(
            r#"row("{kind}", {}, {}, {key}, [{arrived}], [{sent}], Set({gone}), Set({changed}), {asks})"#,
            node + 1,
            peer + 1,
        )
    }
}

/// A module with the runs of these seeds. Of the first run each kind of wrong step must be refused.
fn module(seeds: &[u64]) -> String {
    let mut names = Names::default();
    let (mut rows, mut runs) = (String::new(), String::new());
    for (number, seed) in seeds.iter().enumerate() {
        let steps = run(*seed);
        let _ = writeln!(rows, "\n  // Seed {seed}.");
        for (at, step) in steps.iter().enumerate() {
            let _ = writeln!(rows, "  pure val S{seed}_{at}: Step = {}", names.step(step));
        }
        let all = list((0..steps.len()).map(|at| format!("S{seed}_{at}")));
        let _ = writeln!(rows, "  pure val STEPS_{seed}: List[Step] = [{all}]");
        let halves = 2 * steps.len();
        let _ = writeln!(
            runs,
            "\n  run everyStepOf{seed}IsPermittedTest = begin.then({halves}.reps(i => half(STEPS_{seed}, i))).expect(sound)"
        );
        if number > 0 {
            continue;
        }
        for (name, at, step, is_by_effect) in wrong(&steps) {
            let action = if is_by_effect { "check" } else { "act" };
            let before = 2 * at + usize::from(is_by_effect);
            let step = names.step(&step);
            let _ = writeln!(
                runs,
                "\n  run {name}IsRefusedTest =\n    begin.then({before}.reps(i => half(STEPS_{seed}, i))).then({action}({step}).fail())"
            );
        }
    }
    format!(
        "// Runs of the simulator, written by its example `quint`.\nmodule trace {{\n  import traces.* from \"../../spec/traces\"\n\n{}{rows}{runs}}}\n",
        names.lines
    )
}

fn main() -> ExitCode {
    let seeds: Option<Vec<u64>> = std::env::args().skip(1).map(|seed| seed.parse().ok()).collect();
    let Some(seeds) = seeds.filter(|seeds| !seeds.is_empty()) else {
        eprintln!("seeds are expected: the numbers of the runs");
        return ExitCode::from(2);
    };
    print!("{}", module(&seeds));
    ExitCode::SUCCESS
}
