//! Changes a folder one step at a time.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A folder. Every change to it is one call here, so that tests can crash between any two.
pub(super) struct Folder<'a> {
    path: &'a Path,
    /// Asked before each step; an error is in its place.
    before: &'a dyn Fn(&str) -> io::Result<()>,
}

impl<'a> Folder<'a> {
    /// The folder at `path`.
    pub(super) fn new(path: &'a Path) -> Folder<'a> {
        Folder { path, before: &|_| Ok(()) }
    }

    /// The same folder, with `before` asked before each step.
    #[cfg(test)]
    pub(super) fn with<'b>(path: &'b Path, before: &'b dyn Fn(&str) -> io::Result<()>) -> Folder<'b> {
        Folder { path, before }
    }

    /// Where `name` is.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder, and those above it, where they are missing.
    pub(super) fn make(&self) -> io::Result<()> {
        let missing: Vec<&Path> = self.path.ancestors().take_while(|path| !is_folder(path)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        (self.before)("make the folder")?;
        fs::create_dir_all(self.path)?;
        // A folder is there after a power failure once the one above it is synced.
        missing.into_iter().filter_map(Path::parent).try_for_each(sync)
    }

    /// Names in the folder that begin with `prefix`, in order; none where there is no folder.
    pub(super) fn names(&self, prefix: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<io::Result<Vec<String>>>()?;
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        Ok(names)
    }

    /// Bytes of the file `name`; `None` when there is none.
    pub(super) fn length(&self, name: &str) -> io::Result<Option<u64>> {
        match fs::symlink_metadata(self.at(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            metadata => Ok(Some(metadata?.len())),
        }
    }

    /// Gives `from` the name `to`.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        (self.before)(&format!("rename to {to}"))?;
        fs::rename(self.at(from), self.at(to))
    }

    /// Removes `name`, if it is there.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        (self.before)(&format!("remove {name}"))?;
        match fs::remove_file(self.at(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Makes `bytes` the content of `name`: all or nothing, and durable.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}.tmp");
        (self.before)(&format!("begin {unfinished}"))?;
        let mut file = File::create(self.at(&unfinished))?;
        (self.before)(&format!("write {unfinished}"))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.rename(&unfinished, name)?;
        self.sync()
    }

    /// Makes the folder's entries durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        (self.before)("sync")?;
        sync(self.path)
    }
}

/// Whether a path is a folder; the empty one is where the process runs.
fn is_folder(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
}

fn sync(folder: &Path) -> io::Result<()> {
    let here = Path::new(".");
    File::open(if folder.as_os_str().is_empty() { here } else { folder })?.sync_all()
}
