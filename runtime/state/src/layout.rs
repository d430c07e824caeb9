//! The stored format of entries: keys that sort by state and key group, and what stands before a value.
//!
//! Nothing here may change without a new [`FORMAT_VERSION`].

use wasmill_core::{
    description::{StateKind, StateScope},
    time::TimeDomain,
};

/// Version of everything that is stored.
pub const FORMAT_VERSION: u32 = 2;

/// Bytes before the key: state, key group, key length.
pub(crate) const PREFIX: usize = 10;

/// The first key group of copies of broadcast state: subtask n has `BROADCAST + n`.
pub(crate) const BROADCAST: u16 = 0x8000;

/// What decides how a state is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: StateKind,
    pub(crate) scope: StateScope,
    /// In which time entries expire, if they do: then each has its expiry before its value.
    pub(crate) expires: Option<TimeDomain>,
}

impl Shape {
    /// Timers are a map of their keys: map keys are [`timer`], values are empty.
    pub(crate) const TIMERS: Shape = Shape { kind: StateKind::Map, scope: StateScope::Keyed, expires: None };
}

/// The stored key of an entry: state u32, key group u16, key length u32, key, map key; big-endian. Those of one key's map are
/// behind its prefix (an empty map key) and in the order of map keys; else none is a prefix of another.
pub(crate) fn key(state: u32, group: u16, key: &[u8], map_key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(PREFIX + key.len() + map_key.len());
    push_key(state, group, key, map_key, &mut stored);
    stored
}

/// Adds a stored key to bytes.
pub(crate) fn push_key(state: u32, group: u16, key: &[u8], map_key: &[u8], stored: &mut Vec<u8>) {
    stored.extend_from_slice(&state.to_be_bytes());
    stored.extend_from_slice(&group.to_be_bytes());
    stored.extend_from_slice(&(key.len() as u32).to_be_bytes());
    stored.extend_from_slice(key);
    stored.extend_from_slice(map_key);
}

/// The first stored key that a state can have in a key group. One past the last group is the next state's.
pub(crate) fn group_start(state: u32, group: u32) -> Vec<u8> {
    let [.., a, b, c, d, e, f] = ((u64::from(state) << 16) + u64::from(group)).to_be_bytes();
    vec![a, b, c, d, e, f]
}

/// What sorts behind everything that begins with `prefix`; `None` where nothing does.
pub(crate) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

/// The parts of a stored key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredKey<'a> {
    pub(crate) state: u32,
    pub(crate) group: u16,
    pub(crate) key: &'a [u8],
    pub(crate) map_key: &'a [u8],
}

/// Takes a stored key apart; `None` for one that this crate does not write.
pub(crate) fn parse(stored: &[u8]) -> Option<StoredKey<'_>> {
    let (state, rest) = stored.split_first_chunk()?;
    let (group, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (key, map_key) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some(StoredKey { state: u32::from_be_bytes(*state), group: u16::from_be_bytes(*group), key, map_key })
}

/// The stored value of an entry: when it expires, where it does, then the value.
pub(crate) fn value(expires: Option<i64>, value: &[u8]) -> Vec<u8> {
    match expires {
        Some(at) => [&at.to_be_bytes()[..], value].concat(),
        None => value.to_vec(),
    }
}

/// Takes a stored value apart. Without an expiry it never expires.
pub(crate) fn parse_value(expiring: bool, stored: &[u8]) -> Option<(i64, &[u8])> {
    if !expiring {
        return Some((i64::MAX, stored));
    }
    let (at, value) = stored.split_first_chunk()?;
    Some((i64::from_be_bytes(*at), value))
}

/// Adds an element to a stored list: its expiry, where it has one, its length u32, the element.
pub(crate) fn push_element(expires: Option<i64>, element: &[u8], list: &mut Vec<u8>) {
    if let Some(at) = expires {
        list.extend_from_slice(&at.to_be_bytes());
    }
    list.extend_from_slice(&(element.len() as u32).to_be_bytes());
    list.extend_from_slice(element);
}

