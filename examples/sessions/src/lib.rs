//! Groups the events of each key into sessions: runs with less than a gap from one event to the next. No windows, only state
//! and timers.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

/// A run of events, times in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The first event.
    pub first: i64,
    /// The last event.
    pub last: i64,
    /// How many events.
    pub flights: u64,
}

/// The `config` table of the job file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    /// From one event to the next in a session it is less than this, hours.
    gap_hours: i64,
}

/// The sessions of each key that may still grow.
#[derive(States)]
pub struct Sessions {
    gap: i64,
    open: ValueState<Json<Vec<Session>>>,
}

#[operator]
impl KeyedOperator for Sessions {
    type Key = Text;
    type Value = ();
    type Output = Output<Text, Json<Session>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        let config: Config = setup.config()?;
        Ok(Sessions { gap: config.gap_hours * 3_600_000, open: setup.value_state("open") })
    }

    /// Events may come in any order: one may begin a session, prolong one, or join two.
    fn process(&mut self, record: Record<'_, Text, ()>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
        let at = record.timestamp().ok_or_else(|| Error::record("it has no event time"))?;
        let gap = self.gap;
        let end = self.open.update(|open| {
            let mut session = Session { first: at, last: at, flights: 1 };
            open.retain(|other| {
                let apart = other.first - session.last >= gap || session.first - other.last >= gap;
                if !apart {
                    session.first = session.first.min(other.first);
                    session.last = session.last.max(other.last);
                    session.flights += other.flights;
                }
                apart
            });
            let end = session.last + gap;
            open.push(session);
            end
        });
        call.register_event_timer(end, 0);
        Ok(())
    }

    /// Tells the sessions that have ended. A timer of a session that grew since finds nothing.
    fn on_timer(&mut self, timer: Timer<'_, Text>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let mut open = self.open.get().cloned().unwrap_or_default();
        let (ended, rest): (Vec<_>, Vec<_>) =
            open.drain(..).partition(|session| session.last + self.gap <= timer.time());
        for session in &ended {
            out.emit(timer.key(), session);
        }
        match rest.is_empty() {
            true => self.open.clear(),
            false => self.open.set(rest),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;

    #[test]
    fn events_join_sessions_in_any_order() {
        let mut harness = Harness::<Sessions>::open(r#"{"gap-hours": 1}"#).unwrap();
        let minutes = |n: i64| n * 60_000;
        // 0 and 90 are apart until 45 joins them; 200 is on its own.
        for at in [0, 90, 200, 45] {
            harness.push("N1", (), minutes(at)).unwrap();
        }
        harness.finish().unwrap();
        let told: Vec<Session> = harness.output().into_iter().map(|(_, session, _)| session).collect();
        let session = |first, last, flights| Session { first: minutes(first), last: minutes(last), flights };
        assert_eq!(told, [session(0, 90, 3), session(200, 200, 1)]);
    }
}
