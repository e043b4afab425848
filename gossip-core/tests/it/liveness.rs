//! Scenarios H3 to H10, H12 and H14 of the specification: who is live, proven by echo, lost by silence.

use core::time::Duration;

use gossip_core::{ApplicationState, ConfigBuilder, DownCause, Event, Generation, Standing, Transport, Verb};

use crate::support::{Content, Driven, Sent, State, ack, builder, endpoint, heartbeat};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";

/// Rounds every 10 ms, so that a conviction can be timed; all else as if there were one a second.
fn finely() -> ConfigBuilder {
    let seconds = Duration::from_secs;
    builder(A, 100).interval(Duration::from_millis(10)).change_detector(|detector| {
        detector.initial_arrival_interval = Some(seconds(2));
        detector.max_arrival_interval = Some(seconds(2));
        detector.echo_timeout = Some(seconds(10));
        detector.max_local_pause = Some(seconds(5));
    })
}

fn state(generation: i32, version: i32) -> State {
    State::new(heartbeat(generation, version), &[])
}

/// A node that found B live just now, and may take ACKs.
fn with_live_b(config: ConfigBuilder) -> Driven {
    let mut a = Driven::new(config.seed(endpoint(C)));
    a.round();
    a.learn_live(B, &state(100, 1));
    a.events();
    a
}

/// All that happened but for the silence of the seed, who is but a name.
fn told(a: &mut Driven) -> Vec<Event> {
    let mut events = a.events();
    events.retain(|event| !matches!(event, Event::SeedsSilent { .. }));
    events
}

fn beat(a: &mut Driven, version: i32) {
    a.hand(C, &ack(&[], &[(B, state(100, version))]));
}

fn mean(a: &Driven) -> Duration {
    a.gossiper.endpoint_info(endpoint(B)).unwrap().mean_interval.unwrap()
}

fn phi(a: &Driven) -> f64 {
    a.gossiper.endpoint_info(endpoint(B)).unwrap().phi.unwrap()
}

/// Lets time pass until B is convicted, and says when that was and at which phi.
fn conviction(a: &mut Driven) -> (Duration, f32) {
    let start = a.now;
    loop {
        a.round();
        if let Some(Event::Down { endpoint: at, cause: DownCause::Convicted { phi }, .. }) =
            a.gossiper.poll_event()
        {
            assert_eq!((at, a.standing(B)), (endpoint(B), Some(Standing::Unreachable)));
            return (a.now.saturating_since(start), phi);
        }
        assert_eq!(a.standing(B), Some(Standing::Live));
    }
}

fn assert_time((time, phi): (Duration, f32), expected_millis: u64, threshold: f32) {
    let round = Duration::from_millis(10);
    let expected = Duration::from_millis(expected_millis);
    assert!(time > expected && time <= expected + round, "{time:?} is not {expected:?}");
    assert!(phi > threshold && phi < threshold + 0.01, "{phi}");
}

#[test]
fn h3_after_one_report_silence_of_36_84_s_convicts() {
    let mut a = with_live_b(finely());
    assert_eq!(mean(&a), Duration::from_secs(2));
    assert_time(conviction(&mut a), 36_840, 8.0);
}

#[test]
fn h4_after_steady_heartbeats_18_42_s_convict() {
    for (threshold, millis) in [(8.0, 18_420), (12.0, 27_630)] {
        let mut a = with_live_b(finely().change_detector(|detector| {
            detector.arrival_window = 1_000;
            detector.phi_convict_threshold = f64::from(threshold);
        }));
        for version in 2..=1_001 {
            a.advance(Duration::from_secs(1));
            beat(&mut a, version);
            a.sent();
        }
        assert_eq!(mean(&a), Duration::from_secs(1), "the first interval is overwritten");
        assert_time(conviction(&mut a), millis, threshold);
    }
}

