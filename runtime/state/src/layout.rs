//! Decides how a key is stored; a stored format, pinned by golden bytes.
//!
//! ```text
//! offset  length  field, all numbers big-endian
//! 0       2       operator: its number in the table `operators`
//! 2       2       key group
//! 4       4       state: its index in the operator's declarations
//! 8       4       key length, bytes
//! 12      n       key
//! ```
//!
//! redb compares keys byte by byte, so entries stand in the order (operator, key group, state, key length, key): the
//! key groups of a subtask are one range of an operator. No stored key is a prefix of another, because the length
//! stands before the key; a map key can be added behind it.

use redb::TableDefinition;
use wasmill_core::KeyGroup;

/// The version of the stored format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Stored key to value.
pub(crate) const BASE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("base");

/// Operator id to its number, u16 big-endian.
pub(crate) const OPERATORS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("operators");

/// What the store says of itself; see `meta`.
pub(crate) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

/// Bytes before the key.
pub(crate) const PREFIX: usize = 12;

/// Writes the stored key over `out`. The key is at most 4 GiB - 1 long, which its column ensures.
pub(crate) fn encode(operator: u16, group: KeyGroup, state: u32, key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&operator.to_be_bytes());
    out.extend_from_slice(&group.0.to_be_bytes());
    out.extend_from_slice(&state.to_be_bytes());
    out.extend_from_slice(&(key.len() as u32).to_be_bytes());
    out.extend_from_slice(key);
}

/// A stored key, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredKey<'a> {
    pub(crate) operator: u16,
    pub(crate) group: KeyGroup,
    pub(crate) state: u32,
    pub(crate) key: &'a [u8],
}

/// Takes a stored key apart; `None` for bytes that are none.
pub(crate) fn decode(bytes: &[u8]) -> Option<StoredKey<'_>> {
    let (operator, rest) = bytes.split_first_chunk()?;
    let (group, rest) = rest.split_first_chunk()?;
    let (state, rest) = rest.split_first_chunk()?;
    let (length, key) = rest.split_first_chunk()?;
    (u32::from_be_bytes(*length) as usize == key.len()).then_some(StoredKey {
        operator: u16::from_be_bytes(*operator),
        group: KeyGroup(u16::from_be_bytes(*group)),
        state: u32::from_be_bytes(*state),
        key,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(operator: u16, group: u16, state: u32, key: &[u8]) -> Vec<u8> {
        let mut out = b"what was there before".to_vec();
        encode(operator, KeyGroup(group), state, key, &mut out);
        out
    }

    #[test]
    fn stored_keys_are_pinned() {
        let golden = [0, 1, 0, 52, 0, 0, 0, 2, 0, 0, 0, 4, b'e', b'm', b'm', b'a'];
        assert_eq!(encoded(1, 52, 2, b"emma"), golden);
        let golden = [0x12, 0x34, 0x7f, 0xff, 0x01, 0x02, 0x03, 0x04, 0, 0, 0, 0];
        assert_eq!(encoded(0x1234, 0x7fff, 0x0102_0304, b""), golden);
    }

    #[test]
    fn bytes_that_are_no_stored_key_are_refused() {
        let good = encoded(1, 52, 2, b"emma");
        assert!(decode(&good).is_some());
        assert_eq!(decode(&good[..15]), None);
        assert_eq!(decode(&good[..11]), None);
        assert_eq!(decode(&[good.as_slice(), b"x"].concat()), None);
        assert_eq!(decode(b""), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(operator: u16, group: u16, state: u32, key: Vec<u8>) {
            let bytes = encoded(operator, group, state, &key);
            prop_assert_eq!(decode(&bytes), Some(StoredKey { operator, group: KeyGroup(group), state, key: &key }));
        }

        #[test]
        fn no_stored_key_is_a_prefix_of_another(
            a in proptest::collection::vec(0u8..3, 0..20),
            b in proptest::collection::vec(0u8..3, 0..20),
        ) {
            prop_assume!(a != b);
            prop_assert!(!encoded(0, 0, 0, &a).starts_with(&encoded(0, 0, 0, &b)));
        }

        #[test]
        fn stored_order_is_operator_group_state(a: (u16, u16, u32), b: (u16, u16, u32), x: Vec<u8>, y: Vec<u8>) {
            prop_assume!(a != b);
            prop_assert_eq!(encoded(a.0, a.1, a.2, &x).cmp(&encoded(b.0, b.1, b.2, &y)), a.cmp(&b));
        }
    }
}
