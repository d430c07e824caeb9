//! Holds the windows of a key that are open, and decides their stored form.
//!
//! | bytes | what |
//! |---|---|
//! | varint | number of windows |
//! | zigzag varint | [`Opened::armed`] |
//! | of each window, in order | what [`Entry::write`] writes: its own numbers as zigzag varints, then what it has gathered: its length as u32, little-endian, unless that is fixed, and its bytes |

use std::marker::PhantomData;

use crate::{
    codec::{ByRow, Codec, CodecError, Format, StateValue},
    column::Column,
};

/// One window, or pane, that is open.
pub(crate) trait Entry: Sized + 'static {
    /// The codec of what it has gathered.
    type Accumulator: StateValue;

    /// What says in which order windows of a key are.
    fn place(&self) -> i64;

    /// What it has gathered; `None` after it was purged.
    fn gathered(&self) -> Option<&Owned<Self>>;

    /// Appends its stored form.
    ///
    /// # Errors
    /// When what it has gathered has no encoding.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Takes one off `bytes`.
    ///
    /// # Errors
    /// When there is none.
    fn read(bytes: &mut &[u8]) -> Result<Self, CodecError>;
}

/// What an entry has gathered.
pub(crate) type Owned<E> = <<E as Entry>::Accumulator as Codec>::Owned;

/// How many windows beside the newest are looked at one by one: those to which records come that are a little out of order.
const RECENT: usize = 3;

/// The windows of a key that are open. The newest is not on the heap: most records belong to it.
#[derive(Debug)]
pub(crate) struct Opened<E> {
    /// Which window has a timer, `i64::MAX` where none has: of panes see there, of others the time that it is set for.
    pub(crate) armed: i64,
    pub(crate) newest: Option<E>,
    /// The others, in order.
    pub(crate) older: Vec<E>,
    /// What all that they have gathered takes on the heap, roughly, in bytes.
    heap: usize,
}

impl<E> Default for Opened<E> {
    fn default() -> Self {
        Opened { armed: i64::MAX, newest: None, older: Vec::new(), heap: 0 }
    }
}

impl<E: Entry> Opened<E> {
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// In order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.older.iter().chain(&self.newest)
    }

    /// Those whose places are in a range, in order.
    pub(crate) fn range(&self, places: std::ops::Range<i64>) -> impl Iterator<Item = &E> {
        let older = &self.older[self.older.partition_point(|entry| entry.place() < places.start)..];
        let newest = self.newest.iter().filter(move |newest| newest.place() >= places.start);
        older.iter().chain(newest).take_while(move |entry| entry.place() < places.end)
    }

    /// The first that `is` wants.
    pub(crate) fn find(&mut self, mut is: impl FnMut(&E) -> bool) -> Option<&mut E> {
        self.older.iter_mut().chain(&mut self.newest).find(|entry| is(entry))
    }

    /// The one at `place`, which is made where there is none.
    #[inline]
    pub(crate) fn at(&mut self, place: i64, make: impl FnOnce() -> E) -> &mut E {
        let is_newest = matches!(&self.newest, Some(newest) if newest.place() == place);
        if is_newest { self.newest.get_or_insert_with(make) } else { self.at_other(place, make) }
    }

    /// The one at `place`, if it is one of the newest.
    #[inline(always)]
    pub(crate) fn recent(&mut self, place: i64) -> Option<&mut E> {
        match &mut self.newest {
            Some(newest) if newest.place() == place => Some(newest),
            _ => self.older.iter_mut().rev().take(RECENT).find(|entry| entry.place() == place),
        }
    }

    #[inline(never)]
    fn at_other(&mut self, place: i64, make: impl FnOnce() -> E) -> &mut E {
        let Opened { newest, older, .. } = self;
        match newest {
            Some(first) if first.place() > place => {
                let at = older.partition_point(|entry| entry.place() < place);
                if older.get(at).is_none_or(|entry| entry.place() != place) {
                    older.insert(at, make());
                }
                &mut older[at]
            }
            _ => {
                older.extend(newest.take());
                newest.insert(make())
            }
        }
    }

    /// Drops those before `place`.
    pub(crate) fn drop_before(&mut self, place: i64) {
        let Opened { newest, older, .. } = self;
        if newest.as_ref().is_some_and(|newest| newest.place() < place) {
            older.clear();
            *newest = None;
        } else {
            older.drain(..older.partition_point(|entry| entry.place() < place));
        }
        self.weigh();
    }

    /// Weighs all that was gathered.
    pub(crate) fn weigh(&mut self) {
        if Self::IS_WEIGHED {
            self.heap = self.iter().filter_map(Entry::gathered).map(<E::Accumulator as StateValue>::weight).sum();
        }
    }

    /// Changes what one of them has gathered, with `before` as it was.
    #[inline]
    pub(crate) fn weigh_change(&mut self, before: usize, after: usize) {
        self.heap = (self.heap + after).saturating_sub(before);
    }

    /// Whether what was gathered may take memory on the heap, and is weighed at every change.
    pub(crate) const IS_WEIGHED: bool =
        std::mem::needs_drop::<Owned<E>>() && <E::Accumulator as StateValue>::WEIGHT_IS_CHEAP;

    /// Takes out the one at `place`.
    pub(crate) fn take(&mut self, place: i64) -> Option<E> {
        if self.newest.as_ref().is_some_and(|newest| newest.place() == place) {
            return std::mem::replace(&mut self.newest, self.older.pop());
        }
        let at = self.older.iter().position(|entry| entry.place() == place)?;
        Some(self.older.remove(at))
    }
}

