//! Reads dates, minutes and hours off milliseconds since the Unix epoch, in UTC.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds of a day.
pub const DAY: i64 = 86_400_000;

/// A day, counted from 1970-01-01. As JSON `2015-07-15`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Day(pub i64);

impl Day {
    /// The day of `time`.
    pub fn of(time: i64) -> Day {
        Day(time.div_euclid(DAY))
    }

    /// When it is over, milliseconds since the Unix epoch.
    pub fn end(self) -> i64 {
        self.0.saturating_add(1).saturating_mul(DAY)
    }
}

impl fmt::Display for Day {
    /// By Howard Hinnant's `civil_from_days`: years begin in March, so that a leap day ends one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0 + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A minute of a day. As JSON `23:59`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Minute(pub u32);

impl Minute {
    /// The minute of `time`.
    pub fn of(time: i64) -> Minute {
        Minute((time.rem_euclid(DAY) / 60_000) as u32)
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// The hour of `time`, 0 to 23.
pub fn hour(time: i64) -> i64 {
    time.rem_euclid(DAY) / 3_600_000
}

macro_rules! text_for_people {
    ($($name:ident),*) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Deserialize::deserialize(deserializer).map($name)
            }
        }
    )* };
}

text_for_people!(Day, Minute);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_minutes_are_those_of_the_calendar() {
        // By `date -u -d @SECONDS`.
        let of = |seconds: i64| (Day::of(seconds * 1000).to_string(), Minute::of(seconds * 1000).to_string());
        let text = |day: &str, minute: &str| (day.to_string(), minute.to_string());
        assert_eq!(of(0), text("1970-01-01", "00:00"));
        assert_eq!(of(-1), text("1969-12-31", "23:59"));
        assert_eq!(of(1_436_918_400), text("2015-07-15", "00:00"));
        assert_eq!(of(1_456_790_399), text("2016-02-29", "23:59"));
        assert_eq!(of(1_456_790_400), text("2016-03-01", "00:00"));
        assert_eq!(of(951_826_500), text("2000-02-29", "12:15"));
        assert_eq!(of(4_107_542_340), text("2100-02-28", "23:59"));
        assert_eq!((hour(-1), hour(1_436_918_400_000 + 3_600_000 * 7)), (23, 7));
    }
}
