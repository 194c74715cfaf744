//! EXPLAIN VIEW: how a view is kept and why, on what it stands, and what the last tick touched.

use std::fmt::Write;
use std::sync::Arc;

use super::Live;
use super::arrangement::{Arrangement, ArrangementId};
use super::view::{Kept, View, Work};
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::grouped::{GROUPED_LEG, GroupedView, grouped_leg};
use crate::plan::live::{Measure, text as scalar_text};
use crate::plan::part::{Applied, part};
use crate::table::snapshot::Snapshot;

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
        let time =
            |ns: Option<u64>| ns.map_or("-".to_owned(), |ns| format!("{}.{:03} µs", ns / 1000, ns % 1000));
        let (stages, finish) = (time(last.stages_ns), time(last.finish_ns));
        line(&mut text, 1, format_args!("time: stages {stages}, plan around them {finish}"));
        text
    }

    fn kept_lines(&self, text: &mut String, name: &str, kept: &Kept) {
        let what = match (&kept.stage, &kept.partitions) {
            (Some(_), Some(_)) => "factored and partition, by measure",
            (Some(_), None) => "factored",
            _ => "partition",
        };
        line(text, 0, format_args!("strategy: {what}"));
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

fn line(text: &mut String, indent: usize, what: std::fmt::Arguments) {
    write!(text, "\n{:1$}{what}", "", 2 * indent).expect("a text takes every line");
}

/// The compiled form of a shipped grouped view; `None` where there is none of this name.
pub(super) fn shipped(
    name: &str,
    catalog: &Arc<Catalog>,
    currency: &str,
    snapshot: &Snapshot,
) -> Option<Result<String>> {
    let known = ["account_overview", "pid_carve_out", "cash_only"];
    known.contains(&name).then(|| shipped_form(name, catalog, currency, snapshot))
}

fn shipped_form(name: &str, catalog: &Catalog, currency: &str, snapshot: &Snapshot) -> Result<String> {
    let parameters = Parameters { currency: currency.to_owned(), exclude_cash: false };
    let view = GroupedView::new(catalog, name);
    let mut planner = Planner::new(&catalog.schema, 1);
    for relation in crate::console::RELATIONS {
        let plan = planner.logical(&catalog.bound(relation, &parameters))?;
        planner.add_relation(relation, Arc::new(plan.schema().as_arrow().clone()));
    }
    let legs = planner.logical(&grouped_leg(catalog, &[], None))?;
    planner.add_relation(GROUPED_LEG, Arc::new(legs.schema().as_arrow().clone()));
    let mut text = format!("view {name}: shipped, by any group fields, in {currency}");
    line(&mut text, 0, format_args!("strategy: factored: {} parts over net positions", view.parts.len()));
    for (at, part_name) in view.parts.iter().enumerate() {
        let plan = planner.logical(&view.part_by(catalog, at, &[], &parameters))?;
        let form = {
            let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
            part(&plan, &mut dictionaries.names)?
        };
        let what = match (&form.net_by, &form.nested) {
            (_, Some(_)) => "sums over inner groups",
            (Some(_), _) => "sums over nets",
            _ => "sums over legs",
        };
        let lookups: Vec<&str> =
            form.factored.lookups.iter().map(|lookup| lookup.relation.as_str()).collect();
        line(&mut text, 1, format_args!("{part_name}: {what}"));
        line(
            &mut text,
            2,
            format_args!("{} kept sums; applied last: {}", form.factored.kept.len(), lookups.join(", ")),
        );
        for ((output, _), applied) in form.outputs.iter().zip(&form.factored.aggregates) {
            let reason = match applied {
                Applied::Sum(products) if products.len() == 1 => "sum of products".to_owned(),
                Applied::Sum(products) => format!("sum of {} products", products.len()),
                Applied::Least(..) | Applied::Greatest(..) => "extreme of what is present".to_owned(),
            };
            line(&mut text, 2, format_args!("{output}: factored ({reason})"));
        }
    }
    Ok(text)
}
