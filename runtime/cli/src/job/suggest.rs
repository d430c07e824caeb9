//! Decides what somebody may have meant who wrote a name that does not exist.

/// Names longer than this are not compared: whoever wrote them did not mistype one of ours.
const LONGEST: usize = 64;

/// The one of `candidates` that is nearest to `written`, if any is near: at most a third of its letters differ
/// (Damerau-Levenshtein, letter case aside).
pub(super) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST {
        return None;
    }
    let lower = written.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let near = candidates.into_iter().filter(|candidate| candidate.len() <= LONGEST).map(|c| (distance(c), c));
    let (distance, candidate) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= (candidate.chars().count().max(written.chars().count()) / 3).max(1)).then_some(candidate)
}

/// What exists, for a hint: `` `a`, `b` and `c` ``; long lists are cut.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>, conjunction: &str) -> String {
    const SHOWN: usize = 12;
    let names: Vec<String> = names.into_iter().map(quote).collect();
    match names.as_slice() {
        [] => "none".to_string(),
        [one] => one.clone(),
        many if many.len() > SHOWN => format!("{} and {} more", many[..SHOWN].join(", "), many.len() - SHOWN),
        [most @ .., last] => format!("{} {conjunction} {last}", most.join(", ")),
    }
}

/// `` did you mean `x`? `` or what there is: `` there are `a` and `b` ``.
pub(super) fn meant_or_list(written: &str, candidates: &[&str], there_is: &str) -> String {
    match nearest(written, candidates.iter().copied()) {
        Some(name) => format!("did you mean {}?", quote(name)),
        None => format!("{there_is} {}", list(candidates.iter().copied(), "and")),
    }
}

/// Text of the author's between backquotes: control characters shown, not obeyed, and long text cut.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut quoted = String::from("`");
    for (i, c) in text.chars().enumerate() {
        if i == LONGEST {
            quoted.push_str("...");
            break;
        }
        match c.is_control() {
            true => quoted.extend(c.escape_default()),
            false => quoted.push(c),
        }
    }
    quoted.push('`');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let names = ["parallelism", "path", "format", "max-line"];
        assert_eq!(nearest("paralelism", names), Some("parallelism"));
        assert_eq!(nearest("Path", names), Some("path"));
        assert_eq!(nearest("fromat", names), Some("format"));
        assert_eq!(nearest("max_line", names), Some("max-line"));
        assert_eq!(nearest("delimiter", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), names), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(list([], "or"), "none");
        assert_eq!(list(["a"], "or"), "`a`");
        assert_eq!(list(["a", "b", "c"], "or"), "`a`, `b` or `c`");
        assert!(list(["a"; 15], "or").ends_with(" and 3 more"));
    }

    #[test]
    fn quoted_text_cannot_do_anything() {
        assert_eq!(quote("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        assert_eq!(quote(&"ä".repeat(100)).chars().count(), 80 + 5);
    }
}