/// The elements of a stored list with their expiry; ends with `None` where it is malformed.
pub(crate) fn elements(expiring: bool, mut list: &[u8]) -> impl Iterator<Item = Option<(i64, &[u8])>> {
    let mut next = move || {
        let (at, rest) = parse_value(expiring, list)?;
        let (length, rest) = rest.split_first_chunk()?;
        let (element, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        list = rest;
        Some(((at, element), rest.is_empty()))
    };
    let mut done = list.is_empty();
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let element = next();
        done = element.is_none_or(|(_, last)| last);
        Some(element.map(|(element, _)| element))
    })
}

/// The elements of a list as the contract has them, (u32 length little-endian, element)*; `None` where it is malformed.
pub(crate) fn guest_elements(mut list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut elements = Vec::new();
    while !list.is_empty() {
        let (length, rest) = list.split_first_chunk()?;
        let (element, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        elements.push(element);
        list = rest;
    }
    Some(elements)
}

/// Adds an element to a list as the contract has it.
pub(crate) fn push_guest_element(element: &[u8], list: &mut Vec<u8>) {
    list.extend_from_slice(&(element.len() as u32).to_le_bytes());
    list.extend_from_slice(element);
}

/// The map key of a timer: its time, with the sign bit flipped so that bytes sort as times, and its tag.
pub(crate) fn timer(time: i64, tag: u64) -> [u8; 16] {
    let mut map_key = [0; 16];
    map_key[..8].copy_from_slice(&(time ^ i64::MIN).to_be_bytes());
    map_key[8..].copy_from_slice(&tag.to_be_bytes());
    map_key
}

/// Time and tag of a timer.
pub(crate) fn parse_timer(map_key: &[u8]) -> Option<(i64, u64)> {
    let (time, tag) = map_key.split_first_chunk()?;
    Some((i64::from_be_bytes(*time) ^ i64::MIN, u64::from_be_bytes(tag.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_pinned() {
        let stored = key(2, 52, b"emma", b"m");
        assert_eq!(stored, [&[0, 0, 0, 2, 0, 52, 0, 0, 0, 4][..], b"emma", b"m"].concat());
        assert_eq!(parse(&stored), Some(StoredKey { state: 2, group: 52, key: b"emma", map_key: b"m" }));
        assert_eq!(parse(&stored[..13]), None, "cut off within the key");
        assert_eq!(group_start(2, 52), stored[..6]);
        assert_eq!(group_start(2, 0x1_0000), [0, 0, 0, 3, 0, 0], "behind the last group is the next state");
        assert_eq!(value(Some(1), b"x"), [0, 0, 0, 0, 0, 0, 0, 1, b'x']);
        assert_eq!(parse_value(true, &value(Some(-1), b"x")), Some((-1, &b"x"[..])));
        assert_eq!(parse_value(false, b"x"), Some((i64::MAX, &b"x"[..])));
        assert_eq!(parse_value(true, b"short"), None);
    }

    #[test]
    fn what_follows_a_prefix_is_found() {
        assert_eq!(after(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(after(&[255]), None);
    }

    #[test]
    fn lists_are_pinned() {
        let mut list = Vec::new();
        push_element(Some(5), b"ab", &mut list);
        push_element(Some(6), b"", &mut list);
        assert_eq!(list, [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0]);
        let found: Vec<_> = elements(true, &list).collect();
        assert_eq!(found, [Some((5, &b"ab"[..])), Some((6, &b""[..]))]);
        assert_eq!(elements(true, &list[..20]).last(), Some(None), "cut off");
        assert_eq!(elements(false, &[]).count(), 0);
        let mut guest = Vec::new();
        push_guest_element(b"ab", &mut guest);
        assert_eq!(guest, [2, 0, 0, 0, b'a', b'b']);
        assert_eq!(guest_elements(&guest), Some(vec![&b"ab"[..]]));
        assert_eq!(guest_elements(&guest[..5]), None);
    }

    #[test]
    fn timers_sort_by_time() {
        let times = [i64::MIN, -1, 0, 7, i64::MAX];
        let stored: Vec<_> = times.iter().map(|&time| timer(time, 9)).collect();
        assert!(stored.is_sorted());
        assert_eq!(stored.iter().map(|key| parse_timer(key).unwrap()).collect::<Vec<_>>(), times.map(|time| (time, 9)));
        assert_eq!(parse_timer(&stored[0][..15]), None);
    }
}
