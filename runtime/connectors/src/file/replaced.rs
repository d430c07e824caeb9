//! Remembers which files an earlier result has, until the first commit of the one that replaces it.
//!
//! The list is a hidden file in the folder, written whole and durable before any row of the new result. The first commit
//! removes what it lists, then the list, then gives the new files their names, each made durable before the next begins: so a
//! list that is there says that no file of the new result is, and what it lists is of the earlier one.

use std::{collections::BTreeSet, fs, io};

use serde::{Deserialize, Serialize};
use wasmill_core::source::ConnectorError;

use super::{folder::Folder, names};
use crate::failed;

/// The name of the list; one that is being written begins like it.
const LIST: &str = ".replaced.json";

/// The part files of an earlier result that is to be replaced.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replaced {
    /// Their paths in the folder.
    parts: BTreeSet<String>,
}

impl Replaced {
    /// What is to be replaced in a folder, if anything is.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub(super) fn read(folder: &Folder<'_>) -> Result<Replaced, ConnectorError> {
        let wrong = |why: &dyn std::fmt::Display| {
            let list = folder.at(LIST);
            let remedy = "remove the earlier part files that it lists, then it";
            failed(format!("{} lists the earlier result and cannot be read ({why}): {remedy}", list.display()))
        };
        let bytes = match fs::read(folder.at(LIST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Replaced::default()),
            bytes => bytes.map_err(|error| wrong(&error))?,
        };
        let replaced: Replaced = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
        match replaced.parts.iter().find(|part| !names::is_part_path(part)) {
            Some(part) => Err(wrong(&format!("`{part}` is no part file"))),
            None => Ok(replaced),
        }
    }

    /// Has the first commit replace `parts`; none take back what an earlier start wanted.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub(super) fn remember(folder: &Folder<'_>, parts: BTreeSet<String>) -> io::Result<()> {
        if !parts.is_empty() {
            return folder.write(LIST, &serde_json::to_vec(&Replaced { parts })?);
        }
        for list in folder.names(LIST)? {
            folder.remove(&list)?;
            folder.sync()?;
        }
        Ok(())
    }

    /// Whether `part` is to be replaced.
    pub(super) fn holds(&self, part: &str) -> bool {
        self.parts.contains(part)
    }

    /// How many files are to be replaced.
    pub(super) fn count(&self) -> usize {
        self.parts.len()
    }

    /// Removes the earlier result, then the list. Does nothing where there is none.
    ///
    /// # Errors
    /// When it could not; it may be tried again.
    pub(super) fn remove(&self, folder: &Folder<'_>) -> Result<(), ConnectorError> {
        let remove = || {
            if self.parts.is_empty() {
                return Ok(());
            }
            self.parts.iter().try_for_each(|part| folder.remove(part))?;
            // Partitions that are empty now; the inner ones first, which are behind the outer ones in order.
            let partitions: BTreeSet<&str> = self.parts.iter().flat_map(|part| names::above(part)).collect();
            partitions.into_iter().rev().try_for_each(|partition| folder.remove_empty(partition))?;
            folder.sync()?;
            folder.remove(LIST)?;
            folder.sync()
        };
        let error =
            |error: io::Error| failed(format!("cannot replace the result in {}: {error}", folder.at("").display()));
        remove().map_err(error)
    }
}
