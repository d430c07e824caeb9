//! Finds patterns in the movements of each aircraft: state says how far a pattern has come, timers end those that wait in vain.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    alert::{Alert, Overdue},
    movement::{Flight, Movement},
    utc,
};

/// Milliseconds.
const MINUTE: i64 = 60_000;
/// About how many bytes of waiting movements are read at once.
const PAGE_BYTES: u32 = 1024;

/// The `config` table of the job file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    /// What an aircraft spends at least on the ground, there and back together, minutes.
    ground_minutes: u16,
    /// How many suspicions make a repeated one; at least 1.
    repetitions: u16,
    /// Within how many days.
    within_days: u16,
}

/// How far the patterns of an aircraft have come. Without a value nothing is known that could matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whereabouts {
    /// On a flight that has not arrived.
    InTheAir {
        /// When it left, milliseconds since the Unix epoch.
        departed: i64,
        /// The flight.
        flight: Flight,
    },
    /// Where a flight took it, or on its way back.
    Away {
        /// When it can be back and depart again at the soonest, milliseconds since the Unix epoch.
        back: i64,
        /// The flight.
        flight: Flight,
    },
}

impl Default for Whereabouts {
    fn default() -> Self {
        Whereabouts::Away { back: i64::MIN, flight: Flight { name: String::new(), distance: 0 } }
    }
}

/// Tags of timers. Of those that are due at one moment the lowest fires first: what happens then counts before what does not.
mod tag {
    /// The watermark has come to movements that wait.
    pub(super) const MOVEMENTS: u64 = 0;
    /// A flight should have arrived.
    pub(super) const OVERDUE: u64 = 1;
    /// An aircraft can be back.
    pub(super) const BACK: u64 = 2;
    /// The oldest suspicion counts no longer.
    pub(super) const CALM: u64 = 3;
}

/// Finds patterns in the movements of each aircraft. Those that are complete are emitted; flights that are overdue, patterns that
/// were begun and not completed in time, go to the output `overdue`.
#[derive(States)]
pub struct Patterns {
    /// Movements that are ahead of the watermark, in order.
    waiting: MapState<(i64, u8, Text), Postcard<Movement>>,
    whereabouts: ValueState<Postcard<Whereabouts>>,
    /// When suspicions arose, the oldest first: fewer than make a repeated one.
    suspicions: ValueState<Postcard<Vec<i64>>>,
    overdue: SideOutput<Text, Json<Overdue>>,
    config: Config,
}

#[operator(shared)]
impl KeyedOperator for Patterns {
    type Key = Text;
    type Value = Postcard<Movement>;
    type Output = Output<Text, Json<Alert>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        let config: Config = setup.config()?;
        if config.repetitions == 0 {
            return Err(Error::job("config: `repetitions` is 0: it must be at least 1"));
        }
        Ok(Patterns {
            waiting: setup.map_state("waiting"),
            whereabouts: setup.value_state("whereabouts"),
            suspicions: setup.value_state("suspicions"),
            overdue: setup.side_output("overdue"),
            config,
        })
    }

    /// Puts the movement in its place: patterns are about order, and rows come in another one.
    fn process(
        &mut self,
        record: Record<'_, Text, Postcard<Movement>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let at = record.timestamp().ok_or_else(|| Error::record("it has no event time"))?;
        let (rank, name) = record.value.place();
        self.waiting.put((at, rank, &name), record.value.clone());
        call.register_event_timer(at, tag::MOVEMENTS);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, Text>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        match timer.tag() {
            tag::MOVEMENTS => return self.movements(timer, call, out),
            tag::OVERDUE => {
                if let Some(Whereabouts::InTheAir { flight, .. }) = self.take_whereabouts() {
                    let overdue = Overdue { at: utc::text(timer.time()), flight: flight.name };
                    self.overdue.emit_at(timer.time(), timer.key(), &overdue);
                }
            }
            tag::BACK => self.whereabouts.clear(),
            _ => self.forget_suspicions(timer.time()),
        }
        Ok(())
    }
}

impl Patterns {
    /// Takes the movements of the timer's minute: what arrives, then what departs.
    fn movements(
        &mut self,
        timer: Timer<'_, Text>,
        call: &mut KeyedCall<'_>,
        out: &mut Output<Text, Json<Alert>>,
    ) -> Result<()> {
        let mut next = Some(Cursor::at::<(i64, u8, Text)>((timer.time(), 0, "")));
        while let Some(cursor) = next {
            let page = self.waiting.scan(call, &cursor, PAGE_BYTES)?;
            for entry in page.iter() {
                let ((at, rank, name), movement) = entry?;
                if at != timer.time() {
                    return Ok(());
                }
                self.waiting.remove((at, rank, &name));
                match movement {
                    Movement::Arrives(departed) => self.arrives(at, departed, call),
                    Movement::Departs(flight) => self.departs(timer, flight, call, out),
                }
            }
            next = page.next();
        }
        Ok(())
    }

