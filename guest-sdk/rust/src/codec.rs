//! Decides how the bytes of a column are read and written.
//!
//! A codec is a type that names a format. It has one borrowed form, its *view*, which is what a record gives, what an
//! output takes and what state returns:
//!
//! | codec | view | bytes |
//! |---|---|---|
//! | [`Bytes`] | `&[u8]` | any |
//! | [`Text`] | `&str` | UTF-8 |
//! | `u32` `u64` `i32` `i64` `f32` `f64` | itself | fixed width, little-endian |
//! | [`Json<T>`] | `&T` | one JSON value |
//! | [`Postcard<T>`] | `&T` | serde's postcard format |
//! | `Option<C>` | `Option` of the view of `C` | those of `C`, or null |
//! | `()` | `()` | the column is not read, and not written |
//!
//! Where a codec other than `Option` finds a null, the record is at fault.

mod nullable;
mod number;
mod serial;
mod text;
mod unit;

use std::fmt;

pub use nullable::NullableRows;
pub use number::NumberRows;
pub use serial::{Json, Postcard};
pub use text::{Bytes, Text, TextRows};
pub use unit::UnitRows;

pub use crate::bindings::wasmill::operator::description::Codec as Format;
use crate::column::{Column, Entries};

/// How the bytes of a column are read and written.
///
/// Implement it for a format of your own with [`ByRow`] as `Rows`.
pub trait Codec: Sized + 'static {
    /// The borrowed form.
    type View<'a>: Copy;
    /// What an entry of a column decodes to; views are borrowed from it.
    type Decoded<'a>;
    /// The form that owns its contents, for state and tests.
    type Owned;
    /// Decodes the entries of a column in order. Made once a batch, so that what can be checked for the whole column is
    /// checked once.
    type Rows<'a>: Iterator<Item = Result<Self::Decoded<'a>, CodecError>>;

    /// Whether there is a column at all.
    const COLUMN: bool = true;
    /// The length that every entry has, in bytes; 0 where it varies.
    const WIDTH: usize = 0;
    /// Whether an entry may have no encoding.
    const FALLIBLE: bool = true;

    /// What `describe` says of it.
    fn format() -> Format;

    /// The entries of a column of `rows` rows.
    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_>;

    /// Decodes one entry, `None` for a null.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn decode(bytes: Option<&[u8]>) -> Result<Self::Decoded<'_>, CodecError>;

    /// Borrows from a decoded entry.
    fn view<'a>(decoded: &'a Self::Decoded<'_>) -> Self::View<'a>;

    /// Makes a decoded entry own its contents.
    fn own(decoded: Self::Decoded<'_>) -> Self::Owned;

    /// Borrows from an owned entry.
    fn borrow(owned: &Self::Owned) -> Self::View<'_>;

    /// Appends an entry to `out`; false for a null, which appends nothing.
    ///
    /// # Errors
    /// When the entry has no encoding.
    fn encode(view: Self::View<'_>, out: &mut Vec<u8>) -> Result<bool, CodecError>;
}

/// A codec whose entries can be kept in state: all but `Option` and `()`, for which absence would be ambiguous.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in state",
    label = "not a codec of state",
    note = "use `Bytes`, `Text`, a number, `Json<T>` or `Postcard<T>`; that a key has no value is said by `get` returning `None`"
)]
pub trait StateValue: Codec {
    /// Whether [`StateValue::weight`] is so cheap that it may be asked for at every change, rather than once an epoch.
    const WEIGHT_IS_CHEAP: bool = true;

    /// Heap memory that `owned` takes, roughly, in bytes.
    fn weight(owned: &Self::Owned) -> usize {
        let _ = owned;
        0
    }
}

/// Bytes that do not fit their codec, or a value that has no encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError(String);

impl CodecError {
    /// An error that says what is wrong.
    #[cold]
    pub fn new(message: impl fmt::Display) -> CodecError {
        CodecError(message.to_string())
    }

    #[cold]
    pub(crate) fn null() -> CodecError {
        CodecError("it is null; a codec `Option<...>` accepts null".to_string())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// Decodes entry by entry: the `Rows` of a codec that has nothing to check for a whole column.
#[derive(Debug)]
pub struct ByRow<'a, C> {
    entries: Entries<'a>,
    codec: std::marker::PhantomData<fn() -> C>,
}

impl<'a, C> ByRow<'a, C> {
    /// The entries of `column`.
    pub fn new(column: Column<'a>, rows: usize) -> ByRow<'a, C> {
        ByRow { entries: column.iter(rows), codec: std::marker::PhantomData }
    }
}

impl<'a, C: Codec> Iterator for ByRow<'a, C> {
    type Item = Result<C::Decoded<'a>, CodecError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(C::decode)
    }
}

/// A format that its name describes.
pub(crate) fn named(name: &str) -> Format {
    Format { name: name.to_string(), schema: String::new() }
}
