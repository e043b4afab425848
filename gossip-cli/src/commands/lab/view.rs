//! What a node of the lab shows of another.

use core::fmt;
use core::net::SocketAddr;

use gossip_adapter::{ApplicationState, StatusKind};

use super::Lab;
use crate::model::{EndpointModel, StandingModel};

/// The heartbeat of an endpoint that has stopped.
const STOPPED_HEARTBEAT: i32 = i32::MAX;

/// An endpoint as an observer shows it.
#[derive(Clone, Debug)]
pub(super) struct View(pub(super) EndpointModel);

impl View {
    pub(super) fn is_normal_and_up(&self) -> bool {
        self.0.is_live() && self.0.status_kind() == StatusKind::Normal
    }

    pub(super) fn is_stopped_and_down(&self) -> bool {
        !self.0.is_live()
            && self.0.heartbeat == STOPPED_HEARTBEAT
            && self.0.text(ApplicationState::STATUS_WITH_PORT) == Some("shutdown,true")
    }
}

/// Such as `shutdown,true, heartbeat 2147483647, DOWN`.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.0.status_kind() {
            StatusKind::None => "no status",
            StatusKind::Shutdown => self.0.text(ApplicationState::STATUS_WITH_PORT).unwrap_or("shutdown"),
            _ => self.0.status.as_deref().unwrap_or_default(),
        };
        let standing = match self.0.standing {
            StandingModel::Live => "UP",
            StandingModel::Unreachable => "DOWN",
            StandingModel::Unverified => "not yet UP",
        };
        write!(f, "{status}, generation {}, heartbeat {}, {standing}", self.0.generation, self.0.heartbeat)
    }
}

impl Lab {
    /// Everything that a node shows.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    pub(super) fn views(&self, observer: usize) -> Result<Vec<View>, String> {
        let node = self.nodes.get(observer).ok_or("there is no such node")?;
        let endpoints = node.client().and_then(|client| client.endpoints());
        Ok(endpoints.map_err(|failure| failure.to_string())?.into_iter().map(View).collect())
    }

    /// What `observer` shows of `endpoint`.
    ///
    /// # Errors
    ///
    /// It shows nothing, or cannot be asked.
    pub(super) fn view(&self, observer: usize, endpoint: SocketAddr) -> Result<View, String> {
        let views = self.views(observer)?;
        let view = views.into_iter().find(|view| view.0.endpoint == endpoint);
        view.ok_or_else(|| format!("nothing of {endpoint}"))
    }
}
