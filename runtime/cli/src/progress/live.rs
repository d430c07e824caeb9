//! Draws the progress of a running job on standard error, a few times a second.

use std::{collections::VecDeque, io, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use terminal_size::{Width, terminal_size_of};
use tokio::task::JoinHandle;
use wasmill_engine::{Handle, Progress};

use super::{checkpoints, clip, held_back, table};
use crate::{format, talk::Talk};

/// How often the table is drawn anew.
const INTERVAL: Duration = Duration::from_millis(250);

/// Rates and shares are of about the last second: the latest snapshot against the oldest of these.
const WINDOW: usize = 5;

/// A table that follows a job until it is stopped.
pub struct Live {
    bar: ProgressBar,
    task: JoinHandle<()>,
}

impl Live {
    /// Draws the job behind `handle` on the screen of `talk`. To be called within a tokio runtime.
    pub fn start(talk: &Talk, job: String, handle: Handle) -> Live {
        let bar = talk.screen.add(ProgressBar::no_length());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is constant"));
        let task = tokio::spawn(follow(bar.clone(), job, handle));
        Live { bar, task }
    }

    /// Takes the table away.
    pub fn stop(self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}

async fn follow(bar: ProgressBar, job: String, handle: Handle) {
    let mut recent: VecDeque<Progress> = VecDeque::with_capacity(WINDOW);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let now = handle.progress();
        let width = terminal_size_of(io::stderr()).map_or(80, |(Width(width), _)| usize::from(width));
        bar.set_message(clip(&frame(&job, &now, recent.front()), width.saturating_sub(1)));
        if recent.len() == WINDOW {
            recent.pop_front();
        }
        recent.push_back(now);
    }
}

fn frame(job: &str, now: &Progress, before: Option<&Progress>) -> String {
    let held_back: String = held_back(now).iter().map(|line| format!("{line}\n")).collect();
    let checkpoints = checkpoints(&now.checkpoints).unwrap_or_default();
    format!("{job}: running for {}\n{}{held_back}{checkpoints}", format::duration(now.elapsed), table(now, before))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::progress, *};

    #[test]
    fn a_frame_says_which_job_and_for_how_long() {
        let frame = frame("words", &progress(), None);
        assert!(frame.starts_with("words: running for 2.00 s\nnode   subtasks"), "{frame}");
    }

    #[test]
    fn checkpoints_stand_below_the_table() {
        let mut now = progress();
        now.checkpoints.completed = 3;
        assert_eq!(frame("words", &now, None).lines().last(), Some("checkpoints: 3 completed"));
    }
}
