//! What can be asked of a running job: a savepoint, and to stop.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use wasmill_tests::{Ended, run, sorted_lines, wasmill};

const JOB: &str = r#"name = "endless"
parallelism = 2
[checkpoint]
interval = "100ms"
[source.rows]
connector = "generator"
rate = 5000
[sink.out]
connector = "file"
path = "out"
format = "json"
input = "rows"
"#;

/// A folder with the job, and the job's runs in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("job.toml"), JOB).unwrap();
        Place(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = wasmill();
        command.args(arguments).current_dir(self.0.path());
        command
    }

    /// A command that asks something of the job with its state in `state`.
    fn ask(&self, command: &str, arguments: &[&str]) -> Ended {
        run(self.command(&[command, "job.toml", "--state-dir", "state"]).args(arguments))
    }

    /// Starts the job and waits until it can be asked and has committed something.
    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(&["run", "job.toml", "--state-dir", "state"]);
        let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let running = Running(Some(child));
        let before = parts(&self.at("out"));
        for _ in 0..1_000 {
            if self.at("state/control.sock").exists() && parts(&self.at("out")) > before {
                return running;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the job does not run: {}", String::from_utf8_lossy(&running.end().stderr));
    }
}

fn parts(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.filter(|entry| entry.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().starts_with("part-"))).count()
}

/// A run that does not outlive its test.
struct Running(Option<Child>);

impl Running {
    /// Waits for its end, which is near.
    fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The values in a result, sorted.
fn values(out: &Path) -> Vec<u64> {
    let value = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["value"].as_u64().unwrap();
    let mut values: Vec<u64> = sorted_lines(out).iter().map(value).collect();
    values.sort_unstable();
    values
}

/// Row number i has the value i, and the rows of two subtasks alternate: those of each are there once, without a gap.
fn assert_whole(out: &Path) {
    let values = values(out);
    assert!(!values.is_empty());
    for first in [0, 1] {
        let mine = || values.iter().copied().filter(|value| value % 2 == first);
        assert!(mine().eq((first..).step_by(2).take(mine().count())), "a row is missing, or there twice");
    }
}

#[test]
fn a_job_is_stopped_goes_on_and_is_drained() {
    let place = Place::new();
    let first = place.start(&[]);
    let stopped = place.ask("stop", &[]);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    assert!(stopped.stderr.contains("Stopped job `endless` at checkpoint"), "{}", stopped.stderr);
    assert!(stopped.stdout.is_empty(), "{}", stopped.stdout);
    // The process has ended, so that the state is free at once.
    let second = place.start(&["--resume"]);
    let output = first.end();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("goes on from it"), "{}", said(&output));
    let drained = place.ask("stop", &["--drain"]);
    assert_eq!(drained.code, 0, "{}", drained.stderr);
    assert!(drained.stderr.contains("Drained"), "{}", drained.stderr);
    let output = second.end();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("Resuming job `endless` from checkpoint"), "{}", said(&output));
    assert_whole(&place.at("out"));
    assert!(!place.at("state/control.sock").exists());
    // It has finished for good.
    let again = run(&mut place.command(&["run", "job.toml", "--state-dir", "state"]));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("before"), "{}", again.stderr);
}

#[test]
fn savepoints_of_a_running_job_and_a_start_from_one() {
    let place = Place::new();
    let running = place.start(&[]);
    let saved = place.ask("savepoint", &["saved"]);
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    assert_eq!(fs::canonicalize(saved.stdout.trim()).unwrap(), fs::canonicalize(place.at("saved")).unwrap());
    assert!(place.at("saved/manifest.json").is_file());
    let twice = place.ask("savepoint", &["saved"]);
    assert_eq!(twice.code, 1, "{}", twice.stderr);
    assert!(twice.stderr.contains("is not empty") && twice.stdout.is_empty(), "{}", twice.stderr);
    let dated = place.ask("savepoint", &[]);
    let dated = fs::canonicalize(dated.stdout.trim()).unwrap();
    assert!(dated.starts_with(fs::canonicalize(place.at("state/savepoints")).unwrap()), "{}", dated.display());
    let stopped = place.ask("stop", &["--savepoint", "last"]);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    assert!(place.at("last/manifest.json").is_file());
    drop(running.end());
    assert_whole(&place.at("out"));
    // Another run from the first savepoint, in another place: it begins in the middle.
    let from =
        ["run", "job.toml", "--state-dir", "other", "--from-savepoint", "saved", "--set", "sink.out.path=other-out"];
    let running = Running(Some(place.command(&from).stderr(Stdio::piped()).spawn().unwrap()));
    for _ in 0..1_000 {
        if parts(&place.at("other-out")) > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let stopped = run(&mut place.command(&["stop", "job.toml", "--state-dir", "other"]));
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    let output = running.end();
    assert!(said(&output).contains("from the savepoint `saved` of checkpoint"), "{}", said(&output));
    assert!(values(&place.at("other-out"))[0] > 0, "it began anew");
}

#[test]
fn nobody_to_ask() {
    let place = Place::new();
    let nameless = run(&mut place.command(&["stop", "job.toml"]));
    assert_eq!(nameless.code, 1);
    assert!(
        nameless.stderr.contains("has no state directory") && nameless.stderr.contains("--state-dir"),
        "{}",
        nameless.stderr
    );
    let nowhere = place.ask("stop", &[]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("there is no state directory `state`"), "{}", nowhere.stderr);
    fs::create_dir(place.at("state")).unwrap();
    let nobody = place.ask("savepoint", &[]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.stderr.contains("no job runs with its state in `state`"), "{}", nobody.stderr);
    let unreadable = run(&mut place.command(&["stop", "nowhere.toml"]));
    assert_eq!(unreadable.code, 3, "{}", unreadable.stderr);
}

/// A socket of a killed process is replaced; nobody else may use the new one; nonsense is answered and does no harm; a second
/// run in the same place and a job of another name are refused.
#[test]
fn the_socket_is_the_owners_and_strangers_do_no_harm() {
    let place = Place::new();
    drop(place.start(&[]));
    let socket = place.at("state/control.sock");
    assert!(socket.exists(), "a killed process leaves it");
    assert!(place.ask("stop", &[]).stderr.contains("no job runs"), "but nobody is behind it");
    let running = place.start(&[]);
    // Whether it is the new one shows when it answers.
    let answered = |line: &[u8]| {
        let mut stream = UnixStream::connect(&socket).ok()?;
        stream.write_all(line).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let refusal = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        answered(b"\xff\n")
    });
    assert!(refusal.as_deref().is_some_and(|answer| answer.starts_with("{\"error\":")), "{refusal:?}");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let relative = answered(b"{\"job\":\"endless\",\"ask\":\"savepoint\",\"folder\":\"here\"}\n");
    assert!(relative.unwrap().contains("absolute"));
    let second = run(&mut place.command(&["run", "job.toml", "--state-dir", "state"]));
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
    fs::write(place.at("other.toml"), JOB.replace("endless", "other")).unwrap();
    let other = run(&mut place.command(&["stop", "other.toml", "--state-dir", "state"]));
    assert_eq!(other.code, 1);
    assert!(other.stderr.contains("`endless`, not `other`"), "{}", other.stderr);
    assert_eq!(place.ask("stop", &[]).code, 0);
    assert_eq!(running.end().status.code(), Some(0));
}
