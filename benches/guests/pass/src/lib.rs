//! Passes rows on, reading each value: an operator that does as little as one can.

use wasmill_sdk::prelude::*;

/// Gives each row its own value.
#[operator]
pub fn pass(row: Record<'_, u64, u64>, out: &mut MapValues<u64>) {
    out.set(row.value);
}
