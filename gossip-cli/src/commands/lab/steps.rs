//! The steps of the lab, one function each.

use core::net::SocketAddr;
use core::time::Duration;
use std::time::Instant;

use super::view::View;
use super::{Halt, Lab, Unmet};
use crate::commands::gossipinfo;
use crate::hosts::Hosts;
use crate::model::Ports;

/// The node that the others ask first.
const SEED: usize = 0;
/// The node that stops cleanly.
const STOPPED: usize = 1;
/// The node that is killed.
const KILLED: usize = 2;
/// After how many silent intervals a node is convicted at the default threshold: 8 × ln 10.
const ROUNDS_TO_CONVICTION: f64 = 18.4;
/// How suspicious a node must have become before it is convicted, at the least; the threshold is 8.
const MIN_PHI: f64 = 4.0;
/// For how many rounds at the most phi may go unseen on its way there.
const MAX_BLIND_ROUNDS: u32 = 4;

/// Walks through all steps.
pub(super) fn walk(lab: &mut Lab) -> Result<(), Halt> {
    lab.report.step("Start: node 1 is the seed");
    start_all(lab)?;
    lab.report.step("Convergence: every node shows every node NORMAL and UP");
    converge(lab)?;
    lab.report.step("Gossip: heartbeats grow");
    show_gossip(lab)?;
    lab.report.step("A graceful stop: node 2 announces it, the others show it");
    stop(lab)?;
    lab.report.step("A restart: node 2 comes back with a greater generation");
    restart(lab, STOPPED)?;
    lab.report.step("A crash: node 3 is killed, suspected, and convicted");
    kill(lab)?;
    lab.report.step("A recovery: node 3 comes back with a greater generation");
    restart(lab, KILLED)?;
    lab.report.step("The end: all nodes announce their stop");
    stop_all(lab)
}

fn start_all(lab: &mut Lab) -> Result<(), Halt> {
    for index in 0..lab.nodes.len() {
        start(lab, index)?;
    }
    lab.report.check(&format!("all {} processes run", lab.nodes.len()));
    Ok(())
}

fn converge(lab: &mut Lab) -> Result<(), Halt> {
    for observer in 0..lab.nodes.len() {
        see_all_up(lab, observer)?;
        lab.report.say(&format!("{} shows {count} of {count}", lab.nodes[observer], count = lab.nodes.len()));
    }
    lab.report.check(&format!("all nodes show all {} nodes NORMAL and UP", lab.nodes.len()));
    Ok(())
}

fn show_gossip(lab: &mut Lab) -> Result<(), Halt> {
    let before = look(lab, SEED, |lab| lab.views(SEED))?;
    let models: Vec<_> = before.iter().map(|view| view.0.clone()).collect();
    lab.report.quote("gossipinfo of node 1:", &gossipinfo::render(&models, Ports::Shown, &Hosts::default()));
    let after = lab.until(30, &[SEED], "node 1 shows a greater heartbeat of every node", |lab| {
        let after = lab.views(SEED)?;
        let grown = |view: &View| {
            let earlier = before.iter().find(|earlier| earlier.0.endpoint == view.0.endpoint);
            earlier.is_some_and(|earlier| view.0.heartbeat > earlier.0.heartbeat)
        };
        match after.iter().find(|view| !grown(view)) {
            Some(still) => Err(format!("{}: {still}", still.0.endpoint)),
            None => Ok(after),
        }
    })?;
    for (before, after) in before.iter().zip(&after) {
        let View(model) = after;
        let (old, new) = (before.0.heartbeat, model.heartbeat);
        lab.report.say(&format!("{}: heartbeat {old}, then {new}", model.endpoint));
    }
    lab.report.check("all heartbeats grow");
    Ok(())
}

