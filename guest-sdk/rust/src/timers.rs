//! Buffers the timers that an operator sets and removes during a call.

use std::collections::BTreeMap;

use crate::{
    backend::{Backend, TimeDomain},
    batch::TimerBatch,
};

/// What was set and removed, in order, a domain each.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    event: Changes,
    processing: Changes,
}

/// Columns of timers, and for each whether it is set or removed.
#[derive(Debug, Default)]
struct Changes {
    timers: TimerBatch,
    set: Vec<bool>,
}

impl Timers {
    pub(crate) fn change(&mut self, domain: TimeDomain, time: i64, key: &[u8], tag: u64, set: bool) {
        let changes = match domain {
            TimeDomain::EventTime => &mut self.event,
            TimeDomain::ProcessingTime => &mut self.processing,
        };
        changes.timers.push(time, key, tag);
        changes.set.push(set);
    }

    /// Hands everything over. The last change of a timer counts.
    pub(crate) fn flush(&mut self, backend: &mut dyn Backend) {
        self.event.flush(TimeDomain::EventTime, backend);
        self.processing.flush(TimeDomain::ProcessingTime, backend);
    }

    /// Drops everything, after a failure.
    pub(crate) fn clear(&mut self) {
        *self = Timers::default();
    }
}

impl Changes {
    fn flush(&mut self, domain: TimeDomain, backend: &mut dyn Backend) {
        let Changes { timers, set } = std::mem::take(self);
        let Some(&first) = set.first() else { return };
        if set.iter().all(|&set| set == first) {
            match first {
                true => backend.register(domain, &timers),
                false => backend.delete(domain, &timers),
            }
            return;
        }
        let (registered, deleted) = last_changes(&timers, &set);
        if !deleted.times.is_empty() {
            backend.delete(domain, &deleted);
        }
        if !registered.times.is_empty() {
            backend.register(domain, &registered);
        }
    }
}

/// Timers that are set and those that are removed in the end, so that the two can be handed over apart.
fn last_changes(timers: &TimerBatch, set: &[bool]) -> (TimerBatch, TimerBatch) {
    let keys = timers.key_column();
    let mut last = BTreeMap::new();
    for (row, (&time, &tag)) in timers.times.iter().zip(&timers.tags).enumerate() {
        last.insert((time, keys.get(row).unwrap_or_default(), tag), set[row]);
    }
    let (mut registered, mut deleted) = (TimerBatch::default(), TimerBatch::default());
    for ((time, key, tag), set) in last {
        if set { registered.push(time, key, tag) } else { deleted.push(time, key, tag) }
    }
    (registered, deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_a_timer_counts() {
        let mut changes = Changes::default();
        for (time, key, set) in [(1, "a", true), (1, "a", false), (2, "b", false), (2, "b", true), (3, "a", true)] {
            changes.timers.push(time, key.as_bytes(), 0);
            changes.set.push(set);
        }
        let (registered, deleted) = last_changes(&changes.timers, &changes.set);
        assert_eq!((registered.times, registered.keys), (vec![2, 3], b"ba".to_vec()));
        assert_eq!((deleted.times, deleted.keys), (vec![1], b"a".to_vec()));
    }
}
