//! What happened lately, for pages that are opened later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use core::time::Duration;

use gossip_adapter::{ApplicationState, Common, Handle};

use crate::changes::Changes;
use crate::model::WatchModel;
use crate::names::Names;

/// How much is kept.
const KEPT: usize = 200;
/// How long it is waited at once.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is no news of a member.
const NO_NEWS: [&str; 6] =
    ["watching", "assassination_aborted", "accepted_by", "packet_refused", "metadata_id", "shared_address"];

/// What happened lately.
#[derive(Debug)]
pub(crate) struct History {
    /// Since when, in milliseconds since the Unix epoch.
    pub(super) since: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// How many there were in all.
    count: u64,
    last: VecDeque<Arc<WatchModel>>,
}

impl History {
    /// Keeps what happens to `node` from now on, until it stops.
    pub(super) fn begin(node: &Handle<Common>) -> Arc<Self> {
        let history = Arc::new(Self::new());
        let weak = Arc::downgrade(&history);
        let mut changes = Changes::new(node.clone(), Names::default()).without_values();
        tokio::spawn(async move {
            while let Some(models) = changes.next(PATIENCE).await {
                let Some(history) = weak.upgrade() else { return };
                models.into_iter().for_each(|model| history.note(model));
            }
        });
        history
    }

    fn new() -> Self {
        Self { since: WatchModel::new("watching", None).unix_ms, kept: Mutex::default() }
    }

    fn note(&self, model: WatchModel) {
        if !is_news(&model) {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        kept.last.push_back(Arc::new(model));
        if kept.last.len() > KEPT {
            kept.last.pop_front();
        }
    }

    /// What came after the first `told`, and how many there were in all. `None` if some of it is not kept any more.
    pub(super) fn after(&self, told: u64) -> (Option<Vec<Arc<WatchModel>>>, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let new = usize::try_from(kept.count - told.min(kept.count)).unwrap_or(usize::MAX);
        let is_kept = new <= kept.last.len();
        let first = kept.last.len().saturating_sub(new);
        (is_kept.then(|| kept.last.iter().skip(first).cloned().collect()), kept.count)
    }

    /// All that is kept, and how many there were in all.
    pub(super) fn all(&self) -> (Vec<Arc<WatchModel>>, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.last.iter().cloned().collect(), kept.count)
    }
}

/// Whether it is worth a line: of a status only that a member leaves, moves or joins; all else has an event of its own.
fn is_news(model: &WatchModel) -> bool {
    if model.event != "state" {
        return !NO_NEWS.contains(&model.event.as_str());
    }
    // Nodes publish both, and one is enough.
    let keyword = model.value.as_deref().and_then(|value| value.split(',').next()).unwrap_or_default();
    model.key == Some(ApplicationState::STATUS_WITH_PORT.number())
        && matches!(keyword, "LEAVING" | "MOVING" | "BOOT" | "BOOT_REPLACE" | "hibernate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u64) -> WatchModel {
        WatchModel { count: Some(number), ..WatchModel::new("up", None) }
    }

    fn counts(models: &[Arc<WatchModel>]) -> Vec<u64> {
        models.iter().filter_map(|model| model.count).collect()
    }

    #[test]
    fn the_latest_are_kept_and_what_was_missed_is_told() {
        let history = History::new();
        (0..3).for_each(|number| history.note(numbered(number)));
        assert_eq!(history.after(3).0.as_deref().map(counts), Some(vec![]));
        assert_eq!(history.after(1).0.as_deref().map(counts), Some(vec![1, 2]));
        (3..KEPT as u64 + 2).for_each(|number| history.note(numbered(number)));
        assert!(history.after(1).0.is_none(), "the second is gone");
        let (last, count) = history.all();
        assert_eq!((last.len(), count), (KEPT, KEPT as u64 + 2));
        assert_eq!(history.after(2).0.as_deref().map(counts), Some(counts(&last)));
    }

    #[test]
    fn a_status_is_news_where_no_other_event_tells_it() {
        let status = |key: ApplicationState, value: &str| WatchModel {
            key: Some(key.number()),
            value: Some(value.into()),
            ..WatchModel::new("state", None)
        };
        assert!(is_news(&status(ApplicationState::STATUS_WITH_PORT, "LEAVING,5")));
        assert!(!is_news(&status(ApplicationState::STATUS, "LEAVING,5")));
        assert!(!is_news(&status(ApplicationState::STATUS_WITH_PORT, "NORMAL,5")));
        assert!(
            is_news(&WatchModel::new("down", None)) && !is_news(&WatchModel::new("packet_refused", None))
        );
    }
}
