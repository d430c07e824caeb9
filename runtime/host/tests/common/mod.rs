//! Makes guests from WebAssembly text, and a backend of plain maps for them to run against.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod backend;
pub mod guest;

use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use tempfile::TempDir;
use wasmill_core::{Batch, CallTime, JobName, Operator, OperatorError, OperatorFactory, Outbox, Quota};
use wasmill_host::{Component, ComponentOperator, HostError, Limits, OperatorSettings, Runtime, RuntimeOptions};

pub use backend::Backend;
pub use guest::Source;

/// A runtime with a folder for components.
pub struct Bench {
    pub runtime: Runtime,
    pub folder: TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(RuntimeOptions { max_instances: 8, ..RuntimeOptions::default() })
    }

    pub fn with(options: RuntimeOptions) -> Bench {
        Bench { runtime: Runtime::new(options).unwrap(), folder: TempDir::new().unwrap() }
    }

    /// Writes `bytes` to a file.
    pub fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("guest.wasm");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn load(&self, source: &Source) -> Component {
        self.runtime.load(&self.file(&source.component())).unwrap()
    }

    pub fn operator(&self, source: &Source, limits: Limits) -> Result<ComponentOperator, HostError> {
        let settings = OperatorSettings {
            job: JobName::local("job"),
            operator: "op".to_string(),
            config: "{}".to_string(),
            limits,
            seed: 7,
            state_cache_bytes: 1 << 20,
        };
        ComponentOperator::new(self.load(source), settings)
    }

    /// A running instance on a backend of its own.
    pub fn start(&self, source: &Source, limits: Limits) -> Running {
        let operator = self.operator(source, limits).unwrap();
        let backend = Backend::default();
        let outbox = Outbox::new(1 << 20);
        let instance = create(&operator, &backend, &outbox).unwrap();
        Running { instance, backend, outbox }
    }
}

pub fn create(
    operator: &ComponentOperator,
    backend: &Backend,
    outbox: &Outbox,
) -> Result<Box<dyn Operator>, OperatorError> {
    create_with(operator, backend, outbox, Quota::new("job `job`", u64::MAX))
}

pub fn create_with(
    operator: &ComponentOperator,
    backend: &Backend,
    outbox: &Outbox,
    quota: Quota,
) -> Result<Box<dyn Operator>, OperatorError> {
    block_on(operator.create(backend.context(outbox.clone(), quota)))
}

/// An instance with what it is connected to.
pub struct Running {
    pub instance: Box<dyn Operator>,
    pub backend: Backend,
    pub outbox: Outbox,
}

impl Running {
    /// Processes a batch; what was emitted.
    pub fn process(&mut self, batch: Batch) -> Result<Vec<(u32, Batch)>, OperatorError> {
        let outbox = self.outbox.clone();
        drive(self.instance.process(NOW, 0, batch), &outbox, Duration::ZERO)
    }
}

pub const NOW: CallTime = CallTime { watermark: 5, processing_time: 1_700_000_000_000 };

/// Two rows with all columns.
pub fn batch() -> Batch {
    Batch {
        timestamps: vec![10, 20],
        key_ends: vec![1, 3],
        keys: b"abb".to_vec(),
        value_ends: vec![3, 5],
        values: b"onetw".to_vec(),
        ..Batch::default()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The plainest executor there is.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Drives one call as a subtask does: it takes from the outbox whenever the call is suspended, `slowly`.
pub fn drive(
    mut call: Pin<Box<dyn Future<Output = Result<(), OperatorError>> + Send + '_>>,
    outbox: &Outbox,
    slowly: Duration,
) -> Result<Vec<(u32, Batch)>, OperatorError> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut emitted = Vec::new();
    loop {
        let polled = call.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            thread::sleep(slowly);
        }
        emitted.extend(std::iter::from_fn(|| outbox.take()));
        match polled {
            Poll::Ready(Ok(())) => return Ok(emitted),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => thread::park_timeout(Duration::from_millis(1)),
        }
    }
}
