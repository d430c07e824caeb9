//! Measures the queries of Nexmark, and compares their answers with DuckDB's.

use std::process::Command;

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    guests,
    tool::{build_binary, root, run, say, target_folder},
};

/// Measures the queries of Nexmark with operators in WebAssembly and natively, or compares their answers with DuckDB's.
#[derive(Args)]
pub(crate) struct Nexmark {
    /// How many events, as in 200k or 10M.
    #[arg(long, default_value = "2M", value_parser = count)]
    events: u64,
    /// Only these queries, as in q5,q7.
    #[arg(long, value_delimiter = ',')]
    queries: Vec<String>,
    /// At these parallelisms.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    parallelism: Vec<u32>,
    /// How often each is measured; the median is shown.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Print JSON Lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Measure nothing, but compare all rows with DuckDB's answers: undisturbed at each parallelism, and crashed. Installs DuckDB
    /// from PyPI into `target`.
    #[arg(long)]
    check: bool,
}

/// The number of events whose answers' digests are in the repository.
const DIGESTED: u64 = 20_000;

fn count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.trim_end_matches(['k', 'M']) {
        digits if text.ends_with('k') => (digits, 1_000),
        digits if text.ends_with('M') => (digits, 1_000_000),
        digits => (digits, 1),
    };
    let events = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).filter(|&events| events > 0);
    events.ok_or_else(|| format!("`{text}` is no number of events: write 20000, 200k or 10M"))
}

/// Builds what it takes, and measures or compares.
pub(crate) fn nexmark(arguments: &Nexmark) -> Result<()> {
    guests::build()?;
    if arguments.check {
        return check(arguments);
    }
    let benches = build_binary("wasmill-benches")?;
    let mut command = Command::new(benches);
    command.args(["--nexmark", "--events", &arguments.events.to_string(), "--repeats", &arguments.repeats.to_string()]);
    let joined = |values: Vec<String>| values.join(",");
    command.args(["--parallelism", &joined(arguments.parallelism.iter().map(u32::to_string).collect())]);
    if !arguments.queries.is_empty() {
        command.args(["--queries", &joined(arguments.queries.clone())]);
    }
    run(command.args(arguments.json.then_some("--json")))
}

fn check(arguments: &Nexmark) -> Result<()> {
    let wasmill = build_binary("wasmill")?;
    let every: Vec<String> = (0..23).map(|number| format!("q{number}")).collect();
    let queries = if arguments.queries.is_empty() { every } else { arguments.queries.clone() };
    let (nexmark, out) = (root().join("examples/nexmark"), target_folder()?.join("nexmark"));
    let set = |key: &str, value: &str| ["--set".to_string(), format!("{key}={value}")];
    // So that there are windows enough, however few events there are.
    let density = (arguments.events / 100).clamp(1, 10_000);
    let events: Vec<String> = [
        set("source.events.events", &arguments.events.to_string()),
        set("source.events.base-time", "1437004740000"),
        set("source.events.events-per-second", &density.to_string()),
        set("source.events.out-of-order-group", "500"),
    ]
    .concat();

    say(&format!("Writing {} events to files", arguments.events));
    let file = set("sink.file.path", &format!("{:?}", out.join("events").display().to_string()));
    let mut write = Command::new(&wasmill);
    run(write.arg("--quiet").arg("run").arg(nexmark.join("oracle/events.toml")).args(&events).args(file))?;
    let python = python()?;
    if arguments.events == DIGESTED {
        say("Comparing the digests that the tests go by with DuckDB's");
        let mut digests = Command::new(&python);
        digests.arg(nexmark.join("oracle/oracle.py")).arg(out.join("events/part-*"));
        run(digests.arg("--check").arg(nexmark.join("expected/20000.json")))?;
    }
    for parallelism in &arguments.parallelism {
        say(&format!("Asking DuckDB and Wasmill at parallelism {parallelism}"));
        let mut compare = Command::new(&python);
        compare.arg(nexmark.join("oracle/oracle.py")).arg(out.join("events/part-*"));
        for query in &queries {
            let folder = out.join(query);
            let clock = (query == "q12").then(|| set("operator.counts.config.clock", "event"));
            let target = set("sink.results.path", &format!("{:?}", folder.display().to_string()));
            let mut ask = Command::new(&wasmill);
            ask.arg("--quiet").arg("run").arg(nexmark.join(format!("jobs/{query}.toml"))).args(&events).args(target);
            run(ask.args(clock.into_iter().flatten()).args(["--parallelism", &parallelism.to_string()]))?;
            compare.arg("--compare").arg(format!("{query}={}", folder.display()));
        }
        run(&mut compare)?;
    }
    say("Crashing every query at every barrier, another parallelism after each");
    // Or else a quick query is over before there is much to crash in.
    let rate = set("source.events.rate", &(arguments.events.saturating_mul(5) / 2).min(1_000_000_000).to_string());
    for query in &queries {
        let clock = (query == "q12").then(|| set("operator.counts.config.clock", "event"));
        let mut crash = Command::new(&wasmill);
        crash.arg("test").arg(nexmark.join(format!("jobs/{query}.toml"))).args(&events).args(&rate);
        run(crash.args(clock.into_iter().flatten()).args(["--crash-every-barrier", "--rescale", "--seed", "1"]))?;
    }
    Ok(())
}

/// A Python with DuckDB, in an environment of its own.
fn python() -> Result<std::path::PathBuf> {
    let environment = target_folder()?.join("nexmark-oracle");
    let python = environment.join("bin/python");
    let requirements = root().join("examples/nexmark/oracle/requirements.txt");
    say("Installing DuckDB");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    ensure!(python.exists(), "{} was not made", python.display());
    Ok(python)
}
