//! Decides on which pane a time falls, and from when until when a pane is.
//!
//! Panes are numbered: pane 0 begins at the epoch, or at the offset after it, by the clock of the time zone if there is one.

#[cfg(feature = "time-zones")]
use super::zone::Zone;
use crate::error::Result;

/// Where panes of one length lie.
pub(crate) struct Calendar {
    length: i64,
    /// Not negative.
    offset: i64,
    #[cfg(feature = "time-zones")]
    zone: Option<Zone>,
    /// The pane that was asked for last: its first and last millisecond, and its number.
    last: (i64, i64, i64),
}

impl Calendar {
    /// Panes of `length` milliseconds, the first of which begins at `offset`; `length` is at least 1, `offset` at least 0.
    ///
    /// # Errors
    /// The job's, when there is no such time zone.
    pub(crate) fn new(length: i64, offset: i64, zone: Option<&str>) -> Result<Calendar> {
        #[cfg(feature = "time-zones")]
        let zone = zone.map(Zone::new).transpose()?;
        #[cfg(not(feature = "time-zones"))]
        let _ = zone;
        Ok(Calendar {
            length,
            offset,
            #[cfg(feature = "time-zones")]
            zone,
            last: (i64::MAX, i64::MIN, 0),
        })
    }

    /// The number of the pane that `time` is in.
    #[inline(always)]
    pub(crate) fn pane(&mut self, time: i64) -> i64 {
        let (first, last, pane) = self.last;
        if first <= time && time <= last { pane } else { self.find(time) }
    }

    #[inline(never)]
    fn find(&mut self, time: i64) -> i64 {
        #[cfg(feature = "time-zones")]
        let pane = match &mut self.zone {
            Some(zone) => {
                let local = zone.local(time);
                let mut pane = self.floor(local);
                // Where clocks go back, the hour that comes twice belongs to the pane that it began in the first time.
                while self.start(pane + 1) <= time && self.start(pane + 1) < i64::MAX {
                    pane += 1;
                }
                pane
            }
            None => self.floor(time),
        };
        #[cfg(not(feature = "time-zones"))]
        let pane = self.floor(time);
        let last = match self.start(pane.saturating_add(1)) {
            i64::MAX => i64::MAX,
            next => next - 1,
        };
        self.last = (self.start(pane), last, pane);
        pane
    }

    /// Neither number is that of no pane: those at the ends of `i64` are left free.
    #[inline]
    fn floor(&self, time: i64) -> i64 {
        let pane = match time.checked_sub(self.offset) {
            Some(after) => after.div_euclid(self.length),
            None => i64::MIN.div_euclid(self.length).saturating_sub(self.offset / self.length).saturating_sub(1),
        };
        pane.clamp(-i64::MAX, i64::MAX - 1)
    }

    /// When pane number `pane` begins, which is when the one before it ends; at the bounds of `i64` what lies beyond them.
    pub(crate) fn start(&self, pane: i64) -> i64 {
        let start = i128::from(pane) * i128::from(self.length) + i128::from(self.offset);
        let start = start.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        #[cfg(feature = "time-zones")]
        if let Some(zone) = &self.zone {
            return zone.instant(start);
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn panes_follow_one_another(length in 1i64..1 << 40, offset in 0i64..1 << 41, time: i64) {
            let mut calendar = Calendar::new(length, offset, None).unwrap();
            let pane = calendar.pane(time);
            prop_assert!(calendar.start(pane) <= time);
            prop_assert!(time < calendar.start(pane + 1) || calendar.start(pane + 1) == i64::MAX);
            // Once more, from what was kept.
            prop_assert_eq!(calendar.pane(time), pane);
        }
    }

    #[cfg(feature = "time-zones")]
    mod zones {
        use super::*;

        const HOUR: i64 = 3_600_000;

        /// Clocks that skip midnight, half an hour or a day, show midnight twice, and are off by three quarters of an hour.
        const ZONES: [&str; 8] = [
            "Europe/Berlin",
            "America/New_York",
            "America/Sao_Paulo",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "America/Havana",
            "Asia/Kathmandu",
            "UTC",
        ];

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(20_000))]

