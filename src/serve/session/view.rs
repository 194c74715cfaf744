//! One view of one client: what it asked for, what it holds, what it is owed.

use crate::clock::Timestamp;
use crate::diff::{Subscription, Window};
use crate::limits::PATCHES_UNACKNOWLEDGED_MAX;
use crate::serve::protocol::{Head, Mode, Query};
use crate::serve::session::SocketId;
use crate::serve::views::ViewHandle;
use crate::serve::window::StateId;

use std::collections::BTreeMap;

/// A client, connected or expected back.
pub(super) struct Session {
    pub token: String,
    pub socket: Option<SocketId>,
    /// When the last socket went.
    pub left_at: Timestamp,
    /// By a number of their own, in the order they were opened.
    pub views: BTreeMap<u64, View>,
    pub views_made: u64,
}

impl Session {
    pub fn find(&self, view_id: &str) -> Option<u64> {
        self.views.iter().find(|(_, view)| view.id == view_id).map(|(&number, _)| number)
    }
}

pub(super) struct View {
    pub id: String,
    pub version: u64,
    pub query: Query,
    pub window: Window,
    /// Number of the last frame sent.
    pub seq: u64,
    /// Numbers of the patches the client has not said it applied.
    pub unacknowledged: Vec<u64>,
    pub pause: Option<Mode>,
    /// `None` until the engine is ready.
    pub handle: Option<ViewHandle>,
    pub held: Held,
    pub opened_due: bool,
    pub snapshot_due: bool,
}

/// What the client was last sent.
pub(super) enum Held {
    /// Nothing, or nothing that a patch could build on.
    Nothing,
    Shared(StateId),
    /// In an order of its own.
    Own {
        version: u64,
        held: Box<Subscription>,
    },
}

impl View {
    /// Two patches may be on their way; what changes after them waits in the comparison (P5).
    pub fn takes_patch(&self) -> bool {
        self.unacknowledged.len() < PATCHES_UNACKNOWLEDGED_MAX && self.pause != Some(Mode::All)
    }

    /// The head of the next frame.
    pub fn next_head(&mut self) -> Head<'_> {
        self.seq += 1;
        Head { view_id: &self.id, view_version: self.version, seq: self.seq }
    }
}
