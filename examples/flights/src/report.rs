//! Writes the final report: a table of delays, the carrier with the least mean delay first.

use wasmill_sdk::prelude::*;

use crate::delays::Statistics;

/// A line of the report, in the order of the report.
#[derive(States)]
pub struct Report {
    /// By mean delay, in thousandths of a minute, and name.
    lines: MapState<(i64, Text), Postcard<Statistics>>,
}

#[operator(shared)]
impl KeyedOperator for Report {
    type Key = Text;
    type Value = Postcard<Statistics>;
    type Output = Output<(), Text>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(Report { lines: setup.map_state("lines") })
    }

    fn process(
        &mut self,
        record: Record<'_, Text, Postcard<Statistics>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let Statistics { of, mean, .. } = record.value;
        self.lines.put(((mean * 1000.0).floor() as i64, of), record.value.clone());
        call.register_event_timer(END_OF_TIME, 0);
        Ok(())
    }

    fn on_timer(&mut self, _: Timer<'_, Text>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let (title, mean) = ("carrier", "mean");
        let line = format!(
            "{title:<8}{:>9}{:>11}{mean:>8}{:>8}{:>6}{:>6}{:>7}",
            "flights", "cancelled", "median", "p90", "p99", "worst"
        );
        out.emit((), &line);
        let mut next = Some(Cursor::first());
        while let Some(cursor) = next {
            let page = self.lines.scan(call, &cursor, 64 * 1024)?;
            for entry in page.iter() {
                let (_, Statistics { of, flights, cancelled, mean, median, p90, p99, worst }) = entry?;
                let line =
                    format!("{of:<8}{flights:>9}{cancelled:>11}{mean:>8.2}{median:>8}{p90:>6}{p99:>6}{worst:>7}");
                out.emit((), &line);
            }
            next = page.next();
        }
        self.lines.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;

    #[test]
    fn the_least_late_carrier_is_first() {
        let mut harness = Harness::<Report>::open("{}").unwrap();
        for (of, mean) in [("UA", 12.25), ("HA", 4.9), ("US", -0.5)] {
            let of = of.to_string();
            let statistics =
                Statistics { of, flights: 342, cancelled: 0, mean, median: -4, p90: 9, p99: 23, worst: 1301 };
            harness.push("report", &statistics, 0).unwrap();
        }
        harness.finish().unwrap();
        let lines: Vec<String> = harness.output().into_iter().map(|((), line, _)| line).collect();
        let expected = [
            "carrier   flights  cancelled    mean  median   p90   p99  worst",
            "US            342          0   -0.50      -4     9    23   1301",
            "HA            342          0    4.90      -4     9    23   1301",
            "UA            342          0   12.25      -4     9    23   1301",
        ];
        assert_eq!(lines, expected);
    }
}
