//! Measures what jobs cost before they do anything: the time from `wasmill run` to the first row, and the memory of idle
//! subtasks. By the binary, as a user runs it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// How often a start is measured.
const STARTS: usize = 20;

/// Idle subtasks.
const SUBTASKS: u32 = 2_000;

/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(5);

/// A child that does not outlive the benchmark.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary that is beside this one.
fn wasmill() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("wasmill");
    ensure!(path.is_file(), "{} does not exist: `cargo build --release --workspace --bins` makes it", path.display());
    Ok(path)
}

/// A generator of so many rows a second, an operator, and a sink.
fn job(rate: u64, component: &str, parallelism: u32, sink: &str) -> String {
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests").join(component);
    format!(
        "name = \"standing\"\nmax-parallelism = 4096\n[engine]\nmemory = \"8GiB\"\n\
         [source.rows]\nconnector = \"generator\"\nrate = {rate}\nkeys = 1000\n\
         [operator.works]\ncomponent = {component:?}\ninput = \"rows\"\nparallelism = {parallelism}\n\
         [sink.out]\nconnector = \"{sink}\"\ninput = \"works\"\nparallelism = {parallelism}\n"
    )
}

/// The keyed count of W2.
const COUNT: &str = "count/bench-count.wasm";

/// Measures and prints both.
pub(crate) fn all() -> Result<()> {
    let folder = tempfile::tempdir()?;
    starts(folder.path())?;
    idle(folder.path())
}

/// From the start of the process until its first row is printed, with the compiled code in the cache and without.
fn starts(folder: &Path) -> Result<()> {
    let job_file = folder.join("start.toml");
    std::fs::write(&job_file, job(100_000, COUNT, 1, "stdout"))?;
    let start = |cache: &Path| -> Result<f64> {
        let mut command = Command::new(wasmill()?);
        command.arg("run").arg(&job_file).arg("--quiet").env("WASMILL_CACHE", cache);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let since = Instant::now();
        let mut running = Running(command.spawn()?);
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().context("its output")?).read_line(&mut line)?;
        ensure!(!line.is_empty(), "it printed nothing");
        Ok(since.elapsed().as_secs_f64() * 1e3)
    };
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], times[times.len() - 1])
    };
    let cold = (0..3).map(|i| start(&folder.join(format!("cache-{i}")))).collect::<Result<Vec<_>>>()?;
    let warm = (0..STARTS).map(|_| start(&folder.join("cache-0"))).collect::<Result<Vec<_>>>()?;
    let ((cold, _), (warm, worst)) = (median(cold), median(warm));
    println!(
        "From `wasmill run` to the first row, ms: {warm:.0} (median of {STARTS}, the worst {worst:.0}) with compiled code"
    );
    println!("in the cache; {cold:.0} when the component is compiled first.");
    Ok(())
}

/// Memory and CPU of a job of 2,000 subtasks with a component each that has nothing to do.
fn idle(folder: &Path) -> Result<()> {
    let job_file = folder.join("idle.toml");
    // One row a second goes to one of them; the others wait.
    std::fs::write(&job_file, job(1, COUNT, SUBTASKS, "discard"))?;
    let mut command = Command::new(wasmill()?);
    command.arg("run").arg(&job_file).arg("--quiet").arg("--state-dir").arg(folder.join("state"));
    command
        .env("WASMILL_CACHE", folder.join("cache-0"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let since = Instant::now();
    let mut running = Running(command.spawn()?);
    let id = running.0.id();
    // It has started when its memory no longer grows.
    let (mut last, mut still) = (0, 0);
    while still < 10 {
        sleep(Duration::from_millis(200));
        ensure!(running.0.try_wait()?.is_none(), "the job has ended");
        let now = resident(id)?;
        still = if now > last + (1 << 20) { 0 } else { still + 1 };
        last = last.max(now);
    }
    let started = since.elapsed().saturating_sub(Duration::from_secs(2));
    let before = cpu(id)?;
    sleep(WATCHED);
    let used = (cpu(id)? - before).as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
    let memory = resident(id)?;
    println!(
        "{SUBTASKS} idle subtasks with a component each: {:.0} MB ({:.0} KB a subtask), {used:.1} % of a processor; started in {:.1} s.",
        memory as f64 / 1e6,
        memory as f64 / 1e3 / f64::from(SUBTASKS),
        started.as_secs_f64()
    );
    Ok(())
}

/// Resident bytes of a process.
fn resident(id: u32) -> Result<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{id}/statm"))?;
    let pages: u64 = statm.split(' ').nth(1).context("no resident size")?.parse()?;
    Ok(pages * 4_096)
}

/// CPU time of a process so far: user and system, in hundredths of a second.
fn cpu(id: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| -> Result<u64> { Ok(fields.get(i).context("no CPU time")?.parse()?) };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
