//! Decides where windows begin, which time they are of, how long late records are taken, and what fires them.

use std::time::Duration;

use super::{Kind, Windows};
use crate::{backend::TimeDomain, window::Trigger};

impl Windows {
    /// Windows begin this much later than they would: days that begin at six, say. Only of tumbling and sliding windows.
    pub fn offset(mut self, offset: Duration) -> Windows {
        match i64::try_from(offset.as_millis()) {
            Ok(milliseconds) => self.offset = milliseconds,
            Err(_) => self.fail(format!("an offset of {offset:?} is too long")),
        }
        match self.kind {
            Kind::Aligned { .. } => self,
            Kind::Session { .. } | Kind::Global => self.failing("only tumbling and sliding windows have an offset"),
        }
    }

    /// Windows begin by the clock of a time zone, named as in the IANA database: with a size of 24 hours they are the days of
    /// that zone, of which one has 23 hours and one 25 where clocks are changed. Only of tumbling and sliding windows.
    ///
    /// A window is from the moment at which that clock first shows its start until the moment at which it first shows its end.
    /// So each record is in one (tumbling) window; the window in which clocks go back is longer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmill_sdk::{prelude::*, testing::Harness};
    ///
    /// /// Counts by the days of Berlin, and tells how many hours each had.
    /// struct Days;
    ///
    /// #[operator]
    /// impl WindowOperator for Days {
    ///     type Key = Text;
    ///     type Value = ();
    ///     type Accumulator = u64;
    ///     type Output = Output<Text, Postcard<(u64, i64)>>;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
    ///         Ok((Days, Windows::tumbling(Duration::from_hours(24)).zone("Europe/Berlin")))
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
    ///     fn emit(&mut self, key: &str, day: Window, count: &u64, out: &mut Self::Output) -> Result<()> {
    ///         out.emit(key, &(*count, (day.end - day.start) / 3_600_000));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// const HOUR: i64 = 3_600_000;
    /// const MARCH_28: i64 = 1_711_580_400_000; // 2024, midnight in Berlin, which is 23:00 UTC of the day before
    /// let mut harness = Harness::<Days>::open("{}").unwrap();
    /// for hour in 0..5 * 24 {
    ///     harness.push("a", (), MARCH_28 + hour * HOUR).unwrap();
    /// }
    /// harness.watermark(MARCH_28 + 5 * 24 * HOUR).unwrap();
    /// let days: Vec<_> = harness.output().into_iter().map(|(_, day, _)| day).collect();
    /// assert_eq!(days, [(24, 24), (24, 24), (24, 24), (23, 23), (24, 24)]);
    /// ```
    #[cfg(feature = "time-zones")]
    pub fn zone(mut self, name: &str) -> Windows {
        self.zone = Some(name.to_string());
        match self.kind {
            Kind::Aligned { .. } => self,
            Kind::Session { .. } | Kind::Global => self.failing("only tumbling and sliding windows have a time zone"),
        }
    }

    /// A record that comes when its window has fired is taken all the same, until the watermark is this far past the window's
    /// last millisecond: the window fires again with all it has. Of event time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmill_sdk::{prelude::*, testing::Harness};
    ///
    /// struct Sum;
    ///
    /// #[operator]
    /// impl WindowOperator for Sum {
    ///     type Key = Text;
    ///     type Value = i64;
    ///     type Accumulator = i64;
    ///     type Output = Output<Text, i64>;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
    ///         Ok((Sum, Windows::tumbling(Duration::from_secs(1)).allowed_lateness(Duration::from_secs(1))))
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
    /// let mut harness = Harness::<Sum>::open("{}").unwrap();
    /// harness.push("a", 1, 500).unwrap();
    /// harness.watermark(1_500).unwrap();
    /// harness.push("a", 2, 600).unwrap();
    /// assert_eq!(harness.output(), [("a".to_string(), 1, Some(999)), ("a".to_string(), 3, Some(999))]);
    /// harness.watermark(1_999).unwrap();
    /// harness.push("a", 4, 700).unwrap();
    /// assert!(harness.output().is_empty());
    /// assert_eq!(harness.side_output::<Text, i64>("late"), [("a".to_string(), 4, Some(700))]);
    /// assert_eq!(harness.metric("late_records"), Some(1.0));
    /// ```
    pub fn allowed_lateness(mut self, lateness: Duration) -> Windows {
        self.allowed_lateness = i64::try_from(lateness.as_millis()).unwrap_or(i64::MAX);
        self
    }

    /// Windows are of processing time: a record is in those of the moment at which it is processed, and they fire when the clock
    /// shows their end. The time of the record is not looked at, none is late, and results depend on when records come. Windows that are
    /// open when the input ends are not emitted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmill_sdk::{prelude::*, testing::Harness};
    ///
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
    ///         Ok((Count, Windows::tumbling(Duration::from_secs(10)).processing_time()))
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
    /// harness.processing_time(1_000).unwrap();
    /// harness.push("a", (), 77).unwrap();
    /// harness.push("a", (), 20_000).unwrap();
    /// harness.processing_time(10_000).unwrap();
    /// assert_eq!(harness.output(), [("a".to_string(), 2, Some(9_999))]);
    /// ```
    pub fn processing_time(mut self) -> Windows {
        self.domain = TimeDomain::ProcessingTime;
        self
    }

    /// Windows fire when `trigger` says so, and not by themselves. Each window then holds what it gathered for itself: a record
    /// of a sliding window is added once for each window it belongs to.
    pub fn trigger(mut self, trigger: impl Trigger) -> Windows {
        self.trigger = Some(Box::new(trigger));
        self
    }
}
