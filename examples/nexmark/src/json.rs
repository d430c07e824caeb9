//! Writes the rows of a query as JSON: the last step where they are compared or read by people.

use serde::Deserialize;
use wasmill_sdk::prelude::*;

use crate::{
    bids::{Calculated, Channel, Converted, Folders, Logged, Passed, Selected},
    expanded::Expanded,
    latest::{Last, Ranked},
    local_items::LocalItem,
    row::{Row, Rows},
    side_input::Enriched,
    winning::Won,
};

/// The `config` table of the job file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Whose rows they are, as `q0`.
    query: String,
}

/// Writes rows as JSON objects.
pub struct ToJson {
    write: fn(&[u8], &mut Vec<u8>) -> Result<()>,
    line: Vec<u8>,
}

fn write<R: Row>(row: &[u8], out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, &Rows::<R>::read(row)?)?;
    Ok(())
}

fn of(query: &str) -> Option<fn(&[u8], &mut Vec<u8>) -> Result<()>> {
    Some(match query {
        "q0" => write::<Passed<'static>>,
        "q1" => write::<Converted<'static>>,
        "q2" => write::<Selected>,
        "q3" => write::<LocalItem<'static>>,
        "q9" => write::<Won<'static>>,
        "q10" => write::<Logged<'static>>,
        "q13" => write::<Enriched<'static>>,
        "q14" => write::<Calculated<'static>>,
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