    fn take_whereabouts(&mut self) -> Option<Whereabouts> {
        let whereabouts = self.whereabouts.get().cloned();
        self.whereabouts.clear();
        whereabouts
    }

    /// The second step of the pattern, if it is the arrival of the flight that is waited for.
    fn arrives(&mut self, at: i64, departed: i64, call: &mut KeyedCall<'_>) {
        let flight = match self.whereabouts.get() {
            Some(Whereabouts::InTheAir { departed: waited_for, flight }) if *waited_for == departed => flight.clone(),
            _ => return,
        };
        call.delete_event_timer(overdue(departed, &flight), tag::OVERDUE);
        // It takes as long to come back as it took to get there.
        let back = at + (at - departed) + i64::from(self.config.ground_minutes) * MINUTE;
        call.register_event_timer(back, tag::BACK);
        self.whereabouts.set(Whereabouts::Away { back, flight });
    }

    /// The last step of a pattern that is not complete without it, and the first of the next.
    fn departs(
        &mut self,
        timer: Timer<'_, Text>,
        flight: Flight,
        call: &mut KeyedCall<'_>,
        out: &mut Output<Text, Json<Alert>>,
    ) {
        let (departed, at) = (timer.time(), utc::text(timer.time()));
        let suspicion = match self.take_whereabouts() {
            None => None,
            Some(Whereabouts::InTheAir { departed, flight: previous }) => {
                call.delete_event_timer(overdue(departed, &previous), tag::OVERDUE);
                Some(Alert::InTheAir { at, flight: flight.name.clone(), previous: previous.name })
            }
            Some(Whereabouts::Away { back, flight: previous }) => {
                call.delete_event_timer(back, tag::BACK);
                let short = (back - departed) / MINUTE;
                let too_soon = Alert::TooSoon { at, flight: flight.name.clone(), previous: previous.name, short };
                (short > 0).then_some(too_soon)
            }
        };
        call.register_event_timer(overdue(departed, &flight), tag::OVERDUE);
        self.whereabouts.set(Whereabouts::InTheAir { departed, flight });
        if let Some(suspicion) = suspicion {
            out.emit(timer.key(), &suspicion);
            self.suspect(timer, call, out);
        }
    }

    /// Counts a suspicion. When they are a repeated one, it is told, and counting begins anew.
    fn suspect(&mut self, timer: Timer<'_, Text>, call: &mut KeyedCall<'_>, out: &mut Output<Text, Json<Alert>>) {
        let now = timer.time();
        self.forget_suspicions(now);
        let mut suspicions = self.suspicions.get().cloned().unwrap_or_default();
        suspicions.push(now);
        if suspicions.len() < usize::from(self.config.repetitions) {
            call.register_event_timer(now + self.within(), tag::CALM);
            self.suspicions.set(suspicions);
            return;
        }
        let since = utc::text(suspicions.first().copied().unwrap_or(now));
        out.emit(timer.key(), &Alert::Repeated { at: utc::text(now), since, suspicions: suspicions.len() });
        self.suspicions.clear();
        for at in suspicions {
            call.delete_event_timer(at + self.within(), tag::CALM);
        }
    }

    /// Drops the suspicions that are too old to count at `now`.
    fn forget_suspicions(&mut self, now: i64) {
        let within = self.within();
        let mut suspicions = self.suspicions.get().cloned().unwrap_or_default();
        suspicions.retain(|at| at + within > now);
        match suspicions.is_empty() {
            true => self.suspicions.clear(),
            false => self.suspicions.set(suspicions),
        }
    }

    /// Milliseconds.
    fn within(&self) -> i64 {
        i64::from(self.config.within_days) * 24 * 60 * MINUTE
    }
}

