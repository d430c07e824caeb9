//! Reads a file, compiles it, and says what it imports and exports.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use wasmtime::component;

use crate::{
    bindings::OperatorPre,
    cache::Entry,
    error::HostError,
    guest::Guest,
    imports::{self, GUEST, MIGRATION},
    runtime::Runtime,
};

/// A compiled component. Cheap to clone.
#[derive(Clone)]
pub struct Component(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    path: PathBuf,
    size_bytes: u64,
    compiled: component::Component,
    from_cache: bool,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Reads and compiles a component, or takes its compiled code from the cache. Blocks for as long as compiling takes
    /// (a tenth of a second to many seconds, by size): call it where blocking is allowed.
    ///
    /// That the file is an operator is checked later ([`Component::check`]), so that any component can be looked at.
    ///
    /// # Errors
    /// When the file cannot be read, is no component, or is invalid.
    pub fn load(&self, path: &Path) -> Result<Component, HostError> {
        let at = || path.to_path_buf();
        let content = fs::read(path).map_err(|source| HostError::Read { path: at(), source })?;
        expect_component(path, &content)?;
        let engine = &self.0.engine;
        let entry = self.0.cache_directory.as_deref().map(|directory| Entry::new(directory, engine, &content));
        let cached = entry.as_ref().and_then(|entry| entry.get(engine));
        let from_cache = cached.is_some();
        let compiled = match cached {
            Some(compiled) => compiled,
            None => {
                let compiled = component::Component::from_binary(engine, &content)
                    .map_err(|error| HostError::Compile { path: at(), message: format!("{error:#}") })?;
                if let Some(entry) = entry {
                    entry.put(&compiled);
                }
                compiled
            }
        };
        let ty = compiled.component_type();
        let imports = ty.imports(engine).map(|(name, _)| name.to_string()).collect();
        let exports = ty.exports(engine).map(|(name, _)| name.to_string()).collect();
        let (runtime, size_bytes) = (self.clone(), content.len() as u64);
        let path = at();
        Ok(Component(Arc::new(Inner { runtime, path, size_bytes, compiled, from_cache, imports, exports })))
    }
}

/// Refuses what is not a component before wasmtime does, and says what it is. A binary begins with `\0asm`, a version
/// (u16) and a layer (u16: 0 a core module, 1 a component).
fn expect_component(path: &Path, content: &[u8]) -> Result<(), HostError> {
    let not = |found: &str| Err(HostError::NotWasm { path: path.to_path_buf(), found: found.to_string() });
    match content {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(HostError::CoreModule { path: path.to_path_buf() }),
        [0, b'a', b's', b'm', ..] => not("it is WebAssembly cut short, or of an unknown kind"),
        [] => not("it is empty"),
        _ if content.trim_ascii_start().starts_with(b"(") => not("it is text, perhaps WebAssembly text"),
        _ => not("it does not begin as WebAssembly does"),
    }
}

impl Component {
    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Size of the file, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.0.size_bytes
    }

    /// What it imports, such as `wasi:cli/stdout@0.2.6`.
    pub fn imports(&self) -> Vec<String> {
        self.0.imports.clone()
    }

    /// What it exports.
    pub fn exports(&self) -> Vec<String> {
        self.0.exports.clone()
    }

    /// Those of its imports that an operator is not given.
    pub fn refused_imports(&self) -> Vec<String> {
        self.0.imports.iter().filter(|import| !imports::is_linked(import)).cloned().collect()
    }

    /// Whether it can migrate its state.
    pub fn has_migration(&self) -> bool {
        self.migration().is_some()
    }

    /// The name under which it exports `migrate`'s interface.
    pub(crate) fn migration(&self) -> Option<String> {
        self.0.exports.iter().find(|export| imports::is_compatible(export, MIGRATION)).cloned()
    }

    /// Whether its code came from the cache.
    pub fn compiled_from_cache(&self) -> bool {
        self.0.from_cache
    }

    /// Verifies that it is an operator of this version of the contract and imports nothing that is not given.
    ///
    /// # Errors
    /// [`HostError::NotAnOperator`], [`HostError::OtherContract`], [`HostError::RefusedImports`] or [`HostError::Link`].
    pub fn check(&self) -> Result<(), HostError> {
        self.linked().map(drop)
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    /// The component with its imports linked and its exports found.
    pub(crate) fn linked(&self) -> Result<OperatorPre<Guest>, HostError> {
        let path = || self.0.path.clone();
        let exports = &self.0.exports;
        if !exports.iter().any(|export| imports::is_compatible(export, GUEST)) {
            if let Some(other) = exports.iter().find(|export| imports::is_guest_of_any_version(export)) {
                return Err(HostError::OtherContract { path: path(), found: other.clone() });
            }
            let exports = if exports.is_empty() { "nothing".to_string() } else { exports.join(", ") };
            return Err(HostError::NotAnOperator { path: path(), exports });
        }
        let refused = self.refused_imports();
        if !refused.is_empty() {
            return Err(HostError::RefusedImports { path: path(), imports: refused });
        }
        let pre = self.0.runtime.0.linker.instantiate_pre(&self.0.compiled);
        pre.and_then(OperatorPre::new).map_err(|error| HostError::Link { path: path(), message: format!("{error:#}") })
    }
}
