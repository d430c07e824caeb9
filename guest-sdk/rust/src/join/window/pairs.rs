//! Moves the rows of a window to the join, each left one with each right one.

use super::super::{JoinKind, JoinRow};
use crate::{
    call::KeyedCall,
    codec::Codec,
    error::Result,
    ordered::rows::{SortedRow, SortedRows, decode},
    window::Window,
};

/// Takes a pair, one of which may be missing.
type Join<'a, L, R> = dyn FnMut(Option<JoinRow<'_, L>>, Option<JoinRow<'_, R>>) -> Result + 'a;

/// Gives `join` the pairs of a window's rows. Of either input a page is in memory.
///
/// # Errors
/// Those of `join`; the job's, when what is stored cannot be read.
pub(super) fn each<L: Codec, R: Codec>(
    kind: JoinKind,
    (left, right): (&mut SortedRows, &mut SortedRows),
    window: Window,
    call: &mut KeyedCall<'_>,
    join: &mut Join<'_, L, R>,
) -> Result {
    let (start, last) = (SortedRows::at(window.start), window.last());
    let first_page = right.page(call, &start, last)?;
    if first_page.rows.is_empty() {
        return match kind.keeps_left() {
            true => each_row::<L>(left, window, call, &mut |left, _| join(Some(left), None)),
            false => Ok(()),
        };
    }
    // The usual case: all right rows of the window are in one page, and are decoded once.
    let rights = decoded::<R>(&first_page.rows)?;
    let mut any = false;
    each_row::<L>(left, window, call, &mut |left, call| {
        any = true;
        rights.iter().try_for_each(|(time, value)| join(Some(left), Some(row(*time, value))))?;
        let mut next = first_page.next.clone();
        while let Some(cursor) = next {
            let page = right.page(call, &cursor, last)?;
            let rights = decoded::<R>(&page.rows)?;
            rights.iter().try_for_each(|(time, value)| join(Some(left), Some(row(*time, value))))?;
            next = page.next;
        }
        Ok(())
    })?;
    if !any && kind.keeps_right() {
        each_row::<R>(right, window, call, &mut |right, _| join(None, Some(right)))?;
    }
    Ok(())
}

fn decoded<V: Codec>(rows: &[SortedRow]) -> Result<Vec<(i64, V::Decoded<'_>)>> {
    rows.iter().map(|row| Ok((row.time, decode::<V>(row.value())?))).collect()
}

fn row<'a, V: Codec>(timestamp: i64, value: &'a V::Decoded<'_>) -> JoinRow<'a, V> {
    JoinRow { value: V::view(value), timestamp }
}

/// Shows the rows of a window, in order.
fn each_row<V: Codec>(
    rows: &mut SortedRows,
    window: Window,
    call: &mut KeyedCall<'_>,
    show: &mut dyn FnMut(JoinRow<'_, V>, &mut KeyedCall<'_>) -> Result,
) -> Result {
    let mut next = Some(SortedRows::at(window.start));
    while let Some(cursor) = next {
        let page = rows.page(call, &cursor, window.last())?;
        for (time, value) in decoded::<V>(&page.rows)? {
            show(row(time, &value), call)?;
        }
        next = page.next;
    }
    Ok(())
}
