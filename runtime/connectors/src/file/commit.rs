//! Decides what committing a part file means, wherever an earlier try ended.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use wasmill_core::{sink::Committable, source::ConnectorError};

use super::{folder::Folder, names, replaced::Replaced};
use crate::failed;

/// A part file that is complete and durable under a hidden name. In manifests it is JSON:
/// `{"part":"part-00000-000007.txt","staged":".part-00000-1f0c2a9b7e5d4c3a-2.tmp","bytes":1234}`, names in the sink's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Staged {
    /// The name that it gets.
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
    pub(super) fn committable(&self) -> Result<Committable, ConnectorError> {
        serde_json::to_vec(self).map(Committable).map_err(failed)
    }

    fn read(committable: &Committable) -> Result<Staged, ConnectorError> {
        let wrong = |why: String| failed(format!("a committable in the checkpoint is not one of a file sink: {why}"));
        let staged: Staged = serde_json::from_slice(&committable.0).map_err(|error| wrong(error.to_string()))?;
        if !names::is_part(&staged.part) || !names::is_staged(&staged.staged) {
            return Err(wrong(format!("it names `{}` and `{}`", staged.staged, staged.part)));
        }
        Ok(staged)
    }

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

/// A part file is there that is not this job's. Another attempt would write under other names, and mix the two results.
pub(super) fn clash(part: &str) -> ConnectorError {
    ConnectorError::lasting(format!(
        "{part} is there already, with other rows: another job writes into the folder, or one that began from the same savepoint \
         did; name another folder"
    ))
}

/// Gives the staged files their names.
pub(super) fn commit(folder: &Folder<'_>, committables: &[Committable]) -> Result<(), ConnectorError> {
    let all = committables.iter().map(Staged::read).collect::<Result<Vec<_>, _>>()?;
    let replaced = Replaced::read(folder)?;
    // An earlier result goes only when all of the new one is there.
    for staged in &all {
        staged.step(folder, &replaced)?;
    }
    replaced.remove(folder)?;
    for staged in &all {
        let step = match staged.step(folder, &Replaced::default())? {
            Step::Rename => folder.rename(&staged.staged, &staged.part),
            Step::RemoveStaged => folder.remove(&staged.staged),
            Step::Nothing => Ok(()),
        };
        step.map_err(|error| failed(format!("cannot complete {}: {error}", folder.at(&staged.part).display())))?;
    }
    // Also where nothing was left to do: an earlier try may have ended before this.
    let sync = if all.is_empty() { Ok(()) } else { folder.sync() };
    sync.map_err(|error| failed(format!("cannot complete the result in {}: {error}", folder.at("").display())))
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
