//! Joins flights with the weather at their airport: the last observation before each departure, by state and timers.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{flight::Flight, utc, weather::Weather};

/// The `config` table of the job file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    /// An observation holds for less than this many hours, unless another follows.
    valid_hours: u32,
}

/// A flight and the weather in which it left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlightInWeather {
    /// When it left, UTC.
    pub departed: String,
    /// Carrier and number.
    pub flight: String,
    /// How much later than scheduled, minutes.
    pub delay: i32,
    /// When the weather was observed, UTC; `None` where nothing that still holds was.
    pub observed: Option<String>,
    /// What was observed.
    #[serde(flatten)]
    pub weather: Weather,
}

/// The tag of timers at which a flight is joined.
const JOIN: u64 = 0;
/// The tag of timers at which an observation is forgotten. Of timers of one moment that with the lower tag fires first.
const FORGET: u64 = 1;

/// Joins each flight with the last observation at or before its departure.
///
/// Either stream may be ahead of the other, so flights wait in state until the watermark, which is the lower one of the two
/// streams, has come to their departure: then every observation until then is there. What no flight can ask for any more is
/// forgotten. A flight that is late is joined at once, with what is there.
#[derive(States)]
pub struct WithWeather {
    /// Flights that wait, by departure and by how many came before.
    waiting: MapState<(i64, u64), Postcard<Flight>>,
    came: ValueState<u64>,
    /// Observations by time.
    weather: MapState<i64, Postcard<Weather>>,
    /// How long an observation holds, milliseconds.
    valid: i64,
}

#[operator(shared)]
impl KeyedTwoInputOperator for WithWeather {
    type Key = Text;
    type Left = Postcard<Flight>;
    type Right = Postcard<Weather>;
    type Output = Output<Text, Json<FlightInWeather>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        let Config { valid_hours } = setup.config()?;
        Ok(WithWeather {
            waiting: setup.map_state("waiting"),
            came: setup.value_state("came"),
            weather: setup.map_state("weather"),
            valid: i64::from(valid_hours) * 3_600_000,
        })
    }

    /// A flight waits.
    fn process_left(
        &mut self,
        flight: Record<'_, Text, Postcard<Flight>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let departed = flight.timestamp().ok_or_else(|| Error::record("it has no event time"))?;
        let came = self.came.update(|came| {
            *came += 1;
            *came
        });
        self.waiting.put((departed, came), flight.value.clone());
        call.register_event_timer(departed, JOIN);
        Ok(())
    }

    /// An observation is kept for as long as it holds.
    fn process_right(
        &mut self,
        weather: Record<'_, Text, Postcard<Weather>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let observed = weather.timestamp().ok_or_else(|| Error::record("it has no event time"))?;
        self.weather.put(observed, weather.value.clone());
        call.register_event_timer(observed.saturating_add(self.valid), FORGET);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, Text>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        match timer.tag() {
            FORGET => {
                self.weather.remove(timer.time() - self.valid);
                Ok(())
            }
            _ => self.join(timer, call, out),
        }
    }
}

impl WithWeather {
    /// Emits the flights that left at the time of the timer.
    fn join(
        &mut self,
        timer: Timer<'_, Text>,
        call: &mut KeyedCall<'_>,
        out: &mut Output<Text, Json<FlightInWeather>>,
    ) -> Result<()> {
        let observed = self.last_observation(timer.time(), call)?;
        let mut next = Some(Cursor::at::<(i64, u64)>((timer.time(), 0)));
        while let Some(cursor) = next {
            let page = self.waiting.scan(call, &cursor, 1024)?;
            for entry in page.iter() {
                let ((departed, came), flight) = entry?;
                if departed != timer.time() {
                    return Ok(());
                }
                let row = FlightInWeather {
                    departed: utc::text(departed),
                    flight: format!("{}{}", flight.carrier, flight.number),
                    delay: flight.delay.unwrap_or(0),
                    observed: observed.as_ref().map(|&(time, _)| utc::text(time)),
                    weather: observed.as_ref().map(|(_, weather)| weather.clone()).unwrap_or_default(),
                };
                out.emit(timer.key(), &row);
                self.waiting.remove((departed, came));
            }
            next = page.next();
        }
        Ok(())
    }

    /// The last observation at or before `time` that holds at `time`.
    fn last_observation(&mut self, time: i64, call: &mut KeyedCall<'_>) -> Result<Option<(i64, Weather)>> {
        let (mut last, mut next) = (None, Some(Cursor::at::<i64>(time.saturating_sub(self.valid).saturating_add(1))));
        while let Some(cursor) = next {
            let page = self.weather.scan(call, &cursor, 1024)?;
            for entry in page.iter() {
                match entry? {
                    (observed, _) if observed > time => return Ok(last),
                    entry => last = Some(entry),
                }
            }
            next = page.next();
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;
    use crate::flight::tests::flight;

    fn weather(temp: f64) -> Weather {
        Weather { temp: Some(temp), ..Weather::default() }
    }

    #[test]
    fn a_flight_has_the_last_observation_before_it_whichever_stream_is_ahead() {
        let mut harness = Harness::<WithWeather>::open(r#"{"valid-hours": 2}"#).unwrap();
        let minutes = |n: i64| n * 60_000;
        for (number, minute) in [(1, 60), (2, 59), (3, 179), (4, 180), (5, 60)] {
            harness.push_left("JFK", &flight("UA", number, minute, Some(0)), minutes(minute)).unwrap();
        }
        harness.push_right("JFK", &weather(2.0), minutes(60)).unwrap();
        harness.push_right("JFK", &weather(1.0), 0).unwrap();
        harness.watermark(minutes(59)).unwrap();
        let joined = |harness: &mut Harness<WithWeather>| -> Vec<(String, Option<f64>)> {
            harness.output().into_iter().map(|(_, row, _)| (row.flight, row.weather.temp)).collect()
        };
        let row = |flight: &str, temp| (flight.to_string(), temp);
        assert_eq!(joined(&mut harness), [row("UA2", Some(1.0))]);
        harness.finish().unwrap();
        let expected = [row("UA1", Some(2.0)), row("UA5", Some(2.0)), row("UA3", Some(2.0)), row("UA4", None)];
        assert_eq!(joined(&mut harness), expected);
    }
}
