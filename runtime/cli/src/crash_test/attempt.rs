//! Runs one attempt in a process of its own and decides how it ended.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;

use super::schedule::Kill;
use crate::{crash, interrupts::Interrupts};

/// How often is looked whether the process has ended.
const GLANCE: Duration = Duration::from_millis(1);

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The job is through.
    Finished,
    /// It crashed as it was told to, at this point.
    Crashed(String),
    /// It was killed when its time was over.
    Killed,
    /// It failed by itself; what it said.
    Failed(String),
    /// It did not end within this time.
    Late(Duration),
    /// The test itself is to end.
    Interrupted,
}

impl Ended {
    /// For people.
    pub(super) fn why(&self) -> String {
        match self {
            Ended::Failed(said) => said.clone(),
            Ended::Late(limit) => format!("it did not end within {}", crate::format::duration(*limit)),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

/// Runs `command` to its end; its standard error goes to a file in `folder`, and the file `sign` appears when its job runs.
/// It is killed as `kill` says, which is as it should be, and after `limit`, which is not. Also returns after which time the
/// job ran, if it was seen running.
pub(super) async fn run(
    mut command: Command,
    folder: &Path,
    sign: &Path,
    limit: Option<Duration>,
    kill: Option<Kill>,
    interrupts: &mut Interrupts,
) -> anyhow::Result<(Ended, Option<Duration>)> {
    let log = folder.join("stderr");
    let stderr = File::create(&log).with_context(|| format!("cannot write to `{}`", log.display()))?;
    // One that an earlier attempt left says nothing of this one.
    let _ = fs::remove_file(sign);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let mut child = Process(command.spawn().context("cannot start an attempt")?);
    let since = Instant::now();
    let mut ran = None;
    let (status, killed) = loop {
        if let Some(status) = child.0.try_wait().context("cannot wait for an attempt")? {
            break (status, false);
        }
        let elapsed = since.elapsed();
        if ran.is_none() && sign.exists() {
            ran = Some(elapsed);
        }
        let is_over = |kill: Kill| {
            let begin = if kill.running { ran } else { Some(Duration::ZERO) };
            begin.is_some_and(|begin| elapsed >= begin + kill.after)
        };
        if kill.is_some_and(is_over) {
            break (child.end().context("cannot kill an attempt")?, true);
        }
        if let Some(limit) = limit.filter(|limit| elapsed >= *limit) {
            return Ok((Ended::Late(limit), ran));
        }
        tokio::select! {
            () = tokio::time::sleep(GLANCE) => {}
            () = interrupts.next() => return Ok((Ended::Interrupted, ran)),
        }
    };
    let said = fs::read(&log).with_context(|| format!("cannot read `{}`", log.display()))?;
    Ok((judge(status, killed, &String::from_utf8_lossy(&said)), ran))
}

/// How a process ended that said `said`, and may have been killed from here.
fn judge(status: ExitStatus, killed: bool, said: &str) -> Ended {
    let crashed = said.lines().next_back().and_then(|line| line.strip_prefix(crash::MARK));
    match (crashed, status.code()) {
        (_, Some(0)) => Ended::Finished,
        (Some(point), _) => Ended::Crashed(point.to_string()),
        // Where there are signals, a process with an exit code ended by itself, just before.
        (None, code) if killed && !(cfg!(unix) && code.is_some()) => Ended::Killed,
        (None, _) if said.trim().is_empty() => Ended::Failed(format!("it said nothing and ended with {status}")),
        (None, _) => Ended::Failed(said.trim().trim_start_matches("error: ").to_string()),
    }
}

/// A process that does not outlive its attempt.
struct Process(Child);

impl Process {
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        self.0.kill()?;
        self.0.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn only_what_was_planned_is_a_crash() {
        let (code, signal) = (|code: i32| ExitStatus::from_raw(code << 8), ExitStatus::from_raw);
        let mark = format!("warn: this\n{}cut\n", crash::MARK);
        for (status, killed, said, ended) in [
            (code(0), false, "", Ended::Finished),
            (signal(6), false, mark.as_str(), Ended::Crashed("cut".to_string())),
            (signal(9), true, "", Ended::Killed),
            // It came to its end just before it was killed.
            (code(0), true, "", Ended::Finished),
            (code(1), true, "error: no\n", Ended::Failed("no".to_string())),
            (code(1), false, "error: no\n  hint: b\n", Ended::Failed("no\n  hint: b".to_string())),
        ] {
            assert_eq!(judge(status, killed, said), ended, "{status}, {said}");
        }
        // A stack overflow, or somebody else's kill.
        assert!(matches!(judge(signal(11), false, ""), Ended::Failed(said) if said.contains("signal")));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_attempt_ends_by_itself_is_killed_or_is_late() {
        let folder = tempfile::tempdir().unwrap();
        let mut interrupts = Interrupts::new().unwrap();
        let sign = folder.path().join("sign");
        let mut attempt = async |script: &str, limit: Option<u64>, kill: Option<(u64, bool)>| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).current_dir(folder.path());
            let limit = limit.map(Duration::from_millis);
            let kill = kill.map(|(after, running)| Kill { after: Duration::from_millis(after), running });
            run(command, folder.path(), &sign, limit, kill, &mut interrupts).await.unwrap()
        };
        assert_eq!(attempt("exit 0", None, None).await.0, Ended::Finished);
        assert_eq!(attempt("echo why >&2; exit 1", None, None).await.0, Ended::Failed("why".to_string()));
        assert_eq!(attempt("exec sleep 60", None, Some((5, false))).await, (Ended::Killed, None));
        assert_eq!(attempt("exec sleep 60", Some(5), Some((0, true))).await.0, Ended::Late(Duration::from_millis(5)));
        let (ended, ran) = attempt("touch sign; exec sleep 60", None, Some((5, true))).await;
        assert_eq!(ended, Ended::Killed);
        assert!(ran.is_some(), "its sign was seen");
        // The sign of the last one does not count.
        assert_eq!(attempt("exec sleep 60", Some(20), Some((0, true))).await.1, None);
    }
}
