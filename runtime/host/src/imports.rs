//! Decides which imports a component may have, and links them.

use wasmtime::{
    Engine,
    component::{HasSelf, Linker},
};

use crate::{bindings, guest::Guest, wasi};

/// What an operator exports.
pub(crate) const GUEST: &str = "wasmill:operator/guest@0.1.0";

/// What an operator exports that reads state of older schema versions.
pub(crate) const MIGRATION: &str = "wasmill:operator/migration@0.1.0";

const CONTRACT: &[&str] = &["types", "description", "state", "timers", "output", "log", "metrics"];

const WASI: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("clocks", &["monotonic-clock", "wall-clock"]),
    ("filesystem", &["types", "preopens"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["random", "insecure", "insecure-seed"]),
    (
        "sockets",
        &["network", "instance-network", "tcp", "tcp-create-socket", "udp", "udp-create-socket", "ip-name-lookup"],
    ),
];

/// A name such as `wasi:cli/stdout@0.2.6`, in parts.
struct Name<'a> {
    namespace: &'a str,
    package: &'a str,
    interface: &'a str,
    version: &'a str,
}

fn parse(name: &str) -> Option<Name<'_>> {
    let (namespace, rest) = name.split_once(':')?;
    let (package, rest) = rest.split_once('/')?;
    let (interface, version) = rest.split_once('@')?;
    Some(Name { namespace, package, interface, version })
}

/// Whether `version` is `line` and a patch number: those are compatible with each other.
fn within(version: &str, line: &str) -> bool {
    version.strip_prefix(line).and_then(|rest| rest.strip_prefix('.')).is_some_and(|patch| patch.parse::<u32>().is_ok())
}

/// Whether an operator is given this import.
pub(crate) fn is_linked(import: &str) -> bool {
    let Some(name) = parse(import) else { return false };
    match (name.namespace, name.package) {
        ("wasmill", "operator") => CONTRACT.contains(&name.interface) && within(name.version, "0.1"),
        ("wasi", package) => {
            let of_package = WASI.iter().find(|(linked, _)| *linked == package);
            of_package.is_some_and(|(_, interfaces)| interfaces.contains(&name.interface))
                && within(name.version, "0.2")
        }
        _ => false,
    }
}

/// Whether this export is the contract's interface `guest` in any version, or in none.
pub(crate) fn is_guest_of_any_version(export: &str) -> bool {
    export.split('@').next() == GUEST.split('@').next()
}

/// Whether `export` is compatible with `wanted`, an interface of the contract.
pub(crate) fn is_compatible(export: &str, wanted: &str) -> bool {
    match (parse(export), parse(wanted)) {
        (Some(export), Some(wanted)) => {
            (export.namespace, export.package, export.interface) == (wanted.namespace, wanted.package, wanted.interface)
                && within(export.version, "0.1")
        }
        _ => false,
    }
}

/// A linker with all that operators are given.
///
/// # Errors
/// When two definitions collide, which a test would show.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasi::link(&mut linker)?;
    bindings::Operator::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked_is_given() {
        for import in ["wasmill:operator/state@0.1.0", "wasmill:operator/log@0.1.7", "wasi:cli/stdout@0.2.6"] {
            assert!(is_linked(import), "{import}");
        }
        let refused = [
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout",
            "wasi:cli/stdout@0.2.0-rc",
            "wasmill:operator/state@0.2.0",
            "wasmill:operator/admin@0.1.0",
            "acme:database/query@0.1.0",
            "env",
            "",
        ];
        for import in refused {
            assert!(!is_linked(import), "{import}");
        }
    }

    #[test]
    fn a_guest_of_another_version_is_recognised() {
        assert!(is_guest_of_any_version("wasmill:operator/guest@0.2.0"));
        assert!(!is_compatible("wasmill:operator/guest@0.2.0", GUEST));
        assert!(is_compatible("wasmill:operator/guest@0.1.4", GUEST));
        assert!(!is_guest_of_any_version("wasmill:operator/guesthouse@0.1.0"));
    }
}
