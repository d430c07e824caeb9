//! Decides what committing a part file means, wherever an earlier try ended.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use wasmill_core::{sink::Committable, source::ConnectorError};

use super::{folder::Folder, names, replaced::Replaced};
use crate::failed;

/// A part file that is complete and durable under a hidden name. A committable is the JSON of a list of them:
/// `[{"part":"dt=2015-07-15/part-00000-000007.txt","staged":".part-00000-1f0c2a9b7e5d4c3a-2.tmp","bytes":1234}]`, paths in the
/// sink's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Staged {
    /// The path that it gets.
    pub(super) part: String,
    /// The name that it has.
    pub(super) staged: String,
    /// Its length.
    pub(super) bytes: u64,
}

/// What is left to do for a staged file.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Rename,
    /// It has both names.
    RemoveStaged,
    Nothing,
}

impl Staged {
    /// What is left to do, when what is in `replaced` counts as gone.
    fn step(&self, folder: &Folder<'_>, replaced: &Replaced) -> Result<Step, ConnectorError> {
        let (part, staged) = (folder.at(&self.part), folder.at(&self.staged));
        let length = |name: &str| {
            folder
                .length(name)
                .map_err(|error| failed(format!("cannot look at {}: {error}", folder.at(name).display())))
        };
        let there = if replaced.holds(&self.part) { None } else { length(&self.part)? };
        let (part, bytes) = (part.display(), self.bytes);
        match (length(&self.staged)?, there) {
            (Some(length), _) if length != bytes => Err(failed(format!(
                "{} has {length} bytes in place of {bytes}: it was changed since the checkpoint, and its rows cannot be committed",
                staged.display()
            ))),
            (Some(_), None) => Ok(Step::Rename),
            (Some(_), Some(length)) => {
                let same = length == bytes
                    && same(&staged, &folder.at(&self.part))
                        .map_err(|error| failed(format!("cannot compare {part} with {}: {error}", staged.display())))?;
                if same { Ok(Step::RemoveStaged) } else { Err(clash(&part.to_string())) }
            }
            (None, Some(length)) if length == bytes => Ok(Step::Nothing),
            (None, Some(length)) => Err(failed(format!(
                "{part} has {length} bytes in place of {bytes}: it was changed, or another job writes into the folder"
            ))),
            (None, None) => Err(failed(format!(
                "{} is gone, which holds rows that the checkpoint says are prepared for {part}: if the folder was moved, bring it \
                 back whole; else begin from another checkpoint",
                staged.display()
            ))),
        }
    }
}

/// What commits files.
pub(super) fn committable(files: &[Staged]) -> Result<Committable, ConnectorError> {
    serde_json::to_vec(files).map(Committable).map_err(failed)
}

/// What a committable commits.
fn read(committable: &Committable) -> Result<Vec<Staged>, ConnectorError> {
    let wrong = |why: String| failed(format!("a committable in the checkpoint is not one of a file sink: {why}"));
    let files: Vec<Staged> = serde_json::from_slice(&committable.0).map_err(|error| wrong(error.to_string()))?;
    match files.iter().find(|file| !names::is_part_path(&file.part) || !names::is_staged(&file.staged)) {
        Some(file) => Err(wrong(format!("it names `{}` and `{}`", file.staged, file.part))),
        None => Ok(files),
    }
}

/// A part file is there that is not this job's. Another attempt would write under other names, and mix the two results.
pub(super) fn clash(part: &str) -> ConnectorError {
    ConnectorError::lasting(format!(
        "{part} is there already, with other rows: another job writes into the folder, or one that began from the same savepoint \
         did; name another folder"
    ))
}

/// Gives the staged files their names.
pub(super) fn commit(folder: &Folder<'_>, committables: &[Committable]) -> Result<(), ConnectorError> {
    let all = committables.iter().map(read).collect::<Result<Vec<_>, _>>()?.concat();
    let replaced = Replaced::read(folder)?;
    // An earlier result goes only when all of the new one is there.
    let mut named = Vec::new();
    for staged in &all {
        if staged.step(folder, &replaced)? == Step::Rename {
            named.push(staged.part.as_str());
        }
    }
    replaced.remove(folder)?;
    let incomplete =
        |error: io::Error| failed(format!("cannot complete the result in {}: {error}", folder.at("").display()));
    make_partitions(folder, &named).map_err(incomplete)?;
    for staged in &all {
        let step = match staged.step(folder, &Replaced::default())? {
            Step::Rename => folder.rename(&staged.staged, &staged.part),
            Step::RemoveStaged => folder.remove(&staged.staged),
            Step::Nothing => Ok(()),
        };
        step.map_err(|error| failed(format!("cannot complete {}: {error}", folder.at(&staged.part).display())))?;
    }
    // Also where nothing was left to do: an earlier try may have ended before this. New names are durable before the old ones are
    // gone for good.
    let partitions: BTreeSet<&str> = all.iter().filter_map(|staged| names::above(&staged.part).next()).collect();
    partitions.into_iter().try_for_each(|partition| folder.sync_below(partition)).map_err(incomplete)?;
    if all.is_empty() { Ok(()) } else { folder.sync().map_err(incomplete) }
}

/// Makes the folders of part files, durable: also those that an earlier try made, which may not be.
fn make_partitions(folder: &Folder<'_>, parts: &[&str]) -> io::Result<()> {
    // The outer ones are before the inner ones in order.
    let partitions: BTreeSet<&str> = parts.iter().flat_map(|part| names::above(part)).collect();
    let above: BTreeSet<&str> = partitions.iter().map(|path| names::above(path).next().unwrap_or_default()).collect();
    partitions.iter().try_for_each(|partition| folder.make_below(partition))?;
    above.into_iter().try_for_each(|above| folder.sync_below(above))
}

/// Whether two files hold the same bytes.
fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let read = |path| Ok::<_, io::Error>(BufReader::with_capacity(256 * 1024, File::open(path)?).bytes());
    let (mut one, mut other) = (read(one)?, read(other)?);
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(true),
            (a, b) if a != b => return Ok(false),
            _ => {}
        }
    }
}
