//! Sets and removes timers for a guest.

use std::sync::Arc;

use wasmill_core::{
    OperatorError, TimerService,
    time::{TimeDomain, TimerBatch},
};

use crate::{
    bindings::wasmill::operator::{timers, types},
    convert,
    guest::{Guest, Phase},
};

impl Guest {
    /// Checks what a guest says of timers: where, in which domain, whose.
    fn checked(
        &self,
        import: &str,
        domain: types::TimeDomain,
        timers: timers::TimerBatch,
    ) -> Result<(Arc<dyn TimerService>, TimeDomain, TimerBatch), OperatorError> {
        let connections = self.connections(import)?;
        if self.phase == Phase::SnapshotStep {
            return Err(self.refused(import, "timers were cut before"));
        }
        let domain = convert::domain_in(domain);
        if !connections.description.timers.contains(&domain) {
            let name = match domain {
                TimeDomain::EventTime => "event-time",
                TimeDomain::ProcessingTime => "processing-time",
            };
            let message = format!("it called `{import}` for {name} timers, which it does not describe");
            return Err(OperatorError::Contract(message));
        }
        let timers = convert::timers_in(timers);
        timers.check().map_err(|error| OperatorError::Contract(format!("`{import}`: {error}")))?;
        if let Some(row) = (0..timers.times.len()).find(|&row| !connections.state.owns(timers.key(row))) {
            let message = format!("it called `{import}` for a key of another subtask (timer {row} of the call)");
            return Err(OperatorError::Contract(message));
        }
        Ok((connections.timers.clone(), domain, timers))
    }
}

impl timers::Host for Guest {
    fn register(&mut self, domain: types::TimeDomain, timers: timers::TimerBatch) -> wasmtime::Result<()> {
        let (service, domain, timers) = self.checked("timers.register", domain, timers)?;
        let call = self.stopwatch.state_begins();
        service.register(domain, &timers);
        self.stopwatch.state_ends(call);
        Ok(())
    }

    fn delete(&mut self, domain: types::TimeDomain, timers: timers::TimerBatch) -> wasmtime::Result<()> {
        let (service, domain, timers) = self.checked("timers.delete", domain, timers)?;
        let call = self.stopwatch.state_begins();
        service.delete(domain, &timers);
        self.stopwatch.state_ends(call);
        Ok(())
    }
}
