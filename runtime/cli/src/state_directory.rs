//! Decides where a job's state is and from what a run begins, and sees which checkpoints are there without opening them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::Context;

use crate::exit::Failure;

/// The folder of manifests in a state directory; see `docs/state.md`.
const CHECKPOINTS: &str = "checkpoints";

/// Where the job's state is: a folder of the user's, or one that is removed when this is dropped.
#[derive(Debug)]
pub(crate) enum StateDirectory {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl StateDirectory {
    /// The folder `named`, or a temporary one.
    pub(crate) fn new(named: Option<PathBuf>, job: &str) -> anyhow::Result<StateDirectory> {
        if let Some(path) = named {
            return Ok(StateDirectory::Named(path));
        }
        let temporary = tempfile::Builder::new().prefix(&format!("wasmill-{job}-")).tempdir();
        Ok(StateDirectory::Temporary(temporary.context("cannot make a temporary folder for the job's state")?))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            StateDirectory::Named(path) => path,
            StateDirectory::Temporary(folder) => folder.path(),
        }
    }

    /// Whether it outlives the run.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self, StateDirectory::Named(_))
    }

    /// The newest checkpoint that has a manifest here, readable or not.
    pub(crate) fn newest(&self) -> anyhow::Result<Option<u64>> {
        let folder = self.path().join(CHECKPOINTS);
        let cannot = || format!("cannot look into `{}`", folder.display());
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.with_context(cannot)?,
        };
        let mut newest = None;
        for entry in entries {
            let name = entry.with_context(cannot)?.file_name();
            newest = newest.max(name.to_str().and_then(epoch));
        }
        Ok(newest)
    }

    /// When a checkpoint was completed, milliseconds since the Unix epoch; `None` where its manifest is gone.
    pub(crate) fn completed(&self, epoch: u64) -> Option<i64> {
        let manifest = self.path().join(CHECKPOINTS).join(format!("{epoch:020}.json"));
        let written = fs::metadata(manifest).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(written.as_millis()).ok()
    }
}

/// The checkpoint that a file named so is the manifest of.
fn epoch(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json").filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

/// What a run was told to begin from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) fresh: bool,
    pub(crate) resume: bool,
    pub(crate) savepoint: Option<PathBuf>,
}

/// What a run begins from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// The newest checkpoint in the state directory; without one, nothing.
    Newest,
    /// Nothing; what is in the state directory is removed.
    Fresh,
    /// A savepoint; what is in the state directory is removed.
    Savepoint(PathBuf),
}

impl Wanted {
    /// Decides what a run begins from, where the newest checkpoint in its state directory is `newest`.
    pub(crate) fn decide(self, directory: &StateDirectory, newest: Option<u64>) -> Result<Beginning, Failure> {
        let shown = directory.path().display();
        match (self.savepoint, newest) {
            (Some(_), Some(epoch)) if !self.fresh => {
                let message = format!("the state directory `{shown}` holds checkpoint {epoch} already");
                let hint = "leave --from-savepoint out to go on from it, name another --state-dir, or give up what is there \
                            with --fresh";
                Err(Failure::message(message).hint(hint))
            }
            (Some(savepoint), _) => Ok(Beginning::Savepoint(savepoint)),
            (None, None) if self.resume => Err(match directory {
                StateDirectory::Named(_) => {
                    Failure::message(format_args!("there is nothing to resume: `{shown}` holds no checkpoint"))
                        .hint("leave --resume out to begin anew, or name the right folder with --state-dir")
                }
                StateDirectory::Temporary(_) => {
                    Failure::message("there is nothing to resume: the job names no state directory")
                        .hint("name the folder that an earlier run kept its state in with --state-dir")
                }
            }),
            _ if self.fresh => Ok(Beginning::Fresh),
            _ => Ok(Beginning::Newest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_temporary_folder_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = StateDirectory::new(None, "words").unwrap();
        let path = temporary.path().to_path_buf();
        assert!(path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with("wasmill-words-"));
        drop(temporary);
        assert!(!path.exists());
        drop(StateDirectory::new(Some(folder.path().to_path_buf()), "words").unwrap());
        assert!(folder.path().is_dir());
    }

    #[test]
    fn the_newest_checkpoint_is_that_of_the_highest_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::Named(folder.path().join("state"));
        assert_eq!(directory.newest().unwrap(), None, "there is not even a folder");
        let checkpoints = directory.path().join("checkpoints");
        fs::create_dir_all(&checkpoints).unwrap();
        for name in [
            "00000000000000000099.committed",
            "00000000000000000098.damaged",
            "00000000000000000097.tmp",
            "96.json",
            "0000000000000000000x.json",
        ] {
            fs::write(checkpoints.join(name), "").unwrap();
        }
        assert_eq!(directory.newest().unwrap(), None, "none of these is a manifest");
        for name in ["00000000000000000009.json", "00000000000000000012.json"] {
            fs::write(checkpoints.join(name), "").unwrap();
        }
        assert_eq!(directory.newest().unwrap(), Some(12));
        // 2020-01-01
        assert!(directory.completed(12).unwrap() > 1_577_836_800_000);
        assert_eq!(directory.completed(13), None);
    }

    #[test]
    fn what_a_run_begins_from() {
        let named = StateDirectory::Named(PathBuf::from("state"));
        let decide = |fresh, resume, savepoint: Option<&str>, newest| {
            Wanted { fresh, resume, savepoint: savepoint.map(PathBuf::from) }.decide(&named, newest)
        };
        let savepoint = || Beginning::Savepoint(PathBuf::from("s"));
        for (fresh, resume, from, newest, expected) in [
            (false, false, None, None, Some(Beginning::Newest)),
            (false, false, None, Some(3), Some(Beginning::Newest)),
            (false, true, None, Some(3), Some(Beginning::Newest)),
            (false, true, None, None, None),
            (true, false, None, Some(3), Some(Beginning::Fresh)),
            (true, false, None, None, Some(Beginning::Fresh)),
            (false, false, Some("s"), None, Some(savepoint())),
            (false, false, Some("s"), Some(3), None),
            (true, false, Some("s"), Some(3), Some(savepoint())),
        ] {
            let found = decide(fresh, resume, from, newest);
            assert_eq!(found.ok(), expected, "{fresh} {resume} {from:?} {newest:?}");
        }
    }
}
