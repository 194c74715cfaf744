//! Keeps checkpoints while the server runs: one at a time, on a thread of its own, beside the ticks.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use super::metrics;
use crate::checkpoint::{Checkpoints, Origin, State, Written};
use crate::clock::{self, SECOND_US, Timestamp};
use crate::error::Result;
use crate::ingest::source::TopicOffset;

/// Writes a checkpoint every so often, where there is a new epoch.
pub struct Keeper {
    /// None once it is to end.
    states: Option<Sender<(State, Vec<TopicOffset>)>>,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
    every_us: i64,
    /// When the last one was begun, or looked after for the first time, and of which epoch.
    begun_at: Option<Timestamp>,
    epoch: Option<u64>,
    is_busy: bool,
}

struct Done {
    written: Result<Written>,
    took_us: i64,
}

impl Keeper {
    /// Starts the thread. The first checkpoint is due after `every_us`.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(checkpoints: Checkpoints, origin: Origin, every_us: i64) -> std::io::Result<Keeper> {
        let (states, taken) = channel::<(State, Vec<TopicOffset>)>();
        let (sender, done) = channel();
        let run = move || {
            for (state, offsets) in taken {
                let began = clock::now();
                let written = checkpoints.write(&state, &origin, &offsets);
                // Rows that only this epoch has are let go before anyone waits for the answer.
                drop(state);
                if sender.send(Done { written, took_us: clock::now() - began }).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(run)?;
        Ok(Keeper {
            states: Some(states),
            done,
            thread: Some(thread),
            every_us,
            begun_at: None,
            epoch: None,
            is_busy: false,
        })
    }

    /// Tells what became of the last checkpoint, and begins the next where it is due. `state` is asked for the
    /// state of this epoch and the offsets it stands at.
    pub fn look(&mut self, now: Timestamp, epoch: u64, state: impl FnOnce() -> (State, Vec<TopicOffset>)) {
        if self.is_busy {
            match self.done.try_recv() {
                Ok(done) => self.tell(&done),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => panic!("the thread of checkpoints panicked"),
            }
        }
        let begun_at = *self.begun_at.get_or_insert(now);
        if self.epoch == Some(epoch) || now - begun_at < self.every_us {
            return;
        }
        let Some(states) = &self.states else { return };
        states.send(state()).expect("the thread of checkpoints is there");
        (self.begun_at, self.epoch, self.is_busy) = (Some(now), Some(epoch), true);
    }

    fn tell(&mut self, done: &Done) {
        self.is_busy = false;
        match &done.written {
            Ok(Written { epoch, rows, bytes }) => {
                let seconds = done.took_us as f64 / SECOND_US as f64;
                tracing::info!(epoch, rows, bytes, seconds, "a checkpoint is written");
                metrics::record_checkpoint(*bytes, seconds);
            }
            Err(error) => {
                tracing::error!(%error, "no checkpoint was written; the one before stands, and it is tried again");
                metrics::record_checkpoint_error();
                self.epoch = None;
            }
        }
    }
}

impl Drop for Keeper {
    /// Waits for a checkpoint that is being written.
    fn drop(&mut self) {
        self.states = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of checkpoints panicked; its message is above");
        }
    }
}