/// The codec of [`Opened`].
pub(crate) struct OpenWindows<E>(PhantomData<fn() -> E>);

impl<E: Entry> Codec for OpenWindows<E> {
    type View<'a> = &'a Opened<E>;
    type Decoded<'a> = Opened<E>;
    type Owned = Opened<E>;
    type Rows<'a> = ByRow<'a, OpenWindows<E>>;

    fn format() -> Format {
        let Format { name, schema } = E::Accumulator::format();
        let of = if schema.is_empty() { name } else { format!("{name} {schema}") };
        Format { name: "windows".to_string(), schema: of }
    }

    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
        ByRow::new(column, rows)
    }

    fn decode(bytes: Option<&[u8]>) -> Result<Opened<E>, CodecError> {
        let mut rest = bytes.ok_or_else(CodecError::null)?;
        let count = number::<u64>(&mut rest)?;
        let armed = number::<i64>(&mut rest)?;
        let mut opened = Opened { armed, ..Opened::default() };
        let mut before = None;
        for _ in 0..count {
            let entry = E::read(&mut rest)?;
            if before.is_some_and(|before| before >= entry.place()) {
                return Err(CodecError::new("windows are not in order"));
            }
            before = Some(entry.place());
            opened.older.extend(opened.newest.replace(entry));
        }
        opened.weigh();
        match rest {
            [] => Ok(opened),
            _ => Err(CodecError::new(format_args!("{} bytes are left over after the windows", rest.len()))),
        }
    }

    #[inline(always)]
    fn view(decoded: &Opened<E>) -> &Opened<E> {
        decoded
    }

    fn own(decoded: Opened<E>) -> Opened<E> {
        decoded
    }

    #[inline(always)]
    fn borrow(owned: &Opened<E>) -> &Opened<E> {
        owned
    }

    fn encode(opened: &Opened<E>, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        let start = out.len();
        encode(opened, out).map(|()| true).inspect_err(|_| out.truncate(start))
    }
}

fn encode<E: Entry>(opened: &Opened<E>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let count = opened.older.len() + usize::from(opened.newest.is_some());
    write_number(out, count as u64)?;
    write_number(out, opened.armed)?;
    opened.iter().try_for_each(|entry| entry.write(out))
}

