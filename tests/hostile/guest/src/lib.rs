//! An operator that misbehaves in the way that its configuration names: `{"do": "spin"}`.
//!
//! Written against the bare contract, without the SDK, since an SDK would not let it.

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    wit_bindgen::generate!({ path: "../../../wit", world: "operator" });
    use super::Hostile;
    export!(Hostile with_types_in self);
}

mod misdeeds;

use std::sync::Mutex;

use bindings::{
    exports::wasmill::operator::guest::{Batch, Call, Context, Description, Error, Guest, TimeDomain, TimerBatch},
    wasmill::operator::description::{Codec, Columns, Input, Output, State, StateKind, StateScope, TimerDomains},
};

/// What to do, of the configuration; set by `open`.
static DEED: Mutex<String> = Mutex::new(String::new());

struct Hostile;

fn codec(name: &str) -> Codec {
    Codec { name: name.to_string(), schema: String::new() }
}

/// The value of `"do"` in a configuration such as `{"do":"spin"}`.
fn deed(config: &str) -> String {
    config.split('"').nth(3).unwrap_or_default().to_string()
}

impl Guest for Hostile {
    fn describe(config: String) -> Result<Description, String> {
        let deed = deed(&config);
        misdeeds::describe(&deed)?;
        let state = State {
            name: "counts".to_string(),
            kind: if deed == "map-without-keys" { StateKind::Map } else { StateKind::Value },
            scope: if deed == "write-broadcast" { StateScope::Broadcast } else { StateScope::Keyed },
            key: codec("bytes"),
            map_key: codec("bytes"),
            value: codec("bytes"),
            schema_version: 1,
            ttl: None,
        };
        Ok(Description {
            name: "hostile".to_string(),
            version: "1".to_string(),
            inputs: vec![Input {
                name: "in".to_string(),
                keyed: true,
                columns: Columns::all(),
                key: codec("bytes"),
                value: codec("bytes"),
            }],
            outputs: vec![Output { name: "out".to_string(), key: codec("bytes"), value: codec("bytes") }],
            states: vec![state],
            timers: TimerDomains::EVENT_TIME,
        })
    }

    fn open(context: Context) -> Result<(), Error> {
        let deed = deed(&context.config);
        if deed == "refuse-open" {
            return Err(Error::Job("not on a Monday".to_string()));
        }
        *DEED.lock().map_err(|_| Error::Job("poisoned".to_string()))? = deed;
        Ok(())
    }

    fn process(_: Call, _: u32, batch: Batch) -> Result<(), Error> {
        let deed = DEED.lock().map(|deed| deed.clone()).unwrap_or_default();
        misdeeds::process(&deed, &batch)
    }

    fn on_timers(_: Call, _: TimeDomain, _: TimerBatch) -> Result<(), Error> {
        Ok(())
    }

    fn snapshot(_: Call, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn snapshot_step(_: u32) -> Result<bool, Error> {
        let deed = DEED.lock().map(|deed| deed.clone()).unwrap_or_default();
        misdeeds::snapshot_step(&deed)
    }

    fn finish(_: Call) -> Result<(), Error> {
        Ok(())
    }
}
