//! Decides how figures are shown to people: counts, rates, sizes, durations and event times.

use std::time::Duration;

use wasmill_core::time::{END_OF_TIME, NO_WATERMARK};

/// `1234567` as `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Records a second with three digits: `0/s`, `9.50/s`, `123/s`, `45.6k/s`, `7.89M/s`.
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second <= 0.0 {
        return "0/s".to_string();
    }
    let (mut value, mut unit) = (per_second, "");
    for next in ["k", "M", "G"] {
        // 999.5 would be rounded to four digits.
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    format!("{}{unit}/s", three_digits(value))
}

/// Nanoseconds a record: `0.12`, `9.50`, `123`, `45,600`.
pub fn per_record(nanoseconds: f64) -> String {
    if nanoseconds < 999.5 { three_digits(nanoseconds) } else { count(nanoseconds.round() as u64) }
}

/// A size: `0 B`, `999 B`, `98.2 KiB`, `1.10 MiB`.
pub fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{} {unit}", three_digits(value)) }
}

/// A duration with what is worth saying of it: `850 us`, `12.3 ms`, `4.56 s`, `1m 05s`, `2h 03m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        0 if seconds < 0.000_999_5 => format!("{} us", duration.as_micros()),
        0 if seconds < 0.999_5 => format!("{} ms", three_digits(seconds * 1e3)),
        whole if whole < 60 && seconds < 59.95 => format!("{} s", three_digits(seconds)),
        whole if whole < 3600 => {
            let whole = seconds.round() as u64;
            format!("{}m {:02}s", whole / 60, whole % 60)
        }
        whole => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// A share of the whole in percent; `-` where there is no whole yet.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_string() } else { format!("{:.0}%", part as f64 * 100.0 / whole as f64) }
}

/// A watermark: `-` before the first, `end` after the last row of a bounded input, else as [`time`].
pub fn watermark(milliseconds: i64) -> String {
    match milliseconds {
        NO_WATERMARK => "-".to_string(),
        END_OF_TIME => "end".to_string(),
        other => time(other),
    }
}

/// Milliseconds since the Unix epoch as RFC 3339 in UTC; as `<milliseconds> ms` outside its years 0000 to 9999.
pub fn time(milliseconds: i64) -> String {
    let (days, rest) = (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return format!("{milliseconds} ms");
    }
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1000)
}

/// Year, month and day of a day counted from 1970-01-01; the algorithm `civil_from_days` of Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms".
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Rows of cells as lines in which the cells of a column stand below each other, two spaces apart.
pub fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Three significant digits for values below 1000.
fn three_digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_three() {
        let shown = [0, 999, 1000, 123_456, 1_234_567, u64::MAX].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "123,456", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn rates_have_three_digits() {
        let shown = [0.0, f64::NAN, 9.5, 99.96, 123.4, 999.6, 45_600.0, 7_894_000.0, 2.5e12].map(rate);
        assert_eq!(shown, ["0/s", "0/s", "9.50/s", "100/s", "123/s", "1.00k/s", "45.6k/s", "7.89M/s", "2500G/s"]);
    }

    #[test]
    fn times_of_a_record_are_in_nanoseconds() {
        let shown = [0.0, 0.004, 9.5, 99.96, 999.4, 999.6, 45_600.2].map(per_record);
        assert_eq!(shown, ["0.00", "0.00", "9.50", "100", "999", "1,000", "45,600"]);
    }

    #[test]
    fn sizes_are_binary() {
        let shown = [0, 999, 1000, 100_557, 1_153_434, 1 << 40].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "0.98 KiB", "98.2 KiB", "1.10 MiB", "1.00 TiB"]);
    }

    #[test]
    fn durations_say_what_matters() {
        let shown = [0.0, 0.000_85, 0.0123, 0.9996, 4.56, 59.96, 65.0, 3599.7, 7380.0]
            .map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(shown, ["0 us", "850 us", "12.3 ms", "1.00 s", "4.56 s", "1m 00s", "1m 05s", "60m 00s", "2h 03m"]);
    }

    /// Expected values from GNU date: `date -u -d @<seconds> --rfc-3339=seconds`.
    #[test]
    fn watermarks_are_rfc_3339() {
        assert_eq!(watermark(i64::MIN), "-");
        assert_eq!(watermark(i64::MAX), "end");
        assert_eq!(watermark(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(watermark(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(watermark(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(watermark(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(watermark(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        assert_eq!(watermark(253_402_300_800_000), "253402300800000 ms");
        assert_eq!(watermark(i64::MAX - 1), "9223372036854775806 ms");
    }

    #[test]
    fn cells_of_a_column_stand_below_each_other() {
        let rows = [vec!["ä", "bb", "c"], vec!["aaa", "b"]].map(|row| row.into_iter().map(str::to_string).collect());
        assert_eq!(columns(&rows), "ä    bb  c\naaa  b\n");
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn a_share_of_nothing_is_not_a_number() {
        assert_eq!([share(0, 0), share(1, 3), share(5, 5)], ["-", "33%", "100%"]);
    }
}
