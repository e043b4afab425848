//! Protections of the protocol that can be taken out one at a time, to see which proof notices.
//!
//! `cargo run -p gossip-testing --bin sabotage` does it in a copy of the repository. `docs/trust.md` has the result.

/// A rule of the core whose absence a proof has to notice.
#[derive(Clone, Copy, Debug)]
pub struct Protection {
    /// What holds with it.
    pub name: &'static str,
    /// What takes it out.
    pub edits: &'static [Edit],
    /// The names of other protections that are taken out together with it, because they repair what gets in without it.
    pub and: &'static [&'static str],
}

/// A change of a file.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// The file, below `gossip-core/src`.
    pub file: &'static str,
    /// A piece of the file that occurs once.
    pub text: &'static str,
    /// What stands there instead. `OFF` is an expression: whether this protection is off.
    pub instead: &'static str,
}

const APPLY: &str = "gossiper/members/apply.rs";
const LIVENESS: &str = "gossiper/members/liveness.rs";
const MESSAGES: &str = "gossiper/messages.rs";

const UNKNOWN_IF_REQUESTED: &str = "an unknown endpoint is stored only if it was requested";
const LATER_IF_REQUESTED: &str = "a later process is stored only if it was requested";
const PARTS_AGAIN: &str = "a state that may be a part is requested once more";

/// All of them.
pub const PROTECTIONS: &[Protection] = &[
    Protection {
        name: "a tombstone refuses the generation that was removed",
        edits: &[Edit {
            file: "quarantine.rs",
            text: "Refusal::Removed { .. } => generation <= gone.generation,",
            instead: "Refusal::Removed { .. } => generation < gone.generation || (generation == gone.generation && !OFF),",
        }],
        and: &[],
    },
    Protection {
        name: "an echo proves only the generation that was asked",
        // Two lines do it, each of them enough.
        edits: &[
            Edit { file: "table.rs", text: "pulse.is_asked = false;", instead: "pulse.is_asked &= OFF;" },
            Edit {
                file: LIVENESS,
                text: "echo.generation == generation && echo.deadline",
                instead: "(OFF || echo.generation == generation) && echo.deadline",
            },
        ],
        and: &[],
    },
    Protection {
        name: "an echo is answered under its id",
        edits: &[Edit {
            file: LIVENESS,
            text: "u64::from(echo.id) == id && ",
            instead: "(OFF || u64::from(echo.id) == id) && ",
        }],
        and: &[],
    },
    Protection {
        name: "a later process is proven anew",
        edits: &[Edit {
            file: APPLY,
            text: "self.members.table.set_standing(slot, Standing::Unverified);",
            instead: "if !OFF { self.members.table.set_standing(slot, Standing::Unverified); }",
        }],
        and: &[],
    },
    Protection {
        name: UNKNOWN_IF_REQUESTED,
        edits: &[Edit {
            file: APPLY,
            text: "None if self.exchange.take_asked(endpoint, from, self.clock.now()) => {",
            instead: "None if self.exchange.take_asked(endpoint, from, self.clock.now()) || OFF => {",
        }],
        and: &[],
    },
    Protection {
        name: LATER_IF_REQUESTED,
        edits: &[Edit {
            file: APPLY,
            text: "if self.exchange.take_asked(endpoint, from, self.clock.now()) || is_whole {",
            instead: "if self.exchange.take_asked(endpoint, from, self.clock.now()) || is_whole || OFF {",
        }],
        and: &[],
    },
    Protection {
        name: "an older generation is ignored",
        edits: &[Edit {
            file: APPLY,
            text: "if generation < known.generation() {",
            instead: "if generation < known.generation() && !OFF {",
        }],
        and: &[],
    },
    Protection {
        name: "a heartbeat never goes back",
        edits: &[Edit {
            file: APPLY,
            text: "if state.heartbeat.version > self.members.table.heartbeat(slot).version {",
            instead: "if OFF || state.heartbeat.version > self.members.table.heartbeat(slot).version {",
        }],
        and: &[],
    },
    Protection {
        name: "an older value is ignored",
        edits: &[Edit {
            file: APPLY,
            text: "Some((version, _)) if value.version < version => return,",
            instead: "Some((version, _)) if value.version < version && !OFF => return,",
        }],
        and: &[],
    },
    Protection {
        name: PARTS_AGAIN,
        edits: &[Edit {
            file: APPLY,
            text: "source == Source::Other && may_be_late",
            instead: "source == Source::Other && may_be_late && !OFF",
        }],
        and: &[],
    },
    Protection {
        name: "a shadow reply is complete only with a host id",
        edits: &[Edit {
            file: APPLY,
            text: "self.config.membership.only_asks || state.value(ApplicationState::HOST_ID).is_some()",
            instead: "OFF || self.config.membership.only_asks || state.value(ApplicationState::HOST_ID).is_some()",
        }],
        and: &[],
    },
    Protection {
        name: "only an awaited ACK answers our SYN",
        edits: &[Edit {
            file: MESSAGES,
            text: "if is_awaited { Source::Ack }",
            instead: "if is_awaited || OFF { Source::Ack }",
        }],
        and: &[],
    },
    Protection {
        name: "a node refutes claims about itself",
        edits: &[Edit {
            file: MESSAGES,
            text: "if let Some(end) = self.publishing().on_own_state(state, from, source) {",
            instead: "if !OFF && let Some(end) = self.publishing().on_own_state(state, from, source) {",
        }],
        and: &[],
    },
    Protection {
        name: "a stopped endpoint is not asked again",
        edits: &[Edit {
            file: LIVENESS,
            text: "&& !self.has_stopped(slot)\n",
            instead: "&& (!self.has_stopped(slot) || OFF)\n",
        }],
        and: &[],
    },
    Protection {
        name: "a node that stops answers no echo",
        edits: &[Edit {
            file: MESSAGES,
            text: "if self.is_running() {\n            self.exchange.echo_response",
            instead: "if self.is_running() || OFF {\n            self.exchange.echo_response",
        }],
        and: &[],
    },
    Protection {
        name: "a silent endpoint is convicted",
        edits: &[Edit {
            file: LIVENESS,
            text: "phi.filter(|phi| *phi > threshold)",
            instead: "phi.filter(|phi| !OFF && *phi > threshold)",
        }],
        and: &[],
    },
    Protection {
        name: "an unknown endpoint is stored only if it was requested, and a part is requested once more",
        edits: &[],
        and: &[UNKNOWN_IF_REQUESTED, PARTS_AGAIN],
    },
    Protection {
        name: "a later process is stored only if it was requested, and a part is requested once more",
        edits: &[],
        and: &[LATER_IF_REQUESTED, PARTS_AGAIN],
    },
];

/// The number of a protection, from 1 on.
pub fn number(name: &str) -> Option<usize> {
    PROTECTIONS.iter().position(|protection| protection.name == name).map(|at| at + 1)
}
