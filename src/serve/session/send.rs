//! What clients are sent: snapshots and patches, each written once for all who hold the same.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLockReadGuard};

use super::view::{Held, Session};
use super::{Frame, Reader, Sessions, SocketId, Turn};
use crate::dictionary::Dictionaries;
use crate::diff::Patch;
use crate::limits::PATCH_STEPS_MAX;
use crate::serve::protocol::{ColumnSchema, Gap, Mode, Opened, ServerMessage, patch_body, snapshot_body};
use crate::serve::views::{ViewHandle, Views};
use crate::serve::window::{StateId, StateKey, confined};

/// Frames a view may be sent at once: `opened` and a snapshot, a gap and a snapshot, or a patch.
const FRAMES_A_VIEW: usize = 2;

impl Sessions {
    /// Brings every client to the new epoch that may be sent something.
    ///
    /// Cost: each distinct state is compared and written once; a client costs the copy of a text.
    pub fn publish(&mut self, turn: &mut Turn) {
        if !turn.views.ready() {
            return;
        }
        self.open_waiting(turn);
        self.windows.forget_snapshots();
        let mut together: BTreeMap<StateId, Vec<Reader>> = BTreeMap::new();
        let mut alone: Vec<Reader> = Vec::new();
        for (&id, session) in &self.sessions {
            let Some(socket) = session.socket else { continue };
            let mut room = turn.outlet.room(socket);
            for (&number, view) in &session.views {
                let (Some(handle), true) = (view.handle, room >= FRAMES_A_VIEW) else { continue };
                let version = turn.views.version(handle);
                match &view.held {
                    _ if view.snapshot_due && !turn.views.is_open(handle) => continue,
                    _ if view.snapshot_due => alone.push((id, number)),
                    _ if !view.takes_patch() => continue,
                    Held::Shared(state) if self.windows.key(*state).version != version => {
                        together.entry(*state).or_default().push((id, number));
                    }
                    Held::Own { version: sent, .. } if *sent != version => alone.push((id, number)),
                    _ => continue,
                }
                room -= FRAMES_A_VIEW;
            }
        }
        for (state, readers) in together {
            self.advance(state, &readers, turn);
        }
        for reader in alone {
            self.flush(reader, turn);
        }
    }

    /// Opens what was asked for before the engine was ready.
    fn open_waiting(&mut self, turn: &mut Turn) {
        if self.waiting == 0 {
            return;
        }
        self.waiting = 0;
        let waits = |(&id, session): (&u64, &Session)| {
            let views = session.views.iter().filter(|(_, view)| view.handle.is_none());
            views.map(|(&number, _)| (id, number)).collect::<Vec<Reader>>()
        };
        let readers: Vec<Reader> = self.sessions.iter().flat_map(waits).collect();
        for reader in readers {
            let query = self.view_mut(reader).query.clone();
            match self.queries.open(turn, &query) {
                Ok(handle) => self.view_mut(reader).handle = Some(handle),
                Err(error) => self.abandon(reader, &error, turn),
            }
        }
    }

    /// Sends a view what it is owed, if its socket has room: a snapshot, or what changed.
    pub(super) fn flush(&mut self, reader: Reader, turn: &mut Turn) {
        let session = &self.sessions[&reader.0];
        let view = &session.views[&reader.1];
        let (Some(socket), Some(handle)) = (session.socket, view.handle) else { return };
        if turn.outlet.room(socket) < FRAMES_A_VIEW {
            return;
        }
        if view.snapshot_due {
            if !turn.views.is_open(handle) {
                return;
            }
            self.send_snapshot(reader, socket, handle, turn);
        } else if view.takes_patch() {
            match view.held {
                Held::Shared(state) => self.advance(state, &[reader], turn),
                Held::Own { .. } => self.advance_own(reader, handle, turn),
                Held::Nothing => unreachable!("who holds nothing is due a snapshot"),
            }
        }
    }

    fn send_snapshot(&mut self, reader: Reader, socket: SocketId, handle: ViewHandle, turn: &mut Turn) {
        let view = self.view_mut(reader);
        view.snapshot_due = false;
        let opened_due = std::mem::take(&mut view.opened_due);
        let key = StateKey { view: handle, window: view.window, version: turn.views.version(handle) };
        let (view_id, view_version) = (view.id.clone(), view.version);
        // The new state first, so that asking for the same window again finds it.
        let joined = self.windows.join(key, turn.views.result(handle));
        let before = std::mem::replace(&mut self.view_mut(reader).held, Held::Nothing);
        if let Held::Shared(before) = before {
            self.windows.leave(before);
        }
        let state = match joined {
            Ok(state) => state,
            Err(error) => return self.abandon(reader, &error, turn),
        };
        self.view_mut(reader).held = Held::Shared(state);
        if opened_due {
            let schema = turn.views.result(handle).columns().iter().map(ColumnSchema::from).collect();
            let opened = Opened { view_id, view_version, schema, strategy: turn.views.strategy(handle) };
            turn.say(socket, &ServerMessage::Opened(opened));
        }
        let body = self.snapshot_text(state, turn);
        self.hand_over_snapshot(reader, socket, body, turn);
        if self.view_mut(reader).pause == Some(Mode::Order) {
            self.own_order(reader);
        }
    }

