//! Decides which windows there are: of what kind and length.

mod settings;

use std::{fmt, time::Duration};

use super::trigger::{CountTrigger, PurgingTrigger, Trigger};
use crate::{
    backend::TimeDomain,
    error::{Error, Result},
};

/// One window: from `start` on, until before `end`, in milliseconds since the Unix epoch.
///
/// The window of [`Windows::global`] and [`Windows::count`] is from `i64::MIN` to `i64::MAX`. A window that would reach beyond
/// the range of `i64` ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first millisecond.
    pub start: i64,
    /// The first millisecond after it; `i64::MAX` for a window without an end.
    pub end: i64,
}

impl Window {
    /// All of time.
    pub const GLOBAL: Window = Window { start: i64::MIN, end: i64::MAX };

    /// Its last millisecond, at which it fires and which its results have as their time: one before the end. That of a window
    /// without an end is [`END_OF_TIME`](crate::END_OF_TIME).
    #[inline]
    pub fn last(&self) -> i64 {
        if self.end == i64::MAX { i64::MAX } else { self.end - 1 }
    }

    /// The smallest window that covers both.
    pub fn cover(&self, other: Window) -> Window {
        Window { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// What sort of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of `size`, one every `slide`, milliseconds; tumbling where they are equal.
    Aligned { size: i64, slide: i64 },
    /// Of records less than, or just, `gap` milliseconds apart.
    Session { gap: i64 },
    /// One for all time.
    Global,
}

/// Which windows there are. Made in `open` of a [`WindowOperator`](super::WindowOperator).
///
/// Lengths are whole milliseconds, at least one; what is wrong with them is an error when the operator is opened.
pub struct Windows {
    pub(crate) kind: Kind,
    pub(crate) domain: TimeDomain,
    /// Milliseconds by which windows begin later than at the epoch.
    pub(crate) offset: i64,
    pub(crate) allowed_lateness: i64,
    pub(crate) zone: Option<String>,
    /// What fires them, if not their end.
    pub(crate) trigger: Option<Box<dyn Trigger>>,
    failure: Option<String>,
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Windows { kind, domain, offset, allowed_lateness, zone, trigger, .. } = self;
        let mut described = f.debug_struct("Windows");
        described.field("kind", kind).field("domain", domain).field("offset", offset);
        described.field("allowed_lateness", allowed_lateness).field("zone", zone);
        described.field("trigger", &trigger.is_some()).finish_non_exhaustive()
    }
}

impl Windows {
    fn new(kind: Kind) -> Windows {
        Windows {
            kind,
            domain: TimeDomain::EventTime,
            offset: 0,
            allowed_lateness: 0,
            zone: None,
            trigger: None,
            failure: None,
        }
    }

    /// Windows of one length, one after the other: each record is in one. They begin at the epoch and every `size` from there.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmill_sdk::{prelude::*, testing::Harness};
    ///
    /// /// Counts the records of each key in windows of ten seconds.
    /// struct Count;
    ///
    /// #[operator]
    /// impl WindowOperator for Count {
    ///     type Key = Text;
    ///     type Value = ();
    ///     type Accumulator = u64;
    ///     type Output = Output<Text, u64>;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
    ///         Ok((Count, Windows::tumbling(Duration::from_secs(10))))
    ///     }
    ///
    ///     fn add(&mut self, _: &Record<'_, Text, ()>, count: &mut u64) -> Result<()> {
    ///         *count += 1;
    ///         Ok(())
    ///     }
    ///
    ///     fn merge(&mut self, count: &mut u64, other: &u64) -> Result<()> {
    ///         *count += other;
    ///         Ok(())
    ///     }
    ///
    ///     fn emit(&mut self, key: &str, _: Window, count: &u64, out: &mut Self::Output) -> Result<()> {
    ///         out.emit(key, *count);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut harness = Harness::<Count>::open("{}").unwrap();
    /// for (word, time) in [("be", 1_000), ("or", 9_999), ("be", 2_000), ("be", 10_000)] {
    ///     harness.push(word, (), time).unwrap();
    /// }
    /// harness.watermark(9_998).unwrap();
    /// assert!(harness.output().is_empty());
    /// harness.watermark(9_999).unwrap();
    /// assert_eq!(harness.output(), [("be".to_string(), 2, Some(9_999)), ("or".to_string(), 1, Some(9_999))]);
    /// harness.finish().unwrap();
    /// assert_eq!(harness.output(), [("be".to_string(), 1, Some(19_999))]);
    /// ```
    pub fn tumbling(size: Duration) -> Windows {
        let (size, failure) = length("the size of windows", size);
        Windows { failure, ..Windows::new(Kind::Aligned { size, slide: size }) }
    }