fn stop(lab: &mut Lab) -> Result<(), Halt> {
    let endpoint = endpoint(lab, STOPPED)?;
    lab.nodes[STOPPED].stop()?;
    lab.report.say("stopping node 2, as `gossip stopdaemon` does");
    for observer in others(lab, STOPPED) {
        let expected = format!(
            "{} shows node 2 as shutdown,true with heartbeat 2147483647 and DOWN",
            lab.nodes[observer]
        );
        let view = lab.until(20, &[observer, STOPPED], &expected, |lab| {
            let view = lab.view(observer, endpoint)?;
            if view.is_stopped_and_down() { Ok(view) } else { Err(view.to_string()) }
        })?;
        lab.report.say(&format!("{}: {endpoint} {view}", lab.nodes[observer]));
    }
    lab.report.check("all others show shutdown,true, heartbeat 2147483647 and DOWN");
    exit_well(lab, STOPPED)?;
    lab.report.check("node 2 ended with exit code 0");
    Ok(())
}

fn kill(lab: &mut Lab) -> Result<(), Halt> {
    let endpoint = endpoint(lab, KILLED)?;
    lab.nodes[KILLED].kill()?;
    let killed = Instant::now();
    lab.report.say(&format!(
        "node 3 is killed (SIGKILL); it should be convicted after about {:.1} s",
        ROUNDS_TO_CONVICTION * lab.interval.as_secs_f64()
    ));
    let mut highest = 0.0_f64;
    // A machine that is busy with something else may look too rarely to see phi grow.
    let (mut looked, mut longest) = (killed, Duration::ZERO);
    let mut next_sample = killed + lab.interval * 2;
    let mut waiting = others(lab, KILLED);
    lab.until(60, &[SEED], "all others show node 3 DOWN", |lab| {
        let mut seen = String::new();
        for observer in waiting.clone() {
            let view = lab.view(observer, endpoint)?;
            let after = killed.elapsed().as_secs_f64();
            if !view.0.is_live() {
                if observer == SEED {
                    longest = longest.max(looked.elapsed());
                }
                lab.report
                    .say(&format!("{} convicts node 3, {after:.1} s after the kill", lab.nodes[observer]));
                waiting.retain(|waiting| *waiting != observer);
                continue;
            }
            let phi = view.0.phi.unwrap_or_default();
            seen = format!("{} shows it {view}, phi {phi:.2}", lab.nodes[observer]);
            if observer == SEED {
                highest = highest.max(phi);
                longest = longest.max(looked.elapsed());
                looked = Instant::now();
                if Instant::now() >= next_sample {
                    next_sample += lab.interval * 3;
                    lab.report.say(&format!("phi at node 1: {phi:5.2}  {}", bar(phi)));
                }
            }
        }
        if waiting.is_empty() { Ok(()) } else { Err(seen) }
    })?;
    if highest < MIN_PHI && longest <= lab.interval * MAX_BLIND_ROUNDS {
        return Err(Halt::Unmet(Unmet {
            expected: format!("phi at node 1 grows to more than {MIN_PHI} before node 3 is convicted"),
            seen: format!("it reached {highest:.2}"),
            waited: killed.elapsed(),
            suspects: vec![SEED],
        }));
    }
    if highest < MIN_PHI {
        lab.report.say(&format!(
            "this machine is too busy to watch phi: it was not looked at for {:.1} s",
            longest.as_secs_f64()
        ));
    } else {
        lab.report.check(&format!("phi grew to {highest:.2}; the threshold is 8"));
    }
    let took = killed.elapsed().as_secs_f64();
    lab.report.check(&format!("all others show node 3 DOWN, {took:.1} s after the kill"));
    Ok(())
}

fn restart(lab: &mut Lab, index: usize) -> Result<(), Halt> {
    let endpoint = endpoint(lab, index)?;
    let old = look(lab, SEED, |lab| lab.view(SEED, endpoint))?.0.generation;
    start(lab, index)?;
    let name = lab.nodes[index].to_string();
    for observer in others(lab, index) {
        let expected =
            format!("{} shows {name} NORMAL and UP, of a generation above {old}", lab.nodes[observer]);
        let view = lab.until(40, &[observer, index], &expected, |lab| {
            let view = lab.view(observer, endpoint)?;
            let is_back = view.is_normal_and_up() && view.0.generation > old;
            if is_back { Ok(view) } else { Err(view.to_string()) }
        })?;
        lab.report.say(&format!("{}: {endpoint} {view}", lab.nodes[observer]));
    }
    lab.report.check(&format!("all others show {name} NORMAL and UP, of a generation above {old}"));
    see_all_up(lab, index)?;
    lab.report.check(&format!("{name} shows all {} nodes NORMAL and UP", lab.nodes.len()));
    Ok(())
}

