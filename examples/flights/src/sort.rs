//! Sorts flights by when they left: state keeps them in order, and gives them out in pages when the input has ended.

use wasmill_sdk::prelude::*;

use crate::flight::Flight;

/// About how many bytes of flights are read from state and emitted in one call.
const PAGE_BYTES: u32 = 256 * 1024;

/// When a flight left, its carrier and number, and how many came before it: the order of the result.
type Place = (i64, Text, u32, u64);

/// All flights of a key in the order in which they left; those of one moment by carrier and number, then as they came.
///
/// The flights are in an ordered map, which is larger than what the instance caches of it: the rest is in the job's store. When
/// the input has ended a timer reads and emits a page, and sets itself again, so that no call is long.
#[derive(States)]
pub struct Sort {
    flights: MapState<Place, Postcard<Flight>>,
    came: ValueState<u64>,
    /// The place of the last flight that was emitted.
    emitted: ValueState<Postcard<(i64, String, u32, u64)>>,
}

#[operator(shared)]
impl KeyedOperator for Sort {
    type Key = Text;
    type Value = Postcard<Flight>;
    type Output = Output<Text, Postcard<Flight>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(Sort {
            flights: setup.map_state("flights"),
            came: setup.value_state("came"),
            emitted: setup.value_state("emitted"),
        })
    }

    fn process(
        &mut self,
        record: Record<'_, Text, Postcard<Flight>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let flight = record.value;
        let departed = record.timestamp().ok_or_else(|| Error::record("it has no event time"))?;
        let came = self.came.update(|came| {
            *came += 1;
            *came
        });
        if came == 1 {
            call.register_event_timer(END_OF_TIME, 0);
        }
        self.flights.put((departed, &flight.carrier, flight.number, came), flight.clone());
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, Text>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let from = match self.emitted.get() {
            // Places differ in their last part, so the next one is not below this.
            Some((departed, carrier, number, came)) => Cursor::at::<Place>((*departed, carrier, *number, came + 1)),
            None => Cursor::first(),
        };
        let page = self.flights.scan(call, &from, PAGE_BYTES)?;
        let mut last = None;
        for entry in page.iter() {
            let (place, flight) = entry?;
            out.emit_at(place.0, timer.key(), &flight);
            last = Some(place);
        }
        match last {
            Some(place) if page.next().is_some() => {
                self.emitted.set(place);
                call.register_event_timer(END_OF_TIME, 0);
            }
            _ => {
                self.flights.clear();
                self.came.clear();
                self.emitted.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;
    use crate::flight::tests::flight;

    /// More flights than fit in some pages, in an order that is far from sorted.
    #[test]
    fn flights_come_in_order_page_by_page() {
        let mut harness = Harness::<Sort>::open("{}").unwrap();
        let mut all = Vec::new();
        for number in 0..20_011_u32 {
            let flight =
                flight(["AA", "B6"][number as usize % 2], number % 100, i64::from(number) * 7919 % 20_011, Some(3));
            harness.push("all", &flight, flight.departed().unwrap()).unwrap();
            all.push(flight);
        }
        harness.finish().unwrap();
        all.sort_by(|a, b| (a.departed(), &a.carrier, a.number).cmp(&(b.departed(), &b.carrier, b.number)));
        let batches = harness.batches();
        assert!(batches.len() > 3, "{} pages", batches.len());
        let lines: Vec<String> = batches
            .iter()
            .flat_map(|(_, batch)| (0..batch.rows()).map(|row| batch.value(row)))
            .map(|value| <Postcard<Flight> as wasmill_sdk::Codec>::decode(value).unwrap().line())
            .collect();
        assert_eq!(lines.len(), all.len());
        assert!(lines == all.iter().map(Flight::line).collect::<Vec<_>>());
    }
}
