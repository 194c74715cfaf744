//! EXPLAIN VIEW: how a view is kept and why, on what it stands, and what the last tick touched.

use super::Live;
use super::arrangement::{Arrangement, ArrangementId};
use super::view::{Kept, View, Work};
use crate::plan::live::{Measure, text as scalar_text};
use crate::plan::view_exec::{KeptBy, ViewRows};
use crate::table::snapshot::Snapshot;
use crate::view::cost::Time;
use crate::view::explain::line;

impl Live {
    pub(super) fn explain(&self, name: &str, view: &View, snapshot: &Snapshot) -> String {
        let mut text = format!("view {name}: {}", view.text);
        line(&mut text, 0, format_args!("asked for: {}, in {}", view.asked.name(), view.currency));
        match &view.work {
            Work::Whole { reads, reason } => {
                let mut tables: Vec<&str> =
                    reads.tables.iter().map(|&table| snapshot.schema.tables[table].name.as_str()).collect();
                tables.sort_unstable();
                line(&mut text, 0, format_args!("strategy: recompute: {reason}"));
                let also = if reads.system { ", at every tick: it reads the engine's own state" } else { "" };
                line(&mut text, 1, format_args!("when {} changes{also}", tables.join(", ")));
                line(&mut text, 1, format_args!("a plan made once, run on the snapshot"));
            }
            Work::Kept(kept) => self.kept_lines(&mut text, name, kept),
        }
        if let Some(error) = view.result.error() {
            line(&mut text, 0, format_args!("error: {error}"));
        }
        line(&mut text, 0, format_args!("rows: {}, {} bytes", view.result.len(), view.result.bytes()));
        let last = view.last;
        match &view.work {
            Work::Whole { .. } => {
                line(
                    &mut text,
                    0,
                    format_args!("last tick: {}", if last.whole { "run" } else { "not touched" }),
                );
            }
            Work::Kept(_) => line(
                &mut text,
                0,
                format_args!(
                    "last tick: {} base rows, {} looked-up rows, {} key rows, {} partitions, {} groups",
                    last.base_rows, last.looked_up, last.keys, last.partitions, last.groups
                ),
            ),
        }
        let (stages, finish) = (Time(last.stages_ns), Time(last.finish_ns));
        line(&mut text, 1, format_args!("time: stages {stages}, plan around them {finish}"));
        text
    }

    fn kept_lines(&self, text: &mut String, name: &str, kept: &Kept) {
        let by_measure = if kept.stage.is_some() && kept.partitions.is_some() { ", by measure" } else { "" };
        line(text, 0, format_args!("strategy: {}{by_measure}", strategy_of(kept)));
        for ((measure, reason), expr) in kept.measures.iter().zip(&kept.reasons).zip(&kept.texts) {
            let strategy = if matches!(measure, Measure::Merged(_)) { "partition" } else { "factored" };
            line(text, 1, format_args!("{expr}: {strategy} ({reason})"));
        }
        if kept.measures.is_empty() {
            line(text, 1, format_args!("no measure: groups that have rows"));
        }
        if let Some((id, stage)) = &kept.stage {
            self.arrangement_lines(text, *id, name);
            let stage_number = 1 + self.depth(*id) + 1;
            line(
                text,
                0,
                format_args!("stage {stage_number}: look-ups applied last, {} bytes", stage.bytes()),
            );
            let one = self.arrangements[*id].as_ref().expect("what is read stays");
            let mut names = stage.names.clone();
            names.extend(one.keys.iter().map(|key| scalar_text(key, &one.names)));
            for lookup in &stage.late {
                let by: Vec<String> = lookup.keys.iter().map(|(_, key)| scalar_text(key, &names)).collect();
                line(text, 1, format_args!("{} by {}", lookup.relation, by.join(", ")));
            }
            let mut applied: Vec<String> = Vec::new();
            for (_, g) in stage.sums.iter().flatten() {
                let g = scalar_text(g, &names);
                if g != "1" && !applied.contains(&g) {
                    applied.push(g);
                }
            }
            applied.iter().for_each(|g| line(text, 1, format_args!("applied: {g}")));
            let groups: Vec<String> = stage.groups.iter().map(|group| scalar_text(group, &names)).collect();
            if !groups.is_empty() {
                line(text, 1, format_args!("grouped by: {}", groups.join(", ")));
            }
        }
        if let Some(partitions) = &kept.partitions {
            if let Some((id, _)) = &partitions.rows.net {
                self.arrangement_lines(text, *id, name);
            }
            line(
                text,
                0,
                format_args!("partitions: {} with states, {} bytes", partitions.len(), partitions.bytes()),
            );
        }
    }

