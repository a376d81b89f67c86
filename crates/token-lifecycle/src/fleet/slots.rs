//! Where the machines of a fleet are.

use crate::{Machine, Moment};

/// The place of one machine.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) machine: Option<Machine>,
    pub(super) generation: u32,
    /// Its place among the timers; never if it has none.
    pub(super) timer: Moment,
    pub(super) queue: Queue,
}

impl Slot {
    pub(super) fn empty(generation: u32) -> Self {
        Self { machine: None, generation, timer: Moment::NEVER, queue: Queue::None }
    }
}

/// Where a machine waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    None,
    Living(Moment),
    Lost(Moment),
}

/// A list in pieces: one that grows never copies a whole fleet, nor keeps room for another one.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pieces: Vec<Vec<Slot>>,
}

const PIECE: usize = 512;

impl Slots {
    pub(super) fn push(&mut self, slot: Slot) {
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(slot),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(slot);
                self.pieces.push(piece);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        let index = index as usize;
        self.pieces.get(index / PIECE)?.get(index % PIECE)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        let index = index as usize;
        self.pieces.get_mut(index / PIECE)?.get_mut(index % PIECE)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.pieces.iter().flatten()
    }
}
