//! Makes the events of Nexmark up: persons, auctions and bids of an auction site, the same ones at any parallelism.

mod event;

use nexmark::{EventGenerator, config::NexmarkConfig, event::Event};
use wasmill_core::{Batch, Codec, Source, SourceContext, SourceFactory, source::ConnectorError};

use crate::numbered::{Made, Numbered};

/// Events of Nexmark, by the generator of the crate [`nexmark`]. Of fifty events one is a person, three are auctions and the others bids.
///
/// Event number i is a function of i and of the settings here alone (prices are powers of ten in single precision, by the
/// platform's mathematical library). Splits and positions are those of the [`generator`](crate::generator).
///
/// Times are counted here, in whole numbers. The crate counts them in single precision, which beyond 2^24 ms, less than five
/// hours, is coarser than a millisecond, and would put events further and further out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NexmarkSource {
    /// How many events in all; `None` without end.
    pub count: Option<u64>,
    /// Events per second over all subtasks; `None` as fast as they are taken.
    pub rate: Option<u64>,
    /// Event time of the first event, milliseconds since the Unix epoch; not negative.
    pub base_time: i64,
    /// Events in a second of event time, 1 to 1,000,000.
    pub density: u64,
    /// Groups of so many events are shuffled, which puts them out of order; 1 leaves them in order. At least 1, and no multiple of
    /// 953, by which they are shuffled.
    pub shuffled: u64,
    /// How events are written.
    pub format: EventFormat,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFormat {
    /// In serde's postcard format: the variant (person, auction, bid), then its fields.
    Postcard,
    /// As a JSON object with a `kind`.
    Json,
}

impl NexmarkSource {
    /// How far an event may be behind the highest event time before it, milliseconds.
    pub fn disorder(&self) -> u64 {
        // From the first to the last of a group.
        (self.shuffled.saturating_sub(1) * 1_000).div_ceil(self.density.max(1))
    }

    /// The place in time of event number `i`, from 0 on: the same number, or another one of its group. As the crate shuffles.
    fn place(&self, i: u64) -> u64 {
        let group = self.shuffled.max(1);
        (i / group).wrapping_mul(group).wrapping_add(i.wrapping_mul(953) % group)
    }

    /// Event time at a place, milliseconds since the Unix epoch.
    fn time(&self, place: u64) -> i64 {
        let density = u128::from(self.density.max(1));
        let since = (u128::from(place) * 1_000 + density / 2) / density;
        self.base_time.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

impl SourceFactory for NexmarkSource {
    fn codecs(&self) -> (Codec, Codec) {
        let value = match self.format {
            EventFormat::Postcard => Codec { name: "postcard".into(), schema: "nexmark::Event".into() },
            EventFormat::Json => Codec::named("json"),
        };
        (Codec::named("bytes"), value)
    }

    fn has_event_time(&self) -> bool {
        true
    }

    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        let base_time = u64::try_from(self.base_time)
            .map_err(|_| crate::failed("the base time of Nexmark's events cannot be before 1970"))?;
        let config = NexmarkConfig {
            base_time,
            out_of_order_group_size: self.shuffled.max(1) as usize,
            first_rate: self.density.max(1) as usize,
            next_rate: self.density.max(1) as usize,
            ..NexmarkConfig::default()
        };
        let events = Events { generator: Some(EventGenerator::new(config)), step: 1, source: self.clone() };
        Numbered::create(events, self.count, self.rate, &context)
    }
}

/// Makes events.
struct Events {
    /// There but while it is moved.
    generator: Option<EventGenerator>,
    step: u64,
    source: NexmarkSource,
}

impl Made for Events {
    const ROW_BYTES: usize = 160;

