//! The rows of a program: base rows or nets, with what they look up early, column by column.

use hashbrown::{HashMap, HashSet};

use super::arrangement::{Arrangement, ArrangementId};
use super::sides::{SideId, Sides};
use super::{Columns, World, evaluate};
use crate::datum::Datum;
use crate::plan::live::{NET, Program};
use crate::plan::relation::Relation;
use crate::plan::scalar::Scalar;
use crate::schema::TableId;
use crate::table::partition::Row;
use crate::table::{Delta, PartitionId, RowSet};

/// Rows evaluated in one go.
const BATCH_ROWS: usize = 1_024;

/// A program with the sides that its rows look up.
pub(super) struct Rows {
    pub branches: Vec<Branch>,
    /// Whose rows they are, if not base rows.
    pub net: Option<(ArrangementId, Vec<Scalar>)>,
}

pub(super) struct Branch {
    table: Option<TableId>,
    relation: Relation,
    sides: Vec<SideId>,
    /// By look-up: the columns of it that are read.
    read: Vec<Vec<bool>>,
    /// By input: whether anything reads it.
    used: Vec<bool>,
    /// By column of the program: whether anything reads it.
    wanted: Vec<bool>,
    /// The condition and the columns that are read, over the inputs.
    columns: Columns,
}

/// Some rows of a program: what they are in the columns that are read, and which of a batch they are.
pub(super) struct Batch<'a> {
    pub columns: &'a [Vec<Datum>],
    pub rows: usize,
    /// The partition of each row.
    pub partitions: &'a [PartitionId],
    /// By look-up with its side: what rows found, those among them that do not belong.
    pub found: Vec<(SideId, Vec<u32>)>,
    /// The partition of each of these.
    pub readers: &'a [PartitionId],
}

/// Rows of one source that went and came, those that are in both left out.
#[derive(Default)]
pub(super) struct Changed {
    pub gone: RowSet,
    pub come: RowSet,
}

impl Changed {
    pub fn of(delta: &Delta, table: TableId, width: usize) -> Changed {
        let rows = &delta.tables[table];
        let mut weights: HashMap<(PartitionId, &[Datum]), i64> = HashMap::new();
        let each = |set: &'_ RowSet| set.partitions.len();
        for (set, weight) in [(&rows.gone, -1), (&rows.come, 1)] {
            for at in 0..each(set) {
                *weights.entry((set.partitions[at], &set.data[at * width..][..width])).or_default() += weight;
            }
        }
        let mut changed = Changed::default();
        // In the order of arrival, so that what is kept has an order of its own.
        for (set, sign) in [(&rows.gone, -1), (&rows.come, 1)] {
            for at in 0..each(set) {
                let row = &set.data[at * width..][..width];
                let weight = weights.get_mut(&(set.partitions[at], row)).expect("it was counted");
                if *weight * sign > 0 {
                    *weight -= sign;
                    let into = if sign < 0 { &mut changed.gone } else { &mut changed.come };
                    into.data.extend_from_slice(row);
                    into.partitions.push(set.partitions[at]);
                }
            }
        }
        changed
    }
}

