//! Every misdeed in a running job, with the error that it must end in.

use crate::job::run;

/// The whole error of a misdeed; it names job, operator and subtask.
async fn error(deed: &str) -> String {
    let (ended, _) = run(deed).await;
    let error = match ended {
        Err(error) => error.to_string(),
        Ok(_) => panic!("`{deed}` was not noticed"),
    };
    assert!(error.starts_with("job `hostile`, `op`, subtask "), "{error}");
    error
}

macro_rules! misdeeds {
    ($($name:ident: $deed:literal => [$($part:literal),+];)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let error = error($deed).await;
            $(assert!(error.contains($part), "`{}` is not in: {error}", $part);)+
        })*
    };
}

misdeeds! {
    a_loop_for_ever_hits_the_call_budget: "spin" => ["limit `call-budget`", "200ms"];
    endless_allocation_hits_the_memory_limit: "allocate" => ["limit `memory`", "33554432"];
    endless_recursion_hits_the_stack: "recurse" => ["limit `stack`"];
    a_panic_tells_its_message: "panic" => ["trapped", "the sky is falling", "misdeeds.rs"];
    sleeping_is_refused: "sleep" => ["clock"];
    exiting_is_a_trap: "exit" => ["exit"];
    decreasing_ends_are_no_batch: "ends-decrease" => ["broke the contract", "`value-ends` decreases at row 1"];
    ends_beyond_the_bytes_are_no_batch: "ends-beyond" => ["broke the contract", "`value-ends` ends at 4294967295"];
    columns_of_different_length_are_no_batch: "columns-differ" => ["broke the contract", "`key-ends` has 1 entries for 3 rows"];
    unknown_flags_are_no_batch: "unknown-flags" => ["broke the contract", "`flags` is invalid at row 0"];
    an_unknown_output_is_refused: "unknown-output" => ["broke the contract", "7"];
    a_huge_batch_hits_its_limit: "huge-batch" => ["limit `max-batch-size`", "4194304"];
    an_unknown_state_is_refused: "unknown-state" => ["broke the contract", "9"];
    another_epoch_is_refused: "wrong-epoch" => ["broke the contract", "77"];
    ragged_columns_are_refused: "ragged-state" => ["broke the contract", "key-ends"];
    map_state_needs_map_keys: "map-without-keys" => ["broke the contract", "no map keys", "`counts`"];
    only_map_state_has_map_keys: "keys-of-no-map" => ["broke the contract", "map keys", "value state `counts`"];
    only_lists_are_appended_to: "append-value" => ["broke the contract", "append"];
    only_state_with_a_ttl_expires: "expire-value" => ["broke the contract", "`counts` has no time to live"];
    only_maps_are_scanned: "scan-value" => ["broke the contract", "only map state is scanned"];
    broadcast_state_changes_in_its_own_input_only: "write-broadcast" => ["broke the contract", "`counts` is broadcast"];
    a_key_of_another_subtask_is_refused: "foreign-key" => ["broke the contract", "key group"];
    a_timer_for_a_key_of_another_subtask_is_refused: "foreign-timer" => ["broke the contract", "key"];
    a_timer_of_an_undeclared_domain_is_refused: "undeclared-timer" => ["broke the contract", "processing"];
    an_error_of_a_record_names_its_row: "record-error" => ["row 1", "not a number"];
    an_error_of_a_batch_is_told: "batch-error" => ["not today"];
    refusing_to_open_is_told: "refuse-open" => ["not on a Monday"];
    emitting_in_a_snapshot_step_is_refused: "emit-in-step" => ["broke the contract", "snapshot"];
    steps_without_end_are_noticed: "endless-steps" => ["broke the contract", "snapshot"];
}

/// A flood of log lines is cut and counted, and the job succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_log_lines_is_harmless() {
    let (ended, rows) = run("log-flood").await;
    let ended = ended.map(|summary| summary.cancelled).map_err(|error| error.to_string());
    // Handing over a gigabyte of text takes longer than the budget of a call on a slow machine: then that is the error.
    match ended {
        Ok(cancelled) => assert!(!cancelled && rows == 10),
        Err(error) => assert!(error.contains("limit `call-budget`"), "{error}"),
    }
}