    fn rows(&mut self, first: u64, step: u64, rows: usize) -> Batch {
        let mut batch = Batch::default();
        batch.timestamps.reserve(rows);
        batch.value_ends.reserve(rows);
        batch.values.reserve(rows * Self::ROW_BYTES);
        let mut moved = self.generator.take().map(|generator| match generator.offset() == first && self.step == step {
            true => generator,
            false => generator.with_offset(first).with_step(step),
        });
        self.step = step;
        for (row, mut event) in moved.iter_mut().flatten().take(rows).enumerate() {
            let time = self.source.time(self.source.place(first + row as u64 * step));
            set_time(&mut event, time as u64);
            batch.timestamps.push(time);
            event::write(&event, self.source.format, &mut batch.values);
            batch.value_ends.push(batch.values.len() as u32);
        }
        self.generator = moved;
        batch
    }
}

/// Gives an event a time; an auction stays open as long as before.
fn set_time(event: &mut Event, time: u64) {
    match event {
        Event::Person(person) => person.date_time = time,
        Event::Auction(auction) => {
            let open = auction.expires.saturating_sub(auction.date_time);
            (auction.date_time, auction.expires) = (time, time.saturating_add(open));
        }
        Event::Bid(bid) => bid.date_time = time,
    }
}

#[cfg(test)]
mod tests {
    use wasmill_core::{
        source::{SourceEvent, SplitState},
        time::SplitWatermarks,
    };

    use super::*;
    use crate::replay;

    const BASE: i64 = 1_436_918_400_000;

    fn source(count: u64, shuffled: u64, format: EventFormat) -> NexmarkSource {
        NexmarkSource { count: Some(count), rate: None, base_time: BASE, density: 10_000, shuffled, format }
    }

    fn sorted(mut rows: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        rows.sort();
        rows
    }

    /// Against the crate itself, asked for one event after another.
    #[test]
    fn events_are_those_of_the_crate() {
        let source = source(500, 1, EventFormat::Json);
        let made = replay::run(&source, 1, None, (64, &|_| usize::MAX), &replay::values).unwrap();
        let config = NexmarkConfig { base_time: BASE as u64, ..NexmarkConfig::default() };
        let mut kinds = [0; 3];
        for (made, event) in made.rows.iter().zip(EventGenerator::new(config).take(500)) {
            let made: serde_json::Value = serde_json::from_slice(made).unwrap();
            assert_eq!(made["date_time"], event.timestamp());
            match event {
                nexmark::event::Event::Person(person) => {
                    kinds[0] += 1;
                    assert_eq!((&made["kind"], &made["id"]), (&"person".into(), &(person.id as u64).into()));
                    assert_eq!((&made["name"], &made["city"]), (&person.name.into(), &person.city.into()));
                    assert_eq!(made["email_address"], person.email_address);
                    assert_eq!((&made["state"], &made["extra"]), (&person.state.into(), &person.extra.into()));
                }
                nexmark::event::Event::Auction(auction) => {
                    kinds[1] += 1;
                    assert_eq!((&made["kind"], &made["id"]), (&"auction".into(), &(auction.id as u64).into()));
                    assert_eq!(made["expires"], auction.expires);
                    assert_eq!(made["initial_bid"], auction.initial_bid as u64);
                    assert_eq!(made["reserve"], auction.reserve as u64);
                    assert_eq!(made["seller"], auction.seller as u64);
                    assert_eq!(made["category"], auction.category as u64);
                    assert_eq!(made["item_name"], auction.item_name);
                    assert_eq!(made["description"], auction.description);
                }
                nexmark::event::Event::Bid(bid) => {
                    kinds[2] += 1;
                    assert_eq!((&made["kind"], &made["auction"]), (&"bid".into(), &(bid.auction as u64).into()));
                    assert_eq!(
                        (&made["bidder"], &made["price"]),
                        (&(bid.bidder as u64).into(), &(bid.price as u64).into())
                    );
                    assert_eq!((&made["channel"], &made["url"]), (&bid.channel.into(), &bid.url.into()));
                }
            }
        }
        assert_eq!((made.rows.len(), kinds), (500, [10, 30, 460]));
    }

