//! Holds the folder of manifests: one file a complete checkpoint, and a marker for each whose committables are committed.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use wasmill_core::state::StateError;

use crate::{
    directory::Files,
    manifest::{BadManifest, StoredManifest},
};

/// The folder in a state directory.
pub(crate) const FOLDER: &str = "checkpoints";

/// Manifests of one state directory.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    files: Files,
}

impl Checkpoints {
    pub(crate) fn new(directory: &Path, files: Files) -> Checkpoints {
        Checkpoints { folder: directory.join(FOLDER), files }
    }

    pub(crate) fn path(&self, epoch: u64) -> PathBuf {
        self.folder.join(format!("{epoch:020}.json"))
    }

    fn marker(&self, epoch: u64) -> PathBuf {
        self.folder.join(format!("{epoch:020}.committed"))
    }

    /// Every epoch that has a file here, damaged ones too, ascending.
    pub(crate) fn epochs(&self) -> Result<Vec<(u64, bool)>, StateError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &self.folder, &error)),
        };
        let mut epochs = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(|error| failed("read", &self.folder, &error))?.file_name();
            let name = name.to_string_lossy();
            let Some((epoch, extension)) = name.split_once('.') else { continue };
            if let (20, Ok(epoch)) = (epoch.len(), epoch.parse()) {
                epochs.insert((epoch, extension == "json"));
            }
        }
        Ok(epochs.into_iter().collect())
    }

    /// Reads a manifest; without committables, if they are committed.
    pub(crate) fn read(&self, epoch: u64) -> Result<StoredManifest, BadManifest> {
        let damaged = |why: String| BadManifest::Damaged(why);
        let bytes = fs::read(self.path(epoch)).map_err(|error| damaged(error.to_string()))?;
        let mut stored = StoredManifest::decode(&bytes)?;
        if stored.manifest.epoch != epoch {
            return Err(damaged(format!("it is that of checkpoint {}", stored.manifest.epoch)));
        }
        if self.marker(epoch).exists() {
            stored.manifest.committables.clear();
        }
        Ok(stored)
    }

    /// Writes a manifest: from now on the checkpoint exists.
    pub(crate) fn write(&self, stored: &StoredManifest) -> Result<(), StateError> {
        let path = self.path(stored.manifest.epoch);
        let made = fs::create_dir_all(&self.folder);
        made.and_then(|()| self.files.write(&path, &stored.encode())).map_err(|error| failed("write", &path, &error))
    }

    /// Notes that the committables of a checkpoint are committed.
    pub(crate) fn mark_committed(&self, epoch: u64) -> Result<(), StateError> {
        let path = self.marker(epoch);
        self.files.write(&path, b"").map_err(|error| failed("write", &path, &error))
    }

    /// Lets a checkpoint go.
    pub(crate) fn remove(&self, epoch: u64) -> Result<(), StateError> {
        for path in [self.path(epoch), self.marker(epoch)] {
            self.files.remove(&path).map_err(|error| failed("remove", &path, &error))?;
        }
        Ok(())
    }

    /// Keeps a manifest that cannot be used, for people, where it does not count any more.
    pub(crate) fn set_aside(&self, epoch: u64) -> Result<PathBuf, StateError> {
        let (path, aside) = (self.path(epoch), self.path(epoch).with_extension("damaged"));
        fs::rename(&path, &aside).map_err(|error| failed("rename", &path, &error))?;
        Ok(aside)
    }

    /// Removes everything.
    pub(crate) fn clear(&self) -> Result<(), StateError> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.folder, &error)),
            _ => Ok(()),
        }
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> StateError {
    StateError::Store(format!("cannot {what} `{}`: {error}", path.display()))
}
