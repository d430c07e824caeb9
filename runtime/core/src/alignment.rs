//! Decides when the barriers of a checkpoint have come on all channels of an input gate.

/// What a barrier on one channel means for the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// The channel must not be read until its neighbours have caught up.
    Wait,
    /// All channels stand at the barrier of this epoch; all may be read again.
    Aligned(u64),
}

/// The barriers of one gate. A channel that ended stands at every barrier.
///
/// Barriers of one channel come in the order of their epochs. A channel may skip an epoch that the coordinator gave up:
/// its later barrier then stands for the earlier one, which is abandoned.
#[derive(Debug)]
pub struct Aligner {
    /// Where each channel stands.
    at: Vec<At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Rows come.
    Rows,
    Barrier(u64),
    End,
}

impl Aligner {
    /// An aligner over `channels` channels.
    pub fn new(channels: usize) -> Aligner {
        Aligner { at: vec![At::Rows; channels] }
    }

    /// Whether `channel` may be read.
    pub fn is_open(&self, channel: usize) -> bool {
        self.at[channel] == At::Rows
    }

    /// A barrier came on an open channel.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn barrier(&mut self, channel: usize, epoch: u64) -> Alignment {
        self.at[channel] = At::Barrier(epoch);
        self.settle().map_or(Alignment::Wait, Alignment::Aligned)
    }

    /// A channel ended; `Some` when it was the last that others waited for.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn end(&mut self, channel: usize) -> Option<u64> {
        self.at[channel] = At::End;
        self.settle()
    }

    /// Opens channels that wait for an epoch that cannot come any more, and says which epoch is aligned, if one is.
    fn settle(&mut self) -> Option<u64> {
        let newest =
            self.at.iter().filter_map(|at| if let At::Barrier(epoch) = at { Some(*epoch) } else { None }).max()?;
        for at in &mut self.at {
            if matches!(at, At::Barrier(epoch) if *epoch < newest) {
                *at = At::Rows;
            }
        }
        if self.at.contains(&At::Rows) {
            return None;
        }
        for at in &mut self.at {
            if *at == At::Barrier(newest) {
                *at = At::Rows;
            }
        }
        Some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_holds_its_channel_until_all_have_it() {
        let mut aligner = Aligner::new(3);
        assert_eq!(aligner.barrier(1, 7), Alignment::Wait);
        assert!(aligner.is_open(0) && !aligner.is_open(1) && aligner.is_open(2));
        assert_eq!(aligner.barrier(0, 7), Alignment::Wait);
        assert_eq!(aligner.barrier(2, 7), Alignment::Aligned(7));
        assert!((0..3).all(|channel| aligner.is_open(channel)));
    }

    #[test]
    fn an_ended_channel_stands_at_every_barrier() {
        let mut aligner = Aligner::new(2);
        assert_eq!(aligner.end(0), None);
        assert_eq!(aligner.barrier(1, 1), Alignment::Aligned(1));
        assert_eq!(aligner.barrier(1, 2), Alignment::Aligned(2));
        assert_eq!(aligner.end(1), None);
        let mut aligner = Aligner::new(2);
        assert_eq!(aligner.barrier(1, 4), Alignment::Wait);
        assert_eq!(aligner.end(0), Some(4));
    }

    #[test]
    fn a_later_barrier_stands_for_one_that_was_given_up() {
        let mut aligner = Aligner::new(2);
        assert_eq!(aligner.barrier(0, 1), Alignment::Wait);
        assert_eq!(aligner.barrier(1, 2), Alignment::Wait);
        assert!(aligner.is_open(0) && !aligner.is_open(1));
        assert_eq!(aligner.barrier(0, 2), Alignment::Aligned(2));
    }
}