    fn snapshot_text(&mut self, state: StateId, turn: &Turn) -> Arc<str> {
        let as_of = turn.as_of();
        let columns = turn.views.result(self.windows.key(state).view).columns();
        self.windows.snapshot(state, as_of.epoch, |held| {
            let mut body = String::new();
            snapshot_body(held, as_of, columns, &read(turn.views), &mut body);
            body
        })
    }

    fn hand_over_snapshot(&mut self, reader: Reader, socket: SocketId, body: Arc<str>, turn: &mut Turn) {
        let head = self.view_mut(reader).next_head().snapshot();
        self.traffic.snapshots += 1;
        self.traffic.snapshot_bytes += (head.len() + body.len()) as u64;
        turn.outlet.send(socket, Frame { head, body: Some(body) });
    }

    /// Brings readers of one state to the present and sends them the difference.
    fn advance(&mut self, state: StateId, readers: &[Reader], turn: &mut Turn) {
        let handle = self.windows.key(state).view;
        let version = turn.views.version(handle);
        let advanced = self.windows.advance(state, readers.len(), version, turn.views.result(handle));
        let (state, patch) = match advanced {
            Ok(advanced) => advanced,
            Err(error) => return readers.iter().for_each(|&reader| self.abandon(reader, &error, turn)),
        };
        for &reader in readers {
            self.view_mut(reader).held = Held::Shared(state);
        }
        let Some(patch) = patch else { return };
        if patch.steps() <= PATCH_STEPS_MAX {
            return self.send_patch(readers, handle, &patch, turn);
        }
        let body = self.snapshot_text(state, turn);
        for &reader in readers {
            self.send_gap(reader, Arc::clone(&body), turn);
        }
    }

    /// As [`Self::advance`] for a reader in an order of its own.
    fn advance_own(&mut self, reader: Reader, handle: ViewHandle, turn: &mut Turn) {
        let version = turn.views.version(handle);
        let result = turn.views.result(handle);
        let view = self.sessions.get_mut(&reader.0).and_then(|session| session.views.get_mut(&reader.1));
        let view = view.expect("a reader's view stands");
        let Held::Own { version: mut sent, mut held } = std::mem::replace(&mut view.held, Held::Nothing)
        else {
            unreachable!("asked for a view with an order of its own");
        };
        let ordered = view.pause == Some(Mode::Order);
        let compared = match ordered {
            true if sent == version => Ok(None),
            true => confined(|| held.patch_order_held(result)),
            false => confined(|| held.patch(result)),
        };
        let patch = match compared {
            Ok(patch) => patch,
            Err(error) => return self.abandon(reader, &error, turn),
        };
        sent = version;
        view.held = if ordered {
            Held::Own { version: sent, held }
        } else {
            let key = StateKey { view: handle, window: view.window, version };
            Held::Shared(self.windows.adopt(key, *held, 1))
        };
        if let Some(patch) = patch {
            self.send_patch(&[reader], handle, &patch, turn);
        }
    }

    /// Gives a reader what it holds for itself, so that its rows can stand while those of others move.
    pub(super) fn own_order(&mut self, reader: Reader) {
        let view = self.view_mut(reader);
        let Held::Shared(state) = view.held else { return };
        let held = Box::new(self.windows.held(state).clone());
        let version = self.windows.key(state).version;
        self.windows.leave(state);
        self.view_mut(reader).held = Held::Own { version, held };
    }

    fn send_patch(&mut self, readers: &[Reader], handle: ViewHandle, patch: &Patch, turn: &mut Turn) {
        let mut body = String::new();
        let columns = turn.views.result(handle).columns();
        patch_body(patch, turn.as_of(), columns, &read(turn.views), &mut body);
        let body: Arc<str> = body.into();
        self.traffic.patch_cells += patch.cells() as u64;
        for &reader in readers {
            let Some(socket) = self.sessions[&reader.0].socket else { continue };
            let view = self.view_mut(reader);
            let head = view.next_head().patch();
            view.unacknowledged.push(view.seq);
            self.traffic.patches += 1;
            self.traffic.patch_bytes += (head.len() + body.len()) as u64;
            turn.outlet.send(socket, Frame { head, body: Some(Arc::clone(&body)) });
        }
    }

    /// Rows moved so much that a snapshot is cheaper to apply than the steps.
    fn send_gap(&mut self, reader: Reader, body: Arc<str>, turn: &mut Turn) {
        let Some(socket) = self.sessions[&reader.0].socket else { return };
        let view_id = self.view_mut(reader).id.clone();
        self.traffic.gaps += 1;
        turn.say(socket, &ServerMessage::Gap(Gap { view_id, reason: "resync".to_owned() }));
        self.hand_over_snapshot(reader, socket, body, turn);
    }
}

fn read(views: &dyn Views) -> RwLockReadGuard<'_, Dictionaries> {
    // Codes are only ever added, so what a panicked writer left is as good as before.
    views.dictionaries().read().unwrap_or_else(PoisonError::into_inner)
}
