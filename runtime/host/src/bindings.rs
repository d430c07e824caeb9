//! Holds what wasmtime generates from the contract in `wit/`.
#![allow(missing_docs, unreachable_pub, reason = "generated")]

wasmtime::component::bindgen!({
    path: "/tmp/host-wit",
    world: "operator",
    imports: {
        "wasmill:operator/output": async | trappable,
        "wasmill:operator/state": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
