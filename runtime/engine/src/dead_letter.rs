//! Keeps a job going when an operator cannot process a record: each call is a transaction, and a batch that fails is cut until
//! the record at fault is alone; that one goes to the dead-letter output with its error.

use std::{
    future::poll_fn,
    task::Poll,
    time::{Duration, Instant},
};

use wasmill_core::{
    Batch, BatchBuilder, Codec, OperatorError, Place, Row, Status, batch::NO_TIME, description::InputDescription,
};

use crate::{
    Handle,
    chain::{Downstream, OperatorLink, Target},
    error::Stop,
    seed::Seed,
};

/// What an operator with `on-error = "dead-letter"` needs beside itself.
pub(crate) struct DeadLetters {
    /// Makes it anew.
    pub(crate) seed: Seed,
    /// The epoch that state changes belong to.
    pub(crate) epoch: u64,
    /// The output behind those that the operator describes.
    pub(crate) output: u32,
    /// Its inputs, by whose codecs records are shown.
    pub(crate) inputs: Vec<InputDescription>,
    /// Where they are counted.
    pub(crate) handle: Handle,
}

/// What one call may emit, bytes: it is held back until the call has succeeded.
const OUTPUT_LIMIT: usize = 64 << 20;

/// What a call emitted: output and batch.
type Emitted = Vec<(u32, Batch)>;

impl Downstream<'_> {
    /// Has an operator process a batch; records that it cannot process go to its dead-letter output.
    ///
    /// # Errors
    /// When the operator cannot be made anew, says itself that it cannot work, or when no single record reproduces the failure.
    pub(crate) async fn process_or_bury(
        &mut self,
        body: &mut OperatorLink,
        place: &Place,
        status: &Status,
        outputs: &[Vec<Target>],
        input: u32,
        batch: Batch,
    ) -> Result<(), Stop> {
        let mut rest = vec![batch];
        let (mut failure, mut buried) = (None, 0u64);
        while let Some(batch) = rest.pop() {
            let error = match self.try_process(body, status, input, batch.clone()).await {
                Ok(emitted) => {
                    for (output, batch) in emitted {
                        self.emit(status, outputs, output, batch).await?;
                    }
                    if let Some(over) = body.timers.over_quota() {
                        return Err(Stop::at(place, over));
                    }
                    continue;
                }
                Err(error @ OperatorError::Job(_)) => return Err(Stop::at(place, error)),
                Err(error) => error,
            };
            let Some(dead_letters) = &body.dead_letters else { return Err(Stop::at(place, error)) };
            // What failed may be broken within.
            body.operator = dead_letters.seed.make(dead_letters.epoch, true, self.clock.now()).await?;
            if batch.rows() > 1 {
                rest.extend(cut(&batch, &error).into_iter().rev());
                failure.get_or_insert(error);
                continue;
            }
            tracing::warn!(%place, %error, "a record goes to the dead letters");
            dead_letters.handle.checkpoints().dead_letters += 1;
            let (output, letter) = (dead_letters.output, dead_letters.letter(place, input, &batch, &error));
            buried += 1;
            self.emit(status, outputs, output, letter).await?;
        }
        match failure {
            // Less of it at once went well: there is no record to blame, and it may fail again any time.
            Some(error) if buried == 0 => Err(Stop::at(place, error)),
            _ => Ok(()),
        }
    }

    /// One call as a transaction: on an error nothing of it counts.
    async fn try_process(
        &mut self,
        body: &mut OperatorLink,
        status: &Status,
        input: u32,
        batch: Batch,
    ) -> Result<Emitted, OperatorError> {
        body.state.begin_call();
        body.timers.begin_call();
        let time = body.time(self.clock);
        let result = collect(body, status, time, input, batch).await;
        body.state.end_call(result.is_ok());
        body.timers.end_call(result.is_ok());
        // What a failed call emitted last.
        while body.outbox.take().is_some() {}
        result
    }
}

/// Drives a call and keeps what it emits.
async fn collect(
    body: &mut OperatorLink,
    status: &Status,
    time: wasmill_core::CallTime,
    input: u32,
    batch: Batch,
) -> Result<Emitted, OperatorError> {
    let OperatorLink { operator, outbox, .. } = &mut *body;
    let mut first = Some(Instant::now());
    let mut call = operator.process(time, input, batch);
    let (mut emitted, mut bytes, mut inside) = (Emitted::new(), 0, Duration::ZERO);
    let done = poll_fn(|context| {
        loop {
            let since = first.take().unwrap_or_else(Instant::now);
            let polled = call.as_mut().poll(context);
            let elapsed = since.elapsed();
            status.operator_ns.add(elapsed.as_nanos() as u64);
            inside += elapsed;
            let before = emitted.len();
            while let Some((output, batch)) = outbox.take() {
                bytes += batch.bytes();
                emitted.push((output, batch));
            }
            if bytes > OUTPUT_LIMIT {
                let message =
                    format!("a call emitted more than {OUTPUT_LIMIT} bytes, which is the most with dead letters");
                return Poll::Ready(Err(OperatorError::Limit { limit: "on-error", message }));
            }
            match polled {
                Poll::Ready(result) => return Poll::Ready(result),
                // It waited for room, and there is some.
                Poll::Pending if emitted.len() > before => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    drop(call);
    body.called(status, inside);
    done.map(|()| emitted)
}

/// Cuts a batch in two; around the row that the operator names, if it names one.
fn cut(batch: &Batch, error: &OperatorError) -> Vec<Batch> {
    let rows = batch.rows();
    let part = |range: std::ops::Range<usize>| {
        let mut builder = BatchBuilder::default();
        builder.append_range(batch, range);
        builder.take()
    };
    let ranges = match error {
        OperatorError::Record { row, .. } if (*row as usize) < rows => {
            let row = *row as usize;
            vec![0..row, row..row + 1, row + 1..rows]
        }
        _ => vec![0..rows / 2, rows / 2..rows],
    };
    ranges.into_iter().filter(|range| !range.is_empty()).map(part).collect()
}

impl DeadLetters {
    /// The row of the dead-letter output for a batch of one record: its key, and a JSON object.
    fn letter(&self, place: &Place, input: u32, batch: &Batch, error: &OperatorError) -> Batch {
        let row = batch.row(0);
        let described = self.inputs.get(input as usize);
        let shown = |codec: Option<&Codec>, bytes: Option<&[u8]>| {
            let mut text = String::new();
            bytes.map(|bytes| {
                codec.cloned().unwrap_or_default().text(bytes, &mut text);
                text
            })
        };
        let letter = serde_json::json!({
            "operator": &*place.operator,
            "subtask": place.subtask,
            "input": described.map(|input| input.name.as_str()),
            "error": error.to_string(),
            "timestamp": (row.timestamp != NO_TIME).then_some(row.timestamp),
            "key": shown(described.map(|input| &input.key), row.key),
            "value": shown(described.map(|input| &input.value), row.value),
        });
        let mut builder = BatchBuilder::default();
        builder.push(Row { value: Some(letter.to_string().as_bytes()), ..row });
        builder.take()
    }
}
