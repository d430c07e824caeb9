//! Decides whether two results are the same: the lines of all part files, sorted, each with its partition.

use std::{cmp::Ordering, fs, io, path::Path};

use anyhow::Context;

/// So many lines of a difference are kept.
const SHOWN: usize = 5;

/// So many characters of a line are shown.
const WIDTH: usize = 200;

/// How two results differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Lines that only the undisturbed run has.
    pub(crate) missing: u64,
    /// Lines that only the disturbed run has.
    pub(crate) added: u64,
    /// The first of both in their order; true for a missing one.
    pub(crate) first: Vec<(bool, Vec<u8>)>,
}

/// All lines of the files in a folder, sorted; those of a partition begin with the folder that they are in. A folder that is not
/// there has none.
pub(super) fn lines(folder: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    let mut folders = vec![(folder.to_path_buf(), Vec::new())];
    while let Some((folder, partition)) = folders.pop() {
        let cannot = || format!("cannot read the result in `{}`", folder.display());
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.with_context(cannot)?,
        };
        for entry in entries {
            let entry = entry.with_context(cannot)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // What the sink keeps for itself is hidden.
            if name.starts_with('.') {
                continue;
            }
            if entry.file_type().with_context(cannot)?.is_dir() {
                folders.push((entry.path(), [&partition, name.as_bytes(), b"/"].concat()));
                continue;
            }
            let bytes = fs::read(entry.path()).with_context(cannot)?;
            let of_partition =
                |line: &[u8]| if partition.is_empty() { line.to_vec() } else { [&partition, &b" "[..], line].concat() };
            lines.extend(bytes.split_inclusive(|byte| *byte == b'\n').map(of_partition));
        }
    }
    lines.sort_unstable();
    Ok(lines)
}

/// How `found` differs from `expected`, both sorted; `None` if it does not.
pub(crate) fn difference(expected: &[Vec<u8>], found: &[Vec<u8>]) -> Option<Difference> {
    let mut difference = Difference::default();
    let (mut expected, mut found) = (expected.iter().peekable(), found.iter().peekable());
    loop {
        let order = match (expected.peek(), found.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.cmp(b),
        };
        let line = match order {
            Ordering::Equal => {
                expected.next();
                found.next();
                continue;
            }
            Ordering::Less => {
                difference.missing += 1;
                expected.next()
            }
            Ordering::Greater => {
                difference.added += 1;
                found.next()
            }
        };
        if let (Some(line), true) = (line, difference.first.len() < SHOWN) {
            difference.first.push((order == Ordering::Less, line.clone()));
        }
    }
    (difference != Difference::default()).then_some(difference)
}

/// A line for people: one line, not too long, and nothing that moves the cursor.
pub(crate) fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let shown = text.strip_suffix('\n').unwrap_or(&text).chars().take(WIDTH);
    shown
        .map(|character| if character.is_control() { character.escape_default().to_string() } else { character.into() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(text: &str) -> Vec<Vec<u8>> {
        text.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lines_are_those_of_all_visible_files_sorted() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("part-2", &b"b\n\xff\n"[..]), ("part-1", b"c\na\n"), (".staged", b"x\n")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let found = lines(folder.path()).unwrap();
        assert_eq!(found, [b"a\n", b"b\n", b"c\n", b"\xff\n"].map(|line| line.to_vec()));
        // The same line in another partition is another line.
        for partition in ["p=1/q=2", "p=2", ".hidden"] {
            fs::create_dir_all(folder.path().join(partition)).unwrap();
            fs::write(folder.path().join(partition).join("part-1"), "a\n").unwrap();
        }
        let found = lines(folder.path()).unwrap();
        let expected = [&b"a\n"[..], b"b\n", b"c\n", b"p=1/q=2/ a\n", b"p=2/ a\n", b"\xff\n"];
        assert_eq!(found, expected.map(<[u8]>::to_vec));
        assert_eq!(lines(&folder.path().join("nothing")).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn lines_count_as_often_as_they_are_there() {
        assert_eq!(difference(&sorted("a\na\nb\n"), &sorted("a\na\nb\n")), None);
        let twice = difference(&sorted("a\nb\n"), &sorted("a\na\nb\n")).unwrap();
        assert_eq!((twice.missing, twice.added), (0, 1));
        assert_eq!(twice.first, [(false, b"a\n".to_vec())]);
        let other = difference(&sorted("a\nb\nd\n"), &sorted("b\nc\nd\ne\n")).unwrap();
        assert_eq!((other.missing, other.added), (1, 2));
        let first = [(true, b"a\n".to_vec()), (false, b"c\n".to_vec()), (false, b"e\n".to_vec())];
        assert_eq!(other.first, first);
        // Half a line is not the line.
        assert!(difference(&sorted("a\nb\n"), &sorted("a\nb")).is_some());
    }

    #[test]
    fn only_the_first_differing_lines_are_kept() {
        let many: Vec<Vec<u8>> = (0..100u8).map(|i| vec![i, b'\n']).collect();
        let difference = difference(&many, &[]).unwrap();
        assert_eq!((difference.missing, difference.first.len()), (100, SHOWN));
        assert_eq!(difference.first[4], (true, vec![4, b'\n']));
    }

    #[test]
    fn a_shown_line_cannot_move_the_cursor() {
        assert_eq!(shown(b"a\x1b[2Jb\tc\n"), "a\\u{1b}[2Jb\\tc");
        assert_eq!(shown(&[b'x'; 1000]).len(), WIDTH);
    }
}
