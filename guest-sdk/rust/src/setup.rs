//! What an operator says of itself and asks for in `open`.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    backend::{Emit, Nowhere},
    bindings::{
        exports::wasmill::operator::guest::Context,
        wasmill::operator::description::{
            Codec as Format, Columns, Description, Input, Output, StateScope, TimerDomains,
        },
    },
    codec::{Codec, StateValue},
    error::{Error, Result},
    metrics::{Counter, Gauge, Metrics},
    output::{OutputKind, Port, Side, SideOutput},
    state::{
        Aggregate, AggregatingState, BroadcastState, Clock, Declaration, ListState, MapKey, MapState, ReducingState,
        ValueState,
    },
};

/// What an operator says of itself and asks for in `open`.
///
/// `open` runs twice: when the job is checked, in a throw-away instance, to find out states, timers and errors of the
/// configuration; and when the instance starts. It must do the same both times.
pub struct Setup {
    pub(crate) description: Description,
    pub(crate) metrics: Metrics,
    pub(crate) emit: Arc<dyn Emit>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) sides: Vec<Side>,
    context: Option<Context>,
    config: String,
    config_was_read: std::cell::Cell<bool>,
    /// What is wrong with what was declared.
    failure: Option<String>,
}

impl Setup {
    pub(crate) fn describing(name: &str, version: &str, config: &str) -> Setup {
        let description = Description {
            name: name.to_string(),
            version: version.to_string(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
            timers: TimerDomains::empty(),
        };
        Setup {
            description,
            metrics: Metrics::default(),
            emit: Arc::new(Nowhere),
            clock: Arc::default(),
            sides: Vec::new(),
            context: None,
            config: config.to_string(),
            config_was_read: std::cell::Cell::new(false),
            failure: None,
        }
    }

    pub(crate) fn opening(name: &str, version: &str, context: Context, emit: Arc<dyn Emit>) -> Setup {
        let setup = Setup::describing(name, version, &context.config);
        Setup { context: Some(context), emit, ..setup }
    }

    /// The operator's `config` table of the job file.
    ///
    /// # Errors
    /// The job's, when it does not fit `T`. With `#[serde(deny_unknown_fields)]` on `T` a misspelt key is an error too.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T> {
        self.config_was_read.set(true);
        let config = self.config_table()?;
        serde_json::from_value(config).map_err(|error| Error::Job(format!("config: {error}")))
    }

    fn config_table(&self) -> Result<Value> {
        if self.config.trim().is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_str(&self.config).map_err(|error| Error::Job(format!("config is not JSON: {error}")))
    }

