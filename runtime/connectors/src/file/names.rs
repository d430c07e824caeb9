//! Decides how the files and folders of a sink are called.

use std::{fmt::Write, iter};

/// How part files begin.
pub(super) const PART: &str = "part-";

/// How part files begin that are being written or are not committed yet.
pub(super) const STAGED: &str = ".part-";

/// How those end.
const UNFINISHED: &str = ".tmp";

/// The longest name of a folder, bytes: what file systems allow.
pub(super) const LONGEST: usize = 255;

/// The value of a partition whose rows have none, as in Hive.
pub(super) const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Besides control characters, what Hive writes as `%` and two digits in the names of folders.
const ESCAPED: &[u8] = b"\"#%'*/:=?\\{[]^\x7f";

/// The part file of a subtask and an epoch: `part-00000-000007.txt`.
pub(super) fn part(subtask: u32, epoch: u64, extension: &str) -> String {
    format!("{PART}{subtask:05}-{epoch:06}.{extension}")
}

/// What a part file is called while it is written; `token` and `number` make the name one that never was and never will be.
pub(super) fn staged(subtask: u32, token: u64, number: u64) -> String {
    format!("{STAGED}{subtask:05}-{token:016x}-{number}{UNFINISHED}")
}

/// Whether a file is called as the sink calls its parts, and so may be replaced by others: `part-00000-000007.txt.gz`, or
/// without an epoch.
pub(super) fn is_part(name: &str) -> bool {
    let Some((numbers, extension)) = name.strip_prefix(PART).and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let (subtask, epoch) = numbers.split_once('-').map_or((numbers, None), |(subtask, epoch)| (subtask, Some(epoch)));
    let digits = |text: &str, least: usize| text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = extension.strip_suffix(".gz").or_else(|| extension.strip_suffix(".zst")).unwrap_or(extension);
    digits(subtask, 5) && epoch.is_none_or(|epoch| digits(epoch, 6)) && matches!(plain, "txt" | "jsonl")
}

/// Whether a file is called as one that is being written or is not committed yet.
pub(super) fn is_staged(name: &str) -> bool {
    let of_sink = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    name.starts_with(STAGED) && name.ends_with(UNFINISHED) && name.chars().all(of_sink)
}

/// Whether it is the path of a part file from the folder of the sink: `part-00000-000007.txt`, or within partitions.
pub(super) fn is_part_path(path: &str) -> bool {
    match path.rsplit_once('/') {
        Some((partitions, part)) => is_part(part) && partitions.split('/').all(is_partition),
        None => is_part(path),
    }
}

/// Adds a field or a value as it stands in the name of a folder. No separator, no `=` and no control character is left in it.
pub(super) fn escape(text: &str, out: &mut String) {
    for (i, character) in text.char_indices() {
        // A folder whose name begins with a point is hidden.
        let plain = !u8::try_from(character).is_ok_and(is_escaped) && (i > 0 || character != '.');
        if plain {
            out.push(character);
        } else {
            let _ = write!(out, "%{:02X}", u32::from(character));
        }
    }
}

fn is_escaped(byte: u8) -> bool {
    byte < b' ' || ESCAPED.contains(&byte)
}

/// Whether a folder is called as a partition: `FIELD=VALUE`, both as [`escape`] writes them.
pub(super) fn is_partition(name: &str) -> bool {
    let escaped = |text: &str| {
        let mut pieces = text.split('%');
        let plain = |piece: &str| !piece.bytes().any(is_escaped);
        let first = pieces.next().is_some_and(|first| plain(first) && !first.starts_with('.'));
        let follows = |piece: &str| {
            let code = piece.get(..2).filter(|code| !code.bytes().any(|digit| matches!(digit, b'+' | b'a'..=b'f')));
            let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
            byte.is_some_and(|byte| is_escaped(byte) || byte == b'.') && plain(&piece[2..])
        };
        !text.is_empty() && first && pieces.all(follows)
    };
    name.len() <= LONGEST && name.split_once('=').is_some_and(|(field, value)| escaped(field) && escaped(value))
}

/// The folder of a path within the sink's, then the ones above it: the inner ones first, without the sink's own.
pub(super) fn above(path: &str) -> impl Iterator<Item = &str> {
    iter::successors(path.rsplit_once('/').map(|(above, _)| above), |path| {
        path.rsplit_once('/').map(|(above, _)| above)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_others() {
        assert_eq!(part(3, 12, "jsonl.zst"), "part-00003-000012.jsonl.zst");
        assert_eq!(part(123_456, 1_234_567, "txt"), "part-123456-1234567.txt");
        for name in [part(0, 1, "txt"), part(123_456, 1_234_567, "jsonl.gz"), "part-00007.txt".into()] {
            assert!(is_part(&name), "{name}");
        }
        let foreign = [
            "part-time.txt",
            "part-00000",
            "part-0.txt",
            "part-00000-0f.txt",
            "part-00000-000001.parquet",
            "part-00000-000001/../../x.txt",
            "part-00000.txt.bak",
            "apart-00000.txt",
            "part-00000-5b1c2d.json",
        ];
        for name in foreign {
            assert!(!is_part(name), "{name}");
        }
        assert!(is_staged(&staged(0, u64::MAX, 3)));
        for name in [".part-/../x.tmp", "part-00000.tmp", ".part-00000", ".part-a\\b.tmp"] {
            assert!(!is_staged(name), "{name}");
        }
    }

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        escape(text, &mut out);
        out
    }

    /// Hive's `FileUtils.escapePathName`, worked by hand, and what it leaves.
    #[test]
    fn hostile_values_are_names_of_folders() {
        for (text, expected) in [
            ("2015-07-15", "2015-07-15"),
            ("00:03", "00%3A03"),
            ("..", "%2E."),
            ("a.b", "a.b"),
            ("../../etc", "%2E.%2F..%2Fetc"),
            ("a\0\n\x7f", "a%00%0A%7F"),
            ("100%3A", "100%253A"),
            ("a=b\\c", "a%3Db%5Cc"),
            ("K\u{e4}se \u{85} ~|<>!", "K\u{e4}se \u{85} ~|<>!"),
            ("\u{ff0f}\u{13a}", "\u{ff0f}\u{13a}"),
        ] {
            assert_eq!(escaped(text), expected);
            assert!(is_partition(&format!("{}={}", escaped(text), escaped(text))), "{text}");
            assert!(is_part_path(&format!("x={}/part-00000-000001.txt", escaped(text))), "{text}");
        }
    }

    #[test]
    fn folders_that_are_no_partitions_are_told_from_those_that_are() {
        let long = format!("a={}", "x".repeat(LONGEST));
        for name in [
            "",
            "a",
            "=",
            "a=",
            "=b",
            ".a=b",
            "a=b=c",
            "a=b:c",
            "a=%",
            "a=%4",
            "a=%41",
            "a=%3a",
            "a=%+A",
            "a=\n",
            "a=%\u{e4}",
            &long,
        ] {
            assert!(!is_partition(name), "{name}");
        }
        assert!(is_partition(&long[..LONGEST]));
        for path in [
            "a=b/",
            "/part-00000-000001.txt",
            "a=b//part-00000-000001.txt",
            "../part-00000-000001.txt",
            "a=b/../part-00000-000001.txt",
        ] {
            assert!(!is_part_path(path), "{path}");
        }
        assert_eq!(above("a=1/b=2/part").collect::<Vec<_>>(), ["a=1/b=2", "a=1"]);
        assert_eq!(above("part").count(), 0);
    }
}
