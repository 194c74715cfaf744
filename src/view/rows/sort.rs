//! The display order of rows: by the columns of the specification, then by primary key, and which rows a
//! filter hides.
//!
//! Text stands by its UTF-8 bytes, "no value" last whichever way the others go. All rows at once are sorted
//! by ranks, which are integers; one row at a time by the texts themselves. Both give the same order.

use std::cmp::Ordering;

use chrono::DateTime;

use super::slots::Slots;
use super::text;
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::plan::rows::RowsPlan;
use crate::view::result::Form;
use crate::view::spec::Filter;
use crate::view::tree::{null_last, number_passes, text_passes};

pub struct Order {
    by: Vec<SortBy>,
    /// How the columns of the key become text.
    key: Vec<Form>,
}

struct SortBy {
    measure: usize,
    form: Form,
    descending: bool,
}

impl Order {
    /// An order by measures, each with whether it descends.
    pub fn new(by: Vec<(usize, bool)>, plan: &RowsPlan) -> Order {
        let by = by.into_iter().map(|(measure, descending)| SortBy {
            measure,
            form: plan.measures[measure].column.form,
            descending,
        });
        Order { by: by.collect(), key: plan.key.iter().map(|&(_, form)| form).collect() }
    }

    pub fn measures(&self) -> impl Iterator<Item = usize> + '_ {
        self.by.iter().map(|by| by.measure)
    }

    /// Values a row is sorted by, before its key.
    pub fn width(&self) -> usize {
        self.by.len()
    }

    /// How one row stands to another.
    pub fn compare(
        &self,
        slots: &Slots,
        values: &[Datum],
        a: u32,
        b: u32,
        dictionaries: &Dictionaries,
    ) -> Ordering {
        let value = |row: u32, at: usize| values[row as usize * self.by.len() + at];
        for (at, by) in self.by.iter().enumerate() {
            let compare = |a: Datum, b: Datum| match is_text(by.form) {
                true => text(by.form, a as Code, dictionaries).cmp(text(by.form, b as Code, dictionaries)),
                false => a.cmp(&b),
            };
            let ordering = null_last(value(a, at), value(b, at), by.descending, compare);
            if ordering.is_ne() {
                return ordering;
            }
        }
        let keys = slots.key(a).iter().zip(slots.key(b)).zip(&self.key);
        let by_text = |((&a, &b), &form): ((&Code, &Code), &Form)| {
            if a == b {
                Ordering::Equal
            } else {
                text(form, a, dictionaries).cmp(text(form, b, dictionaries))
            }
        };
        keys.map(by_text).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// Places of rows in order. `keys` and `values` have those of row after row.
    pub fn sorted(&self, keys: &[Code], values: &[Datum], dictionaries: &Dictionaries) -> Vec<u32> {
        let width = self.key.len();
        assert!(width <= 3, "a key of ranks and a place fit 128 bits");
        let rows = keys.len() / width;
        let column = |at: usize| keys.iter().skip(at).step_by(width).copied();
        let mut packed = vec![0u128; rows];
        for (at, &form) in self.key.iter().enumerate() {
            let ranks = ranks(column(at), form, dictionaries);
            packed.iter_mut().zip(column(at)).for_each(|(key, code)| {
                *key = *key << 32 | u128::from(ranks[code as usize]);
            });
        }
        packed.iter_mut().enumerate().for_each(|(row, key)| *key = *key << 32 | row as u128);
        packed.sort_unstable();
        let by_key: Vec<u32> = packed.into_iter().map(|key| key as u32).collect();
        let Some(first) = self.by.first() else { return by_key };
        let columns: Vec<Vec<Datum>> = (0..self.by.len())
            .map(|at| {
                let values = values.iter().skip(at).step_by(self.by.len()).copied();
                comparable(values.collect(), self.by[at].form, dictionaries)
            })
            .collect();
        let mut entries: Vec<(Datum, u32)> =
            by_key.iter().enumerate().map(|(rank, &row)| (columns[0][row as usize], rank as u32)).collect();
        entries.sort_unstable_by(|a, b| {
            let mut ordering = null_last(a.0, b.0, first.descending, |a, b| a.cmp(&b));
            for (by, column) in self.by.iter().zip(&columns).skip(1) {
                let value = |rank: u32| column[by_key[rank as usize] as usize];
                ordering =
                    ordering.then_with(|| null_last(value(a.1), value(b.1), by.descending, |a, b| a.cmp(&b)));
            }
            ordering.then(a.1.cmp(&b.1))
        });
        entries.into_iter().map(|(_, rank)| by_key[rank as usize]).collect()
    }
}

fn is_text(form: Form) -> bool {
    matches!(form, Form::Name | Form::Id { .. })
}

/// The values as integers in the order of what they mean.
fn comparable(mut values: Vec<Datum>, form: Form, dictionaries: &Dictionaries) -> Vec<Datum> {
    if is_text(form) {
        let codes = values.iter().filter(|&&value| value != NULL).map(|&value| value as Code);
        let ranks = ranks(codes, form, dictionaries);
        for value in values.iter_mut().filter(|value| **value != NULL) {
            *value = ranks[*value as usize].into();
        }
    }
    values
}

/// The rank of each code among those given, by text; by code.
fn ranks(codes: impl Iterator<Item = Code>, form: Form, dictionaries: &Dictionaries) -> Vec<u32> {
    let dictionary = match form {
        Form::Id { table } => dictionaries.keys(table),
        _ => &dictionaries.names,
    };
    let mut ranks = vec![u32::MAX; dictionary.len()];
    let mut distinct: Vec<Code> = Vec::new();
    for code in codes {
        if std::mem::replace(&mut ranks[code as usize], 0) == u32::MAX {
            distinct.push(code);
        }
    }
    let bytes = |code: Code| dictionary.text(code).as_bytes();
    // Ids often begin alike, so the bytes after what all share tell most of them apart.
    let shared = distinct.first().map_or(0, |&first| {
        let first = bytes(first);
        distinct.iter().fold(first.len(), |shared, &code| {
            first[..shared].iter().zip(bytes(code)).take_while(|(a, b)| a == b).count()
        })
    });
    let mut entries: Vec<(u128, Code)> = distinct
        .into_iter()
        .map(|code| {
            let mut head = [0; 16];
            head.iter_mut().zip(&bytes(code)[shared..]).for_each(|(to, &from)| *to = from);
            (u128::from_be_bytes(head), code)
        })
        .collect();
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| bytes(a.1).cmp(bytes(b.1))));
    for (rank, &(_, code)) in entries.iter().enumerate() {
        ranks[code as usize] = rank as u32;
    }
    ranks
}

/// Whether a filter lets a value through. Times are compared with ISO 8601, dates with days.
pub fn passes(value: Datum, form: Form, filter: &Filter, dictionaries: &Dictionaries) -> bool {
    match form {
        Form::Name | Form::Id { .. } => {
            text_passes((value != NULL).then(|| text(form, value as Code, dictionaries)), filter)
        }
        Form::Time => {
            let wanted = filter.value.as_deref().map(DateTime::parse_from_rfc3339);
            let micros = match wanted {
                Some(Ok(time)) => Some(time.timestamp_micros().to_string()),
                // What is no time is left for the comparison of numbers to refuse.
                Some(Err(_)) => filter.value.clone(),
                None => None,
            };
            number_passes(value, form, &Filter { value: micros, ..filter.clone() })
        }
        _ => number_passes(value, form, filter),
    }
}