/// Appends a value, after its length where that varies.
pub(super) fn write_value<C: Codec>(value: C::View<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    if C::WIDTH > 0 {
        return C::encode(value, out).map(|_| ());
    }
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    if !C::encode(value, out)? {
        return Err(CodecError::new("what a window has gathered is null"));
    }
    let length = u32::try_from(out.len() - at - 4);
    let length = length.map_err(|_| CodecError::new("what a window has gathered is longer than 4 GiB"))?;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

pub(super) fn write_number(out: &mut Vec<u8>, number: impl serde::Serialize) -> Result<(), CodecError> {
    let mut bytes = [0; 10];
    let written = postcard::to_slice(&number, &mut bytes).map_err(CodecError::new)?;
    out.extend_from_slice(written);
    Ok(())
}

/// Takes a number off `bytes`.
pub(super) fn number<T: serde::de::DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, CodecError> {
    let (number, rest) = postcard::take_from_bytes(bytes).map_err(|_| CodecError::new("the windows end too early"))?;
    *bytes = rest;
    Ok(number)
}

/// Takes a value off `bytes`.
pub(super) fn value<C: Codec>(bytes: &mut &[u8]) -> Result<C::Owned, CodecError> {
    let early = || CodecError::new("the windows end too early");
    let (length, rest) = match C::WIDTH {
        0 => bytes.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
        width => Some((width, *bytes)),
    }
    .ok_or_else(early)?;
    let (value, rest) = rest.split_at_checked(length).ok_or_else(early)?;
    *bytes = rest;
    C::decode(Some(value)).map(C::own)
}

impl<E: Entry> StateValue for OpenWindows<E> {
    const WEIGHT_IS_CHEAP: bool = <E::Accumulator as StateValue>::WEIGHT_IS_CHEAP;

    fn weight(opened: &Opened<E>) -> usize {
        let held = opened.older.capacity() * size_of::<E>();
        if Opened::<E>::IS_WEIGHED || !std::mem::needs_drop::<Owned<E>>() {
            return held + opened.heap;
        }
        held + opened.iter().filter_map(Entry::gathered).map(<E::Accumulator as StateValue>::weight).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Text;

    #[derive(Debug)]
    struct Named(i64, String);

    impl Entry for Named {
        type Accumulator = Text;

        fn place(&self) -> i64 {
            self.0
        }

        fn gathered(&self) -> Option<&String> {
            Some(&self.1)
        }

        fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
            write_number(out, self.0)?;
            write_value::<Text>(&self.1, out)
        }

        fn read(bytes: &mut &[u8]) -> Result<Self, CodecError> {
            Ok(Named(number(bytes)?, value::<Text>(bytes)?))
        }
    }

    fn contents(opened: &Opened<Named>) -> Vec<(i64, String)> {
        opened.iter().map(|entry| (entry.0, entry.1.clone())).collect()
    }

    proptest! {
        #[test]
        fn windows_are_kept_in_order(places in prop::collection::vec(-20i64..20, 0..30), removed in prop::collection::vec(-20i64..20, 0..10)) {
            let (mut opened, mut expected) = (Opened::<Named>::default(), std::collections::BTreeMap::new());
            for place in places {
                opened.at(place, || Named(place, String::new())).1.push('x');
                expected.entry(place).or_insert_with(String::new).push('x');
                prop_assert_eq!(opened.recent(place).map(|entry| entry.0), Some(place).filter(|_| expected.range(place + 1..).count() < 1 + RECENT));
            }
            for place in removed {
                prop_assert_eq!(opened.take(place).map(|entry| entry.1), expected.remove(&place));
            }
            prop_assert_eq!(contents(&opened), expected.clone().into_iter().collect::<Vec<_>>());
            let range: Vec<i64> = opened.range(-5..7).map(|entry| entry.0).collect();
            prop_assert_eq!(range, expected.range(-5..7).map(|(place, _)| *place).collect::<Vec<_>>());
            let mut bytes = Vec::new();
            OpenWindows::encode(&opened, &mut bytes).unwrap();
            let back = OpenWindows::<Named>::decode(Some(&bytes)).unwrap();
            prop_assert_eq!((contents(&back), back.armed), (contents(&opened), i64::MAX));
            opened.drop_before(0);
            expected.retain(|place, _| *place >= 0);
            prop_assert_eq!((contents(&opened), opened.is_empty()), (expected.clone().into_iter().collect(), expected.is_empty()));
        }

        #[test]
        fn any_bytes_are_windows_or_an_error(bytes: Vec<u8>, count in 0u8..4) {
            let _ = OpenWindows::<Named>::decode(Some(&bytes));
            let _ = OpenWindows::<Named>::decode(Some(&[&[count, 0], &bytes[..]].concat()));
        }
    }

    #[test]
    fn what_is_no_list_of_windows_is_an_error() {
        let error = |bytes: &[u8]| OpenWindows::<Named>::decode(Some(bytes)).unwrap_err().to_string();
        let (one, other) = ([4, 1, 0, 0, 0, b'x'], [2, 0, 0, 0, 0]);
        assert_eq!(error(&[]), "the windows end too early");
        assert_eq!(error(&[&[1, 0], &one[..5]].concat()), "the windows end too early");
        assert_eq!(error(&[&[0, 0], &one[..]].concat()), "6 bytes are left over after the windows");
        assert_eq!(error(&[&[2, 0], &one[..], &other[..]].concat()), "windows are not in order");
        assert_eq!(contents(&OpenWindows::decode(Some(&[&[2, 0], &other[..], &one[..]].concat())).unwrap()).len(), 2);
    }
}
