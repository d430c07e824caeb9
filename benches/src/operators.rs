//! The operators of the workloads: as components, and the same types natively on the same engine.

mod native;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
pub(crate) use native::NativeOperator;
use serde::{Deserialize, Serialize};
use wasmill_core::{JobName, OperatorFactory};
use wasmill_host::{ComponentOperator, Limits, OperatorSettings, Runtime, RuntimeOptions};

/// How a workload is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// Operators in WebAssembly.
    Wasm,
    /// The same operators, compiled into the benchmark.
    Native,
    /// A plain loop of one thread.
    Plain,
}

impl Variant {
    /// All of them.
    pub(crate) const ALL: [Variant; 3] = [Variant::Wasm, Variant::Native, Variant::Plain];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Variant::Wasm => "wasm",
            Variant::Native => "native",
            Variant::Plain => "plain",
        }
    }
}

/// Makes operators of one variant.
pub(crate) struct Operators {
    job: JobName,
    /// `None` for native operators.
    runtime: Option<Runtime>,
}

/// How much state an instance may cache, as by default; the same for both variants.
pub(crate) const STATE_CACHE_BYTES: u64 = 128 << 20;

impl Operators {
    pub(crate) fn new(variant: Variant, job: JobName) -> Result<Operators> {
        let runtime = match variant {
            Variant::Wasm => {
                let cache = std::env::temp_dir().join("wasmill-bench-cache");
                Some(Runtime::new(RuntimeOptions { cache_directory: Some(cache), ..RuntimeOptions::default() })?)
            }
            _ => None,
        };
        Ok(Operators { job, runtime })
    }

    pub(crate) fn pass(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.make::<bench_pass::pass>("benches/guests/pass/bench-pass.wasm")
    }

    pub(crate) fn count(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.make::<bench_count::Count>("benches/guests/count/bench-count.wasm")
    }

    pub(crate) fn split(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.make::<wordcount_split::split>("examples/wordcount/split/wordcount-split.wasm")
    }

    pub(crate) fn word_count(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.make::<wordcount_count::Count>("examples/wordcount/count/wordcount-count.wasm")
    }

    pub(crate) fn parse(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.shared::<bench_records::Parse>("benches/guests/records/bench-records.wasm", "parse")
    }

    pub(crate) fn half(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.shared::<bench_records::half>("benches/guests/records/bench-records.wasm", "half")
    }

    pub(crate) fn words(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.shared::<bench_words::split>("benches/guests/words/bench-words.wasm", "split")
    }

    pub(crate) fn running_count(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.shared::<bench_words::Count>("benches/guests/words/bench-words.wasm", "count")
    }

    pub(crate) fn window_count(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.shared::<bench_windows::WindowCount>("benches/guests/windows/bench-windows.wasm", "windows")
    }

    pub(crate) fn window_timers(&self) -> Result<Arc<dyn OperatorFactory>> {
        self.shared::<bench_windows::WindowTimers>("benches/guests/windows/bench-windows.wasm", "timers")
    }

    fn make<O: wasmill_sdk::Operator>(&self, component: &str) -> Result<Arc<dyn OperatorFactory>>
    where
        O::Runs: Send,
    {
        self.configured::<O>(component, "{}".to_string())
    }

    /// One operator of a component that has several.
    fn shared<O: wasmill_sdk::Operator>(&self, component: &str, operator: &str) -> Result<Arc<dyn OperatorFactory>>
    where
        O::Runs: Send,
    {
        self.configured::<O>(component, format!("{{\"operator\": \"{operator}\"}}"))
    }

    fn configured<O: wasmill_sdk::Operator>(&self, component: &str, config: String) -> Result<Arc<dyn OperatorFactory>>
    where
        O::Runs: Send,
    {
        let Some(runtime) = &self.runtime else {
            return Ok(Arc::new(NativeOperator::<O>::new("{}", STATE_CACHE_BYTES).map_err(anyhow::Error::msg)?));
        };
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(component);
        let component = runtime.load(&path).context("build the operators first: `cargo xtask guests`")?;
        let settings = OperatorSettings {
            job: self.job.clone(),
            operator: O::NAME.to_string(),
            config,
            limits: Limits::default(),
            seed: 0,
            state_cache_bytes: STATE_CACHE_BYTES,
        };
        Ok(Arc::new(ComponentOperator::new(component, settings)?))
    }
}