impl Rows {
    /// `read` are the scalars over the program's columns that are evaluated.
    pub fn new<'a>(
        program: &Program,
        net: Option<(ArrangementId, Vec<Scalar>)>,
        read: impl IntoIterator<Item = &'a Scalar>,
        currency: &str,
        sides: &mut Sides,
        world: &World,
    ) -> Rows {
        let mut wanted = vec![false; program.width];
        read.into_iter().for_each(|scalar| scalar.columns(&mut |column| wanted[column] = true));
        let branch = |relation: &Relation| {
            let mut used = vec![false; relation.inputs.len()];
            let mut mark = |scalar: &Scalar| scalar.columns(&mut |input| used[input] = true);
            mark(&relation.filter);
            relation
                .columns
                .iter()
                .zip(&wanted)
                .filter(|(_, wanted)| **wanted)
                .for_each(|(one, _)| mark(one));
            // What is found by what is found: later look-ups first.
            for at in (0..relation.lookups.len()).rev() {
                relation.lookups[at]
                    .keys
                    .iter()
                    .for_each(|(_, key)| key.columns(&mut |input| used[input] = true));
            }
            let ids: Vec<SideId> =
                relation.lookups.iter().map(|lookup| sides.of(&lookup.relation, currency, world)).collect();
            let mut read: Vec<Vec<bool>> = ids.iter().map(|&side| vec![false; sides.width(side)]).collect();
            for (input, used) in relation.inputs.iter().zip(&used) {
                if let (Some(lookup), true) = (input.lookup, used) {
                    read[lookup][input.column] = true;
                }
            }
            Branch {
                table: (relation.source != NET).then(|| world.tables.schema().table(&relation.source).id),
                relation: relation.clone(),
                columns: Columns::new([&relation.filter].into_iter().chain(
                    relation.columns.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(one, _)| one),
                )),
                sides: ids,
                read,
                used,
                wanted: wanted.clone(),
            }
        };
        Rows { branches: program.branches.iter().map(branch).collect(), net }
    }

    pub fn tables(&self) -> Vec<TableId> {
        let mut tables: Vec<TableId> = self.branches.iter().filter_map(|branch| branch.table).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// The sides that rows look up, with the columns that are read.
    pub fn lookups(&self) -> impl Iterator<Item = (SideId, &[bool])> {
        self.branches
            .iter()
            .flat_map(|branch| branch.sides.iter().copied().zip(branch.read.iter().map(Vec::as_slice)))
    }

    /// Whether what rows look up changed.
    pub fn stirred(&self, sides: &Sides) -> bool {
        self.lookups().any(|(side, columns)| sides.changed(side, columns).next().is_some())
    }

    /// How many rows of what they look up changed.
    pub fn changes(&self, sides: &Sides) -> usize {
        self.lookups().map(|(side, columns)| sides.changed(side, columns).count()).sum()
    }

    /// Hands out the rows of base rows of one table, branch by branch.
    pub fn evaluate(
        &self,
        table: Option<TableId>,
        set: &RowSet,
        width: usize,
        sides: &mut Sides,
        world: &World,
        take: &mut dyn FnMut(Batch),
    ) {
        if set.is_empty() {
            return;
        }
        for branch in self.branches.iter().filter(|branch| branch.table == table) {
            for (at, partitions) in set.partitions.chunks(BATCH_ROWS).enumerate() {
                let data = &set.data[at * BATCH_ROWS * width..][..partitions.len() * width];
                branch.evaluate(data, width, partitions, sides, world, take);
            }
        }
    }

    /// All rows there are of some partitions, or of all.
    pub fn each(
        &self,
        only: Option<&HashSet<PartitionId>>,
        arrangements: &[Option<Arrangement>],
        sides: &mut Sides,
        world: &World,
        take: &mut dyn FnMut(Batch),
    ) {
        let mut set = RowSet::default();
        if let Some((id, columns)) = &self.net {
            let net = arrangements[*id].as_ref().expect("what is read stays");
            net.each(&mut |row| {
                set.data.extend(columns.iter().map(|column| column.value(row)));
                set.partitions.push(0);
            });
            self.evaluate(None, &set, columns.len(), sides, world, take);
            return;
        }
        for table in self.tables() {
            let width = world.tables.schema().tables[table].columns.len();
            for (partition, rows) in world.tables.partitions(table).enumerate() {
                let partition = partition as PartitionId;
                if only.is_some_and(|only| !only.contains(&partition)) {
                    continue;
                }
                for row in 0..rows.len() as Row {
                    rows.read(row, &mut set.data);
                    set.partitions.push(partition);
                    if set.len() == BATCH_ROWS {
                        self.evaluate(Some(table), &set, width, sides, world, take);
                        set.clear();
                    }
                }
            }
            self.evaluate(Some(table), &set, width, sides, world, take);
            set.clear();
        }
    }

    /// The base rows of a table that read what the tick changed, but those that came with it.
    ///
    /// Cost: a pass over a column where a look-up's key is a column, else over all rows.
    pub fn reread(&self, table: TableId, come: &RowSet, sides: &Sides, world: &World) -> RowSet {
        let mut set = RowSet::default();
        let mut all = false;
        let mut by_column: Vec<(usize, HashSet<Datum>)> = Vec::new();
        for branch in self.branches.iter().filter(|branch| branch.table == Some(table)) {
            for (at, lookup) in branch.relation.lookups.iter().enumerate() {
                let numbers: Vec<u32> = sides.changed(branch.sides[at], &branch.read[at]).collect();
                if numbers.is_empty() {
                    continue;
                }
                match lookup.keys.as_slice() {
                    [(_, Scalar::Column(input))] if branch.relation.inputs[*input].lookup.is_none() => {
                        let keys = numbers.iter().map(|&number| sides.key(branch.sides[at], number)[0]);
                        by_column.push((branch.relation.inputs[*input].column, keys.collect()));
                    }
                    _ => all = true,
                }
            }
        }
        if !all && by_column.is_empty() {
            return set;
        }
        let width = world.tables.schema().tables[table].columns.len();
        // Rows of a table have keys, so none is there twice.
        let mut fresh: HashMap<PartitionId, HashSet<&[Datum]>> = HashMap::new();
        for (at, &partition) in come.partitions.iter().enumerate() {
            fresh.entry(partition).or_default().insert(&come.data[at * width..][..width]);
        }
        let mut read = Vec::with_capacity(width);
        for (partition, rows) in world.tables.partitions(table).enumerate() {
            let partition = partition as PartitionId;
            for row in 0..rows.len() as Row {
                if !all && !by_column.iter().any(|(column, keys)| keys.contains(&rows.get(row, *column))) {
                    continue;
                }
                read.clear();
                rows.read(row, &mut read);
                if !fresh.get(&partition).is_some_and(|fresh| fresh.contains(read.as_slice())) {
                    set.data.extend_from_slice(&read);
                    set.partitions.push(partition);
                }
            }
        }
        set
    }
}