            #[test]
            fn days_begin_when_they_do(zone in prop::sample::select(&ZONES[..]), minute in -40 * 525_960i64..90 * 525_960) {
                let time = minute * 60_000 + 7;
                let mut calendar = Calendar::new(24 * HOUR, 0, Some(zone)).unwrap();
                let pane = calendar.pane(time);
                let at = jiff::Timestamp::from_millisecond(time).unwrap().in_tz(zone).unwrap();
                let midnight = at.start_of_day().unwrap();
                prop_assert_eq!(calendar.start(pane), midnight.timestamp().as_millisecond());
                prop_assert!(time < calendar.start(pane + 1));
                let next = jiff::Timestamp::from_millisecond(calendar.start(pane + 1)).unwrap().in_tz(zone).unwrap();
                prop_assert!(next.date() > at.date());
            }

            #[test]
            fn every_time_is_in_one_pane(
                zone in prop::sample::select(&ZONES[..]),
                minutes in 1i64..3_000,
                offset in 0i64..3_000,
                time in prop_oneof![-2_000_000_000_000i64..4_000_000_000_000, any::<i64>()],
            ) {
                let mut calendar = Calendar::new(minutes * 60_000, offset * 60_000, Some(zone)).unwrap();
                let pane = calendar.pane(time);
                prop_assert!(calendar.start(pane) <= time);
                prop_assert!(time < calendar.start(pane + 1) || calendar.start(pane + 1) == i64::MAX);
                prop_assert!(calendar.start(pane - 1) <= calendar.start(pane));
            }
        }

        #[test]
        fn the_hour_that_comes_twice_is_one() {
            // 2024-10-27 in Berlin: 02:00 to 03:00 is from 00:00 UTC to 02:00 UTC.
            let midnight = 1_729_987_200_000;
            let mut calendar = Calendar::new(HOUR, 0, Some("Europe/Berlin")).unwrap();
            let panes: Vec<i64> = (-1..4).map(|half| calendar.pane(midnight + half * HOUR / 2)).collect();
            assert_eq!(
                [panes[1] - panes[0], panes[2] - panes[1], panes[3] - panes[2], panes[4] - panes[3]],
                [1, 0, 0, 0]
            );
            assert_eq!((calendar.start(panes[1]), calendar.start(panes[1] + 1)), (midnight, midnight + 2 * HOUR));
            // In halves, it is the second half that is longer.
            let mut calendar = Calendar::new(HOUR / 2, 0, Some("Europe/Berlin")).unwrap();
            let second = calendar.pane(midnight + HOUR + 7);
            assert_eq!(
                (calendar.start(second), calendar.start(second + 1)),
                (midnight + HOUR / 2, midnight + 2 * HOUR)
            );
        }

        #[test]
        fn what_was_asked_for_before_changes_nothing() {
            // 2024-03-31 01:00 UTC, when Berlin goes from UTC+1 to UTC+2, and 2024-10-27 01:00 UTC, when it goes back.
            let moments = [1_711_846_800_000i64, 1_729_990_800_000];
            let times: Vec<i64> = moments.iter().flat_map(|at| [*at, at - 1, at + 1, at - HOUR, at + HOUR]).collect();
            for (first, then) in times.iter().flat_map(|first| times.iter().map(move |then| (*first, *then))) {
                let calendar = || Calendar::new(HOUR / 4, 0, Some("Europe/Berlin")).unwrap();
                let mut used = calendar();
                used.pane(first);
                assert_eq!(used.pane(then), calendar().pane(then), "{first} then {then}");
            }
        }

        #[test]
        fn a_zone_that_does_not_exist_is_refused() {
            let error = Calendar::new(HOUR, 0, Some("Mars/Olympus")).err().unwrap();
            assert!(error.message().contains("there is no time zone `Mars/Olympus`"), "{error}");
        }
    }
}
