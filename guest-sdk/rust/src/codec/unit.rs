//! `()`: a column that is not there.

use super::{Codec, CodecError, Format, named};
use crate::column::Column;

/// As many `()` as there are rows.
#[derive(Debug)]
pub struct UnitRows(usize);

impl Iterator for UnitRows {
    type Item = Result<(), CodecError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.0 = self.0.checked_sub(1)?;
        Some(Ok(()))
    }
}

impl Codec for () {
    type View<'a> = ();
    type Decoded<'a> = ();
    type Owned = ();
    type Rows<'a> = UnitRows;
    const COLUMN: bool = false;
    const FALLIBLE: bool = false;

    fn format() -> Format {
        named("bytes")
    }

    fn rows(_: Column<'_>, rows: usize) -> UnitRows {
        UnitRows(rows)
    }

    #[inline(always)]
    fn decode(_: Option<&[u8]>) -> Result<(), CodecError> {
        Ok(())
    }

    #[inline(always)]
    fn view(_: &()) {}

    fn own(_: ()) {}

    #[inline(always)]
    fn borrow(_: &()) {}

    #[inline(always)]
    fn encode(_: (), _: &mut Vec<u8>) -> Result<bool, CodecError> {
        Ok(false)
    }
}
