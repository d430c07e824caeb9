//! Makes components of the contract's world from WebAssembly text.
//!
//! Only what a test is about is written out: each export has a body that does nothing and returns `ok`. Results lie at
//! fixed addresses; what the host lowers goes to a heap that starts over after each `process`.

use std::fmt::Write as _;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const GUEST: &str = "wasmill:operator/guest@0.1.0";

/// Address of a `result` that is `ok`.
pub const OK: &str = "(i32.const 16)";

/// Where the text of a test stands.
pub const TEXT: u32 = 256;

const DESCRIPTION: u32 = 1024;

/// The parts of a guest, as bodies of functions.
#[derive(Clone)]
pub struct Source {
    /// `(import ...)` of functions, before all else.
    pub imports: String,
    /// What else the module has.
    pub extra: String,
    /// Text at address [`TEXT`].
    pub text: String,
    /// Bits of the columns that the one input reads.
    pub columns: u8,
    pub start: String,
    pub describe: String,
    pub open: String,
    pub process: String,
    pub snapshot_step: String,
    pub finish: String,
    /// WIT of other packages and `import` lines for the world.
    pub packages: String,
    pub world: String,
}

impl Default for Source {
    fn default() -> Source {
        Source {
            imports: String::new(),
            extra: String::new(),
            text: "boom".to_string(),
            columns: 15,
            start: String::new(),
            describe: "(i32.const 1024)".to_string(),
            open: OK.to_string(),
            process: OK.to_string(),
            snapshot_step: "(i32.const 48)".to_string(),
            finish: OK.to_string(),
            packages: String::new(),
            world: String::new(),
        }
    }
}

pub const EMIT: &str = r#"(import "wasmill:operator/output@0.1.0" "emit" (func $emit (param i32)))"#;
pub const LOG: &str = r#"(import "wasmill:operator/log@0.1.0" "log" (func $log (param i32 i32 i32)))"#;

impl Source {
    /// Emits each batch as it came. (After the two times of `call` lie the input's number and the batch: just as `emit`
    /// wants them.)
    pub fn identity() -> Source {
        let process = format!("(call $emit (i32.add (local.get $p) (i32.const 16))) {OK}");
        Source { imports: EMIT.to_string(), process, ..Source::default() }
    }

    /// Does `process` and returns `ok`.
    pub fn processing(process: &str) -> Source {
        Source { process: format!("{process} {OK}"), ..Source::default() }
    }

    pub fn module(&self) -> Vec<u8> {
        let Source { imports, extra, text, start, describe, open, process, snapshot_step, finish, .. } = self;
        let description = self.description();
        let wat = format!(
            r#"(module
            {imports}
            (memory (export "memory") 2)
            (global $heap (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
              (local $at i32)
              (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
              (global.set $heap (i32.add (local.get $at) (local.get 3)))
              (block $fits (loop $more
                (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
                (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
                (br $more)))
              (local.get $at))
            (data (i32.const 48) "\00\00\00\00\01")
            (data (i32.const {TEXT}) "{text}")
            (data (i32.const {DESCRIPTION}) "{description}")
            {extra}
            (func $start {start})
            (start $start)
            (func $describe (export "{GUEST}#describe") (param i32 i32) (result i32) {describe})
            (func $open (export "{GUEST}#open")
              (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i64 i32 i32 i32 i32) (result i32) {open})
            (func $process (export "{GUEST}#process") (param $p i32) (result i32) {process})
            (func (export "cabi_post_{GUEST}#process") (param i32) (global.set $heap (i32.const 65536)))
            (func (export "{GUEST}#on-timers")
              (param i64 i64 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {OK})
            (func (export "{GUEST}#snapshot") (param i64 i64 i64) (result i32) {OK})
            (func (export "{GUEST}#snapshot-step") (param i32) (result i32) {snapshot_step})
            (func (export "{GUEST}#finish") (param i64 i64) (result i32) {finish}))"#
        );
        wat::parse_str(&wat).unwrap_or_else(|error| panic!("{error}\n{wat}"))
    }

    pub fn component(&self) -> Vec<u8> {
        let mut module = self.module();
        let mut resolve = Resolve::default();
        resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
        let test = format!(
            "package test:guest;\n world guest {{ include wasmill:operator/operator@0.1.0; {} }}\n {}",
            self.world, self.packages
        );
        let package = resolve.push_str("test.wit", &test).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
    }

    /// `ok` of a description with one input, `in`, one output, `out`, one value state, `count`, and event-time timers,
    /// laid out as the canonical ABI says, as the escapes of a WAT string.
    fn description(&self) -> String {
        // The head: result (4 bytes), name, version, inputs, outputs, states (8 each), timers (1), to 48 bytes; then
        // the input (44 bytes), the output (40), 4 of padding, the state (88), the names.
        let at = |offset: u32| DESCRIPTION + offset;
        let (input, output, state, names) = (at(48), at(92), at(136), at(224));
        let mut bytes = Vec::new();
        let mut words = |words: &[u32]| words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        // Names: "test", "0.1", "in", "out", "count", "bytes", one after the other.
        let name = |start: u32, length: u32| [names + start, length];
        let (bytes_name, none) = (name(17, 5), [0, 0]);
        words(&[0]);
        for pair in [name(0, 4), name(4, 3), [input, 1], [output, 1], [state, 1]] {
            words(&pair);
        }
        words(&[1]);
        words(&name(7, 2));
        words(&[1 | u32::from(self.columns) << 8]);
        for pair in [bytes_name, none, bytes_name, none, name(9, 3), bytes_name, none, bytes_name, none] {
            words(&pair);
        }
        words(&[0]);
        words(&name(12, 5));
        words(&[0]);
        for pair in [bytes_name, none, bytes_name, none, bytes_name, none] {
            words(&pair);
        }
        // Schema version, padding, no TTL.
        words(&[1, 0, 0, 0, 0, 0, 0]);
        bytes.extend(b"test0.1inoutcountbytes");
        let mut escaped = String::new();
        bytes.iter().for_each(|byte| {
            let _ = write!(escaped, "\\{byte:02x}");
        });
        escaped
    }
}