    /// Windows of `size` that begin every `slide`: a record is in `size / slide` of them. Where `slide` is longer there are gaps
    /// between them, and a record in a gap is in none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmill_sdk::{prelude::*, testing::Harness};
    ///
    /// /// The highest reading of the last ten minutes, every five.
    /// struct Highest;
    ///
    /// #[operator]
    /// impl WindowOperator for Highest {
    ///     type Key = u64;
    ///     type Value = f64;
    ///     type Accumulator = Postcard<Option<f64>>;
    ///     type Output = Output<u64, f64>;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
    ///         Ok((Highest, Windows::sliding(Duration::from_mins(10), Duration::from_mins(5))))
    ///     }
    ///
    ///     fn add(&mut self, reading: &Record<'_, u64, f64>, highest: &mut Option<f64>) -> Result<()> {
    ///         *highest = Some(highest.map_or(reading.value, |highest| highest.max(reading.value)));
    ///         Ok(())
    ///     }
    ///
    ///     fn merge(&mut self, highest: &mut Option<f64>, other: &Option<f64>) -> Result<()> {
    ///         *highest = (*highest).into_iter().chain(*other).reduce(f64::max);
    ///         Ok(())
    ///     }
    ///
    ///     fn emit(&mut self, sensor: u64, _: Window, highest: &Option<f64>, out: &mut Self::Output) -> Result<()> {
    ///         highest.iter().for_each(|highest| out.emit(sensor, *highest));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// const MINUTE: i64 = 60_000;
    /// let mut harness = Harness::<Highest>::open("{}").unwrap();
    /// for (reading, minute) in [(20.0, 1), (23.0, 4), (21.0, 7)] {
    ///     harness.push(1, reading, minute * MINUTE).unwrap();
    /// }
    /// harness.finish().unwrap();
    /// let expected = [(23.0, 5), (23.0, 10), (21.0, 15)].map(|(reading, end)| (1, reading, Some(end * MINUTE - 1)));
    /// assert_eq!(harness.output(), expected);
    /// ```
    pub fn sliding(size: Duration, slide: Duration) -> Windows {
        let (size, failure) = length("the size of windows", size);
        let (slide, other) = length("the slide of windows", slide);
        Windows { failure: failure.or(other), ..Windows::new(Kind::Aligned { size, slide }) }
    }

    /// A window goes on while records come: it ends `gap` after the last one. A record that comes in out of order may
    /// join two windows to one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmill_sdk::{prelude::*, testing::Harness};
    ///
    /// /// How many pages a visitor looked at before half an hour went by without any, and for how long.
    /// struct Visits;
    ///
    /// #[operator]
    /// impl WindowOperator for Visits {
    ///     type Key = Text;
    ///     type Value = ();
    ///     type Accumulator = u64;
    ///     type Output = Output<Text, Postcard<(u64, i64)>>;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
    ///         Ok((Visits, Windows::session(Duration::from_mins(30))))
    ///     }
    ///
    ///     fn add(&mut self, _: &Record<'_, Text, ()>, pages: &mut u64) -> Result<()> {
    ///         *pages += 1;
    ///         Ok(())
    ///     }
    ///
    ///     fn merge(&mut self, pages: &mut u64, other: &u64) -> Result<()> {
    ///         *pages += other;
    ///         Ok(())
    ///     }
    ///
    ///     fn emit(&mut self, visitor: &str, visit: Window, pages: &u64, out: &mut Self::Output) -> Result<()> {
    ///         out.emit(visitor, &(*pages, (visit.end - visit.start) / 60_000));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut harness = Harness::<Visits>::open("{}").unwrap();
    /// for minute in [0, 50, 25, 120] {
    ///     harness.push("ann", (), minute * 60_000).unwrap();
    /// }
    /// harness.finish().unwrap();
    /// let visits: Vec<_> = harness.output().into_iter().map(|(_, visit, _)| visit).collect();
    /// assert_eq!(visits, [(3, 80), (1, 30)]);
    /// ```
    pub fn session(gap: Duration) -> Windows {
        let (gap, failure) = length("the gap of sessions", gap);
        Windows { failure, ..Windows::new(Kind::Session { gap }) }
    }

