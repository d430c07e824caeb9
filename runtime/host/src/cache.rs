//! Keeps compiled code on disk, by content and by engine, so that a component is compiled once a machine.
//!
//! A file is the code as wasmtime serializes it and a trailer of 16 bytes: XXH3 of 64 bits over all that is before, and
//! a magic number. The name is the SHA-256 of the component's content and of all that wasmtime says its code depends on
//! (version, target, settings), so that a stale file is never looked at. The trailer finds files cut short or damaged.

use std::{
    fs::{self, File},
    hash::{Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"wasmillC";
const TRAILER: usize = 16;

/// Where the compiled code of one component is kept.
pub(crate) struct Entry(PathBuf);

impl Entry {
    /// The entry of a component with this content in `directory`.
    pub(crate) fn new(directory: &Path, engine: &Engine, content: &[u8]) -> Entry {
        let mut hasher = Sha256Hasher(Sha256::new_with_prefix(content));
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let name: String = hasher.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Entry(directory.join(name).with_extension("cwasm"))
    }

    /// The compiled component, if it is there and sound. An unusable file is removed.
    pub(crate) fn get(&self, engine: &Engine) -> Option<Component> {
        let problem = match self.sound() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
            Ok(false) => "it is damaged".to_string(),
            Ok(true) => match self.map(engine) {
                Ok(component) => return Some(component),
                Err(error) => error.to_string(),
            },
        };
        tracing::warn!(file = %self.0.display(), "compiling again: a file of compiled code cannot be used: {problem}");
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(file = %self.0.display(), "cannot remove it: {error}");
        }
        None
    }

    /// Keeps a compiled component. That it cannot be kept is a warning: it will be compiled again.
    pub(crate) fn put(&self, component: &Component) {
        if let Err(error) = self.write(component) {
            let file = self.0.display();
            tracing::warn!(%file, "compiled code is not kept, and will be compiled again next time: {error}");
        }
    }

    fn sound(&self) -> io::Result<bool> {
        let bytes = fs::read(&self.0)?;
        let Some((code, trailer)) = bytes.len().checked_sub(TRAILER).map(|at| bytes.split_at(at)) else {
            return Ok(false);
        };
        let (sum, magic) = trailer.split_at(8);
        Ok(magic == MAGIC && sum == xxh3_64(code).to_le_bytes())
    }

    #[allow(unsafe_code, reason = "wasmtime maps compiled code from files in no other way")]
    fn map(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the file must be what `Component::serialize` wrote, unchanged while it is mapped. Its name is a hash
        // that only this module makes, its checksum was verified, and files are written aside and renamed, never
        // changed in place. The checksum is no defence against forgery: the directory is trusted as the program's own
        // files are, is named by the user, and is made open to its owner only. wasmtime itself refuses code of another
        // version, target or configuration.
        unsafe { Component::deserialize_file(engine, &self.0) }
    }

    fn write(&self, component: &Component) -> io::Result<()> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let mut code = component.serialize().map_err(io::Error::other)?;
        let sum = xxh3_64(&code);
        code.extend_from_slice(&sum.to_le_bytes());
        code.extend_from_slice(MAGIC);
        let directory = self.0.parent().unwrap_or(Path::new("."));
        make_private(directory)?;
        let aside =
            self.0.with_extension(format!("{}-{}.new", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
        let written = File::create_new(&aside)
            .and_then(|mut file| {
                file.write_all(&code)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&aside, &self.0));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }
}

/// Makes the directory, open to its owner only, where it does not exist.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
