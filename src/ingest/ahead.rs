//! A source that works ahead of the engine, on a thread of its own, while it loads.
//!
//! It is cut as it would be without the thread: one cut after the other, all at the time of the first. So
//! the records, their cuts and the codes of their names are the same whichever thread is faster; only
//! empty cuts may come between, where the engine is. Where nothing more waits, or the load is done, the
//! source comes back and is asked by its caller's thread from then on: in a live market a cut made ahead
//! would only be an old one.
//!
//! The codes stay the same because nobody else interns names meanwhile: the thread begins with the first
//! cut, and no view is opened before the load is done.

use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};

use super::source::{Announced, Cut, Source};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits::CUTS_AHEAD_MAX;

/// Any source, with its load made ahead.
pub struct Ahead {
    state: State,
    /// What a cut says that finds nothing made yet.
    meanwhile: Cut,
}

enum State {
    /// The thread waits for its work.
    Idle(Box<dyn Source>, Sender<Load>, Receiver<Made>),
    Loading(Receiver<Made>),
    /// The source is asked directly.
    Loaded(Box<dyn Source>),
    /// The thread is gone, and with it the source.
    Lost,
}

struct Load {
    source: Box<dyn Source>,
    now: Timestamp,
    records_max: usize,
}

enum Made {
    Cut(Cut),
    /// The last one, with the source.
    Last(Result<Cut>, Box<dyn Source>),
}

impl Ahead {
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(source: Box<dyn Source>) -> std::io::Result<Ahead> {
        let (work, load) = channel();
        let (made, cuts) = sync_channel(CUTS_AHEAD_MAX);
        let run = move || {
            // Without a first cut there is nothing to do.
            if let Ok(load) = load.recv() {
                make(load, &made);
            }
        };
        std::thread::Builder::new().name("source".to_owned()).spawn(run)?;
        Ok(Ahead { state: State::Idle(source, work, cuts), meanwhile: Cut::default() })
    }
}

/// Cuts the source until it has no more, or whoever takes the cuts is gone.
fn make(load: Load, made: &SyncSender<Made>) {
    let Load { mut source, now, records_max } = load;
    loop {
        match source.cut(now, records_max) {
            Ok(cut) if cut.more && !cut.caught_up => {
                if made.send(Made::Cut(cut)).is_err() {
                    return;
                }
            }
            last => {
                // Whoever would take it may be gone.
                let _ = made.send(Made::Last(last, source));
                return;
            }
        }
    }
}

impl Source for Ahead {
    /// Of the load, the time and size of the first cut hold for all.
    fn cut(&mut self, now: Timestamp, records_max: usize) -> Result<Cut> {
        if let State::Loaded(source) = &mut self.state {
            return source.cut(now, records_max);
        }
        let cuts = match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(source, work, cuts) => {
                // A thread that is gone is found below.
                let _ = work.send(Load { source, now, records_max });
                cuts
            }
            State::Loading(cuts) => cuts,
            State::Loaded(_) | State::Lost => return Err(lost()),
        };
        match cuts.try_recv() {
            Ok(Made::Cut(cut)) => {
                self.state = State::Loading(cuts);
                self.meanwhile = Cut {
                    record_time_max: cut.record_time_max,
                    source_time: cut.source_time,
                    progress: cut.progress.clone(),
                    ..Cut::default()
                };
                Ok(cut)
            }
            Ok(Made::Last(last, source)) => {
                self.state = State::Loaded(source);
                last
            }
            Err(TryRecvError::Empty) => {
                self.state = State::Loading(cuts);
                let Cut { record_time_max, source_time, progress, .. } = &self.meanwhile;
                let (record_time_max, source_time) = (*record_time_max, *source_time);
                Ok(Cut { record_time_max, source_time, progress: progress.clone(), ..Cut::default() })
            }
            Err(TryRecvError::Disconnected) => Err(lost()),
        }
    }

    /// Nothing once the load has begun.
    fn announced(&self) -> Option<Announced> {
        match &self.state {
            State::Idle(source, ..) => source.announced(),
            State::Loading(_) | State::Loaded(_) | State::Lost => None,
        }
    }
}

fn lost() -> Error {
    Error::internal("the source's thread panicked; its message is above, and a restart loads anew")
}
