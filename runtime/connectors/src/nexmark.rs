//! Makes the events of Nexmark up: persons, auctions and bids of an auction site, the same ones at any parallelism.

mod event;

use nexmark::{EventGenerator, config::NexmarkConfig};
use wasmill_core::{Batch, Codec, Source, SourceContext, SourceFactory, source::ConnectorError};

use crate::numbered::{Made, Numbered};

/// Events of Nexmark, by the generator of the crate [`nexmark`]. Of fifty events one is a person, three are auctions and the others bids.
///
/// Event number i is a function of i and of the settings here alone. Splits and positions are those of the
/// [`generator`](crate::generator).
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
        if self.shuffled <= 1 {
            return 0;
        }
        // Times are rounded, and beyond 2^24 ms the crate's single precision rounds them more coarsely.
        let coarse = self.count.unwrap_or(u64::MAX).saturating_mul(1_000) / self.density.max(1) >> 23;
        (self.shuffled * 1_000).div_ceil(self.density.max(1)) + 1 + coarse.min(60_000)
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
        let events = Events { generator: Some(EventGenerator::new(config)), step: 1, format: self.format };
        Numbered::create(events, self.count, self.rate, &context)
    }
}

/// Makes events.
struct Events {
    /// There but while it is moved.
    generator: Option<EventGenerator>,
    step: u64,
    format: EventFormat,
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
        for event in moved.iter_mut().flatten().take(rows) {
            batch.timestamps.push(event.timestamp() as i64);
            event::write(&event, self.format, &mut batch.values);
            batch.value_ends.push(batch.values.len() as u32);
        }
        self.generator = moved;
        batch
    }
}

#[cfg(test)]
mod tests {
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

    /// The highest time so far, less the time of an event, over a hundred thousand events.
    #[test]
    fn events_are_no_more_out_of_order_than_is_said() {
        for (shuffled, least) in [(1, 0), (100, 5), (1_000, 90), (5_000, 450)] {
            let source = source(100_000, shuffled, EventFormat::Json);
            let config = NexmarkConfig {
                base_time: BASE as u64,
                out_of_order_group_size: shuffled as usize,
                ..NexmarkConfig::default()
            };
            let (mut highest, mut most) = (0, 0);
            for event in EventGenerator::new(config).take(100_000) {
                highest = highest.max(event.timestamp());
                most = most.max(highest - event.timestamp());
            }
            assert!((least..=source.disorder()).contains(&most), "{shuffled}: {most} of {}", source.disorder());
        }
    }
}