    /// A window ends with its `n`th record, at once. Its results have the time of that record. One that is not complete
    /// when the input ends is not emitted.
    ///
    /// ```
    /// use wasmill_sdk::{prelude::*, testing::Harness};
    ///
    /// /// The sum of every three numbers of a key.
    /// struct Threes;
    ///
    /// #[operator]
    /// impl WindowOperator for Threes {
    ///     type Key = Text;
    ///     type Value = i64;
    ///     type Accumulator = i64;
    ///     type Output = Output<Text, i64>;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
    ///         Ok((Threes, Windows::count(3)))
    ///     }
    ///
    ///     fn add(&mut self, number: &Record<'_, Text, i64>, sum: &mut i64) -> Result<()> {
    ///         *sum += number.value;
    ///         Ok(())
    ///     }
    ///
    ///     fn merge(&mut self, sum: &mut i64, other: &i64) -> Result<()> {
    ///         *sum += other;
    ///         Ok(())
    ///     }
    ///
    ///     fn emit(&mut self, key: &str, _: Window, sum: &i64, out: &mut Self::Output) -> Result<()> {
    ///         out.emit(key, *sum);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut harness = Harness::<Threes>::open("{}").unwrap();
    /// for number in 1..=7 {
    ///     harness.push("a", number, number).unwrap();
    /// }
    /// assert_eq!(harness.output(), [("a".to_string(), 6, Some(3)), ("a".to_string(), 15, Some(6))]);
    /// ```
    pub fn count(n: u64) -> Windows {
        let failure = (n == 0).then(|| "a count window of no records would never end".to_string());
        let trigger = PurgingTrigger::of(CountTrigger::of(n));
        Windows { failure, ..Windows::global(trigger) }
    }

    /// One window for all time, for each key, which `trigger` fires. Its results have the time of the record or timer at which
    /// it does. What is not purged stays in state.
    ///
    /// ```
    /// use wasmill_sdk::{
    ///     prelude::*,
    ///     testing::Harness,
    ///     window::trigger::{TriggerContext, TriggerResult},
    /// };
    ///
    /// /// Fires at most once a minute after the first record: a pause for alarms.
    /// struct AMinuteLater;
    ///
    /// impl Trigger for AMinuteLater {
    ///     fn on_element(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
    ///         if window.rows() == 1 {
    ///             window.register_event_timer(time + 60_000);
    ///         }
    ///         TriggerResult::Continue
    ///     }
    ///
    ///     fn on_event_time(&mut self, _: i64, _: &mut TriggerContext<'_>) -> TriggerResult {
    ///         TriggerResult::FireAndPurge
    ///     }
    /// }
    ///
    /// /// Gathers the alarms of a machine in one message.
    /// struct Alarms;
    ///
    /// #[operator]
    /// impl WindowOperator for Alarms {
    ///     type Key = u64;
    ///     type Value = Text;
    ///     type Accumulator = Text;
    ///     type Output = Output<u64, Text>;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
    ///         Ok((Alarms, Windows::global(AMinuteLater)))
    ///     }
    ///
    ///     fn add(&mut self, alarm: &Record<'_, u64, Text>, message: &mut String) -> Result<()> {
    ///         message.push_str(alarm.value);
    ///         message.push(';');
    ///         Ok(())
    ///     }
    ///
    ///     fn merge(&mut self, message: &mut String, other: &String) -> Result<()> {
    ///         message.push_str(other);
    ///         Ok(())
    ///     }
    ///
    ///     fn emit(&mut self, machine: u64, _: Window, message: &String, out: &mut Self::Output) -> Result<()> {
    ///         out.emit(machine, message);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut harness = Harness::<Alarms>::open("{}").unwrap();
    /// for (alarm, time) in [("hot", 0), ("loud", 5_000)] {
    ///     harness.push(1, alarm, time).unwrap();
    /// }
    /// harness.watermark(60_000).unwrap();
    /// assert_eq!(harness.output(), [(1, "hot;loud;".to_string(), Some(60_000))]);
    /// ```
    pub fn global(trigger: impl Trigger) -> Windows {
        Windows { trigger: Some(Box::new(trigger)), ..Windows::new(Kind::Global) }
    }

    fn fail(&mut self, message: String) {
        self.failure.get_or_insert(message);
    }

    fn failing(mut self, message: &str) -> Windows {
        self.fail(message.to_string());
        self
    }

    /// Tells what is wrong with them.
    pub(crate) fn check(&self) -> Result {
        if let Some(message) = &self.failure {
            return Err(Error::job(format_args!("windows: {message}")));
        }
        if self.domain == TimeDomain::ProcessingTime && self.allowed_lateness > 0 {
            return Err(Error::job("windows: in processing time nothing is late: there is no lateness to allow"));
        }
        Ok(())
    }
}

/// A duration in milliseconds, and what is wrong with it; 1 then.
fn length(what: &str, duration: Duration) -> (i64, Option<String>) {
    match i64::try_from(duration.as_millis()) {
        Ok(milliseconds) if milliseconds > 0 && duration.subsec_nanos().is_multiple_of(1_000_000) => {
            (milliseconds, None)
        }
        _ => (1, Some(format!("{what} is {duration:?}: it must be whole milliseconds, at least one"))),
    }
}
