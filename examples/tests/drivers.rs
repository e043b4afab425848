//! The examples do what they say.

#[expect(dead_code, reason = "the test calls what `main` does")]
#[path = "../examples/compio.rs"]
mod compio_example;
#[expect(dead_code, reason = "the test calls what `main` does")]
#[path = "../examples/smoltcp.rs"]
mod smoltcp_example;

use std::time::Duration;

#[test]
fn nodes_on_compio_find_each_other_and_stop() {
    compio_example::run(Duration::from_millis(200)).expect("all is there that it needs");
}

#[test]
fn nodes_on_a_simulated_ethernet_find_each_other_and_see_one_stop() {
    smoltcp_example::run().expect("time is simulated, so that no machine is too slow");
}
