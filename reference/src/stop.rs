//! Clean stops (`docs/protocol/life-cycle.md#stop`).

use gossip_core::Endpoint;

use crate::message::Message;
use crate::node::{Answer, Node};
use crate::state::{
    RPC_READY, STATUS, STATUS_WITH_PORT, STOPPED, State, TOKENS, Value, keyword, stops_silently,
};

impl Node {
    /// Announces the stop: the values first, then a message to every live endpoint. `has_body`: from messaging version 13 on.
    pub fn announce_stop(&mut self, has_body: bool) -> Vec<Answer> {
        self.is_stopping = true;
        let status = self.status(self.local);
        if stops_silently(status) || status.is_empty() {
            return Vec::new();
        }
        self.publish(STATUS_WITH_PORT, "shutdown,true");
        self.publish(STATUS, "shutdown,true");
        let own = self.states.get(&self.local).cloned().filter(|_| has_body);
        self.live.iter().map(|endpoint| (*endpoint, Message::Shutdown(own.clone()))).collect()
    }

    /// Whether this node is a member with tokens, which peers count as such.
    pub fn has_tokens(&self) -> bool {
        self.states.get(&self.local).is_some_and(|own| own.values.contains_key(&TOKENS))
    }

    /// `docs/protocol/life-cycle.md#receiving-a-shutdown-with-a-state` and the one without.
    pub(crate) fn on_shutdown(&mut self, from: Endpoint, body: Option<&State>) {
        let Some(known) = self.states.get(&from) else { return };
        if !self.is_enabled || self.shadow.is_some() || known.values.is_empty() || from == self.local {
            return;
        }
        let Some(body) = body else { return self.mark_as_stopped(from) };
        let with_port = body.values.get(&STATUS_WITH_PORT);
        if with_port.is_none_or(|value| keyword(&value.text) != "shutdown") {
            return;
        }
        if self.rules().stops_name_a_generation && body.generation != known.generation {
            return;
        }
        let mut state = State { heartbeat: STOPPED, ..body.clone() };
        if self.rules().members_by_status && self.status(from).is_empty() {
            // It is no member, and its end makes none of it.
            state.values.remove(&STATUS_WITH_PORT);
            state.values.remove(&STATUS);
        }
        if self.rules().values_by_their_own_version {
            // The values that are known stay, unless the body has newer ones.
            for (key, value) in &known.values {
                if state.values.get(key).is_none_or(|said| said.version <= value.version) {
                    state.values.insert(*key, value.clone());
                }
            }
        }
        self.states.insert(from, state);
        let status = self.status(from).to_owned();
        self.react(from, &status);
        self.mark_dead(from);
    }

    /// What a receiver writes into the state of an endpoint that stopped without a body.
    pub(crate) fn mark_as_stopped(&mut self, endpoint: Endpoint) {
        let marks = [
            (STATUS_WITH_PORT, "shutdown,true", STOPPED - 2),
            (STATUS, "shutdown,true", STOPPED - 1),
            (RPC_READY, "false", STOPPED - 3),
        ];
        let status = self.status(endpoint);
        let own_words = keyword(status) == "shutdown";
        let is_nobody = self.rules().members_by_status && status.is_empty();
        for (key, text, constant) in marks.into_iter().filter(|_| !is_nobody) {
            let stored = self.states.get(&endpoint).and_then(|state| state.values.get(&key));
            let is_said = stored.is_some_and(|stored| stored.text == text)
                || (own_words && key != RPC_READY && stored.is_none());
            // With constants, what the endpoint said itself keeps its version.
            if self.rules().marks_are_constant && is_said {
                continue;
            }
            let version = if self.rules().marks_are_constant { constant } else { self.next_version() };
            if let Some(state) = self.states.get_mut(&endpoint) {
                state.values.insert(key, Value { text: text.to_owned(), version });
            }
        }
        if let Some(state) = self.states.get_mut(&endpoint) {
            state.heartbeat = STOPPED;
        }
        self.mark_dead(endpoint);
    }
}
