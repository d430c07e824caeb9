//! The main job, embedded: words of six novels, counted by operators in WebAssembly.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    guests,
    tool::{build_binary, root, run, say},
};

/// Builds all, shows the graph, runs the job, shows the ten most frequent words.
pub(crate) fn demo() -> Result<()> {
    guests::build()?;
    let wasmill = build_binary("wasmill")?;
    let example = root().join("examples/wordcount");
    let job = example.join("job.toml");
    say("The job, as it is written and as it runs (wasmill plan examples/wordcount/job.toml)");
    run(Command::new(&wasmill).arg("plan").arg(&job))?;
    say("Running it (wasmill run examples/wordcount/job.toml)");
    run(Command::new(&wasmill).arg("run").arg(&job))?;
    let result = example.join("out");
    let counts = read(&result)?;
    println!("\nThe ten most frequent of {} words:\n", counts.len());
    for (word, count) in counts.iter().take(10) {
        println!("{count:>10}  {word}");
    }
    println!("\nThe full result is in {}.", result.display());
    Ok(())
}

/// The counts of all part files, the most frequent first.
fn read(folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut counts = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        for line in text.lines() {
            let (word, count) = line.split_once('\t').with_context(|| format!("{}: `{line}`", path.display()))?;
            counts.push((word.to_string(), count.parse()?));
        }
    }
    counts.sort_by(|a: &(String, u64), b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(counts)
}
