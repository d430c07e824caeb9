//! Calls `migrate` in a throw-away instance.

use wasmill_core::{
    OperatorError,
    state::{EntryKeys, EntryPage},
};
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::{
    bindings::wasmill::operator::types,
    component::Component,
    factory::OperatorSettings,
    failure::{message, operator_error},
    guest::{Guest, Phase, Setting, begin},
};

/// The contract's `entries`.
#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct Entries {
    #[component(name = "key-ends")]
    key_ends: Vec<u32>,
    keys: Vec<u8>,
    #[component(name = "map-key-ends")]
    map_key_ends: Vec<u32>,
    #[component(name = "map-keys")]
    map_keys: Vec<u8>,
    #[component(name = "value-ends")]
    value_ends: Vec<u32>,
    values: Vec<u8>,
}

impl Component {
    /// Rewrites entries of state number `state` from a schema version to the one described.
    pub(crate) async fn migrate(
        &self,
        settings: &OperatorSettings,
        state: u32,
        from_version: u32,
        page: EntryPage,
    ) -> Result<EntryPage, OperatorError> {
        let Some(export) = self.migration() else {
            return Err(OperatorError::Contract("it exports no `migrate`".to_string()));
        };
        let linked = self.linked().map_err(|error| OperatorError::Job(error.to_string()))?;
        let place = settings.job.place(&settings.operator, 0);
        let (limits, seed) = (&settings.limits, settings.seed);
        let setting = Setting { runtime: self.runtime(), limits, place: &place, seed, processing_time: 0, quota: None };
        let mut store = Guest::store(&setting, None, None)?;
        begin(&mut store, Phase::Migrate, Some(0));
        let EntryKeys { key_ends, keys, map_key_ends, map_keys } = page.entries;
        let entries =
            Entries { key_ends, keys, map_key_ends, map_keys, value_ends: page.value_ends, values: page.values };
        let migrated = async {
            let instance = linked.instance_pre().instantiate_async(&mut store).await?;
            let missing = || wasmtime::format_err!("`{export}` has no function `migrate`");
            let interface = instance.get_export_index(&mut store, None, &export).ok_or_else(missing)?;
            let function = instance.get_export_index(&mut store, Some(&interface), "migrate").ok_or_else(missing)?;
            let function = instance
                .get_typed_func::<(u32, u32, Entries), (Result<Entries, types::Error>,)>(&mut store, &function)?;
            begin(&mut store, Phase::Migrate, Some(0));
            function.call_async(&mut store, (state, from_version, entries)).await
        };
        let entries = match migrated.await {
            Err(error) => return Err(operator_error(&error, store.data())),
            Ok((Ok(entries),)) => entries,
            Ok((Err(types::Error::Batch(text) | types::Error::Job(text)),)) => {
                return Err(OperatorError::Job(format!("`migrate` failed: {}", message(&text))));
            }
            Ok((Err(types::Error::Record(record)),)) => {
                let text = message(&record.message);
                return Err(OperatorError::Job(format!("`migrate` failed at entry {}: {text}", record.row)));
            }
        };
        let Entries { key_ends, keys, map_key_ends, map_keys, value_ends, values } = entries;
        let entries = EntryKeys { key_ends, keys, map_key_ends, map_keys };
        Ok(EntryPage { entries, value_ends, values, expires: page.expires, next: page.next })
    }
}
