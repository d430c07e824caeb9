//! Reads all channels into a subtask fairly, combines their watermarks, idleness and ends, and aligns their barriers.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll};

use wasmill_core::{
    Batch,
    alignment::{Aligner, Alignment},
    time::{Inputs, InputsChange},
};

use crate::{
    channel::{Element, Receiver},
    interleaving::waits_inside,
    standing::Standing,
};

/// The channels into one subtask.
pub(crate) struct InputGate {
    channels: Vec<GateChannel>,
    watermarks: Inputs,
    aligner: Aligner,
    /// Where what changes is published.
    standing: Option<Arc<Standing>>,
    /// What a change of a channel meant, and is not told yet.
    pending: VecDeque<GateEvent>,
    /// An epoch whose barriers have all come, not told yet.
    aligned: Option<u64>,
    open: usize,
    next: usize,
}

struct GateChannel {
    receiver: Option<Receiver>,
    input: u32,
}

/// What the gate found.
#[derive(Debug, PartialEq)]
pub(crate) enum GateEvent {
    /// Rows of one input.
    Batch { input: u32, batch: Batch },
    /// The minimum over the inputs advanced.
    Watermark(i64),
    /// All inputs became idle (true), or one is active again (false).
    Idle(bool),
    /// The barriers of this epoch have come on all channels.
    Barrier(u64),
    /// All channels have ended.
    End,
    /// A sender is gone without an end.
    Lost,
}

impl InputGate {
    /// A gate over channels, each with the number of the input it belongs to; its watermark never goes behind `watermark`.
    pub(crate) fn new(channels: Vec<(u32, Receiver)>, watermark: i64) -> InputGate {
        let open = channels.len();
        let inputs: Vec<u32> = channels.iter().map(|(input, _)| *input).collect();
        let (watermarks, aligner) = (Inputs::new(&inputs, watermark), Aligner::new(open));
        let channel = |(input, receiver)| GateChannel { receiver: Some(receiver), input };
        let channels = channels.into_iter().map(channel).collect();
        let (standing, pending) = (None, VecDeque::new());
        InputGate { channels, watermarks, aligner, standing, pending, aligned: None, open, next: 0 }
    }

    /// Publishes watermarks and idleness from now on.
    pub(crate) fn publish(mut self, standing: Arc<Standing>) -> InputGate {
        self.standing = Some(standing);
        self
    }

    /// The next event. May be dropped while it waits, and loses nothing.
    pub(crate) async fn next(&mut self) -> GateEvent {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return event;
            }
            if let Some(epoch) = self.aligned.take() {
                return GateEvent::Barrier(epoch);
            }
            if self.open == 0 {
                return GateEvent::End;
            }
            let (channel, element) = self.element().await;
            let change = match element {
                None => return GateEvent::Lost,
                Some(Element::Batch(batch)) => {
                    return GateEvent::Batch { input: self.channels[channel].input, batch };
                }
                Some(Element::Watermark(watermark)) => self.watermarks.advance(channel, watermark),
                Some(Element::Idle(idle)) => self.watermarks.set_idle(channel, idle),
                Some(Element::Barrier(epoch)) => {
                    if let Alignment::Aligned(epoch) = self.aligner.barrier(channel, epoch) {
                        self.aligned = Some(epoch);
                    }
                    continue;
                }
                Some(Element::End) => {
                    self.channels[channel].receiver = None;
                    self.open -= 1;
                    self.aligned = self.aligner.end(channel);
                    self.watermarks.end(channel)
                }
            };
            if let Some(standing) = &self.standing {
                standing.changed(channel, &self.watermarks);
            }
            let InputsChange { watermark, idle } = change;
            self.pending.extend((idle == Some(false)).then_some(GateEvent::Idle(false)));
            self.pending.extend(watermark.map(GateEvent::Watermark));
            self.pending.extend((idle == Some(true)).then_some(GateEvent::Idle(true)));
        }
    }

    /// The next element of any channel that is open and not held by a barrier, in turn, so that a busy one never starves the
    /// others.
    async fn element(&mut self) -> (usize, Option<Element>) {
        poll_fn(|context| {
            let count = self.channels.len();
            for step in 0..count {
                let channel = (self.next + step) % count;
                if !self.aligner.is_open(channel) {
                    continue;
                }
                if let Some(receiver) = &mut self.channels[channel].receiver
                    && let Poll::Ready(element) = receiver.poll_next(context)
                {
                    self.next = channel + 1;
                    return Poll::Ready((channel, element));
                }
            }
            waits_inside();
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use wasmill_core::time::{END_OF_TIME, NO_WATERMARK};

    use super::*;
    use crate::channel::{Budget, channel};

    fn batch(value: u8) -> Element {
        Element::Batch(Batch { timestamps: vec![i64::from(value)], ..Batch::default() })
    }

    fn rows(event: GateEvent) -> (u32, i64) {
        match event {
            GateEvent::Batch { input, batch } => (input, batch.timestamps[0]),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn channels_take_turns_and_the_slowest_watermark_counts() {
        let budget = Budget::new(1000);
        let (a, from_a) = channel(9, &budget);
        let (b, from_b) = channel(9, &budget);
        let mut gate = InputGate::new(vec![(0, from_a), (1, from_b)], NO_WATERMARK);
        for element in [batch(1), batch(2), Element::Watermark(10), Element::End] {
            a.try_send(element).unwrap();
        }
        for element in [batch(11), batch(12), Element::Watermark(5), Element::Watermark(20)] {
            b.try_send(element).unwrap();
        }
        let order =
            [rows(gate.next().await), rows(gate.next().await), rows(gate.next().await), rows(gate.next().await)];
        assert_eq!(order, [(0, 1), (1, 11), (0, 2), (1, 12)]);
        assert_eq!(gate.next().await, GateEvent::Watermark(5));
        assert_eq!(gate.next().await, GateEvent::Watermark(20), "an ended channel holds nothing back");
        b.try_send(Element::End).unwrap();
        assert_eq!(gate.next().await, GateEvent::Watermark(END_OF_TIME));
        assert_eq!(gate.next().await, GateEvent::End);
    }

    #[tokio::test]
    async fn a_lost_sender_is_told() {
        let budget = Budget::new(1000);
        let (a, from_a) = channel(9, &budget);
        let mut gate = InputGate::new(vec![(0, from_a)], NO_WATERMARK);
        drop(a);
        assert_eq!(gate.next().await, GateEvent::Lost);
    }
}
