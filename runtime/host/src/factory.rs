//! Makes the instances of one operator of a job.

use std::{fmt, sync::Arc};

use wasmill_core::{
    BoxFuture, Description, JobName, Operator, OperatorContext, OperatorError, OperatorFactory, state::EntryPage,
};

use crate::{
    bindings::{OperatorPre, exports::wasmill::operator::guest::Context},
    component::Component,
    error::HostError,
    failure::operator_error,
    guest::{Connections, Guest, Phase, Setting, begin},
    import::metrics::{Metrics, Reporter},
    instance::Instance,
    limits::Limits,
};

/// What a job says of an operator that is a component.
#[derive(Debug, Clone)]
pub struct OperatorSettings {
    /// The job.
    pub job: JobName,
    /// The operator's id in the job file.
    pub operator: String,
    /// Its `config` table as one JSON object.
    pub config: String,
    /// What each instance may use.
    pub limits: Limits,
    /// The job's seed for random numbers.
    pub seed: u64,
    /// How much of its state an instance should cache, bytes.
    pub state_cache_bytes: u64,
}

/// A component under a job's configuration: an [`OperatorFactory`].
pub struct ComponentOperator {
    component: Component,
    linked: OperatorPre<Guest>,
    settings: OperatorSettings,
    description: Arc<Description>,
    metrics: Metrics,
}

impl fmt::Debug for ComponentOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentOperator")
            .field("component", &self.component)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl ComponentOperator {
    /// Checks and describes `component`. Blocks as [`Component::describe`] does.
    ///
    /// # Errors
    /// As [`Component::describe`].
    pub fn new(component: Component, settings: OperatorSettings) -> Result<ComponentOperator, HostError> {
        let linked = component.linked()?;
        let description = Arc::new(component.describe(&settings.config, &settings.limits)?);
        Ok(ComponentOperator { component, linked, settings, description, metrics: Metrics::default() })
    }

    /// The component.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// What its instances report, live.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    async fn instance(&self, context: OperatorContext) -> Result<Instance, OperatorError> {
        let settings = &self.settings;
        let setting = Setting {
            runtime: self.component.runtime(),
            limits: &settings.limits,
            place: &context.place,
            seed: settings.seed,
            processing_time: context.processing_time,
            quota: Some(&context.quota),
        };
        let reporter = Reporter::new(self.metrics.clone(), context.place.subtask);
        let connections = Connections {
            description: self.description.clone(),
            state: context.state,
            timers: context.timers,
            outbox: context.outbox,
        };
        let mut store = Guest::store(&setting, Some(connections), Some(reporter))?;
        begin(&mut store, Phase::Open, Some(context.processing_time));
        let exports = match self.linked.instantiate_async(&mut store).await {
            Ok(exports) => exports,
            Err(error) => return Err(operator_error(&error, store.data())),
        };
        tracing::debug!(place = %context.place, memory = store.data().memory.used(), "an instance was made");
        let mut instance = Instance::new(store, exports, self.description.clone());
        let opening = Context {
            job: context.place.job.job.to_string(),
            operator: context.place.operator.to_string(),
            subtask: context.place.subtask,
            parallelism: context.parallelism,
            max_parallelism: context.max_parallelism.get(),
            first_key_group: u32::from(context.range.start),
            last_key_group: u32::from(context.range.end.saturating_sub(1)),
            attempt: context.attempt,
            epoch: context.epoch,
            state_cache_bytes: settings.state_cache_bytes,
            restored: context.restored,
            write_through: context.write_through,
            config: settings.config.clone(),
        };
        instance.open(&opening, context.processing_time).await?;
        Ok(instance)
    }
}

impl OperatorFactory for ComponentOperator {
    fn description(&self) -> &Description {
        &self.description
    }

    fn create(&self, context: OperatorContext) -> BoxFuture<'_, Result<Box<dyn Operator>, OperatorError>> {
        Box::pin(async move { Ok(Box::new(self.instance(context).await?) as Box<dyn Operator>) })
    }

    fn migrates(&self) -> bool {
        self.component.has_migration()
    }

    fn migrate(
        &self,
        state: u32,
        from_version: u32,
        entries: EntryPage,
    ) -> BoxFuture<'_, Result<EntryPage, OperatorError>> {
        Box::pin(self.component.migrate(&self.settings, state, from_version, entries))
    }
}
