//! Rewrites state of another schema version before its operator runs. What is rewritten belongs to the attempt's first epoch:
//! until that is complete the checkpoint keeps what it had.

use wasmill_core::{
    KeyedState, OperatorError, OperatorFactory, Place,
    checkpoint::Change,
    state::{StateOperation, Writes},
};

use crate::error::Stop;

/// Bytes that are migrated at a time.
const PAGE_BYTES: usize = 256 * 1024;

/// Migrates the states of one subtask as `changes` say.
pub(crate) async fn migrate(
    place: &Place,
    factory: &dyn OperatorFactory,
    state: &dyn KeyedState,
    epoch: u64,
    changes: &[Change],
) -> Result<(), Stop> {
    for change in changes {
        if let Change::Migrated { operator, state: name, index, from, .. } = change
            && **operator == *place.operator
        {
            migrate_state(place, factory, state, epoch, (name, *index), *from).await?;
        }
    }
    Ok(())
}

async fn migrate_state(
    place: &Place,
    factory: &dyn OperatorFactory,
    state: &dyn KeyedState,
    epoch: u64,
    (name, index): (&str, u32),
    from: u32,
) -> Result<(), Stop> {
    let named = |error| match error {
        OperatorError::Job(message) => OperatorError::Job(format!("state `{name}`: {message}")),
        other => other,
    };
    let mut next = None;
    loop {
        let page = state.entries(index, next, PAGE_BYTES).await.map_err(|error| Stop::at(place, error))?;
        next = page.next.clone();
        if !page.entries.is_empty() {
            let (keys, expires) = (page.entries.clone(), page.expires.clone());
            let migrated = factory.migrate(index, from, page).await.map_err(|error| Stop::at(place, named(error)))?;
            if migrated.entries != keys || migrated.value_ends.len() != keys.len() {
                let message = "`migrate` gave other keys than it was given, or not a value for each".to_string();
                return Err(Stop::at(place, OperatorError::Contract(message)));
            }
            let writes = Writes {
                operations: vec![StateOperation::Put; keys.len()],
                entries: migrated.entries,
                value_ends: migrated.value_ends,
                values: migrated.values,
                expires,
            };
            writes.check().map_err(|error| Stop::at(place, OperatorError::Contract(format!("`migrate`: {error}"))))?;
            state.write_many(index, epoch, &writes).await.map_err(|error| Stop::at(place, error))?;
        }
        if next.is_none() {
            return Ok(());
        }
    }
}
