//! Windows held for clients: one state for all clients that were sent the same.
//!
//! What a client holds of a view follows from the window and the version of the result it was last
//! sent. Clients at the same version share one subscription, are compared once and sent one text; a
//! client that falls behind keeps a state of its own until it catches up and shares again.
//! So the memory is that of the distinct states, at most one window a client's view.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::views::ViewHandle;
use crate::diff::{Patch, Subscription, Window};
use crate::error::{Error, Result};
use crate::view::result::ViewResult;

/// A held state's number; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StateId(u64);

/// What a held state follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StateKey {
    pub view: ViewHandle,
    pub window: Window,
    pub version: u64,
}

struct State {
    key: StateKey,
    held: Subscription,
    readers: usize,
    /// The state as the body of a snapshot of this epoch.
    snapshot: Option<(u64, Arc<str>)>,
}

#[derive(Default)]
pub(super) struct Windows {
    states: HashMap<StateId, State>,
    /// One state a key; others with the same key may stand beside it.
    shared: HashMap<StateKey, StateId>,
    made: u64,
}

impl Windows {
    /// Makes a client a reader of the window as it is now.
    ///
    /// # Errors
    /// `Internal` where the view fails to give it.
    pub fn join(&mut self, key: StateKey, result: &dyn ViewResult) -> Result<StateId> {
        if let Some(&id) = self.shared.get(&key) {
            self.state_mut(id).readers += 1;
            return Ok(id);
        }
        let held = confined(|| {
            let mut held = Subscription::new(key.window);
            held.load(result);
            held
        })?;
        Ok(self.adopt(key, held, 1))
    }

    /// Takes a client's own state back among the shared ones.
    pub fn adopt(&mut self, key: StateKey, held: Subscription, readers: usize) -> StateId {
        if let Some(&id) = self.shared.get(&key) {
            self.state_mut(id).readers += readers;
            return id;
        }
        self.made += 1;
        let id = StateId(self.made);
        self.states.insert(id, State { key, held, readers, snapshot: None });
        self.shared.insert(key, id);
        id
    }

    pub fn leave(&mut self, id: StateId) {
        let state = self.state_mut(id);
        state.readers -= 1;
        if state.readers == 0 {
            self.remove(id);
        }
    }

    pub fn key(&self, id: StateId) -> StateKey {
        self.states[&id].key
    }

    pub fn held(&self, id: StateId) -> &Subscription {
        &self.states[&id].held
    }

    /// Brings so many readers of a state to this version of the result.
    ///
    /// Returns the state they read from now on and what to send them; `None` where they see no difference.
    ///
    /// # Errors
    /// `Internal` where the view fails to give its window; the readers are then to leave.
    pub fn advance(
        &mut self,
        id: StateId,
        readers: usize,
        version: u64,
        result: &dyn ViewResult,
    ) -> Result<(StateId, Option<Patch>)> {
        let state = self.state_mut(id);
        debug_assert!(readers <= state.readers);
        let key = StateKey { version, ..state.key };
        if state.key.version == version {
            return Ok((id, None));
        }
        if readers == state.readers {
            let held = &mut state.held;
            let patch = confined(|| held.patch(result))?;
            if let Some(&other) = self.shared.get(&key) {
                self.state_mut(other).readers += readers;
                self.remove(id);
                return Ok((other, patch));
            }
            self.rekey(id, key);
            return Ok((id, patch));
        }
        let mut held = state.held.clone();
        let Some(patch) = confined(|| held.patch(result))? else {
            // Those who wait see no difference either, so all go on together.
            self.rekey(id, key);
            return Ok((id, None));
        };
        state.readers -= readers;
        Ok((self.adopt(key, held, readers), Some(patch)))
    }

    /// The state as the body of a snapshot, written once an epoch.
    pub fn snapshot(
        &mut self,
        id: StateId,
        epoch: u64,
        write: impl FnOnce(&Subscription) -> String,
    ) -> Arc<str> {
        let state = self.state_mut(id);
        match &state.snapshot {
            Some((written, body)) if *written == epoch => Arc::clone(body),
            _ => {
                let body: Arc<str> = write(&state.held).into();
                state.snapshot = Some((epoch, Arc::clone(&body)));
                body
            }
        }
    }

    /// Lets go of written snapshots, which are good for one epoch.
    pub fn forget_snapshots(&mut self) {
        self.states.values_mut().for_each(|state| state.snapshot = None);
    }

    /// Says that a state holds for another version too. Where another state has that key already, the
    /// two stand side by side until the readers of this one go on.
    fn rekey(&mut self, id: StateId, key: StateKey) {
        let state = self.state_mut(id);
        let before = std::mem::replace(&mut state.key, key);
        state.snapshot = None;
        if self.shared.get(&before) == Some(&id) {
            self.shared.remove(&before);
        }
        self.shared.entry(key).or_insert(id);
    }

    fn remove(&mut self, id: StateId) {
        let state = self.states.remove(&id).expect("a state with readers stands");
        if self.shared.get(&state.key) == Some(&id) {
            self.shared.remove(&state.key);
        }
    }

    fn state_mut(&mut self, id: StateId) -> &mut State {
        self.states.get_mut(&id).expect("a state with readers stands")
    }
}

/// Runs what calls into a view: a broken invariant there costs the view, not the server.
pub(super) fn confined<T>(run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        tracing::error!(panic = said, "a view broke an invariant");
        Error::internal("the view broke an invariant of the engine and was closed")
    })
}