    /// Every live view as a table, at the epoch.
    pub fn tables(&self, epoch: u64) -> impl Iterator<Item = ViewRows> {
        self.views.iter().map(move |(name, view)| {
            let kept_by = match &view.work {
                Work::Whole { .. } => KeptBy { strategy: "recompute".to_owned(), sums: 0, stages: 0 },
                Work::Kept(kept) => {
                    let mut ids: Vec<ArrangementId> = Vec::new();
                    let of_sums = kept.stage.iter().map(|(id, _)| *id);
                    let of_rows = kept.partitions.iter().filter_map(|of| Some(of.rows.net.as_ref()?.0));
                    for id in of_sums.chain(of_rows) {
                        self.stands_on(id, &mut ids);
                    }
                    KeptBy {
                        strategy: strategy_of(kept).to_owned(),
                        sums: ids.iter().map(|&id| self.arrangement(id).kept.len()).sum(),
                        stages: ids.len()
                            + usize::from(kept.stage.is_some())
                            + usize::from(kept.partitions.is_some()),
                    }
                }
            };
            let result = &view.result;
            ViewRows::new(format!("views.{name}"), epoch, result.schema().clone(), result.rows(), kept_by)
        })
    }

    /// An arrangement and those it stands on, each once.
    fn stands_on(&self, id: ArrangementId, into: &mut Vec<ArrangementId>) {
        if !into.contains(&id) {
            into.push(id);
            if let Some((inner, _)) = &self.arrangement(id).rows.net {
                self.stands_on(*inner, into);
            }
        }
    }

    fn arrangement(&self, id: ArrangementId) -> &Arrangement {
        self.arrangements[id].as_ref().expect("what is read stays")
    }

    fn depth(&self, id: ArrangementId) -> usize {
        super::depth(&self.arrangements, id)
    }

    fn arrangement_lines(&self, text: &mut String, id: ArrangementId, name: &str) {
        let one: &Arrangement = self.arrangements[id].as_ref().expect("what is read stays");
        if let Some((inner, _)) = &one.rows.net {
            self.arrangement_lines(text, *inner, name);
        }
        let stands = |view: &View| match &view.work {
            Work::Kept(kept) => kept.stage.as_ref().is_some_and(|(on, _)| *on == id),
            Work::Whole { .. } => false,
        };
        let shared: Vec<&str> = self
            .views
            .iter()
            .filter(|(other, view)| other.as_str() != name && stands(view))
            .map(|(other, _)| other.as_str())
            .collect();
        let shared = if shared.is_empty() { "no other view".to_owned() } else { shared.join(", ") };
        line(
            text,
            0,
            format_args!(
                "stage {}: {} kept sums by {} key columns; shared with {shared}",
                1 + self.depth(id),
                one.kept.len(),
                one.keys.len()
            ),
        );
        for key in &one.keys {
            line(text, 1, format_args!("key: {}", scalar_text(key, &one.names)));
        }
        for kept in one.kept.iter().take(KEPT_TOLD_MAX) {
            line(text, 1, format_args!("kept: {}", scalar_text(kept, &one.names)));
        }
        if one.kept.len() > KEPT_TOLD_MAX {
            line(text, 1, format_args!("kept: {} more", one.kept.len() - KEPT_TOLD_MAX));
        }
        line(text, 1, format_args!("{} key rows, {} bytes", one.len(), one.bytes()));
    }
}

/// Kept sums that are written out; a condition on both sides can make dozens.
const KEPT_TOLD_MAX: usize = 8;

fn strategy_of(kept: &Kept) -> &'static str {
    match (&kept.stage, &kept.partitions) {
        (Some(_), Some(_)) => "factored and partition",
        (Some(_), None) => "factored",
        _ => "partition",
    }
}
