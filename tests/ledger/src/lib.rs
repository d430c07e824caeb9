//! An operator with state of every kind, in two schema versions: tests of whole jobs see by it that state survives.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use wasmill_sdk::{Migration, prelude::*};

/// The `config` table of the job file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// 1: totals are numbers; 2: they are objects, `{"sum": n}`. No other can be migrated to.
    schema: u32,
}

/// What is known of each key, and what the broadcast input said.
#[derive(States)]
pub struct Ledger {
    schema: u32,
    total: ValueState<Json<Value>>,
    rows: ListState<u64>,
    remainders: MapState<u64, u64>,
    /// Set where it is missing; it lives for a second of event time.
    period: ValueState<i64>,
    periods: ReducingState<u64>,
    names: BroadcastState<u64, u64>,
}

#[operator]
impl KeyedBroadcastOperator for Ledger {
    type Key = u64;
    type Value = u64;
    type BroadcastKey = ();
    type BroadcastValue = u64;
    type Output = Output<u64, Json<Value>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        let Config { schema } = setup.config()?;
        Ok(Ledger {
            schema,
            total: setup.state("total").schema_version(schema).value(),
            rows: setup.list_state("rows"),
            remainders: setup.map_state("remainders"),
            period: setup.state("period").ttl(Ttl::event_time(Duration::from_secs(1))).value(),
            periods: setup.reducing_state("periods", |periods, more| *periods += more),
            names: setup.broadcast_state("names"),
        })
    }

    fn process(&mut self, record: Record<'_, u64, u64>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
        let number = record.value;
        let sum = self.total.get().map_or(0, |total| sum(total, self.schema)) + number;
        self.total.set(if self.schema == 1 { json!(sum) } else { json!({"sum": sum}) });
        self.rows.append(number)?;
        let rest = number % 4;
        let count = self.remainders.get(call, rest)?.unwrap_or(0);
        self.remainders.put(rest, count + 1);
        if self.period.get().is_none() {
            self.period.set(record.timestamp().unwrap_or(0));
            self.periods.add(1);
        }
        call.register_event_timer(END_OF_TIME, 0);
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        record: Record<'_, (), u64>,
        call: &mut BroadcastCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        self.names.put(call, record.value, record.value * 10);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let mut remainders = [0; 4];
        for (rest, count) in (0..4).zip(&mut remainders) {
            *count = self.remainders.get(call, rest)?.unwrap_or(0);
        }
        let names: Vec<u64> = (0..4).filter_map(|name| self.names.get(name)).collect();
        let rows = self.rows.get(call)?.collect::<Result<Vec<u64>, _>>()?;
        let told = json!({
            "schema": self.schema,
            "sum": self.total.get().map(|total| sum(total, self.schema)),
            "rows": rows,
            "remainders": remainders,
            "periods": self.periods.get(),
            "names": names,
        });
        out.emit(timer.key(), &told);
        Ok(())
    }

    fn migrate(migration: &mut Migration) -> Result<()> {
        match (migration.state(), migration.from_version()) {
            (0, 1) => migration.values::<Json<Value>, Json<Value>>(|total| Ok(json!({"sum": total}))),
            _ => migration.refuse(),
        }
    }
}

fn sum(total: &Value, schema: u32) -> u64 {
    let sum = if schema == 1 { total.as_u64() } else { total["sum"].as_u64() };
    sum.unwrap_or(0)
}
