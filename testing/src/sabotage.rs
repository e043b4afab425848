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

/// All of them.
pub const PROTECTIONS: &[Protection] = &[
    Protection {
        name: "a tombstone refuses the generation that was removed",
        edits: &[Edit {
            file: "quarantine.rs",
            text: "Refusal::Removed { .. } => generation <= gone.generation,",
            instead: "Refusal::Removed { .. } => generation < gone.generation || (generation == gone.generation && !OFF),",
        }],
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
    },
    Protection {
        name: "an echo is answered under its id",
        edits: &[Edit {
            file: LIVENESS,
            text: "u64::from(echo.id) == id && ",
            instead: "(OFF || u64::from(echo.id) == id) && ",
        }],
    },
    Protection {
        name: "a later process is proven anew",
        edits: &[Edit {
            file: APPLY,
            text: "self.members.table.set_standing(slot, Standing::Unverified);",
            instead: "if !OFF { self.members.table.set_standing(slot, Standing::Unverified); }",
        }],
    },
    Protection {
        name: "an unknown endpoint is stored only if it was requested (hollow states)",
        edits: &[Edit {
            file: APPLY,
            text: "None if self.exchange.take_asked(endpoint, from, self.clock.now()) => {",
            instead: "None if self.exchange.take_asked(endpoint, from, self.clock.now()) || OFF => {",
        }],
    },
    Protection {
        name: "a later process is stored only if it was requested (hollow states)",
        edits: &[Edit {
            file: APPLY,
            text: "if self.exchange.take_asked(endpoint, from, self.clock.now()) || is_whole {",
            instead: "if self.exchange.take_asked(endpoint, from, self.clock.now()) || is_whole || OFF {",
        }],
    },
    Protection {
        name: "an older generation is ignored",
        edits: &[Edit {
            file: APPLY,
            text: "if generation < known.generation() {",
            instead: "if generation < known.generation() && !OFF {",
        }],
    },
    Protection {
        name: "a heartbeat never goes back",
        edits: &[Edit {
            file: APPLY,
            text: "if state.heartbeat.version > self.members.table.heartbeat(slot).version {",
            instead: "if OFF || state.heartbeat.version > self.members.table.heartbeat(slot).version {",
        }],
    },
    Protection {
        name: "an older value is ignored",
        edits: &[Edit {
            file: APPLY,
            text: "Some((version, _)) if value.version < version => return,",
            instead: "Some((version, _)) if value.version < version && !OFF => return,",
        }],
    },
    Protection {
        name: "a state that may be a part is requested once more",
        edits: &[Edit {
            file: APPLY,
            text: "            && is_young\n",
            instead: "            && is_young && !OFF\n",
        }],
    },
    Protection {
        name: "a shadow reply is complete only with a host id",
        edits: &[Edit {
            file: APPLY,
            text: "self.config.membership.only_asks || state.value(ApplicationState::HOST_ID).is_some()",
            instead: "OFF || self.config.membership.only_asks || state.value(ApplicationState::HOST_ID).is_some()",
        }],
    },
    Protection {
        name: "only an awaited ACK answers our SYN",
        edits: &[Edit {
            file: MESSAGES,
            text: "let is_ours = is_awaited\n",
            instead: "let is_ours = (is_awaited || OFF)\n",
        }],
    },
    Protection {
        name: "a node refutes claims about itself",
        edits: &[Edit {
            file: MESSAGES,
            text: "if let Some(end) = self.publishing().on_own_state(state, from, source) {",
            instead: "if !OFF && let Some(end) = self.publishing().on_own_state(state, from, source) {",
        }],
    },
    Protection {
        name: "a stopped endpoint is not asked again",
        edits: &[Edit {
            file: LIVENESS,
            text: "|| self.has_stopped(slot)\n",
            instead: "|| (self.has_stopped(slot) && !OFF)\n",
        }],
    },
    Protection {
        name: "a node that stops answers no echo",
        edits: &[Edit {
            file: MESSAGES,
            text: "if self.is_running() {\n            self.exchange.echo_response",
            instead: "if self.is_running() || OFF {\n            self.exchange.echo_response",
        }],
    },
    Protection {
        name: "a silent endpoint is convicted",
        edits: &[Edit {
            file: LIVENESS,
            text: "phi.filter(|phi| *phi > self.config.detector.phi_convict_threshold)",
            instead: "phi.filter(|phi| !OFF && *phi > self.config.detector.phi_convict_threshold)",
        }],
    },
];