fn stop_all(lab: &mut Lab) -> Result<(), Halt> {
    for node in &mut lab.nodes {
        node.stop()?;
    }
    for index in 0..lab.nodes.len() {
        exit_well(lab, index)?;
    }
    lab.report.check(&format!("all {} nodes ended with exit code 0", lab.nodes.len()));
    Ok(())
}

/// Starts a node and waits until it listens.
fn start(lab: &mut Lab, index: usize) -> Result<(), Halt> {
    // No node can be asked before the seed has started.
    let seed = lab.nodes[SEED].endpoint();
    lab.nodes[index].start(seed)?;
    let name = lab.nodes[index].to_string();
    let addresses = lab.until(0, &[index], &format!("{name} says where it listens"), |lab| {
        lab.nodes[index].poll_listening().ok_or_else(|| "nothing yet".into())
    })?;
    lab.report.say(&format!("{name} gossips on {}, admin on {}", addresses.gossip, addresses.admin));
    Ok(())
}

/// Waits until `observer` shows every node NORMAL and UP.
fn see_all_up(lab: &mut Lab, observer: usize) -> Result<(), Halt> {
    let mut endpoints: Vec<_> = lab.nodes.iter().filter_map(|node| node.endpoint()).collect();
    endpoints.sort_unstable();
    let expected =
        format!("{} shows all {} nodes NORMAL and UP, and no other", lab.nodes[observer], endpoints.len());
    lab.until(40, &[observer, SEED], &expected, |lab| {
        let mut views = lab.views(observer)?;
        views.sort_by_key(|view| view.0.endpoint);
        let all_known = views.iter().map(|view| view.0.endpoint).eq(endpoints.iter().copied());
        if all_known && views.iter().all(View::is_normal_and_up) {
            return Ok(());
        }
        let seen: Vec<_> = views.iter().map(|view| format!("{} {view}", view.0.endpoint)).collect();
        Err(seen.join("; "))
    })
}

/// Waits until a node that was stopped has ended, with exit code 0.
fn exit_well(lab: &mut Lab, index: usize) -> Result<(), Halt> {
    let expected = format!("{} ends with exit code 0", lab.nodes[index]);
    let started = Instant::now();
    let status = lab.until(20, &[index], &expected, |lab| {
        lab.nodes[index].poll_ended().ok_or_else(|| "it still runs".into())
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Halt::Unmet(Unmet {
        expected,
        seen: status.to_string(),
        waited: started.elapsed(),
        suspects: vec![index],
    }))
}

/// Asks something of a node that should answer at once.
fn look<T>(
    lab: &mut Lab,
    observer: usize,
    mut ask: impl FnMut(&mut Lab) -> Result<T, String>,
) -> Result<T, Halt> {
    let expected = format!("{} answers", lab.nodes[observer]);
    lab.until(0, &[observer], &expected, |lab| ask(lab))
}

fn others(lab: &Lab, index: usize) -> Vec<usize> {
    (0..lab.nodes.len()).filter(|other| *other != index).collect()
}

fn endpoint(lab: &Lab, index: usize) -> Result<SocketAddr, Halt> {
    let node = &lab.nodes[index];
    node.endpoint()
        .ok_or_else(|| Halt::Broken(crate::failure::Failure::failed(format!("{node} was never started"))))
}

/// A bar as long as `phi` is great: four marks a unit.
fn bar(phi: f64) -> String {
    (1..=40).map(f64::from).take_while(|mark| *mark <= phi * 4.0).map(|_| '#').collect()
}
