//! Decides which times are within bounds of each other, and how long a row is needed.

use crate::error::{Error, Result};

/// How far the time of a right row may be from that of a left row, in milliseconds: negative where the right one is earlier.
/// Both bounds belong to it unless they are excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    lower: Bound,
    upper: Bound,
}

/// Where an interval ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    at: i64,
    is_exclusive: bool,
}

/// A time that may be out of the range of times.
fn clamped(time: i128) -> i64 {
    time.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// The times from `first` to `last`, if there are any.
fn range(first: i128, last: i128) -> Option<(i64, i64)> {
    let is_any = first <= last && first <= i64::MAX.into() && last >= i64::MIN.into();
    is_any.then(|| (clamped(first), clamped(last)))
}

impl Interval {
    /// Joins where `left.time + lower <= right.time <= left.time + upper`, in milliseconds.
    ///
    /// ```
    /// use wasmill_sdk::join::Interval;
    ///
    /// // From five seconds before the left row until before two seconds after it.
    /// let interval = Interval::between(-5_000, 2_000).upper_exclusive();
    /// # assert_ne!(interval, Interval::between(-5_000, 2_000));
    /// ```
    pub fn between(lower: i64, upper: i64) -> Interval {
        let bound = |at| Bound { at, is_exclusive: false };
        Interval { lower: bound(lower), upper: bound(upper) }
    }

    /// The lower bound does not belong to it.
    #[must_use = "it is another interval"]
    pub fn lower_exclusive(mut self) -> Interval {
        self.lower.is_exclusive = true;
        self
    }

    /// The upper bound does not belong to it.
    #[must_use = "it is another interval"]
    pub fn upper_exclusive(mut self) -> Interval {
        self.upper.is_exclusive = true;
        self
    }

    /// The least distance that belongs to it.
    fn lower(&self) -> i128 {
        i128::from(self.lower.at) + i128::from(self.lower.is_exclusive)
    }

    /// The greatest distance that belongs to it.
    fn upper(&self) -> i128 {
        i128::from(self.upper.at) - i128::from(self.upper.is_exclusive)
    }

    /// Verifies that it holds any time.
    ///
    /// # Errors
    /// The job's.
    pub(super) fn check(&self) -> Result {
        match self.lower() <= self.upper() {
            true => Ok(()),
            false => Err(Error::job(format_args!(
                "the interval of the join is from {} to {} ms, where bounds belong to it: nothing is in it",
                self.lower(),
                self.upper()
            ))),
        }
    }

    /// The times of the right rows that join a left one, first and last.
    pub(super) fn rights_of(&self, left: i64) -> Option<(i64, i64)> {
        range(i128::from(left) + self.lower(), i128::from(left) + self.upper())
    }

    /// The times of the left rows that join a right one.
    pub(super) fn lefts_of(&self, right: i64) -> Option<(i64, i64)> {
        range(i128::from(right) - self.upper(), i128::from(right) - self.lower())
    }

    /// The watermark at which no right row can come any more that joins a left one.
    pub(super) fn left_until(&self, left: i64) -> i64 {
        clamped(i128::from(left) + self.upper().max(0))
    }

    /// The watermark at which no left row can come any more that joins a right one.
    pub(super) fn right_until(&self, right: i64) -> i64 {
        clamped(i128::from(right) - self.lower().min(0))
    }

    /// The first time whose left rows are kept at a watermark.
    pub(super) fn first_kept_left(&self, watermark: i64) -> i64 {
        clamped(i128::from(watermark) - self.upper().max(0) + 1)
    }

    /// The first time whose right rows are kept at a watermark.
    pub(super) fn first_kept_right(&self, watermark: i64) -> i64 {
        clamped(i128::from(watermark) + self.lower().min(0) + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = i64> {
        prop_oneof![-9i64..9, (i64::MAX - 9)..=i64::MAX, i64::MIN + 1..i64::MIN + 9, any::<i64>()]
    }

    fn is_in(range: Option<(i64, i64)>, time: i64) -> bool {
        range.is_some_and(|(first, last)| first <= time && time <= last)
    }

    proptest! {
        #[test]
        fn ranges_are_those_of_the_definition(left in time(), right in time(), lower in time(), upper in time()) {
            let interval = Interval::between(lower, upper);
            let distance = i128::from(right) - i128::from(left);
            let joins = i128::from(lower) <= distance && distance <= i128::from(upper);
            prop_assert_eq!(is_in(interval.rights_of(left), right), joins);
            prop_assert_eq!(is_in(interval.lefts_of(right), left), joins);
        }

        #[test]
        fn what_is_kept_is_what_is_needed(left in time(), watermark in time(), lower in time(), upper in time()) {
            let interval = Interval::between(lower, upper);
            // At the very end of time nothing is needed any more.
            let (until, from) = (interval.left_until(left), interval.first_kept_left(watermark));
            prop_assert_eq!(until > watermark, left >= from && watermark < i64::MAX);
            let (until, from) = (interval.right_until(left), interval.first_kept_right(watermark));
            prop_assert_eq!(until > watermark, left >= from && watermark < i64::MAX);
        }
    }
}
