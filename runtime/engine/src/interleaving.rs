//! Runs the subtasks of an attempt one turn at a time, in an order that a seed decides: the same seed, the same order.
//!
//! Tokio runs subtasks when threads are free, so that which batch of which channel comes first depends on the machine. Here one
//! task polls all subtasks. What can go on depends on what is in the channels alone: a subtask that waits for another one is
//! left until that wakes it, and one that waits for something outside, a file or a thread, is waited for before any other goes
//! on. Time is the number of turns.

use std::{
    cell::Cell,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use tokio::sync::{Notify, oneshot};
use wasmill_core::{BoxFuture, Clock};

use crate::error::Stop;

/// What a subtask that is not ready waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// A file, a thread, the clock: what no other subtask does.
    Outside,
    /// Another subtask, or the coordinator.
    Inside,
    /// Nothing: its turn is over.
    Turn,
}

thread_local! {
    static WAIT: Cell<Wait> = const { Cell::new(Wait::Outside) };
    static DIGEST: Cell<u64> = const { Cell::new(0) };
    static TURNS: Cell<i64> = const { Cell::new(0) };
}

/// Waits for something that another subtask or the coordinator does.
pub(crate) async fn inside<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            waits_inside();
        }
        polled
    })
    .await
}

/// The future that is polled waits for another subtask.
pub(crate) fn waits_inside() {
    WAIT.set(Wait::Inside);
}

/// Notes what a subtask does in its turn.
pub(crate) fn note(what: u64) {
    DIGEST.set(mix(DIGEST.get() ^ what));
}

/// Ends the turn of a subtask.
pub(crate) async fn end_turn() {
    let mut ended = false;
    poll_fn(|context| {
        if std::mem::replace(&mut ended, true) {
            return Poll::Ready(());
        }
        WAIT.set(Wait::Turn);
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The finaliser of splitmix64.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `below` for each `of` and seed.
pub(crate) fn choice(seed: u64, of: u64, below: usize) -> usize {
    (mix(seed ^ mix(of)) % below.max(1) as u64) as usize
}

/// Tells the number of turns in place of the time: a millisecond a turn, from a moment in 2023 on.
#[derive(Debug)]
pub(crate) struct TurnClock;

impl Clock for TurnClock {
    fn now(&self) -> i64 {
        1_700_000_000_000 + TURNS.get()
    }
}

/// A subtask that is driven.
pub(crate) struct Driven {
    future: BoxFuture<'static, Result<(), Stop>>,
    ended: oneshot::Sender<thread::Result<Result<(), Stop>>>,
}

/// Takes a subtask to be driven; the future tells how it ends.
pub(crate) fn driven(
    future: BoxFuture<'static, Result<(), Stop>>,
) -> (Driven, impl Future<Output = Result<(), Stop>> + Send + 'static) {
    let (ended, end) = oneshot::channel();
    let end = async {
        match end.await {
            Ok(Ok(end)) => end,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Stop::Lost),
        }
    };
    (Driven { future, ended }, end)
}

/// Whether a subtask was woken since it was polled, and the bell for the driver.
struct Flag {
    woken: AtomicBool,
    bell: Arc<Notify>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.bell.notify_one();
    }
}

/// Drives subtasks to their ends; `digest` tells of all turns so far.
pub(crate) async fn drive(subtasks: Vec<Driven>, seed: u64, digest: Arc<AtomicU64>) {
    let bell = Arc::new(Notify::new());
    let flag = || Arc::new(Flag { woken: AtomicBool::new(true), bell: bell.clone() });
    let mut subtasks: Vec<(Driven, Arc<Flag>)> = subtasks.into_iter().map(|driven| (driven, flag())).collect();
    let mut state = State { random: mix(seed), digest: seed, turns: 0 };
    while !subtasks.is_empty() {
        let woken: Vec<usize> = (0..subtasks.len()).filter(|&i| subtasks[i].1.woken.load(Ordering::Acquire)).collect();
        if woken.is_empty() {
            bell.notified().await;
            continue;
        }
        state.random = mix(state.random);
        let at = woken[(state.random % woken.len() as u64) as usize];
        let (Driven { future, .. }, flag) = &mut subtasks[at];
        let ended = turn(future, flag, &bell, &mut state).await;
        digest.store(state.digest, Ordering::Release);
        if let Some(end) = ended {
            let (Driven { ended, .. }, _) = subtasks.remove(at);
            // Nobody listens when the attempt is over.
            let _ = ended.send(end);
        }
    }
}

/// What goes from turn to turn.
struct State {
    random: u64,
    digest: u64,
    turns: i64,
}

/// Lets a subtask go on until its turn ends, or it waits for another one; how it ended, if it did.
async fn turn(
    future: &mut BoxFuture<'static, Result<(), Stop>>,
    flag: &Arc<Flag>,
    bell: &Notify,
    state: &mut State,
) -> Option<thread::Result<Result<(), Stop>>> {
    let waker = Waker::from(flag.clone());
    state.turns += 1;
    loop {
        flag.woken.store(false, Ordering::Release);
        WAIT.set(Wait::Outside);
        DIGEST.set(state.digest);
        TURNS.set(state.turns);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        state.digest = DIGEST.get();
        match polled {
            Err(panic) => return Some(Err(panic)),
            Ok(Poll::Ready(end)) => return Some(Ok(end)),
            Ok(Poll::Pending) if WAIT.get() != Wait::Outside => return None,
            Ok(Poll::Pending) => {
                while !flag.woken.load(Ordering::Acquire) {
                    bell.notified().await;
                }
            }
        }
    }
}
