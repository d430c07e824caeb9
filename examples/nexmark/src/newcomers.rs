//! Query 8: who came and put something up for auction in the same 10 seconds.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::Events,
    row::{Rows, Str, rows},
    windows::{LateRecords, SIZE, start_of},
};

/// What a person did; the person and the window are the key.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Deed<'a> {
    id: u64,
    starttime: i64,
    /// Came, by this name.
    #[serde(borrow)]
    name: Option<Str<'a>>,
    /// Put something up for auction.
    sells: bool,
}

/// Query 8: a person who came and sells.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct NewSeller<'a> {
    id: u64,
    #[serde(borrow)]
    name: Str<'a>,
    starttime: i64,
}

rows!(Deed<'a>, NewSeller<'a>);

/// Persons and sellers by person and window, sixteen bytes.
#[operator(shared)]
pub fn newcomers(event: Record<'_, (), Events>, out: &mut Output<Bytes, Rows<Deed<'static>>>) -> Result<()> {
    let (deed, time) = if let Some(auction) = event.value.auction()? {
        (Deed { id: auction.seller, sells: true, ..Deed::default() }, auction.date_time)
    } else if let Some(person) = event.value.person()? {
        (Deed { id: person.id, name: Some(person.name), ..Deed::default() }, person.date_time)
    } else {
        return Ok(());
    };
    let starttime = start_of(time, SIZE);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&deed.id.to_le_bytes());
    key[8..].copy_from_slice(&starttime.to_le_bytes());
    out.emit_at(time, &key, Deed { starttime, ..deed });
    Ok(())
}

/// Keeps what a person did in a window, until it ends.
#[derive(States)]
pub struct NewSellers {
    done: ValueState<Rows<Deed<'static>>>,
    late: LateRecords,
}

#[operator(shared)]
impl KeyedOperator for NewSellers {
    type Key = Bytes;
    type Value = Rows<Deed<'static>>;
    type Output = Output<(), Rows<NewSeller<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(NewSellers { done: setup.value_state("done"), late: LateRecords::new(setup) })
    }

    fn process(
        &mut self,
        record: Record<'_, Bytes, Self::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let deed = record.value;
        let done = self.done.get();
        if self.late.is_open(deed.starttime.saturating_add(SIZE), call, done.is_none()) {
            let done = done.unwrap_or(deed);
            let both = Deed { name: done.name.or(deed.name), sells: done.sells || deed.sells, ..deed };
            let both = Rows::<Deed<'static>>::pack(&both);
            self.done.set(both);
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer<'_, Bytes>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if let Some(Deed { id, starttime, name: Some(name), sells: true }) = self.done.get() {
            out.emit((), NewSeller { id, name, starttime });
        }
        self.done.clear();
        Ok(())
    }
}
