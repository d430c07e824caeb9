//! Windows: gathers the records of a key by time or by number, and emits what each window has gathered when it is complete.
//!
//! The semantics are Flink's. A window has a start, which belongs to it, and an end, which does not. In event time it fires when
//! the watermark reaches its last millisecond, end - 1, and its results have that time. A record is late for a window whose
//! last millisecond plus the allowed lateness the watermark has reached; one that is late for all of its windows goes to the
//! side output `late` and is counted in the metric `late_records`. What a window has gathered is removed at the same time.
//! A record that comes after its window has fired, but within the allowed lateness, makes it fire again, with all it has.
//!
//! | Flink | here |
//! |---|---|
//! | `TumblingEventTimeWindows.of(size, offset)` | [`Windows::tumbling`], [`offset`](Windows::offset) |
//! | `SlidingEventTimeWindows.of(size, slide)` | [`Windows::sliding`] |
//! | `EventTimeSessionWindows.withGap(gap)` | [`Windows::session`] |
//! | `countWindow(n)` | [`Windows::count`] |
//! | `GlobalWindows` with `.trigger(...)` | [`Windows::global`] |
//! | `Tumbling/Sliding/ProcessingTime...Windows` | [`processing_time`](Windows::processing_time) |
//! | `.allowedLateness(...)`, `.trigger(...)` | [`allowed_lateness`](Windows::allowed_lateness), [`trigger`](Windows::trigger) |
//! | `AggregateFunction` (with a `ProcessWindowFunction`) | [`WindowOperator`] |
//! | `ProcessWindowFunction` | [`ProcessWindowOperator`] |
//! | `.sideOutputLateData(tag)` | always there, as `late` |
//!
//! # What it costs
//!
//! Tumbling and sliding windows share *panes*: pieces of the greatest length that divides size and slide. A record is added to
//! one pane, however many windows it belongs to; panes are merged when a window fires. A key has one timer at a time. Session
//! windows and those with a trigger of their own each hold what they gathered for themselves.
//!
//! What a key's windows have gathered is one value in state: when it changes, a checkpoint writes all of it. That is little for
//! accumulators, but a [`ProcessWindowOperator`] keeps every row, and thousands of panes a key (a day by the second)
//! add up.
//!
//! # Where it is not as in Flink
//!
//! - Results of count and global windows have the time of the record or timer that fired them, not the end of time.
//! - Rows of a [`ProcessWindowOperator`] come in the order of event time, whatever order they came in.
//! - In two stages a window fires anew once for each pane of late records that was added up, not for each record.
//! - Where a checkpoint is restored and the watermark begins anew, a sliding window that has fired, but is not removed yet, may
//!   fire once more without a new record of its own.
//!
//! # Layout
//!
//! - [`WindowOperator`], [`ProcessWindowOperator`]: the shapes; `operator`, `rows`: what runs them; `stages`: in two stages.
//! - [`Windows`]: which; [`Window`]: one; [`trigger`]: when.
//! - `panes`: tumbling and sliding; `apart`: windows that hold their own; `open`: what is kept of them in state.
//! - `calendar`, `zone`: on which pane a time falls.

mod apart;
mod calendar;
mod open;
mod operator;
mod panes;
mod rows;
mod stages;
pub mod trigger;
mod windows;
#[cfg(feature = "time-zones")]
mod zone;

pub(crate) use operator::no_map_values;
pub use operator::{WindowOperator, Windowed};
pub(crate) use panes::Grid;
pub use rows::{AllRows, ProcessWindowOperator, RowList, RowLists, Rows, WindowRow};
pub use stages::{Combine, Combined, Gathered, Partial, PreAggregate};
pub use trigger::Trigger;
pub(crate) use windows::Kind;
pub use windows::{Window, Windows};
