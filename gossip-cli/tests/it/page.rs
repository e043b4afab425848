//! The page in a real browser: Debian's Chromium, without a screen.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::node::{Node, cluster, loopback, signal};
use crate::observe::Exporter;
use crate::played::Played;

/// Set where a machine without Chromium is a mistake, as in CI.
const REQUIRED: &str = "GOSSIP_CHROMIUM";
/// For whatever should happen soon, in a browser on a busy machine.
const LONG: Duration = Duration::from_mins(5);
/// The folder that pictures of the page are written to, if it is set.
const PICTURES: &str = "GOSSIP_PICTURES";

/// A browser, closed when it is dropped.
struct Browser {
    driver: Child,
    at: String,
    session: String,
    client: Client,
    runtime: Runtime,
}

impl Browser {
    /// `None` where there is no Chromium: a developer may have none.
    fn start() -> Option<Self> {
        let spawned = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = spawned else {
            assert!(
                std::env::var_os(REQUIRED).is_none(),
                "chromedriver is not installed, and {REQUIRED} is set"
            );
            eprintln!("skipped: chromedriver is not installed");
            return None;
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, rest) = line.split_once("started successfully on port ")?;
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let at = format!("http://127.0.0.1:{}", port.expect("chromedriver tells its port"));
        let wanted = json!({
            "browserName": "chrome",
            // Chromium refuses its sandbox to root, and a container may have little shared memory.
            "goog:chromeOptions": { "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,800",
            ] },
            // A busy machine takes its time for anything.
            "timeouts": { "script": LONG.as_millis(), "pageLoad": LONG.as_millis() },
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted.as_object().unwrap().clone());
        let connected = runtime.block_on(builder.connect(&at));
        let client = connected.expect("chromium starts");
        let session = runtime.block_on(client.session_id()).unwrap().unwrap();
        Some(Self { driver, at, session, client, runtime })
    }

    fn open(&self, address: SocketAddr) {
        self.size(1280, 800);
        self.runtime.block_on(self.client.goto(&format!("http://{address}/"))).unwrap();
        // Each state that a member was shown in; gone after a reload.
        self.run(
            "window.seen = {};
             new MutationObserver((changes) => changes.forEach(({ target }) => {
               const { endpoint, state } = target.dataset;
               const seen = (window.seen[endpoint] ||= []);
               if (seen.at(-1) !== state) seen.push(state);
             })).observe(document.body, { subtree: true, attributes: true, attributeFilter: ['data-state'] });",
        );
    }

    fn run(&self, script: &str) -> Value {
        self.runtime.block_on(self.client.execute(script, Vec::new())).unwrap()
    }

    fn text(&self, selector: &str) -> String {
        let text =
            self.run(&format!("return document.querySelector({})?.textContent ?? ''", json!(selector)));
        text.as_str().unwrap().to_owned()
    }

    /// How many elements there are.
    fn count(&self, selector: &str) -> u64 {
        self.run(&format!("return document.querySelectorAll({}).length", json!(selector))).as_u64().unwrap()
    }

