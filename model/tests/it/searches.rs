//! The searches that are small enough for a test. `docs/model.md` says what the others found.

use gossip_model::{Bounds, LAWS, Law, SEARCHES, Search, World, search_from};

fn breaks_nothing(search: &Search) {
    let found = search_from((search.begin)(), 1);
    assert!(found.broken.is_empty(), "{}: {:#?}", search.name, found.broken);
    // Fewer mean that nothing happens.
    assert!(found.states > 100, "{}: {found:?}", search.name);
}

#[test]
fn no_small_history_breaks_a_law() {
    for search in SEARCHES.iter().filter(|search| search.is_small) {
        breaks_nothing(search);
    }
}

#[test]
fn each_law_has_one_name() {
    let mut laws: Vec<Law> = LAWS.iter().map(|(law, _)| *law).collect();
    laws.dedup();
    assert_eq!(laws.len(), LAWS.len());
}

#[test]
fn states_that_differ_only_in_names_are_one() {
    let two = Bounds::new(2).rounds(1);
    let mut first = World::new(&two);
    let mut second = World::new(&two);
    first.take(gossip_model::Step::Round { host: 0, chance: 0 });
    assert!(first != second);
    second.take(gossip_model::Step::Round { host: 1, chance: 0 });
    assert!(first.is_like(&second));
}
