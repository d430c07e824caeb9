//! Declares a state: its kind, its codecs, how long it lives and which version of its schema it has.

use super::{
    Aggregate, AggregatingState, BroadcastState, Lifetime, ListState, MapKey, MapState, ReducingState, Ttl, ValueState,
};
use crate::{
    bindings::wasmill::operator::description::{State, StateKind, StateScope},
    codec::{Format, StateValue, named},
    setup::Setup,
};

/// A state that is being declared. Begun by [`Setup::state`], ended by the method that names its kind.
#[must_use = "a state is declared by naming its kind"]
pub struct Declaration<'a> {
    setup: &'a mut Setup,
    name: &'a str,
    ttl: Option<Ttl>,
    schema_version: u32,
}

impl<'a> Declaration<'a> {
    pub(crate) fn new(setup: &'a mut Setup, name: &'a str) -> Declaration<'a> {
        Declaration { setup, name, ttl: None, schema_version: 1 }
    }

    /// Entries expire some time after they were written.
    pub fn ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The version of what the stored bytes mean, 1 if not said. A checkpoint of another version goes through the operator's
    /// `migrate`.
    pub fn schema_version(mut self, version: u32) -> Self {
        self.schema_version = version;
        self
    }

    /// One value a key.
    pub fn value<V: StateValue>(self) -> ValueState<V> {
        let name = self.name;
        let (index, epoch, lifetime) = self.declare(StateKind::Value, StateScope::Keyed, None, V::format());
        ValueState::new(index, name, epoch, lifetime)
    }

    /// A list a key.
    pub fn list<V: StateValue>(self) -> ListState<V> {
        let name = self.name;
        let (index, epoch, lifetime) = self.declare(StateKind::List, StateScope::Keyed, None, V::format());
        ListState::new(index, name, epoch, lifetime)
    }

    /// An ordered map a key.
    pub fn map<K: MapKey, V: StateValue>(self) -> MapState<K, V> {
        let name = self.name;
        let (index, epoch, lifetime) = self.declare(StateKind::Map, StateScope::Keyed, Some(K::format()), V::format());
        MapState::new(index, name, epoch, lifetime)
    }

    /// One value a key, into which `reduce` takes those that are added.
    pub fn reducing<V: StateValue>(self, reduce: fn(&mut V::Owned, V::Owned)) -> ReducingState<V> {
        ReducingState::new(self.value(), reduce)
    }

    /// What an aggregate has gathered, a key.
    pub fn aggregating<A: Aggregate>(self, aggregate: A) -> AggregatingState<A> {
        AggregatingState::new(self.value(), aggregate)
    }

    /// A map of which every subtask has a copy. Its entries do not expire: with a time to live it is an error of the job.
    pub fn broadcast<K: MapKey, V: StateValue>(self) -> BroadcastState<K, V> {
        let name = self.name;
        if self.ttl.is_some() {
            self.setup.fail(format!("state `{name}` is broadcast: its entries cannot have a time to live"));
        }
        let (index, epoch, _) = self.declare(StateKind::Map, StateScope::Broadcast, Some(K::format()), V::format());
        BroadcastState::new(index, name, epoch)
    }

    /// Its index, the epoch that changes belong to, and how long entries live.
    fn declare(
        self,
        kind: StateKind,
        scope: StateScope,
        map_key: Option<Format>,
        value: Format,
    ) -> (u32, u64, Option<Lifetime>) {
        let Declaration { setup, name, ttl, schema_version } = self;
        if ttl.is_some_and(|ttl| ttl.milliseconds == 0) {
            setup.fail(format!("state `{name}` has a time to live of less than a millisecond"));
        }
        if setup.description.states.iter().any(|state| state.name == name) {
            setup.fail(format!("two states are named `{name}`"));
        }
        setup.description.states.push(State {
            name: name.to_string(),
            kind,
            scope,
            key: named("bytes"),
            map_key: map_key.unwrap_or_else(|| named("bytes")),
            value,
            schema_version,
            ttl: ttl.map(Ttl::described),
        });
        let epoch = setup.context().map_or(0, |context| context.epoch);
        let lifetime = ttl.map(|ttl| Lifetime::new(ttl, setup.clock.clone()));
        (setup.description.states.len() as u32 - 1, epoch, lifetime)
    }
}
