//! The records that were set aside: bounded, counted, with their reasons.

use std::collections::VecDeque;
use std::sync::Arc;

use super::source::SetAside;
use crate::checkpoint::Aside;
use crate::limits::QUARANTINE_RECORDS_MAX;

/// The newest set-aside records, and how many there ever were by topic.
#[derive(Debug, Default)]
pub struct Quarantine {
    records: VecDeque<SetAside>,
    counts: Vec<(String, u64)>,
    published: Arc<Vec<SetAside>>,
}

impl Quarantine {
    /// What was set aside before, with how many there ever were.
    pub fn restored(aside: Aside) -> Quarantine {
        let published = Arc::new(aside.records.clone());
        Quarantine { records: aside.records.into(), counts: aside.counts, published }
    }

    pub fn add(&mut self, records: impl IntoIterator<Item = SetAside>) {
        let mut changed = false;
        for record in records {
            match self.counts.iter_mut().find(|(topic, _)| *topic == record.topic) {
                Some((_, count)) => *count += 1,
                None => self.counts.push((record.topic.clone(), 1)),
            }
            if self.records.len() == QUARANTINE_RECORDS_MAX {
                self.records.pop_front();
            }
            self.records.push_back(record);
            changed = true;
        }
        if changed {
            self.published = Arc::new(self.records.iter().cloned().collect());
        }
    }

    /// Records set aside since the start, by topic.
    pub fn counts(&self) -> &[(String, u64)] {
        &self.counts
    }

    /// The records kept, oldest first.
    pub fn records(&self) -> &Arc<Vec<SetAside>> {
        &self.published
    }
}
