//! Reads the clock of a time zone.

use jiff::{Timestamp, civil, tz::TimeZone};

use crate::error::{Error, Result};

/// A time zone of the IANA database, which is part of the component.
pub(crate) struct Zone {
    zone: TimeZone,
    /// The span in which the clock is `offset` ahead of UTC, as was found last: first and last millisecond, and the offset.
    span: (i64, i64, i64),
}

impl Zone {
    /// # Errors
    /// The job's, when there is no such zone.
    pub(crate) fn new(name: &str) -> Result<Zone> {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(name);
        let zone = zone.map_err(|error| {
            Error::job(format_args!(
                "windows: there is no time zone `{name}` ({error}): names are those of the IANA database, `Europe/Berlin` say"
            ))
        })?;
        Ok(Zone { zone, span: (i64::MAX, i64::MIN, 0) })
    }

    /// What the clock shows at `time`, in milliseconds, as if it were UTC.
    pub(crate) fn local(&mut self, time: i64) -> i64 {
        let (first, last, offset) = self.span;
        if first <= time && time <= last {
            return time.saturating_add(offset);
        }
        let at = timestamp(time);
        let offset = self.offset(at);
        // Bounds of the span; where there is none on a side, nothing changes any more.
        let first =
            self.zone.preceding(after(at)).next().map_or(i64::MIN, |change| change.timestamp().as_millisecond());
        let last = self.zone.following(at).next().map_or(i64::MAX, |change| change.timestamp().as_millisecond() - 1);
        self.span = (first.min(time), last.max(time), offset);
        time.saturating_add(offset)
    }

    fn offset(&self, at: Timestamp) -> i64 {
        i64::from(self.zone.to_offset(at).seconds()) * 1000
    }

    /// The first moment at which the clock shows `local`, as above, or, as it may skip that, something later.
    pub(crate) fn instant(&self, local: i64) -> i64 {
        let Some(shown) = shown(local) else {
            // Beyond the years that calendars know, offsets are as at their ends.
            return local.saturating_sub(self.offset(timestamp(local)));
        };
        let at = self.zone.to_ambiguous_timestamp(shown);
        let found = match at.offset() {
            jiff::tz::AmbiguousOffset::Unambiguous { offset } => Some(offset),
            // The clock goes from before the gap to after it in no time: at that moment.
            jiff::tz::AmbiguousOffset::Gap { before, .. } => {
                let before = i64::from(before.seconds()) * 1000;
                let inside = timestamp(local.saturating_sub(before));
                let change = self.zone.preceding(after(inside)).next();
                return change.map_or(local.saturating_sub(before), |change| change.timestamp().as_millisecond());
            }
            // It shows this twice: `before` is the offset of the first time.
            jiff::tz::AmbiguousOffset::Fold { before, .. } => Some(before),
        };
        found.map_or(local, |offset| local.saturating_sub(i64::from(offset.seconds()) * 1000))
    }
}

/// A moment just after `at`.
fn after(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond() + 1).unwrap_or(Timestamp::MAX)
}

/// `time`, or the nearest that is within the years that calendars know.
fn timestamp(time: i64) -> Timestamp {
    let (least, most) = (Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    Timestamp::from_millisecond(time.clamp(least, most)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What a clock shows, if it is within the years that calendars know, and a day off their ends, so that every offset is too.
fn shown(local: i64) -> Option<civil::DateTime> {
    const DAY: i64 = 86_400_000;
    if !(Timestamp::MIN.as_millisecond() + DAY..=Timestamp::MAX.as_millisecond() - DAY).contains(&local) {
        return None;
    }
    let at = Timestamp::from_millisecond(local).ok()?;
    Some(at.to_zoned(TimeZone::UTC).datetime())
}
