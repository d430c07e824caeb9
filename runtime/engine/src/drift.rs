//! Decides which sources of a group are too far ahead of the slowest one, and must wait: Flink's watermark alignment.
//!
//! Every subtask of every source of the group tells its watermark; one that is idle or has ended holds nobody back. A subtask
//! whose watermark is above the lowest by more than its drift gives no rows until the lowest has caught up. The slowest one
//! never waits for the group, so somebody always goes on.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use wasmill_core::time::{END_OF_TIME, NO_WATERMARK};

/// The source subtasks that wait for each other.
#[derive(Debug)]
pub(crate) struct DriftGroup {
    /// The watermark of each; `None` for one that nobody need wait for.
    members: Mutex<Vec<Option<i64>>>,
    lowest: watch::Sender<i64>,
}

impl DriftGroup {
    /// A group without members.
    pub(crate) fn new() -> Arc<DriftGroup> {
        Arc::new(DriftGroup { members: Mutex::default(), lowest: watch::Sender::new(END_OF_TIME) })
    }

    /// A new member, without a watermark yet, that may be `max` milliseconds ahead.
    pub(crate) fn join(self: &Arc<Self>, max: i64) -> DriftMember {
        let number = {
            let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.push(Some(NO_WATERMARK));
            members.len() - 1
        };
        self.lowest.send_replace(NO_WATERMARK);
        let lowest = self.lowest.subscribe();
        DriftMember { group: self.clone(), number, max, told: Some(NO_WATERMARK), lowest }
    }
}

/// One source subtask of a group.
#[derive(Debug)]
pub(crate) struct DriftMember {
    group: Arc<DriftGroup>,
    number: usize,
    max: i64,
    /// What the group knows of it.
    told: Option<i64>,
    lowest: watch::Receiver<i64>,
}

impl DriftMember {
    /// Tells the group the member's watermark; `None` when nobody need wait for it.
    pub(crate) fn tell(&mut self, watermark: Option<i64>) {
        if std::mem::replace(&mut self.told, watermark) == watermark {
            return;
        }
        let mut members = self.group.members.lock().unwrap_or_else(PoisonError::into_inner);
        members[self.number] = watermark;
        let lowest = members.iter().flatten().min().copied().unwrap_or(END_OF_TIME);
        // Under the lock, so that an older value never replaces a newer one.
        self.group.lowest.send_if_modified(|known| std::mem::replace(known, lowest) != lowest);
    }

    /// The highest watermark that need not wait. [`DriftMember::changed`] waits until there is another one.
    pub(crate) fn allowed(&mut self) -> i64 {
        self.lowest.borrow_and_update().saturating_add(self.max)
    }

    /// Waits until the lowest watermark of the group changes.
    pub(crate) async fn changed(&mut self) {
        // The group is held by this member, so that its sender is never gone.
        let _ = self.lowest.changed().await;
    }
}

impl Drop for DriftMember {
    fn drop(&mut self) {
        self.tell(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_ahead_wait_for_the_slowest_that_is_neither_idle_nor_ended() {
        let group = DriftGroup::new();
        let [mut a, mut b, mut c] = [10, 10, 0].map(|max| group.join(max));
        assert_eq!(a.allowed(), NO_WATERMARK + 10, "the others have not begun");
        a.tell(Some(100));
        b.tell(Some(89));
        assert!(100 > a.allowed(), "c has not begun");
        c.tell(None);
        assert!(100 > a.allowed() && 89 <= b.allowed());
        b.tell(Some(90));
        assert!(100 <= a.allowed() && 101 > a.allowed());
        c.tell(Some(90));
        assert!(90 <= c.allowed() && 91 > c.allowed());
        drop(b);
        drop(c);
        assert!(100 <= a.allowed());
        a.tell(None);
        assert_eq!(a.allowed(), END_OF_TIME, "nobody is left to wait for");
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let group = DriftGroup::new();
        let (mut a, mut b) = (group.join(5), group.join(5));
        a.tell(Some(50));
        assert!(50 > a.allowed());
        let waiting = tokio::spawn(async move {
            a.changed().await;
            50 > a.allowed()
        });
        b.tell(Some(45));
        assert!(!waiting.await.unwrap());
    }
}
