//! What clients ask of their views: to open, change and unfold them, and which rows to show.

use super::view::{Held, View};
use super::{Reader, Sessions, Turn};
use crate::diff::Window;
use crate::error::{Error, Kind, Result};
use crate::limits::{SESSION_VIEWS_MAX, WINDOW_ROWS_MAX};
use crate::serve::branch::{Branch, expanded_after};
use crate::serve::protocol::{BranchRequest, Change, Open, Query};
use crate::serve::window::confined;
use crate::view::spec::{Expanded, ViewSpec};

impl Sessions {
    pub(super) fn open(&mut self, session: u64, open: Open, turn: &mut Turn) -> Result<()> {
        let query = open.spec.query()?;
        let window = window(open.window.from, open.window.to)?;
        let state = &self.sessions[&session];
        let known = state.find(&open.view_id);
        if known.is_none() && state.views.len() >= SESSION_VIEWS_MAX {
            return Err(limit(format!("a session has at most {SESSION_VIEWS_MAX} views open")));
        }
        if let Some(number) = known {
            // Opened again: another specification and window for the same view, numbers going on.
            let reader = (session, number);
            self.ask(reader, query, turn)?;
            let view = self.view_mut(reader);
            view.window = window;
            view.version = open.view_version;
            view.opened_due = true;
            self.flush(reader, turn);
            return Ok(());
        }
        let ready = turn.views.ready();
        let handle = if ready { Some(self.queries.open(turn, &query)?) } else { None };
        self.waiting += usize::from(!ready);
        let state = self.sessions.get_mut(&session).expect("the session stands");
        state.views_made += 1;
        let view = View {
            id: open.view_id,
            version: open.view_version,
            query,
            window,
            seq: 0,
            unacknowledged: Vec::new(),
            pause: None,
            handle,
            held: Held::Nothing,
            opened_due: true,
            snapshot_due: true,
        };
        let reader = (session, state.views_made);
        state.views.insert(reader.1, view);
        self.flush(reader, turn);
        Ok(())
    }

    pub(super) fn change(&mut self, session: u64, change: Change, turn: &mut Turn) -> Result<()> {
        let query = change.spec.query()?;
        let reader = self.reader(session, &change.view_id)?;
        self.ask(reader, query, turn)?;
        let view = self.view_mut(reader);
        view.version = change.view_version;
        view.opened_due = true;
        self.flush(reader, turn);
        Ok(())
    }

    pub(super) fn branch(
        &mut self,
        session: u64,
        branch: Branch,
        request: BranchRequest,
        turn: &mut Turn,
    ) -> Result<()> {
        let reader = self.reader(session, &request.view_id)?;
        let view = &self.sessions[&reader.0].views[&reader.1];
        let Query::View(spec) = &view.query else {
            return Err(Error::invalid("BAD_SPEC", "rows of SQL have no branches"));
        };
        let expanded = match (request.key, request.level, view.handle) {
            (_, Some(level), _) => Expanded::Level(level),
            (Some(key), None, Some(handle)) => {
                let result = turn.views.result(handle);
                confined(|| expanded_after(&spec.expanded, result, branch, &key))??
            }
            _ => {
                return Err(Error::invalid(
                    "BAD_SPEC",
                    "there is no group to name before the first snapshot",
                ));
            }
        };
        let query = Query::View(ViewSpec { expanded, ..spec.clone() });
        self.ask(reader, query, turn)?;
        self.flush(reader, turn);
        Ok(())
    }

    /// Lets a view show something else, from a snapshot on.
    ///
    /// # Errors
    /// Those of opening it; the view shows what it showed.
    fn ask(&mut self, reader: Reader, query: Query, turn: &mut Turn) -> Result<()> {
        let view = self.sessions.get_mut(&reader.0).and_then(|session| session.views.get_mut(&reader.1));
        let view = view.expect("a reader's view stands");
        if view.handle.is_some() {
            // The new one first: where it fails the old one stands, and where both are the same
            // engine state it is not built twice.
            let handle = self.queries.open(turn, &query)?;
            self.queries.close(turn.views, &view.query);
            view.handle = Some(handle);
            if let Held::Shared(id) = std::mem::replace(&mut view.held, Held::Nothing) {
                self.windows.leave(id);
            }
        }
        view.query = query;
        view.snapshot_due = true;
        Ok(())
    }
}

fn limit(message: String) -> Error {
    Error::new(Kind::Overloaded, "LIMIT", message)
}

/// # Errors
/// `BAD_FRAME` where the window ends before it starts, `LIMIT` where it has too many rows.
pub(super) fn window(from: usize, to: usize) -> Result<Window> {
    if from > to {
        return Err(Error::invalid(
            "BAD_FRAME",
            format!("a window from {from} to {to} ends before it starts"),
        ));
    }
    if to - from > WINDOW_ROWS_MAX {
        return Err(limit(format!("a window has at most {WINDOW_ROWS_MAX} rows, not {}", to - from)));
    }
    Ok(Window { from, to })
}
