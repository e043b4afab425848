//! What the operator may say of a node, and what is the node's own to say.

use gossip_adapter::ApplicationState;

use crate::load::load;
use crate::text::is_unprintable;

/// Refuses what no cluster, data center or rack is called.
///
/// # Errors
///
/// What is wrong with the name.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("the name is empty (write one, or leave the option out)".into());
    }
    if let Some(c) = name.chars().find(|c| is_unprintable(*c)) {
        return Err(format!(
            "the name '{name}' holds {}, which cannot be printed (leave it out)",
            c.escape_unicode()
        ));
    }
    Ok(())
}

/// Refuses to have `value` under `key` given by the operator, if that is the node's own to say: at its start as while it runs.
///
/// LOAD and RPC_READY may be given; the node then leaves them alone.
///
/// # Errors
///
/// Why not, and what to do.
pub(crate) fn own_state(key: ApplicationState, value: &str) -> Result<(), String> {
    let option = match key {
        ApplicationState::DC => "--dc",
        ApplicationState::RACK => "--rack",
        ApplicationState::RELEASE_VERSION => "--release-version",
        ApplicationState::HOST_ID => "--host-id",
        ApplicationState::NATIVE_ADDRESS_AND_PORT => "--native-port",
        ApplicationState::INTERNAL_ADDRESS_AND_PORT => "--broadcast",
        ApplicationState::NET_VERSION
        | ApplicationState::STATUS
        | ApplicationState::STATUS_WITH_PORT
        | ApplicationState::TOKENS => {
            return Err(format!("{key} is the node's own to publish (leave it out)"));
        }
        ApplicationState::LOAD if load(value).is_none() => {
            return Err(format!("LOAD is a number of bytes, and '{value}' is none (write 123456.0)"));
        }
        ApplicationState::RPC_READY if !matches!(value, "true" | "false") => {
            return Err(format!("RPC_READY is true or false, and not '{value}'"));
        }
        _ => return Ok(()),
    };
    Err(format!(
        "{key} says who or where the node is, from its start on (start it with `gossip run {option}`)"
    ))
}
