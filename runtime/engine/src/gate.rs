//! Reads all channels into a subtask fairly, and combines their watermarks, idleness and ends.

use std::{future::poll_fn, task::Poll};

use wasmill_core::{
    Batch,
    time::{Valve, ValveChange},
};

use crate::channel::{Element, Receiver};

/// The channels into one subtask.
pub(crate) struct InputGate {
    channels: Vec<GateChannel>,
    valve: Valve,
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
    /// All channels have ended.
    End,
    /// A sender is gone without an end.
    Lost,
}

impl InputGate {
    /// A gate over channels, each with the number of the input it belongs to.
    pub(crate) fn new(channels: Vec<(u32, Receiver)>) -> InputGate {
        let valve = Valve::new(channels.len());
        let open = channels.len();
        let channel = |(input, receiver)| GateChannel { receiver: Some(receiver), input };
        InputGate { channels: channels.into_iter().map(channel).collect(), valve, open, next: 0 }
    }

    /// The next event. May be dropped while it waits, and loses nothing.
    pub(crate) async fn next(&mut self) -> GateEvent {
        loop {
            if self.open == 0 {
                return GateEvent::End;
            }
            let (channel, element) = self.element().await;
            let change = match element {
                None => return GateEvent::Lost,
                Some(Element::Batch(batch)) => {
                    return GateEvent::Batch { input: self.channels[channel].input, batch };
                }
                Some(Element::Watermark(watermark)) => self.valve.advance(channel, watermark),
                Some(Element::Idle(idle)) => self.valve.set_idle(channel, idle),
                Some(Element::End) => {
                    self.channels[channel].receiver = None;
                    self.open -= 1;
                    self.valve.end(channel)
                }
            };
            match change {
                Some(ValveChange::Watermark(watermark)) => return GateEvent::Watermark(watermark),
                Some(ValveChange::Idle) => return GateEvent::Idle(true),
                Some(ValveChange::Active) => return GateEvent::Idle(false),
                None => {}
            }
        }
    }

    /// The next element of any open channel, in turn, so that a busy one never starves the others.
    async fn element(&mut self) -> (usize, Option<Element>) {
        poll_fn(|context| {
            let count = self.channels.len();
            for step in 0..count {
                let channel = (self.next + step) % count;
                if let Some(receiver) = &mut self.channels[channel].receiver
                    && let Poll::Ready(element) = receiver.poll_next(context)
                {
                    self.next = channel + 1;
                    return Poll::Ready((channel, element));
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use wasmill_core::time::END_OF_TIME;

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
        let mut gate = InputGate::new(vec![(0, from_a), (1, from_b)]);
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
        let mut gate = InputGate::new(vec![(0, from_a)]);
        drop(a);
        assert_eq!(gate.next().await, GateEvent::Lost);
    }
}
