//! A thousand readers of a view, and an update a millisecond.

#[expect(dead_code, reason = "the test calls what `main` does")]
#[path = "../examples/view_under_load.rs"]
mod view_under_load;

use view_under_load::measure;

/// It says nothing of how fast: it ends when there were so many rounds and updates, however long that takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_a_view_keep_the_node_from_no_round() {
    let measured =
        measure(1_000, |rounds, updates| rounds >= 5 && updates >= 100).await.expect("the node runs");
    assert!(measured.rounds >= 5 && measured.updates >= 100, "{measured:?}");
    assert_eq!(measured.current, 1_000, "all have seen the last update: {measured:?}");
}
