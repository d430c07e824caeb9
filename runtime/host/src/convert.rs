//! Moves columns between the contract's types and those of `core`: vectors change owner, no byte is copied.

use wasmill_core::{
    Batch, CallTime, Codec, Description,
    batch::{KEY_ABSENT, NO_TIME, VALUE_ABSENT},
    description::{Columns, InputDescription, OutputDescription, StateDescription, StateKind, StateScope, TimeToLive},
    state::{EntryKeys, MapPage, StateOperation, Values, Writes},
    time::{TimeDomain, TimerBatch},
};

use crate::bindings::wasmill::operator::{description, state, timers, types};

pub(crate) fn call(time: CallTime) -> types::Call {
    types::Call { watermark: time.watermark, processing_time: time.processing_time }
}

pub(crate) fn batch_in(batch: types::Batch) -> Batch {
    let types::Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers } = batch;
    Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers }
}

pub(crate) fn batch_out(batch: Batch) -> types::Batch {
    let Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers } = batch;
    types::Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers }
}

/// Empties the columns that an input does not read. When nothing is left that tells the number of rows, timestamps are.
pub(crate) fn project(mut batch: Batch, columns: Columns) -> Batch {
    let rows = batch.rows();
    let timestamps = std::mem::take(&mut batch.timestamps);
    if !columns.keys {
        (batch.key_ends, batch.keys) = Default::default();
    }
    if !columns.values {
        (batch.value_ends, batch.values) = Default::default();
    }
    if !columns.headers {
        (batch.header_ends, batch.headers) = Default::default();
    }
    let absent = if columns.keys { KEY_ABSENT } else { 0 } | if columns.values { VALUE_ABSENT } else { 0 };
    if absent == 0 || !batch.flags.iter().any(|flag| flag & absent != 0) {
        batch.flags = Vec::new();
    }
    if columns.timestamps || batch.rows() < rows {
        batch.timestamps = timestamps;
        if batch.rows() < rows {
            batch.timestamps = vec![NO_TIME; rows];
        }
    }
    batch
}

pub(crate) fn domain_in(domain: types::TimeDomain) -> TimeDomain {
    match domain {
        types::TimeDomain::EventTime => TimeDomain::EventTime,
        types::TimeDomain::ProcessingTime => TimeDomain::ProcessingTime,
    }
}

pub(crate) fn domain_out(domain: TimeDomain) -> types::TimeDomain {
    match domain {
        TimeDomain::EventTime => types::TimeDomain::EventTime,
        TimeDomain::ProcessingTime => types::TimeDomain::ProcessingTime,
    }
}

pub(crate) fn timers_in(timers: timers::TimerBatch) -> TimerBatch {
    let timers::TimerBatch { times, key_ends, keys, tags } = timers;
    TimerBatch { times, key_ends, keys, tags }
}

pub(crate) fn timers_out(timers: TimerBatch) -> timers::TimerBatch {
    let TimerBatch { times, key_ends, keys, tags } = timers;
    timers::TimerBatch { times, key_ends, keys, tags }
}

pub(crate) fn entries_in(entries: state::EntryKeys) -> EntryKeys {
    let state::EntryKeys { key_ends, keys, map_key_ends, map_keys } = entries;
    EntryKeys { key_ends, keys, map_key_ends, map_keys }
}

pub(crate) fn values_out(values: Values) -> state::Values {
    let Values { present, value_ends, values } = values;
    state::Values { present, value_ends, values }
}

pub(crate) fn page_out(page: MapPage) -> state::Page {
    let MapPage { map_key_ends, map_keys, value_ends, values, more } = page;
    state::Page { map_key_ends, map_keys, value_ends, values, more }
}

pub(crate) fn writes_in(writes: state::Writes) -> Writes {
    let operation = |operation: &state::Operation| match operation {
        state::Operation::Put => StateOperation::Put,
        state::Operation::Delete => StateOperation::Delete,
        state::Operation::Append => StateOperation::Append,
        state::Operation::Clear => StateOperation::Clear,
    };
    Writes {
        operations: writes.operations.iter().map(operation).collect(),
        entries: entries_in(writes.entries),
        value_ends: writes.value_ends,
        values: writes.values,
        expires: writes.expires,
    }
}

pub(crate) fn description_in(described: description::Description) -> Description {
    let codec = |codec: description::Codec| Codec { name: codec.name, schema: codec.schema };
    let input = |input: description::Input| InputDescription {
        name: input.name,
        keyed: input.keyed,
        columns: Columns {
            timestamps: input.columns.contains(description::Columns::TIMESTAMPS),
            keys: input.columns.contains(description::Columns::KEYS),
            values: input.columns.contains(description::Columns::VALUES),
            headers: input.columns.contains(description::Columns::HEADERS),
        },
        key: codec(input.key),
        value: codec(input.value),
    };
    let output = |output: description::Output| OutputDescription {
        name: output.name,
        key: codec(output.key),
        value: codec(output.value),
    };
    let state = |state: description::State| StateDescription {
        name: state.name,
        kind: match state.kind {
            description::StateKind::Value => StateKind::Value,
            description::StateKind::List => StateKind::List,
            description::StateKind::Map => StateKind::Map,
        },
        scope: match state.scope {
            description::StateScope::Keyed => StateScope::Keyed,
            description::StateScope::Broadcast => StateScope::Broadcast,
        },
        key: codec(state.key),
        map_key: codec(state.map_key),
        value: codec(state.value),
        schema_version: state.schema_version,
        ttl: state.ttl.map(|ttl| TimeToLive { milliseconds: ttl.milliseconds, domain: domain_in(ttl.domain) }),
    };
    let domains = [
        (description::TimerDomains::EVENT_TIME, TimeDomain::EventTime),
        (description::TimerDomains::PROCESSING_TIME, TimeDomain::ProcessingTime),
    ];
    Description {
        name: described.name,
        version: described.version,
        inputs: described.inputs.into_iter().map(input).collect(),
        outputs: described.outputs.into_iter().map(output).collect(),
        states: described.states.into_iter().map(state).collect(),
        timers: domains.into_iter().filter(|(flag, _)| described.timers.contains(*flag)).map(|(_, it)| it).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Columns = Columns { timestamps: false, keys: false, values: false, headers: false };

    fn batch() -> Batch {
        Batch {
            timestamps: vec![1, 2],
            key_ends: vec![1, 1],
            keys: b"k".to_vec(),
            value_ends: vec![1, 2],
            values: b"ab".to_vec(),
            flags: vec![0, KEY_ABSENT],
            header_ends: vec![0, 0],
            headers: Vec::new(),
        }
    }

    #[test]
    fn columns_that_are_not_read_are_emptied() {
        let values = project(batch(), Columns { values: true, ..NONE });
        let expected = Batch { value_ends: vec![1, 2], values: b"ab".to_vec(), ..Batch::default() };
        assert_eq!(values, expected);
        assert_eq!(project(batch(), Columns::ALL), batch());
    }

    #[test]
    fn the_number_of_rows_stays_known() {
        assert_eq!(project(batch(), NONE), Batch { timestamps: vec![1, 2], ..Batch::default() });
        // An input that reads keys gets rows that have none, and no times either.
        let keyless = Batch { value_ends: vec![0, 0], ..Batch::default() };
        let keys = project(keyless, Columns { keys: true, ..NONE });
        assert_eq!(keys, Batch { timestamps: vec![NO_TIME; 2], ..Batch::default() });
    }
}