    fn wait(&self, what: &str, script: &str) {
        let began = Instant::now();
        while self.run(&format!("return Boolean({script})")) != true {
            assert!(began.elapsed() < LONG, "waited too long: {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn press(&self, key: Key) {
        let pressed = async { self.client.active_element().await?.send_keys(&key.to_string()).await };
        self.runtime.block_on(pressed).unwrap();
    }

    fn click(&self, selector: &str) {
        let clicked = async { self.client.find(Locator::Css(selector)).await?.click().await };
        self.runtime.block_on(clicked).unwrap();
    }

    /// Asks the driver for what is Chromium's own.
    fn ask(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/session/{}/{path}", self.at, self.session);
        let answer: Value = ureq::post(&url).send_json(body).unwrap().body_mut().read_json().unwrap();
        answer["value"].clone()
    }

    fn emulate(&self, command: &str, params: Value) {
        self.ask("goog/cdp/execute", json!({ "cmd": format!("Emulation.{command}"), "params": params }));
    }

    fn size(&self, width: u32, height: u32) {
        let phone = width < 600;
        self.emulate(
            "setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone }),
        );
    }

    /// All addresses that were asked since the last call, by the page and for it.
    fn requests(&self) -> Vec<String> {
        let log = self.ask("se/log", json!({ "type": "performance" }));
        let messages = log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap());
        messages
            .map(|message| serde_json::from_str::<Value>(message).unwrap()["message"].clone())
            .filter(|message| message["method"] == "Network.requestWillBeSent")
            .map(|message| message["params"]["request"]["url"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What the page broke, its policy among it.
    fn complaints(&self) -> Vec<Value> {
        let log = self.ask("se/log", json!({ "type": "browser" }));
        log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE").cloned().collect()
    }

    /// A picture for the documentation, if one is wanted.
    fn picture(&self, name: &str) {
        if let Some(dir) = std::env::var_os(PICTURES) {
            let picture = self.runtime.block_on(self.client.screenshot()).unwrap();
            fs::write(Path::new(&dir).join(name), picture).unwrap();
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn tile(endpoint: SocketAddr) -> String {
    format!(".tile[data-endpoint=\"{endpoint}\"]")
}

fn is_shown(endpoint: SocketAddr, state: &str) -> String {
    format!("document.querySelector('{}[data-state={state}]')", tile(endpoint).replace('"', "\\\""))
}

#[test]
fn a_member_that_is_killed_is_shown_suspected_and_down_and_up_again_without_a_reload() {
    let Some(browser) = Browser::start() else { return };
    // Slow enough that a member is suspected for some seconds before it is down.
    let options = ["--interval", "500ms"];
    let mut nodes = cluster(3, &options);
    browser.open(nodes[0].admin);
    browser.wait("three members are up", "document.getElementById('up').textContent === '3'");
    assert_eq!(browser.count(".tile[data-state=up]"), 3);
    let heartbeat = format!("document.querySelector('{}').innerText", tile(nodes[1].gossip));
    let before = browser.run(&format!("return {heartbeat}"));
    browser.wait("heartbeats come", &format!("{heartbeat} !== {before}"));

    let third = nodes.pop().unwrap();
    let address = third.gossip;
    let mut third = Some(third);
    let id = "7d0f6c0a-6f5e-4a55-9f0c-2f1f6f9f5a01";
    let seed = nodes[0].gossip.to_string();
    // Where the whole machine stops for some seconds, a suspected member is down at the next look: then it is tried again.
    let sequence = (0..5).find_map(|_| {
        let mut killed = third.take()?;
        browser.run("window.seen = {};");
        signal("KILL", killed.child.id());
        killed.wait();
        browser.wait("it is down", &is_shown(address, "down"));
        let seen = browser.run("return window.seen")[address.to_string()].clone();
        browser.picture("page-light.png");
        third = Some(Node::start_at(
            &address.to_string(),
            &[&options[..], &["--seed", &seed, "--replace", "--host-id", id]].concat(),
        ));
        browser.wait("it is back", &is_shown(address, "up"));
        (seen == json!(["suspected", "down"])).then_some(seen)
    });
    assert!(sequence.is_some(), "it was never shown suspected and then down");
    let told = browser.text("#times");
    for what in
        [format!("{address} down: convicted"), format!("{address} up"), format!("{address} restarted")]
    {
        assert!(told.contains(&what), "{what} is missing: {told}");
    }
    // One that stops cleanly has not failed.
    let stopped = nodes.pop().unwrap();
    let address = stopped.gossip;
    signal("TERM", stopped.child.id());
    browser.wait("it has stopped", &is_shown(address, "stopped"));

    // By keyboard alone.
    browser.run("document.querySelector('.tile[tabindex=\"0\"]').focus()");
    browser.press(Key::Right);
    browser.press(Key::Enter);
    let chosen = browser.run("return document.querySelector('.tile[aria-pressed=true]').dataset.endpoint");
    assert_eq!(chosen, browser.run("return document.activeElement.dataset.endpoint"));
    assert!(browser.text("#one").contains("host id"), "{}", browser.text("#one"));
    browser.press(Key::Escape);
    assert_eq!(browser.count(".tile[aria-pressed=true]"), 0);
    browser.run("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }))");
    assert_eq!(browser.run("return document.activeElement.id"), "filter");

    // Light and dark, by the switch and by what the system wants.
    let back = || browser.run("return getComputedStyle(document.body).backgroundColor");
    let wants = |scheme: &str| {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        browser.emulate("setEmulatedMedia", json!({ "features": [feature] }));
        back()
    };
    let (light, dark) = (wants("light"), wants("dark"));
    assert_ne!(light, dark);
    for (theme, expected) in [("light", &light), ("dark", &dark), ("auto", &dark)] {
        browser.click("#theme");
        assert_eq!(browser.text("#theme"), format!("Theme: {theme}"));
        assert_eq!(back(), *expected, "{theme}");
    }
    browser.size(390, 844);
    let width = "document.documentElement.scrollWidth <= window.innerWidth";
    assert_eq!(browser.run(&format!("return {width}")), true, "a phone shows all of it");
    browser.picture("page-phone.png");

    let own = format!("http://{}/", nodes[0].admin);
    let requests = browser.requests();
    assert!(requests.iter().any(|url| *url == format!("{own}events")), "{requests:?}");
    let is_own = |url: &&String| url.starts_with(&own) || url.starts_with("data:");
    assert_eq!(requests.iter().find(|url| !is_own(url)), None, "no request leaves the node");
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}

#[test]
fn a_thousand_members_are_shown() {
    const MEMBERS: usize = 1_000;
    let Some(browser) = Browser::start() else { return };
    let Some(played) = Played::start(MEMBERS) else {
        eprintln!("skipped: this machine has too few addresses, or a process may open too few files");
        return;
    };
    let seed = played.seed.to_string();
    let node = Node::start(&["--interval", "1s", "--seed", &seed, "--dc", "east", "--rack", "r1"]);
    browser.open(node.admin);
    browser.wait("all are there", &format!("document.querySelectorAll('.tile').length === {}", MEMBERS + 1));
    let counted = |state: &str, count: usize| {
        let what = format!("document.getElementById('{state}').textContent === '{count}'");
        browser.wait(&format!("{count} are {state}"), &what);
    };
    counted("up", MEMBERS + 1);
    assert_eq!(browser.count(".dc"), 3);
    assert_eq!(browser.count(".rack"), 9);
    // Each is as small as it has to be, and none stands beside the page.
    assert_eq!(browser.run("return document.documentElement.scrollWidth <= window.innerWidth"), true);
    let mark = "document.querySelector('.tile:not([aria-label*=\"this node\"])')";
    let before = browser.run(&format!("return {mark}.dataset.beat ?? ''"));
    browser.wait("heartbeats come", &format!("({mark}.dataset.beat ?? '') !== {before}"));
    played.silence(20);
    counted("down", 20);
    counted("up", MEMBERS + 1 - 20);
    browser.emulate(
        "setEmulatedMedia",
        json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }),
    );
    browser.picture("page-thousand.png");
    // The filter finds one of them.
    browser.run("const field = document.getElementById('filter'); field.value = '000000000123'; field.dispatchEvent(new Event('input'))");
    assert_eq!(browser.count("#members li:not([hidden]) > .tile"), 1);
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}

#[test]
fn the_page_asks_for_the_token_of_the_admin_port() {
    let Some(browser) = Browser::start() else { return };
    let dir = tempfile::TempDir::new().unwrap();
    let (file, token) = (dir.path().join("token"), "0123456789abcdef");
    fs::write(&file, token).unwrap();
    let node = Node::start(&["--admin-token-file", file.to_str().unwrap(), "--dc", "<b>east</b>"]);
    browser.open(node.admin);
    browser.wait("a token is wanted", "!document.getElementById('access').hidden");
    assert_eq!(browser.count(".tile"), 0);
    let enter = |text: &str| {
        let entered = async {
            let field = browser.client.find(Locator::Css("#token")).await?;
            field.send_keys(text).await?;
            field.send_keys(&Key::Enter.to_string()).await
        };
        browser.runtime.block_on(entered).unwrap();
    };
    enter("fedcba9876543210");
    browser.wait(
        "it is refused",
        "document.getElementById('refused').textContent.includes('not that of this admin port')",
    );
    enter(token);
    browser.wait("the node shows itself", "document.querySelectorAll('.tile').length === 1");
    assert_eq!(browser.run("return document.getElementById('access').hidden"), true);
    let head = browser.text(".dc h2");
    assert!(head.starts_with("<b>east</b> · 1 up"), "what members publish is text: {head}");
}

#[test]
fn an_exporter_shows_who_sees_whom() {
    let Some(browser) = Browser::start() else { return };
    let mut nodes = cluster(3, &[]);
    let seeds = nodes.iter().map(|node| node.gossip.to_string()).collect::<Vec<_>>().join(",");
    let listen = format!("{}:0", loopback());
    let exporter = Exporter::start(&["--seed", &seeds, "--listen", &listen]);
    let dead = nodes.pop().unwrap();
    let address = dead.gossip;
    drop(dead);
    browser.open(exporter.http);
    browser.wait("the views are compared", "!document.getElementById('views').hidden");
    assert_eq!(browser.count("#views thead th"), 3, "the dead one does not answer");
    assert_eq!(browser.count("#views tbody tr"), 3);
    assert!(
        browser.text("#views-text").contains(&format!("No answer: {address}")),
        "{}",
        browser.text("#views-text")
    );
    // The exporter is no member, and says so.
    browser.wait(
        "the exporter shows itself",
        "document.querySelector('#members').textContent.includes('Only in gossip')",
    );
}