impl Branch {
    fn evaluate(
        &self,
        data: &[Datum],
        width: usize,
        partitions: &[PartitionId],
        sides: &mut Sides,
        world: &World,
        take: &mut dyn FnMut(Batch),
    ) {
        let rows = partitions.len();
        let mut inputs: Vec<Vec<Datum>> = vec![Vec::new(); self.relation.inputs.len()];
        for (at, input) in self.relation.inputs.iter().enumerate() {
            if input.lookup.is_none() && self.used[at] {
                inputs[at] = data.iter().skip(input.column).step_by(width).copied().collect();
            }
        }
        let mut found = Vec::with_capacity(self.sides.len());
        for (lookup, &side) in self.sides.iter().enumerate() {
            let numbers = sides.find(side, &self.relation.lookups[lookup], &inputs, rows, world);
            for (at, input) in self.relation.inputs.iter().enumerate() {
                if input.lookup == Some(lookup) && self.used[at] {
                    inputs[at] =
                        numbers.iter().map(|&number| sides.value(side, number, input.column)).collect();
                }
            }
            found.push((side, numbers));
        }
        let values = evaluate(&self.columns, &inputs, rows);
        let (filter, values) = values.split_first().expect("a condition");
        let kept: Vec<usize> = (0..rows).filter(|&row| filter.get(row) == 1).collect();
        // A row that does not belong may come to belong with what it looks up: it has read it all the same.
        let mut columns: Vec<Vec<Datum>> = vec![Vec::new(); self.wanted.len()];
        let wanted = (0..self.wanted.len()).filter(|&at| self.wanted[at]);
        for (at, values) in wanted.zip(values) {
            columns[at] = kept.iter().map(|&row| values.get(row)).collect();
        }
        let readers = partitions;
        let partitions: Vec<PartitionId> = kept.iter().map(|&row| readers[row]).collect();
        take(Batch { columns: &columns, rows: kept.len(), partitions: &partitions, found, readers });
    }
}