#[test]
fn h5_long_gap_is_not_counted() {
    let mut a = with_live_b(builder(A, 100));
    a.advance(Duration::from_secs(3));
    beat(&mut a, 2);
    assert_eq!(mean(&a), Duration::from_secs(2));
    a.advance(Duration::from_secs(1));
    beat(&mut a, 3);
    assert_eq!(mean(&a), Duration::from_millis(1_500), "measured from the latest arrival");
    a.advance(Duration::from_secs(2));
    beat(&mut a, 4);
    assert_eq!(mean(&a), Duration::from_micros(1_666_666), "two seconds are not too long");
}

#[test]
fn gap_of_up_to_eight_intervals_is_counted_where_packets_get_lost() {
    for (transport, expected) in [(Transport::Internode, 2), (Transport::Datagram, 5)] {
        let mut a = with_live_b(builder(A, 100).transport(transport));
        for (version, gap) in [(2, 5), (3, 8), (4, 9)] {
            a.advance(Duration::from_secs(gap));
            beat(&mut a, version);
        }
        assert_eq!(mean(&a), Duration::from_secs(expected), "(2 + 5 + 8) / 3, or the first alone");
    }
}

/// B answers each SYN so many seconds after, while C brings its heartbeats; so many others are known. Says how long both are silent then
/// until B is convicted.
fn conviction_after_answers_that_take(seconds: u64, others: u8) -> Duration {
    let config = builder(A, 100).change_detector(|detector| detector.phi_convict_threshold = 5.0);
    let mut a = with_live_b(config);
    for other in 0..others {
        a.learn(&format!("10.0.1.{other}:7000"), &state(100, 1));
    }
    for second in 1..=40 {
        a.advance(Duration::from_secs(1));
        beat(&mut a, 1 + i32::try_from(second).unwrap());
        if second % seconds == 0 {
            a.hand(B, &ack(&[], &[]));
        }
    }
    a.events();
    conviction(&mut a).0
}

#[test]
fn where_answers_of_many_were_late_an_endpoint_may_be_silent_for_longer() {
    for (seconds, others) in [(1, 0), (4, 0), (1, 40)] {
        assert_eq!(conviction_after_answers_that_take(seconds, others), Duration::from_secs(12));
    }
    let late = conviction_after_answers_that_take(4, 40);
    // Doubt lasts for 16 intervals.
    assert!((15..=19).contains(&late.as_secs()), "{late:?}");
}

#[test]
fn only_news_counts_as_an_arrival() {
    let mut a = with_live_b(builder(A, 100));
    a.advance(Duration::from_secs(1));
    // A new value under an old heartbeat is no sign of life; neither is what is known.
    let value = State::new(heartbeat(100, 1), &[(ApplicationState::LOAD, "1", 7)]);
    a.hand(C, &ack(&[], &[(B, value)]));
    beat(&mut a, 1);
    // Nor is a heartbeat below the greatest version.
    beat(&mut a, 7);
    assert_eq!(mean(&a), Duration::from_secs(2));
    beat(&mut a, 8);
    assert_eq!(mean(&a), Duration::from_millis(1_500), "by news of any peer");
}

#[test]
fn h6_local_pause_convicts_nobody_for_five_seconds() {
    let mut a = with_live_b(builder(A, 100));
    a.advance(Duration::from_secs(34));
    assert_eq!(told(&mut a), []);
    let last = a.now;
    // Six seconds without a round.
    a.now = last + Duration::from_secs(6);
    a.gossiper.handle_timeout(a.now);
    assert_eq!(told(&mut a), [Event::LocalPause { pause: Duration::from_secs(6) }]);
    a.advance(Duration::from_secs(4));
    assert_eq!((told(&mut a), a.standing(B)), (vec![], Some(Standing::Live)));
    a.advance(Duration::from_secs(1));
    let told = told(&mut a);
    assert!(
        matches!(told[..], [Event::Down { cause: DownCause::Convicted { phi }, .. }] if phi > 9.0),
        "{told:?}"
    );
}

