//! Takes what a guest emits and hands it to its subtask.

use wasmill_core::OperatorError;

use crate::{
    bindings::wasmill::operator::{output, types},
    convert,
    guest::{Guest, Phase},
};

const EMIT: &str = "output.emit";

impl output::Host for Guest {
    async fn emit(&mut self, output: u32, batch: types::Batch) -> wasmtime::Result<()> {
        self.stopwatch.takes();
        let connections = self.connections(EMIT)?;
        match self.phase {
            Phase::Open => return Err(self.refused(EMIT, "rows belong to a call that has a time").into()),
            Phase::SnapshotStep => return Err(self.refused(EMIT, "its rows would come behind the barrier").into()),
            _ => {}
        }
        let outputs = &connections.description.outputs;
        let Some(described) = outputs.get(output as usize) else {
            let described = outputs.len();
            let message = format!("it emitted to output {output}, but describes {described} (from 0)");
            return Err(OperatorError::Contract(message).into());
        };
        let batch = convert::batch_in(batch);
        if let Err(error) = batch.check() {
            let message = format!("what it emitted to output `{}` is not a batch: {error}", described.name);
            return Err(OperatorError::Contract(message).into());
        }
        if !batch.is_empty() {
            let outbox = connections.outbox.clone();
            self.budget.aside(outbox.emit(output, batch)).await;
        }
        Ok(())
    }
}
