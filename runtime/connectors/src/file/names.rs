//! Decides how the files of a sink are called.

/// How part files begin.
pub(super) const PART: &str = "part-";

/// How part files begin that are being written or are not committed yet.
pub(super) const STAGED: &str = ".part-";

/// How those end.
const UNFINISHED: &str = ".tmp";

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
}
