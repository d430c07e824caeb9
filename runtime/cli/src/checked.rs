//! Decides whether a job can run: reads the job file, loads and describes its components, and tells all problems at once.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use wasmill_core::{Description, JobName, OperatorFactory};
use wasmill_host::{ComponentOperator, HostError, Limits, OperatorSettings};

use crate::{
    components::{self, Loaded},
    exit::{Exit, Failure},
    job::{self, Describe, DescribeError, Job, Operator, Overrides, Problem, Resolved},
    talk::Talk,
};

/// A job that can run.
pub struct Checked {
    /// The job file.
    pub job: Job,
    /// Its graph, sources and sinks.
    pub resolved: Resolved,
    /// Its operators by id.
    pub operators: HashMap<String, Arc<ComponentOperator>>,
}

impl Checked {
    /// Reads and checks the job file at `path`. Blocks while components are compiled. Problems and warnings are told
    /// through `talk`.
    ///
    /// # Errors
    /// [`Exit::Invalid`] when the job cannot run.
    pub fn new(path: &Path, overrides: &Overrides, talk: &Talk) -> Result<Checked, Failure> {
        let refuse = |problems: Vec<Problem>| {
            tell(&problems, talk);
            let tally = job::tally(&problems).unwrap_or_default();
            Failure::new(Exit::Invalid, anyhow::anyhow!("`{}` cannot run: {tally}", path.display()))
        };
        let job = Job::read(path, overrides).map_err(refuse)?;
        // To bury a record an instance is made while the one that failed still lives.
        let instances = job
            .operators
            .iter()
            .map(|operator| operator.place.parallelism.saturating_mul(if operator.dead_letter { 2 } else { 1 }));
        let instances = instances.fold(0, u32::saturating_add);
        let runtime = components::runtime(instances).map_err(|error| Failure::new(Exit::Failed, error))?;
        let loaded = components::load_all(&runtime, job.components());
        for (path, Loaded { component, loaded_in }) in
            loaded.iter().filter_map(|(path, loaded)| Some((path, loaded.as_ref().ok()?)))
        {
            let cached = component.compiled_from_cache();
            tracing::debug!(component = %path.display(), ?loaded_in, cached, "loaded");
        }
        let mut describing = Describing { job: JobName::local(&job.name), of: &job, loaded, operators: HashMap::new() };
        let resolved = job.resolve(&mut describing).map_err(refuse)?;
        let operators = describing.operators;
        tell(&resolved.warnings, talk);
        Ok(Checked { resolved, operators, job })
    }
}

/// Tells problems as compilers do, those that are only warnings unless it is quiet.
pub(crate) fn tell(problems: &[Problem], talk: &Talk) {
    for problem in problems.iter().filter(|problem| problem.is_error() || !talk.quiet) {
        talk.write(&format!("{}\n", problem.render(talk.color)));
    }
}

/// Describes operators with the components that were loaded, and keeps what it made of them.
struct Describing<'a> {
    job: JobName,
    of: &'a Job,
    loaded: BTreeMap<PathBuf, Result<Loaded, HostError>>,
    operators: HashMap<String, Arc<ComponentOperator>>,
}

impl Describe for Describing<'_> {
    fn describe(&mut self, operator: &Operator, component: &Path) -> Result<Description, DescribeError> {
        let loaded = match self.loaded.get(component) {
            Some(Ok(loaded)) => loaded,
            Some(Err(error)) => return Err(refusal(error)),
            // It was made after the job file was read.
            None => {
                let message = format!("the component `{}` was not there a moment ago", component.display());
                return Err(DescribeError { message, hint: Some("try again".to_string()), config: false });
            }
        };
        let settings = OperatorSettings {
            job: self.job.clone(),
            operator: operator.place.id.clone(),
            config: operator.config.clone(),
            limits: limits(&operator.limits),
            seed: self.of.seed,
            state_cache_bytes: self.of.state.cache_bytes,
        };
        let made = ComponentOperator::new(loaded.component.clone(), settings).map_err(|error| refusal(&error))?;
        let description = made.description().clone();
        self.operators.insert(operator.place.id.clone(), Arc::new(made));
        Ok(description)
    }
}

fn limits(limits: &job::Limits) -> Limits {
    Limits {
        memory: limits.memory,
        call_budget: limits.call_budget,
        max_batch_bytes: limits.max_batch_bytes,
        ..Limits::default()
    }
}

fn refusal(error: &HostError) -> DescribeError {
    let config = matches!(error, HostError::Configuration { .. });
    // The host says what to do after a semicolon; here it is a line of its own.
    let text = error.to_string();
    match text.rsplit_once("; ") {
        Some((message, hint)) if !config => {
            DescribeError { message: message.to_string(), hint: Some(hint.to_string()), config }
        }
        _ => DescribeError { message: text, hint: None, config },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_a_hint() {
        let refusal = refusal(&HostError::CoreModule { path: PathBuf::from("m.wasm") });
        assert_eq!(refusal.message, "`m.wasm` is a core module, not a component");
        assert!(refusal.hint.unwrap().starts_with("build it for the target wasm32-wasip2"));
    }

    #[test]
    fn an_operators_words_about_its_configuration_stay_whole() {
        let message = "config: unknown key `a`; it has `b`".to_string();
        let refusal = refusal(&HostError::Configuration { path: PathBuf::from("m.wasm"), message });
        assert!(refusal.config);
        assert!(refusal.message.ends_with("unknown key `a`; it has `b`"), "{}", refusal.message);
        assert_eq!(refusal.hint, None);
    }
}