/// When a flight should have arrived at the latest: three times what it takes at 480 miles an hour, and an hour and a half.
fn overdue(departed: i64, flight: &Flight) -> i64 {
    departed + 3 * (i64::from(flight.distance) / 8 + 30) * MINUTE
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::{backend::TimeDomain, testing::Harness};

    use super::*;

    const CONFIG: &str = r#"{"ground-minutes": 30, "repetitions": 3, "within-days": 7}"#;
    const HOUR: i64 = 60 * MINUTE;

    /// A flight of 800 miles: overdue after 3 x (100 + 30) = 390 minutes.
    fn departs(name: &str) -> Movement {
        Movement::Departs(Flight { name: name.to_string(), distance: 800 })
    }

    fn push(harness: &mut Harness<Patterns>, at: i64, movement: Movement) {
        harness.push("N1", &movement, at).unwrap();
    }

    fn alerts(harness: &mut Harness<Patterns>) -> Vec<Alert> {
        harness.output().into_iter().map(|(_, alert, _)| alert).collect()
    }

    fn too_soon(at: i64, flight: &str, previous: &str, short: i64) -> Alert {
        Alert::TooSoon { at: utc::text(at), flight: flight.to_string(), previous: previous.to_string(), short }
    }

    #[test]
    fn it_must_have_time_to_come_back() {
        // There in an hour and back in an hour, and half an hour on the ground: 150 minutes.
        for (after, expected) in [(150, None), (149, Some(1)), (60, Some(90))] {
            let mut harness = Harness::<Patterns>::open(CONFIG).unwrap();
            push(&mut harness, after * MINUTE, departs("second"));
            push(&mut harness, HOUR, Movement::Arrives(0));
            push(&mut harness, 0, departs("first"));
            push(&mut harness, after * MINUTE + HOUR, Movement::Arrives(after * MINUTE));
            harness.finish().unwrap();
            let expected: Vec<Alert> =
                expected.map(|short| too_soon(after * MINUTE, "second", "first", short)).into_iter().collect();
            assert_eq!(alerts(&mut harness), expected, "{after} minutes");
            assert_eq!(harness.side_output::<Text, Json<Overdue>>("overdue"), []);
        }
    }

    #[test]
    fn it_cannot_depart_in_the_air() {
        let mut harness = Harness::<Patterns>::open(CONFIG).unwrap();
        push(&mut harness, 0, departs("first"));
        push(&mut harness, 59 * MINUTE, departs("second"));
        // The arrival of the first flight says nothing of the second.
        push(&mut harness, HOUR, Movement::Arrives(0));
        push(&mut harness, 2 * HOUR, Movement::Arrives(59 * MINUTE));
        harness.finish().unwrap();
        let (at, flight, previous) = (utc::text(59 * MINUTE), "second".to_string(), "first".to_string());
        assert_eq!(alerts(&mut harness), [Alert::InTheAir { at, flight, previous }]);
        assert_eq!(harness.side_output::<Text, Json<Overdue>>("overdue"), []);
    }

    #[test]
    fn a_flight_is_overdue_when_its_time_is_up_and_not_before() {
        let mut harness = Harness::<Patterns>::open(CONFIG).unwrap();
        push(&mut harness, 0, departs("first"));
        harness.watermark(390 * MINUTE - 1).unwrap();
        assert_eq!(harness.side_output::<Text, Json<Overdue>>("overdue"), []);
        harness.watermark(390 * MINUTE).unwrap();
        let overdue = harness.side_output::<Text, Json<Overdue>>("overdue");
        let expected = Overdue { at: utc::text(390 * MINUTE), flight: "first".to_string() };
        assert_eq!(overdue, [("N1".to_string(), expected, Some(390 * MINUTE))]);
        // Where it is then is not known, and so no later departure is suspicious.
        push(&mut harness, 391 * MINUTE, departs("second"));
        push(&mut harness, 392 * MINUTE, Movement::Arrives(0));
        harness.watermark(400 * MINUTE).unwrap();
        assert_eq!(alerts(&mut harness), []);
    }

    /// In the minute in which a flight is overdue it may still arrive, or be known not to have.
    #[test]
    fn what_happens_in_the_last_minute_counts() {
        let mut harness = Harness::<Patterns>::open(CONFIG).unwrap();
        push(&mut harness, 0, departs("first"));
        push(&mut harness, 390 * MINUTE, Movement::Arrives(0));
        harness.finish().unwrap();
        assert_eq!(harness.side_output::<Text, Json<Overdue>>("overdue"), []);
    }

    #[test]
    fn three_suspicions_in_seven_days_are_a_repeated_one() {
        let day = 24 * HOUR;
        // Seven days after the first one it counts no longer; from then on the second, third and fourth are three.
        for (days, repeated) in [([0, 3, 6], Some((0, 6))), ([0, 3, 7], None)] {
            let mut harness = Harness::<Patterns>::open(CONFIG).unwrap();
            for start in days.map(|days| days * day) {
                push(&mut harness, start - HOUR, departs("first"));
                push(&mut harness, start, departs("second"));
                push(&mut harness, start + HOUR, Movement::Arrives(start));
            }
            harness.finish().unwrap();
            let found = alerts(&mut harness).into_iter().find(|alert| matches!(alert, Alert::Repeated { .. }));
            let expected = repeated.map(|(since, at): (i64, i64)| Alert::Repeated {
                at: utc::text(at * day),
                since: utc::text(since * day),
                suspicions: 3,
            });
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn nothing_is_left_of_an_aircraft_at_rest() {
        let mut harness = Harness::<Patterns>::open(CONFIG).unwrap();
        for start in [0, HOUR / 2] {
            push(&mut harness, start, departs("first"));
            push(&mut harness, start + HOUR, Movement::Arrives(start));
        }
        harness.watermark(30 * 24 * HOUR).unwrap();
        harness.snapshot().unwrap();
        let stored = harness.memory().stored();
        assert!(stored.is_empty(), "{stored:?}");
        assert_eq!(harness.memory().timers(TimeDomain::EventTime).count(), 0);
    }
}
