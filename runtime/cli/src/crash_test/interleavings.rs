//! Proves that a job's result does not depend on which subtask is how fast: runs it undisturbed, then in one interleaving after
//! another, and compares.

use std::{ops::Range, path::Path, time::Instant};

use super::{
    Difference, PATIENCE, SLACK, Subject,
    attempt::{self, Ended},
    compare::{difference, lines},
    failed, result, sign,
};
use crate::{exit::Failure, format, interrupts::Interrupts, talk::Talk};

/// What came out.
pub(crate) struct Interleaved {
    /// Interleavings that were run.
    pub(crate) runs: u64,
    /// Lines of the undisturbed run.
    pub(crate) lines: u64,
    /// The seed whose result is another one, and how.
    pub(crate) different: Option<(u64, Vec<(String, Difference)>)>,
}

/// Runs a job once for each seed, with everything it writes below `folder`, until a result is another one; `None` when it was
/// interrupted.
///
/// # Errors
/// When a run fails, or does not end.
pub(crate) async fn interleave(
    subject: &Subject,
    seeds: Range<u64>,
    folder: &Path,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<Option<Interleaved>, Failure> {
    let (since, undisturbed) = (Instant::now(), folder.join("undisturbed"));
    let command = subject.command(&undisturbed, subject.parallelism)?;
    match attempt::run(command, &undisturbed, &sign(&undisturbed), None, None, interrupts).await?.0 {
        Ended::Finished => {}
        Ended::Interrupted => return Ok(None),
        ended => return Err(failed("undisturbed", &ended)),
    }
    let took = since.elapsed();
    let (seconds, count) = (format::duration(took), seeds.end - seeds.start);
    talk.say(format_args!("undisturbed the job takes {seconds}; now in {count} interleavings"));
    let limit = took * PATIENCE + SLACK;
    let mut interleaved = Interleaved { runs: 0, lines: 0, different: None };
    for seed in seeds {
        let run = folder.join("interleaved");
        let mut command = subject.command(&run, subject.parallelism)?;
        command.args(["--set", &format!("engine.interleaving-seed={seed}")]);
        match attempt::run(command, &run, &sign(&run), Some(limit), None, interrupts).await?.0 {
            Ended::Finished => {}
            Ended::Interrupted => return Ok(None),
            ended => return Err(failed(&format!("in the interleaving of seed {seed}"), &ended)),
        }
        (interleaved.runs, interleaved.lines) = (interleaved.runs + 1, 0);
        let mut differences = Vec::new();
        for sink in &subject.sinks {
            let expected = lines(&result(&undisturbed, sink))?;
            interleaved.lines += expected.len() as u64;
            let found = lines(&result(&run, sink))?;
            differences.extend(difference(&expected, &found).map(|difference| (sink.clone(), difference)));
        }
        if !differences.is_empty() {
            interleaved.different = Some((seed, differences));
            break;
        }
        std::fs::remove_dir_all(&run).map_err(|error| Failure::message(format_args!("{}: {error}", run.display())))?;
    }
    Ok(Some(interleaved))
}