/// Deviation: Cassandra measures between two verdicts, and takes having been alone for a pause.
#[test]
fn having_been_alone_is_no_pause() {
    let mut a = Driven::new(builder(A, 100));
    a.advance(Duration::from_mins(10));
    a.learn_live(B, &state(100, 1));
    a.advance(Duration::from_secs(1));
    assert!(!told(&mut a).iter().any(|event| matches!(event, Event::LocalPause { .. })));
}

#[test]
fn h7_arrivals_are_kept_when_an_endpoint_leaves() {
    let mut a = with_live_b(builder(A, 100).change_detector(|detector| detector.phi_convict_threshold = 1.0));
    let left = [(ApplicationState::STATUS_WITH_PORT, "LEFT,1,2000000000000", 2)];
    a.hand(C, &ack(&[], &[(B, State::new(heartbeat(100, 3), &left))]));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    a.advance(Duration::from_secs(10));
    assert!(phi(&a) > 1.0);
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
}

#[test]
fn h8_conviction_is_told_once() {
    let mut a = with_live_b(builder(A, 100));
    a.advance(Duration::from_secs(200));
    assert!(matches!(told(&mut a)[..], [Event::Down { cause: DownCause::Convicted { .. }, .. }]));
    assert!(phi(&a) > 8.0);
}

const REQUEST: Content = Content::Echo { verb: Verb::ECHO_REQ };
const RESPONSE: Content = Content::Echo { verb: Verb::ECHO_RSP };

/// The ids of the echo requests to B.
fn requests(sent: &[Sent]) -> Vec<u64> {
    sent.iter().filter(|sent| sent.to == endpoint(B) && sent.content == REQUEST).map(|sent| sent.id).collect()
}

fn up(generation: i32) -> Event {
    Event::Up { endpoint: endpoint(B), generation: Generation::new(generation) }
}

#[test]
fn h9_new_endpoint_is_live_once_it_answers() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(C)));
    a.learn(B, &state(100, 1));
    a.events();
    let first = requests(&a.sent());
    assert_eq!(first.len(), 1);
    assert_eq!(a.standing(B), Some(Standing::Unverified));
    // Deviation: it is asked again each round, under the same id; more states bring no more questions.
    let again = a.advance(Duration::from_secs(2));
    assert_eq!(requests(&again), [first[0]; 3]);
    beat(&mut a, 2);
    assert_eq!(requests(&a.sent()), []);
    assert_eq!((a.standing(B), a.gossiper.live_endpoints().count()), (Some(Standing::Unverified), 0));

    a.hand_under(first[0] + 1, endpoint(B), &RESPONSE);
    a.hand_under(first[0], endpoint(C), &RESPONSE);
    assert_eq!((told(&mut a), a.gossiper.stats().late_echoes), (vec![], 2), "another id, another endpoint");
    a.hand_under(first[0], endpoint(B), &RESPONSE);
    assert_eq!((told(&mut a), a.standing(B)), (vec![up(100)], Some(Standing::Live)));
    a.hand_under(first[0], endpoint(B), &RESPONSE);
    assert_eq!((told(&mut a), a.gossiper.stats().late_echoes), (vec![], 3), "the answer to the repetition");
    assert_eq!(requests(&a.round()), []);
}

#[test]
fn an_echo_is_answered_under_its_id() {
    let mut a = Driven::new(builder(A, 100));
    a.hand_under(77, endpoint(B), &REQUEST);
    assert_eq!(a.sent(), [Sent { to: endpoint(B), id: 77, content: RESPONSE }], "from any sender");
}