    #[test]
    fn events_do_not_depend_on_parallelism_batches_or_a_cut() {
        for format in [EventFormat::Postcard, EventFormat::Json] {
            let source = source(211, 100, format);
            let whole = replay::run(&source, 1, None, (1_000, &|_| usize::MAX), &replay::values).unwrap();
            let whole = sorted(whole.rows);
            for (parallelism, after, cut) in [(1, 1, 2), (2, 1, 3), (3, 2, 1), (2, 5, 0)] {
                let first = replay::run(&source, parallelism, None, (9, &|_| cut), &replay::values).unwrap();
                let second =
                    replay::run(&source, after, Some(&first.splits), (7, &|_| usize::MAX), &replay::values).unwrap();
                assert_eq!(sorted([first.rows, second.rows].concat()), whole);
            }
        }
    }

    /// The events that the source makes from number `from` on, and the times that the batch gives them.
    fn events_from(source: &NexmarkSource, from: u64, rows: usize) -> Vec<(i64, serde_json::Value)> {
        let position = format!(r#"{{"split":0,"of":1,"next":{from}}}"#).into_bytes();
        let splits = [SplitState { id: "0/1".into(), position, watermarks: SplitWatermarks::default() }].into();
        let mut subtask = replay::subtask(source, (0, 1), Some(splits)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut events = Vec::new();
        while events.len() < rows {
            let SourceEvent::Rows { batch, .. } = runtime.block_on(subtask.next(replay::limit(1_000))).unwrap() else {
                panic!("there are more events")
            };
            events.extend(batch.iter().map(|row| (row.timestamp, serde_json::from_slice(row.value.unwrap()).unwrap())));
        }
        events
    }

    /// The highest time so far less the time of an event: as high as it gets, and no higher, also after years of event time. The bound
    /// is worked by hand: from the first to the last of a group.
    #[test]
    fn events_are_as_far_out_of_order_as_is_said() {
        for (shuffled, density, bound) in [(1, 10_000, 0), (100, 10_000, 10), (5_000, 10_000, 500), (500, 200, 2_495)] {
            for from in [0, 40_000_000, 400_000_000_000] {
                let from = from / shuffled * shuffled;
                let source = NexmarkSource { count: None, density, ..source(1, shuffled, EventFormat::Json) };
                assert_eq!(source.disorder(), bound);
                let (mut highest, mut most) = (0, 0);
                for (time, event) in events_from(&source, from, 10_000) {
                    assert_eq!(event["date_time"], time, "the row has its event's time");
                    highest = highest.max(time);
                    most = most.max(highest - time);
                }
                let least = bound as i64 * 4 / 5;
                assert!((least..=bound as i64).contains(&most), "groups of {shuffled} at {from}: {most} of {bound}");
            }
        }
    }

    /// Sorted by time, events are as far apart as their density says, and no event is there twice or missing.
    #[test]
    fn times_are_even_however_late() {
        for (density, from) in [(1_000, 0), (1_000, 1 << 40), (1, 1 << 33), (500, 1 << 35)] {
            let from = from / 100 * 100;
            let source = NexmarkSource { count: None, density, ..source(1, 100, EventFormat::Json) };
            let mut times: Vec<i64> = events_from(&source, from, 2_000).into_iter().map(|(time, _)| time).collect();
            times.sort_unstable();
            let expected: Vec<i64> = (0..2_000).map(|i| BASE + ((from + i) * (1_000 / density)) as i64).collect();
            assert_eq!(times, expected, "{density} a second from {from}");
        }
    }

    /// An auction is open as long as the crate says: from one millisecond to twice the time in which a hundred auctions come.
    #[test]
    fn auctions_close_after_they_open() {
        let source = NexmarkSource { count: None, density: 200, ..source(1, 500, EventFormat::Json) };
        let mut auctions = 0;
        for (time, event) in events_from(&source, 0, 5_000) {
            if event["kind"] == "auction" {
                let open = event["expires"].as_i64().unwrap() - time;
                assert!((1..=2 * 5 * 1_667).contains(&open), "{open} ms");
                auctions += 1;
            }
        }
        assert_eq!(auctions, 300);
    }
}
