//! Reads event times out of rows.

use jiff::Timestamp;

/// Where the event time of a row is, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTime {
    /// A JSON pointer, or the name of a CSV column.
    pub field: String,
    /// How it is written.
    pub format: TimeFormat,
}

/// How an event time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// As `2024-05-01T12:30:00Z`, with any offset.
    Rfc3339,
    /// Milliseconds since the Unix epoch.
    Milliseconds,
    /// Seconds since the Unix epoch; a fraction counts.
    Seconds,
}

impl TimeFormat {
    /// Milliseconds since the Unix epoch; `None` when `text` is not such a time.
    pub(crate) fn read(self, text: &str) -> Option<i64> {
        match self {
            TimeFormat::Rfc3339 => text.trim().parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
            TimeFormat::Milliseconds => text.trim().parse().ok().filter(|&time: &i64| time != i64::MIN),
            TimeFormat::Seconds => match text.trim().parse::<i64>() {
                Ok(seconds) => seconds.checked_mul(1_000),
                Err(_) => {
                    let milliseconds = text.trim().parse::<f64>().ok()? * 1_000.0;
                    (milliseconds.abs() < 9e18).then_some(milliseconds.round() as i64)
                }
            },
        }
    }
}

/// Whether a field says that there is no time: empty, or as statistics packages write it.
pub(crate) fn is_absent(text: &str) -> bool {
    matches!(text.trim(), "" | "NA" | "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by `date -u -d ... +%s`.
    #[test]
    fn times_are_read_as_written() {
        use TimeFormat::*;
        assert_eq!(Rfc3339.read("2013-01-01T05:15:00Z"), Some(1_357_017_300_000));
        assert_eq!(Rfc3339.read("2013-01-01T05:15:00.250-05:00"), Some(1_357_035_300_250));
        assert_eq!(Rfc3339.read("yesterday"), None);
        assert_eq!(Milliseconds.read("-7"), Some(-7));
        assert_eq!(Seconds.read("1357017300"), Some(1_357_017_300_000));
        assert_eq!(Seconds.read("1.5"), Some(1_500));
        assert_eq!(Seconds.read("1e300"), None);
        assert!(is_absent("NA") && is_absent(" ") && !is_absent("0"));
    }
}