#[test]
fn in_a_crowd_who_asks_is_asked_back_at_once() {
    // Two are a crowd where one may be asked at first.
    for (may_be_asked, asks_back) in [(1, true), (32, false)] {
        let mut a =
            Driven::new(builder(A, 100).change_budgets(|budgets| budgets.first_echoes = may_be_asked));
        a.learn(B, &state(100, 1));
        // B does not answer, and is not asked any more.
        a.advance(Duration::from_secs(15));
        assert_eq!((requests(&a.round()), a.standing(B)), (vec![], Some(Standing::Unreachable)));
        a.hand_under(77, endpoint(B), &REQUEST);
        let sent = a.sent();
        assert_eq!(sent[0], Sent { to: endpoint(B), id: 77, content: RESPONSE });
        let ids = requests(&sent);
        assert_eq!((sent.len(), ids.len()), if asks_back { (2, 1) } else { (1, 0) });
        for id in ids {
            a.hand_under(id, endpoint(B), &RESPONSE);
        }
        assert_eq!(a.standing(B) == Some(Standing::Live), asks_back);
    }
}

#[test]
fn h10_answer_after_ten_seconds_is_too_late() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(C)));
    a.learn(B, &state(100, 1));
    let id = requests(&a.sent())[0];
    a.events();
    let repetitions = a.advance(Duration::from_millis(10_001));
    assert_eq!(requests(&repetitions), [id; 10]);
    a.hand_under(id, endpoint(B), &RESPONSE);
    assert_eq!((told(&mut a), a.gossiper.stats().late_echoes), (vec![], 1));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    assert_eq!(requests(&a.advance(Duration::from_secs(5))), [], "no peer is asked without news");
    beat(&mut a, 2);
    let ids = requests(&a.sent());
    assert!(ids.len() == 1 && ids[0] != id, "{ids:?}");
    a.hand_under(ids[0], endpoint(B), &RESPONSE);
    assert_eq!(told(&mut a), [up(100)]);
}

#[test]
fn an_answer_counts_for_the_process_that_was_asked() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(C)));
    a.round();
    a.learn(B, &state(100, 1));
    let old = requests(&a.sent())[0];
    a.hand(C, &ack(&[], &[(B, state(200, 1))]));
    a.events();
    a.hand_under(old, endpoint(B), &RESPONSE);
    assert_eq!((told(&mut a), a.standing(B)), (vec![], Some(Standing::Unverified)));
    let new = requests(&a.sent());
    assert_eq!(new.len(), 1);
    a.hand_under(new[0], endpoint(B), &RESPONSE);
    assert_eq!(told(&mut a), [up(200)]);
}

#[test]
fn the_convicted_come_back_when_they_answer() {
    let mut a = with_live_b(builder(A, 100));
    a.advance(Duration::from_secs(40));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    a.events();
    // Even a state that brings nothing new is worth a question.
    beat(&mut a, 1);
    let ids = requests(&a.sent());
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    a.hand_under(ids[0], endpoint(B), &RESPONSE);
    assert_eq!((told(&mut a), a.standing(B)), (vec![up(100)], Some(Standing::Live)));
}

#[test]
fn h12_nobody_knows_whether_a_stranger_is_live() {
    let a = Driven::new(builder(A, 100));
    assert_eq!((a.standing(B), a.standing(A)), (None, Some(Standing::Live)));
    assert_eq!(a.gossiper.live_endpoints().count(), 0, "oneself is not listed");
}

#[test]
fn h14_restart_clears_the_arrivals_of_an_endpoint_that_was_down() {
    let restart = |a: &mut Driven| a.hand(C, &ack(&[], &[(B, state(200, 1))]));
    let mut a = with_live_b(builder(A, 100));
    a.advance(Duration::from_secs(1));
    restart(&mut a);
    assert_eq!(mean(&a), Duration::from_millis(1_500), "one more interval");

    let mut a = with_live_b(builder(A, 100));
    a.advance(Duration::from_secs(1));
    beat(&mut a, 2);
    a.advance(Duration::from_secs(40));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    restart(&mut a);
    assert_eq!(mean(&a), Duration::from_secs(2), "as if it had never been heard");
}
