//! Query 3: who sells items of category 10 in Oregon, Idaho or California. A join of two streams as they come.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::Events,
    row::{Rows, Str, rows},
};

/// A person, or an item that the person sells; the person's number is the key.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Side<'a> {
    /// An item of category 10.
    Item(Item),
    /// A person.
    Person(#[serde(borrow)] Seller<'a>),
}

impl Default for Side<'_> {
    fn default() -> Self {
        Side::Item(Item::default())
    }
}

/// An auction of category 10.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Item {
    id: u64,
    date_time: i64,
}

/// A person.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Seller<'a> {
    date_time: i64,
    /// Of the others the text is empty: that they have come is all there is to know.
    is_local: bool,
    #[serde(borrow)]
    name: Str<'a>,
    city: Str<'a>,
    state: Str<'a>,
}

/// Query 3: an item and who sells it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct LocalItem<'a> {
    #[serde(borrow)]
    name: Str<'a>,
    city: Str<'a>,
    state: Str<'a>,
    id: u64,
}

rows!(Side<'a>, Item, Seller<'a>, LocalItem<'a>);

/// Persons, and auctions of category 10, by person.
#[operator(shared)]
pub fn sellers(event: Record<'_, (), Events>, out: &mut Output<u64, Rows<Side<'static>>>) -> Result<()> {
    if let Some(auction) = event.value.auction()? {
        if auction.category == 10 {
            out.emit(auction.seller, Side::Item(Item { id: auction.id, date_time: auction.date_time }));
        }
    } else if let Some(person) = event.value.person()? {
        // The generator writes them in lower case, the public query in capitals.
        let is_local = [b"or", b"id", b"ca"].iter().any(|state| person.state.0.eq_ignore_ascii_case(*state));
        let text = |text| if is_local { text } else { Str::default() };
        let (name, city, state) = (text(person.name), text(person.city), text(person.state));
        out.emit(person.id, Side::Person(Seller { date_time: person.date_time, is_local, name, city, state }));
    }
    Ok(())
}

/// Keeps the person, and the items that came before.
#[derive(States)]
pub struct LocalItems {
    seller: ValueState<Rows<Seller<'static>>>,
    waiting: ListState<Rows<Item>>,
}

/// The row has the later time of the two, whichever came first.
fn join(seller: &Seller<'_>, item: &Item, out: &mut Output<(), Rows<LocalItem<'static>>>) {
    if seller.is_local {
        let Seller { name, city, state, .. } = *seller;
        out.emit_at(seller.date_time.max(item.date_time), (), LocalItem { name, city, state, id: item.id });
    }
}

#[operator(shared)]
impl KeyedOperator for LocalItems {
    type Key = u64;
    type Value = Rows<Side<'static>>;
    type Output = Output<(), Rows<LocalItem<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        Ok(LocalItems { seller: setup.value_state("seller"), waiting: setup.list_state("waiting") })
    }

    fn process(
        &mut self,
        record: Record<'_, u64, Self::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        match record.value {
            Side::Item(item) => match self.seller.get() {
                Some(seller) => join(&seller, &item, out),
                None => self.waiting.append(item)?,
            },
            Side::Person(seller) => {
                let mut any = false;
                for item in self.waiting.get(call)? {
                    join(&seller, &item?, out);
                    any = true;
                }
                if any {
                    self.waiting.clear();
                }
                self.seller.set(Rows::<Seller<'static>>::pack(&seller));
            }
        }
        Ok(())
    }
}
