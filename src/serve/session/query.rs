//! Open views by what they show: clients that ask for the same share one (P10).

use std::collections::HashMap;

use super::Turn;
use crate::error::{Error, Kind, Result};
use crate::serve::protocol::Query;
use crate::serve::views::{ViewHandle, Views};

#[derive(Default)]
pub(super) struct Queries {
    open: HashMap<Query, Shared>,
}

struct Shared {
    view: ViewHandle,
    readers: usize,
}

impl Queries {
    /// # Errors
    /// Those of [`Views::open`]; `Overloaded` for what is not open yet while data stands still for want of
    /// memory.
    pub fn open(&mut self, turn: &mut Turn, query: &Query) -> Result<ViewHandle> {
        if let Some(shared) = self.open.get_mut(query) {
            shared.readers += 1;
            return Ok(shared.view);
        }
        if let Some(halted) = turn.halted {
            let message = format!("{}: no other view is opened until data moves again", halted.reason);
            return Err(Error::new(Kind::Overloaded, "LIMIT", message));
        }
        let view = match query {
            Query::View(spec) => turn.views.open(spec)?,
            Query::Sql(sql) => turn.views.open_sql(sql)?,
        };
        self.open.insert(query.clone(), Shared { view, readers: 1 });
        Ok(view)
    }

    pub fn close(&mut self, views: &mut dyn Views, query: &Query) {
        let shared = self.open.get_mut(query).expect("only an open view is closed");
        shared.readers -= 1;
        if shared.readers == 0 {
            let view = shared.view;
            self.open.remove(query);
            views.close(view);
        }
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }
}
