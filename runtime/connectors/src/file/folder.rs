//! Changes a folder one step at a time.

use std::{
    collections::BTreeSet,
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

    /// Names in the folder itself that begin with `prefix`, in order; none where there is no folder.
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

    /// Paths of what begins with `prefix`, in the folder and in those below it whose names `within` takes. Symbolic links are not
    /// followed.
    pub(super) fn below(&self, prefix: &str, within: impl Fn(&str) -> bool) -> io::Result<BTreeSet<String>> {
        let mut found = BTreeSet::from_iter(self.names(prefix)?);
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.at(&folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                // What is no UTF-8 no sink wrote.
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                if within(&name) && entry.file_type()?.is_dir() {
                    folders.push(path);
                } else if !folder.is_empty() && name.starts_with(prefix) {
                    found.insert(path);
                }
            }
        }
        Ok(found)
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

    /// Makes the folder `name` in this one, where it is missing; the one above it is there.
    pub(super) fn make_below(&self, name: &str) -> io::Result<()> {
        match fs::symlink_metadata(self.at(name)) {
            Ok(metadata) if metadata.is_dir() => return Ok(()),
            Ok(_) => return Err(io::Error::other(format!("`{name}` is there and is no folder"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        (self.before)(&format!("make {name}"))?;
        fs::create_dir(self.at(name))
    }

    /// Removes the folder `name` in this one if it is empty; otherwise makes its entries durable.
    pub(super) fn remove_empty(&self, name: &str) -> io::Result<()> {
        (self.before)(&format!("remove {name} if empty"))?;
        match fs::remove_dir(self.at(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => sync(&self.at(name)),
            removed => removed,
        }
    }

    /// Makes the entries of the folder `name` in this one durable; the empty name is this one.
    pub(super) fn sync_below(&self, name: &str) -> io::Result<()> {
        if name.is_empty() {
            return self.sync();
        }
        (self.before)(&format!("sync {name}"))?;
        sync(&self.at(name))
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
