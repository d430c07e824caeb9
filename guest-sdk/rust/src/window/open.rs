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

/// The windows of a key that are open. The newest is not on the heap: most records belong to it.
#[derive(Debug)]
pub(crate) struct Opened<E> {
    /// Which window has a timer: of panes see there; `i64::MAX` where none has.
    pub(crate) armed: i64,
    pub(crate) newest: Option<E>,
    /// The others, in order.
    pub(crate) older: Vec<E>,
}

impl<E> Default for Opened<E> {
    fn default() -> Self {
        Opened { armed: i64::MAX, newest: None, older: Vec::new() }
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

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut E> {
        self.older.iter_mut().chain(&mut self.newest)
    }

    /// The one at `place`, which is made where there is none.
    #[inline]
    pub(crate) fn at(&mut self, place: i64, make: impl FnOnce() -> E) -> &mut E {
        let is_newest = matches!(&self.newest, Some(newest) if newest.place() == place);
        if is_newest { self.newest.get_or_insert_with(make) } else { self.at_other(place, make) }
    }

    /// The one at `place`, if it is one of the two newest.
    #[inline(always)]
    pub(crate) fn recent(&mut self, place: i64) -> Option<&mut E> {
        match &mut self.newest {
            Some(newest) if newest.place() == place => Some(newest),
            _ => self.older.last_mut().filter(|entry| entry.place() == place),
        }
    }

    #[inline(never)]
    fn at_other(&mut self, place: i64, make: impl FnOnce() -> E) -> &mut E {
        let Opened { newest, older, .. } = self;
        match newest {
            Some(first) if first.place() > place => {
                // Most are the last but one.
                let after = older.iter().rposition(|entry| entry.place() <= place).map_or(0, |at| at + 1);
                if after > 0 && older[after - 1].place() == place {
                    return &mut older[after - 1];
                }
                older.insert(after, make());
                &mut older[after]
            }
            _ => {
                older.extend(newest.take());
                newest.insert(make())
            }
        }
    }

    /// Drops those that `keep` does not want.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&E) -> bool) {
        self.older.retain(&mut keep);
        if self.newest.as_ref().is_some_and(|newest| !keep(newest)) {
            self.newest = self.older.pop();
        }
    }

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
        match rest {
            [] => Ok(opened),
            _ => Err(CodecError::new(format_args!("{} bytes are left over after the windows", rest.len()))),
        }
    }

    #[inline(always)]
    fn view<'a>(decoded: &'a Opened<E>) -> &'a Opened<E> {
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
        if !std::mem::needs_drop::<Owned<E>>() {
            return held;
        }
        let gathered = opened.iter().filter_map(Entry::gathered);
        held + gathered.map(<E::Accumulator as StateValue>::weight).sum::<usize>()
    }
}
