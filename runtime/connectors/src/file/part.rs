//! Writes the part files of one subtask: one an epoch, or one an epoch and partition.

use std::{collections::BTreeMap, mem, sync::Arc};

use wasmill_core::{Batch, BoxFuture, Sink, sink::Committable, source::ConnectorError};

use super::{
    commit::{self, Staged, clash},
    epoch::{Epoch, Place},
    folder::Folder,
    names,
    partition::Partitioning,
    replaced::Replaced,
};
use crate::{blocking, failed, render::Renderer};

/// One subtask.
pub(super) struct Parts {
    pub(super) place: Arc<Place>,
    pub(super) extension: String,
    pub(super) lines: Arc<Lines>,
    /// The files of the epoch that has not ended; none once writing failed, or was not waited for.
    pub(super) epoch: Option<Epoch>,
}

/// Makes lines of rows.
pub(super) struct Lines {
    pub(super) renderer: Renderer,
    pub(super) partitioning: Option<Partitioning>,
}

impl Lines {
    /// The lines of rows by the folder that they are to be in, within the sink's.
    fn of(&self, batch: &Batch) -> Result<BTreeMap<String, String>, ConnectorError> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        let Some(partitioning) = &self.partitioning else {
            let mut lines = String::with_capacity(batch.bytes());
            batch.iter().for_each(|row| self.renderer.line(row, &mut lines));
            all.insert(String::new(), lines);
            return Ok(all);
        };
        let mut split = partitioning.split();
        for row in batch.iter() {
            let (folder, row) = split.row(row)?;
            match all.get_mut(folder) {
                Some(lines) => self.renderer.line(row, lines),
                None => self.renderer.line(row, all.entry(folder.to_string()).or_default()),
            }
        }
        Ok(all)
    }
}

impl Sink for Parts {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async move {
            if batch.is_empty() {
                return Ok(());
            }
            let mut epoch = self.epoch.take().ok_or_else(|| self.lost())?;
            let (place, lines) = (self.place.clone(), self.lines.clone());
            let write = move || {
                let all = lines.of(&batch)?;
                all.iter().try_for_each(|(partition, lines)| epoch.write(&place, partition, lines.as_bytes()))?;
                Ok(epoch)
            };
            self.epoch = Some(blocking(write).await?);
            Ok(())
        })
    }

    fn pre_commit(&mut self, epoch: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        let files = match &mut self.epoch {
            None => return Box::pin(std::future::ready(Err(self.lost()))),
            Some(files) if files.is_empty() => return Box::pin(std::future::ready(Ok(None))),
            Some(files) => {
                let next = files.next();
                mem::replace(files, next)
            }
        };
        let (place, name) = (self.place.clone(), names::part(self.place.subtask, epoch, &self.extension));
        Box::pin(blocking(move || stage(&place, files, &name).map(Some)))
    }
}

impl Parts {
    fn lost(&self) -> ConnectorError {
        failed(format!("a part file in {} could not be written before", self.place.folder.display()))
    }
}

/// Makes files durable under their hidden names, each to be called `name` when it is committed.
fn stage(place: &Place, files: Epoch, name: &str) -> Result<Committable, ConnectorError> {
    let folder = Folder::new(&place.folder);
    let mut all = Vec::new();
    for file in files.complete(place)? {
        let part = if file.partition.is_empty() { name.to_string() } else { format!("{}/{name}", file.partition) };
        all.push(Staged { part, staged: file.staged, bytes: file.bytes });
    }
    // Without this the files may have no names after a power failure.
    folder.sync().map_err(|error| failed(format!("cannot write to {}: {error}", place.folder.display())))?;
    let replaced = Replaced::read(&folder)?;
    for Staged { part, .. } in &all {
        // Better now than when the checkpoint is complete and cannot be committed.
        let there = folder
            .length(part)
            .map_err(|error| failed(format!("cannot look at {}: {error}", folder.at(part).display())))?;
        if there.is_some() && !replaced.holds(part) {
            return Err(clash(&folder.at(part).display().to_string()));
        }
    }
    commit::committable(&all)
}