    /// Takes the key `operator` out of the configuration, which chooses one of `names`.
    ///
    /// # Errors
    /// The job's, with the names to choose from.
    #[doc(hidden)]
    pub fn choose(&mut self, names: &[&'static str]) -> Result<&'static str> {
        let mut config = self.config_table()?;
        let chosen = config.as_object_mut().and_then(|table| table.remove("operator"));
        let found = names.iter().find(|name| chosen.as_ref().and_then(Value::as_str) == Some(name));
        let Some(found) = found else {
            let given = chosen.map_or("is missing".to_string(), |chosen| format!("is {chosen}"));
            let names = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            return Err(Error::job(format_args!("config: `operator` {given}; this component has {names}")));
        };
        self.config = config.to_string();
        self.description.name = found.to_string();
        Ok(found)
    }

    /// What was declared is wrong.
    pub(crate) fn fail(&mut self, message: String) {
        self.failure.get_or_insert(message);
    }

    /// Verifies what was declared. An operator that never asks for its configuration takes none.
    pub(crate) fn check(&self) -> Result {
        if let Some(message) = &self.failure {
            return Err(Error::job(message));
        }
        match self.config_table()? {
            Value::Object(table) if !self.config_was_read.get() => match table.keys().next() {
                Some(key) => {
                    Err(Error::Job(format!("config: unknown key `{key}`; this operator takes no configuration")))
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Where this instance stands in the job; `None` while the job is being checked.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// Declares state with one value a key, found again by `name` in later versions of the operator.
    pub fn value_state<V: StateValue>(&mut self, name: &str) -> ValueState<V> {
        self.state(name).value()
    }

    /// Declares state with a list a key, to which elements are appended.
    pub fn list_state<V: StateValue>(&mut self, name: &str) -> ListState<V> {
        self.state(name).list()
    }

    /// Declares state with an ordered map a key.
    pub fn map_state<K: MapKey, V: StateValue>(&mut self, name: &str) -> MapState<K, V> {
        self.state(name).map()
    }

    /// Declares state with one value a key, into which `reduce` takes those that are added.
    pub fn reducing_state<V: StateValue>(
        &mut self,
        name: &str,
        reduce: fn(&mut V::Owned, V::Owned),
    ) -> ReducingState<V> {
        self.state(name).reducing(reduce)
    }

    /// Declares state with what an aggregate has gathered, a key.
    pub fn aggregating_state<A: Aggregate>(&mut self, name: &str, aggregate: A) -> AggregatingState<A> {
        self.state(name).aggregating(aggregate)
    }

    /// Declares a map of which every subtask has a copy, for a
    /// [`KeyedBroadcastOperator`](crate::KeyedBroadcastOperator).
    pub fn broadcast_state<K: MapKey, V: StateValue>(&mut self, name: &str) -> BroadcastState<K, V> {
        self.state(name).broadcast()
    }

    /// Declares state that has a time to live or another schema version than 1: begins what names its kind.
    pub fn state<'a>(&'a mut self, name: &'a str) -> Declaration<'a> {
        Declaration::new(self, name)
    }

    /// Declares that the operator sets event-time timers.
    pub fn event_timers(&mut self) {
        self.description.timers |= TimerDomains::EVENT_TIME;
    }

    /// Declares that the operator sets processing-time timers.
    pub fn processing_timers(&mut self) {
        self.description.timers |= TimerDomains::PROCESSING_TIME;
    }

    /// Declares a metric that only grows. Names are of lower-case letters, digits and underscores.
    pub fn counter(&mut self, name: &str) -> Counter {
        self.metrics.counter(name)
    }

    /// Declares a metric that is set. Names are of lower-case letters, digits and underscores.
    pub fn gauge(&mut self, name: &str) -> Gauge {
        self.metrics.gauge(name)
    }

    /// Asks for the headers of the records of all inputs.
    pub fn read_headers(&mut self) {
        self.description.inputs.iter_mut().for_each(|input| input.columns |= Columns::HEADERS);
    }

    /// Declares an input; inputs count from 0. For operators that take whole batches: the others have one, `in`.
    pub fn input<K: Codec, V: Codec>(&mut self, name: &str, keyed: bool) {
        let mut columns = Columns::TIMESTAMPS;
        columns.set(Columns::KEYS, K::COLUMN || keyed);
        columns.set(Columns::VALUES, V::COLUMN);
        let input = Input { name: name.to_string(), keyed, columns, key: K::format(), value: V::format() };
        self.description.inputs.push(input);
    }

    /// Declares an output; outputs count from 0. For operators that take whole batches: the others have one, `out`.
    pub fn output<K: Codec, V: Codec>(&mut self, name: &str) {
        self.description.outputs.push(Output { name: name.to_string(), key: K::format(), value: V::format() });
    }

    /// Declares one more output, for rows beside those of the main one; `dead-letter` is a name that the host gives.
    pub fn side_output<K: Codec, V: Codec>(&mut self, name: &str) -> SideOutput<K, V> {
        let index = u32::try_from(self.description.outputs.len()).unwrap_or(u32::MAX);
        self.output::<K, V>(name);
        let output = SideOutput::new(Port { index, emit: self.emit.clone() });
        self.sides.push(output.side());
        output
    }

    /// Declares the one input and the one output of an operator that takes records.
    pub(crate) fn typed<K: Codec, V: Codec, O: OutputKind>(&mut self, keyed: bool) -> O {
        self.input::<K, V>("in", keyed);
        if O::PASSES {
            self.description.inputs[0].columns |= Columns::KEYS | Columns::HEADERS;
        }
        self.output::<O::Key<K>, O::Value<V>>("out");
        O::new(Port { index: 0, emit: self.emit.clone() })
    }

    /// The keys of keyed states are read with the codec of the input's keys.
    pub(crate) fn state_keys(&mut self, format: &Format) {
        let keyed = self.description.states.iter_mut().filter(|state| state.scope == StateScope::Keyed);
        keyed.for_each(|state| state.key = format.clone());
    }
}
