//! Moves the interruption epoch, which is what makes a running guest look up.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::Engine;

/// A thread that increments the engine's interruption epoch once a tick while instances exist, and sleeps otherwise.
/// Dropped, it stops and joins the thread.
pub(crate) struct Ticker {
    ticks: Ticks,
    thread: Option<JoinHandle<()>>,
}

/// The ticks so far, and who needs them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ticks(Arc<Shared>);

struct Shared {
    tick: Duration,
    now: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    instances: usize,
    stopped: bool,
}

/// Keeps the ticker going.
pub(crate) struct Ticking(Ticks);

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(engine: Engine, tick: Duration) -> std::io::Result<Ticker> {
        let tick = tick.max(Duration::from_millis(1));
        let shared = Shared { tick, now: AtomicU64::new(0), state: Mutex::default(), changed: Condvar::new() };
        let ticks = Ticks(Arc::new(shared));
        let own = ticks.clone();
        let thread = thread::Builder::new().name("wasmill-ticker".into()).spawn(move || own.run(&engine))?;
        Ok(Ticker { ticks, thread: Some(thread) })
    }

    /// What instances count by.
    pub(crate) fn ticks(&self) -> &Ticks {
        &self.ticks
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.ticks.lock().stopped = true;
        self.ticks.0.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing to tell: it only counts.
            let _ = thread.join();
        }
    }
}

impl Ticks {
    /// How long a tick is.
    pub(crate) fn tick(&self) -> Duration {
        self.0.tick
    }

    /// Ticks since the runtime was made; they pass only while instances exist.
    pub(crate) fn now(&self) -> u64 {
        self.0.now.load(Ordering::Relaxed)
    }

    /// Keeps the ticker going until the guard is dropped.
    pub(crate) fn keep(&self) -> Ticking {
        self.lock().instances += 1;
        self.0.changed.notify_all();
        Ticking(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, engine: &Engine) {
        let mut state = self.lock();
        loop {
            let wait = self.0.changed.wait_while(state, |state| state.instances == 0 && !state.stopped);
            state = wait.unwrap_or_else(PoisonError::into_inner);
            let wait = self.0.changed.wait_timeout_while(state, self.0.tick, |state| !state.stopped);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
            if state.stopped {
                return;
            }
            self.0.now.fetch_add(1, Ordering::Relaxed);
            engine.increment_epoch();
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.lock().instances -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn ticks_pass_only_while_there_are_instances() {
        let ticker = Ticker::start(Engine::default(), Duration::from_millis(1)).unwrap();
        thread::sleep(Duration::from_millis(30));
        assert_eq!(ticker.ticks().now(), 0);
        let ticking = ticker.ticks().keep();
        let begun = Instant::now();
        while ticker.ticks().now() < 3 {
            assert!(begun.elapsed() < Duration::from_secs(10), "no ticks");
            thread::yield_now();
        }
        drop(ticking);
        // Joins the thread, whether it sleeps or not.
        drop(ticker);
    }
}
