//! Writes the rows of a query as JSON: the last step where they are compared or read by people.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    averages::{CategoryAverage, SellerAverage},
    bids::{Calculated, Channel, Converted, Folders, Logged, Passed, Selected},
    expanded::Expanded,
    hot_items::Count,
    latest::{Last, Ranked},
    local_items::LocalItem,
    newcomers::NewSeller,
    prices::PriceStatistics,
    row::{Row, Rows},
    sessions::Activity,
    side_input::Enriched,
    statistics::{DayStatistics, Statistics},
    winning::Won,
};

/// The `config` table of the job file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Whose rows they are, as `q0`.
    query: String,
}

/// Appends an encoded row as JSON.
type Write = fn(&[u8], &mut Vec<u8>) -> Result<()>;

/// Writes rows as JSON objects.
pub struct ToJson {
    write: Write,
    line: Vec<u8>,
}

fn write<R: Row>(row: &[u8], out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, &Rows::<R>::read(row)?)?;
    Ok(())
}

/// The same as another struct: one that leaves fields out.
fn write_as<R: Row, As: Serialize + for<'a> From<R::Fields<'a>>>(row: &[u8], out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, &As::from(Rows::<R>::read(row)?))?;
    Ok(())
}

fn of(query: &str) -> Option<Write> {
    Some(match query {
        "q0" => write::<Passed<'static>>,
        "q1" => write::<Converted<'static>>,
        "q2" => write::<Selected>,
        "q3" => write::<LocalItem<'static>>,
        "q4" => write::<CategoryAverage>,
        "q5" => write::<Count>,
        "q6" => write::<SellerAverage>,
        "q7" => write::<Passed<'static>>,
        "q8" => write::<NewSeller<'static>>,
        "q9" => write::<Won<'static>>,
        "q10" => write::<Logged<'static>>,
        "q11" | "q12" => write::<Activity>,
        "q13" => write::<Enriched<'static>>,
        "q14" => write::<Calculated<'static>>,
        "q15" => write_as::<Statistics<'static>, DayStatistics>,
        "q16" => write::<Statistics<'static>>,
        "q17" => write::<PriceStatistics>,
        "q18" => write::<Last<'static>>,
        "q19" => write::<Ranked<'static>>,
        "q20" => write::<Expanded<'static>>,
        "q21" => write::<Channel<'static>>,
        "q22" => write::<Folders<'static>>,
        _ => return None,
    })
}

#[operator(shared)]
impl RecordOperator for ToJson {
    type Key = ();
    type Value = Bytes;
    type Output = Output<(), Text>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let Config { query } = setup.config()?;
        let write = of(&query).ok_or_else(|| Error::job(format_args!("config: there is no query `{query}`")))?;
        Ok(ToJson { write, line: Vec::new() })
    }

    fn process(&mut self, row: Record<'_, (), Bytes>, _: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        self.line.clear();
        (self.write)(row.value, &mut self.line)?;
        out.emit((), std::str::from_utf8(&self.line)?);
        Ok(())
    }
}
