//! What tables are made of, held against plain models: coded columns, homes, indexes, dictionaries, and the
//! tables themselves with the deltas and snapshots they hand out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tickview::datum::{Datum, NULL};
use tickview::delta::Changes;
use tickview::dictionary::Dictionary;
use tickview::index::Index;
use tickview::schema::{Schema, Table, Type};
use tickview::table::chunk::ColumnChunk;
use tickview::table::coded::Coded;
use tickview::table::homes::{Home, Homes};
use tickview::table::snapshot::TableSnapshot;
use tickview::table::{Delta, Reach, Tables};

/// The values of a column of one kind or another, with nulls among them or not.
fn values() -> impl Strategy<Value = BoxedStrategy<Datum>> {
    let kinds = prop_oneof![
        Just(Just(7i128).boxed()),
        Just((0i128..5).prop_map(|name| name * 1_000_003).boxed()),
        Just((0i128..16).boxed()),
        Just((-90i128..90).prop_map(|lots| lots * 2_000_000).boxed()),
        Just((0i128..1_000).prop_map(|seconds| 1_767_000_000_000_000 + seconds * 1_000_000).boxed()),
        Just((i128::from(i32::MIN)..i128::from(i32::MAX)).boxed()),
        Just(any::<i64>().prop_map(Datum::from).boxed()),
        Just(prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(i64::MIN + 1)].prop_map(Datum::from).boxed()),
        Just((-(10i128.pow(38) - 1)..10i128.pow(38)).boxed()),
        Just(prop_oneof![Just(NULL + 1), Just(Datum::MAX), Just(0)].boxed()),
    ];
    (kinds, any::<bool>()).prop_map(|(kind, nulls)| match nulls {
        true => prop_oneof![3 => kind, 1 => Just(NULL)].boxed(),
        false => kind,
    })
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Datum>),
    Set(usize, Datum),
    Pop,
    Settle,
    /// On with an empty run like this one.
    Next,
}

/// Steps over values of one kind, and now and then of another.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    (values(), values()).prop_flat_map(|(usual, other)| {
        let value = prop_oneof![20 => usual, 1 => other].boxed();
        let step = prop_oneof![
            2 => prop::collection::vec(value.clone(), 1..3).prop_map(Step::Append),
            1 => prop::collection::vec(value.clone(), 0..200).prop_map(Step::Append),
            6 => (any::<usize>(), value).prop_map(|(row, datum)| Step::Set(row, datum)),
            2 => Just(Step::Pop),
            1 => Just(Step::Settle),
            1 => Just(Step::Next),
        ];
        prop::collection::vec(step, 1..60)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_coded_run_holds_what_a_plain_one_holds(steps in steps()) {
        let (mut coded, mut plain) = (Coded::default(), Vec::new());
        for step in steps {
            match step {
                Step::Append(data) => {
                    // As a table appends: every second datum is another column's.
                    let wide: Vec<Datum> = data.iter().flat_map(|&datum| [datum, 99]).collect();
                    coded.append(2, &wide);
                    plain.extend(data);
                }
                Step::Set(row, datum) if !plain.is_empty() => {
                    let row = row % plain.len();
                    coded.set(row, datum);
                    plain[row] = datum;
                }
                Step::Pop if !plain.is_empty() => {
                    coded.pop();
                    plain.pop();
                }
                Step::Settle => coded.settle(),
                Step::Next => {
                    coded = coded.like();
                    plain.clear();
                }
                Step::Set(..) | Step::Pop => {}
            }
            prop_assert_eq!(coded.len(), plain.len());
            let each: Vec<Datum> = (0..plain.len()).map(|row| coded.get(row)).collect();
            prop_assert_eq!(&each, &plain);
            let mut all = Vec::new();
            coded.read(&mut all);
            prop_assert_eq!(&all, &plain);
        }
    }

    #[test]
    fn a_plain_column_takes_any_value_and_tells_what_stood_there(
        data_type in prop_oneof![Just(Type::Text), Just(Type::Integer), Just(Type::Date)],
        before in prop::collection::vec(prop_oneof![Just(NULL), 0i128..9], 1..20),
        edits in prop::collection::vec(values().prop_flat_map(|value| value), 20),
        rows in prop::collection::btree_set(0usize..20, 1..20),
    ) {
        let mut column = ColumnChunk::plain(data_type);
        column.append(1, &before);
        let rows: Vec<usize> = rows.into_iter().filter(|&row| row < before.len()).collect();
        let edits = &edits[..rows.len()];
        let mut gone = vec![0; rows.len()];
        let changed = column.exchange(&rows, 1, edits, &mut gone);
        let stood: Vec<Datum> = rows.iter().map(|&row| before[row]).collect();
        prop_assert_eq!(changed, stood != edits);
        prop_assert_eq!(gone, stood);
        let mut after = before.clone();
        rows.iter().zip(edits).for_each(|(&row, &edit)| after[row] = edit);
        let mut read = Vec::new();
        column.read(&mut read);
        prop_assert_eq!(read, after);
    }

    #[test]
    fn homes_and_index_are_maps(steps in prop::collection::vec((0u32..40_000, any::<u32>(), 0u8..4), 1..400)) {
        let (mut homes, mut index) = (Homes::default(), Index::default());
        let (mut home_of, mut number_of) = (HashMap::new(), HashMap::new());
        // What a number of the index stands for, by number.
        let mut meanings: Vec<u32> = Vec::new();
        let hash = |meaning: u32| u64::from(meaning % 1_000).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for (code, row, step) in steps {
            let home = Home { partition: row % 7, row };
            if step == 0 {
                homes.remove(code as usize);
                home_of.remove(&code);
            } else {
                homes.set(code as usize, home);
                home_of.insert(code, home);
            }
            prop_assert_eq!(homes.get(code as usize), home_of.get(&code).copied());
            prop_assert_eq!(homes.get(row as usize), home_of.get(&row).copied());
            let known = index.find(hash(code), |number| meanings[number as usize] == code);
            prop_assert_eq!(known, number_of.get(&code).copied());
            let next = meanings.len() as u32;
            match (known, step) {
                (None, _) => {
                    meanings.push(code);
                    index.insert(hash(code), next, |number| hash(meanings[number as usize]));
                    number_of.insert(code, next);
                }
                (Some(number), 0) => {
                    index.remove(hash(code), number);
                    number_of.remove(&code);
                }
                (Some(number), 1) => {
                    meanings.push(code);
                    index.replace(hash(code), number, next);
                    number_of.insert(code, next);
                }
                (Some(_), _) => {}
            }
            prop_assert_eq!(index.len(), number_of.len());
        }
    }
}

#[test]
fn a_run_takes_the_bits_its_values_need() {
    let one = |value: &dyn Fn(usize) -> Datum| (0..1024).map(value).collect::<Vec<Datum>>();
    let cases: [(&str, Vec<Datum>, usize); 8] = [
        ("a constant", one(&|_| 1_767_000_000_000_000), 0),
        ("nothing", one(&|_| NULL), 0),
        ("two names far apart", one(&|at| [5, 70_000][at % 2]), 1),
        ("ten names far apart", one(&|at| (at % 10 * 1_000_003) as Datum), 4),
        (
            "ten names and none",
            one(&|at| if at % 11 == 10 { NULL } else { (at % 11 * 1_000_003) as Datum }),
            4,
        ),
        ("whole lots", one(&|at| (at as Datum % 200 - 100) * 100_000_000), 8),
        ("ids in a row", one(&|at| 49_000_000 + at as Datum), 10),
        ("cents up to a million", one(&|at| (at as Datum * 97_651) % 100_000_000 * 1_000_000), 27),
    ];
    for (what, values, bits) in cases {
        let bytes = Coded::new(&values).bytes();
        // Beside the codes: a load's room, and a palette's values.
        let most = 1024 * bits / 8 + 8 + 16 * 8;
        assert!(bytes <= most, "{what} takes {bytes} bytes, {most} would do");
        // One at a time, then settled, it takes no more.
        let mut grown = Coded::default();
        values.iter().for_each(|&value| grown.append(1, &[value]));
        grown.settle();
        assert!(grown.bytes() <= most, "{what} grows to {} bytes, {most} would do", grown.bytes());
    }
}

#[test]
fn a_column_that_wanders_is_coded_anew_seldom() {
    // Each value lies below or above all before it: were it coded anew each time, this would not end.
    for sign in [1, -1] {
        let mut coded = Coded::new(&[0; 1024]);
        for turn in 1..200_000 {
            coded.set(turn % 1024, turn as Datum * sign);
        }
        assert_eq!(coded.get(199_999 % 1024), 199_999 * sign);
        // 18 bits, and one of room.
        assert!(coded.bytes() <= 1024 * 19 / 8 + 16, "{} bytes", coded.bytes());
    }
}

#[test]
fn a_dictionary_grows_a_shard_at_a_time() {
    const TEXTS: u32 = 300_000;
    let mut dictionary = Dictionary::default();
    for number in 0..TEXTS {
        assert_eq!(dictionary.intern(&format!("O{number:09}")), number + 1);
    }
    for number in (0..TEXTS).step_by(7) {
        let text = format!("O{number:09}");
        assert_eq!(dictionary.text(number + 1), text);
        assert_eq!(dictionary.intern(&text), number + 1, "it is there already");
        assert_eq!(dictionary.find(&text), Some(number + 1));
    }
    assert_eq!(dictionary.find("O"), None);
    let moved = dictionary.moved();
    // One table would move 229,376 at once.
    assert!(moved.at_once_max > 0 && moved.at_once_max * 500 < TEXTS as usize, "{moved:?}");
    // As many as that all in all, as in any table that doubles.
    assert!(moved.all < 3 * TEXTS as usize, "{moved:?}");
    let bytes = dictionary.bytes() as f64 / f64::from(TEXTS);
    assert!(bytes < 24.0, "{bytes} bytes a text of 10");
}

#[test]
fn texts_interned_together_have_the_codes_they_have_one_by_one() {
    let mut random = Pcg64::seed_from_u64(5);
    let (mut together, mut alone) = (Dictionary::default(), Dictionary::default());
    for run in 0..200 {
        // Known and new, some of them several times in one run, some empty.
        let count = random.random_range(0..300);
        let most = 50 + run * 40;
        let texts: Vec<String> = (0..count)
            .map(|_| match random.random_range(0..most) {
                0 => String::new(),
                number => format!("O{number}"),
            })
            .collect();
        let mut codes = Vec::new();
        together.intern_all(texts.iter().map(String::as_str), &mut |code| codes.push(code));
        let expected: Vec<u32> = texts.iter().map(|text| alone.intern(text)).collect();
        assert_eq!(codes, expected);
    }
    assert_eq!(together.len(), alone.len());
}

#[test]
fn room_made_in_a_dictionary_is_room_for_all() {
    let mut dictionary = Dictionary::default();
    dictionary.reserve(200_000);
    let reserved = dictionary.moved();
    for number in 0..200_000 {
        dictionary.intern(&format!("M{number:08}"));
    }
    assert_eq!(dictionary.moved(), reserved, "nothing moves");
}

#[test]
fn a_dictionary_holds_texts_of_any_length() {
    let mut dictionary = Dictionary::default();
    let texts: Vec<String> = (0..3_000).map(|n| "é".repeat(n % 97) + &n.to_string()).collect();
    let long = "x".repeat(1 << 20);
    let codes: Vec<u32> = texts.iter().map(|text| dictionary.intern(text)).collect();
    let last = dictionary.intern(&long);
    let after = dictionary.intern("after");
    for (text, code) in texts.iter().zip(codes) {
        assert_eq!(dictionary.text(code), text);
    }
    assert_eq!(dictionary.text(last), long);
    assert_eq!(dictionary.text(after), "after");
    assert_eq!(dictionary.text(0), "");
}

/// The rows of the tables by key, as a plain map would hold them.
type Model = BTreeMap<(usize, Vec<Datum>), Vec<Datum>>;

const DAY: Datum = 20_458;
const TABLES: [&str; 4] = ["base.sod_holding", "base.order_events", "base.price", "base.fx_rate"];

/// Random records of some tables.
struct Records {
    random: Pcg64,
    schema: Arc<Schema>,
}

impl Records {
    /// A row of a key out of few, so that rows meet each other.
    fn row(&mut self, table: &Table) -> Vec<Datum> {
        let random = &mut self.random;
        let value = |random: &mut Pcg64, column: usize| -> Datum {
            let declared = &table.columns[column];
            match (declared.name.as_str(), declared.data_type) {
                ("business_date", _) => DAY,
                ("account_id", _) => random.random_range(1..6),
                ("version", _) => random.random_range(1..6),
                (_, Type::Id) => random.random_range(1..4_000),
                ("instrument_id", _) => random.random_range(100..1_500),
                (_, Type::Text) if table.key.contains(&column) => random.random_range(1..40),
                _ if declared.nullable && random.random_bool(0.3) => NULL,
                (_, Type::Text) => random.random_range(1..9),
                (_, Type::Decimal { precision: 24, .. }) => random.random_range(1..1 << 100),
                (_, Type::Decimal { .. }) if random.random_bool(0.01) => {
                    random.random_range(-(10i128.pow(18)) + 1..10i128.pow(18))
                }
                (_, Type::Decimal { .. }) => random.random_range(-500..500) * 1_000_000,
                (_, Type::Boolean) => random.random_range(0..2),
                _ => random.random_range(0..1_000_000),
            }
        };
        (0..table.columns.len()).map(|column| value(random, column)).collect()
    }

    /// A batch of records of a table, as changes and in the model; returns how many change nothing.
    fn batch(&mut self, name: &str, model: &mut Model) -> (Changes, u64) {
        let schema = Arc::clone(&self.schema);
        let table = schema.table(name);
        let mut changes = Changes::new(table);
        let mut outdated = 0;
        let count = if self.random.random_bool(0.2) { 1_500 } else { self.random.random_range(1..40) };
        let known: Vec<Vec<Datum>> =
            model.keys().filter(|(id, _)| *id == table.id).map(|(_, key)| key.clone()).collect();
        let only_known = !known.is_empty() && self.random.random_bool(0.5);
        for _ in 0..count {
            let mut row = self.row(table);
            if only_known {
                let key = &known[self.random.random_range(0..known.len())];
                table.key.iter().zip(key).for_each(|(&column, &datum)| row[column] = datum);
            }
            let key: Vec<Datum> = table.key.iter().map(|&column| row[column]).collect();
            if !only_known && self.random.random_bool(0.1) {
                changes.delete(table, &key);
                model.remove(&(table.id, key));
                continue;
            }
            changes.upsert(&row);
            let held = model.get(&(table.id, key.clone()));
            if held.is_some_and(|held| held[table.version] >= row[table.version]) {
                outdated += 1;
            } else {
                model.insert((table.id, key), row);
            }
        }
        (changes, outdated)
    }
}

/// All rows of a table in a snapshot, sorted, with the partition each is in.
fn rows_of(table: &TableSnapshot) -> Vec<(u32, Vec<Datum>)> {
    let mut all = Vec::new();
    for (partition, rows) in table.partitions() {
        for row in 0..rows.len() as u32 {
            let mut data = Vec::new();
            rows.read(row, &mut data);
            all.push((partition, data));
        }
    }
    all.sort_unstable();
    all
}

fn assert_holds(published: &[TableSnapshot], model: &Model, schema: &Schema, tables: &Tables) {
    for name in TABLES {
        let table = schema.table(name);
        let mut rows: Vec<Vec<Datum>> =
            rows_of(&published[table.id]).into_iter().map(|(_, row)| row).collect();
        rows.sort_unstable();
        let mut expected: Vec<Vec<Datum>> =
            model.iter().filter(|((id, _), _)| *id == table.id).map(|(_, row)| row.clone()).collect();
        expected.sort_unstable();
        let differing = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
        assert_eq!(differing, None, "{name}");
        assert_eq!(rows.len(), expected.len(), "{name}");
        assert_eq!(published[table.id].len(), rows.len());
        for (partition, row) in rows_of(&published[table.id]) {
            let account = table.partition.map(|column| tables.accounts.find(row[column] as u32).unwrap());
            assert_eq!(partition, account.unwrap_or(0), "{name}");
        }
    }
}

/// What went and came turns the rows before into those after.
fn assert_leads(before: &[TableSnapshot], after: &[TableSnapshot], delta: &Delta, schema: &Schema) {
    for name in TABLES {
        let table = schema.table(name);
        let change = &delta.tables[table.id];
        let width = table.columns.len();
        let mut weights: BTreeMap<(u32, Vec<Datum>), i64> = BTreeMap::new();
        for row in rows_of(&before[table.id]) {
            *weights.entry(row).or_default() += 1;
        }
        for (set, weight) in [(&change.gone, -1), (&change.come, 1)] {
            assert_eq!(set.data.len(), set.len() * width);
            for (row, &partition) in set.data.chunks_exact(width).zip(&set.partitions) {
                *weights.entry((partition, row.to_vec())).or_default() += weight;
            }
        }
        for row in rows_of(&after[table.id]) {
            *weights.entry(row).or_default() -= 1;
        }
        assert!(weights.values().all(|&weight| weight == 0), "{name}");
    }
}

/// What is told of a broadcast table's changed rows is what went and came.
fn assert_reaches(tables: &Tables, delta: &Delta, table: &Table) {
    let change = &delta.tables[table.id];
    let Reach::Rows { rows, columns } = tables.reach(change) else {
        assert!(change.is_empty() || change.deleted || change.at.len() < change.come.len());
        return;
    };
    let width = table.columns.len();
    let mut expected = vec![false; width];
    let pairs = change.gone.data.chunks_exact(width).zip(change.come.data.chunks_exact(width));
    for (gone, come) in pairs {
        assert!(table.key.iter().all(|&column| gone[column] == come[column]), "{}", table.name);
        expected.iter_mut().enumerate().for_each(|(at, changed)| *changed |= gone[at] != come[at]);
    }
    assert_eq!(columns, expected, "{}", table.name);
    assert_eq!(rows.len(), change.come.len());
    let last: HashMap<u32, &[Datum]> =
        rows.iter().copied().zip(change.come.data.chunks_exact(width)).collect();
    let stored = tables.partition(table.id, 0).unwrap();
    for (row, come) in last {
        let mut data = Vec::new();
        stored.read(row, &mut data);
        assert_eq!(data, come, "{} row {row}", table.name);
    }
}

fn follow(seed: u64) -> u64 {
    let schema = Arc::new(Schema::base());
    let mut records = Records { random: Pcg64::seed_from_u64(seed), schema: Arc::clone(&schema) };
    let mut tables = Tables::new(Arc::clone(&schema));
    let mut model = Model::new();
    let mut reached = 0;
    // Nobody but these holds a snapshot for longer than a batch, so that most changes are made in place.
    let mut held: Vec<(Vec<TableSnapshot>, Model)> = Vec::new();
    // The business date of the orders.
    let (first, _) = records.batch("base.sod_holding", &mut model);
    let first = [first];
    tables.apply(&first);
    for batch in 0..60 {
        let mut changes = Vec::new();
        let mut outdated = 0;
        for name in TABLES {
            if records.random.random_bool(0.6) {
                let (more, dull) = records.batch(name, &mut model);
                changes.push(more);
                outdated += dull;
            }
        }
        let before: Vec<TableSnapshot> = if batch % 4 == 0 { tables.publish() } else { Vec::new() };
        let delta = tables.apply(&changes);
        assert_eq!(delta.outdated, outdated, "seed {seed}, batch {batch}");
        let published = tables.publish();
        assert_holds(&published, &model, &schema, &tables);
        if !before.is_empty() {
            assert_leads(&before, &published, &delta, &schema);
        }
        for name in ["base.price", "base.fx_rate"] {
            assert_reaches(&tables, &delta, schema.table(name));
            reached +=
                u64::from(matches!(tables.reach(&delta.tables[schema.table(name).id]), Reach::Rows { .. }));
        }
        let price = schema.table("base.price");
        for ((table, key), row) in model.iter().filter(|((table, _), _)| *table == price.id) {
            let at = tables.find(*table, key.iter().copied()).expect("a row is found by its key");
            let mut data = Vec::new();
            tables.partition(price.id, 0).unwrap().read(at, &mut data);
            assert_eq!(&data, row);
        }
        assert_eq!(tables.find(price.id, [99_999].into_iter()), None);
        tables.recycle(delta);
        if batch % 16 == 0 {
            held.push((published, model.clone()));
        }
    }
    for (published, model) in &held {
        assert_holds(published, model, &schema, &tables);
    }
    reached
}

#[test]
fn tables_hold_what_a_map_holds_and_snapshots_never_change() {
    let reached: u64 = (0..6).map(follow).sum();
    assert!(reached > 10, "changes of broadcast rows alone came up {reached} times");
}

#[test]
fn a_partition_of_many_rows_finds_each_of_them() {
    const ROWS: Datum = 70_000;
    let schema = Arc::new(Schema::base());
    let table = schema.table("base.sod_holding");
    let mut tables = Tables::new(Arc::clone(&schema));
    let row = |instrument: Datum, version: Datum| -> Vec<Datum> {
        vec![DAY, 1, instrument, 0, instrument * 1_000_000, NULL, NULL, NULL, version, 0]
    };
    let mut changes = Changes::new(table);
    (0..ROWS).for_each(|instrument| changes.upsert(&row(2 + instrument, 1)));
    // Every third goes, so that rows move; every fifth of the others changes.
    for instrument in (0..ROWS).step_by(3) {
        changes.delete(table, &[DAY, 1, 2 + instrument, 0]);
    }
    for instrument in (0..ROWS).step_by(5) {
        changes.upsert(&row(2 + instrument, 2));
    }
    tables.apply(&[changes]);
    let stays = |&instrument: &Datum| instrument % 3 != 0 || instrument % 5 == 0;
    assert_eq!(tables.len(table.id), (0..ROWS).filter(stays).count());
    let mut stored: Vec<(Datum, Datum)> = Vec::new();
    let rows = tables.partition(table.id, tables.accounts.find(1).unwrap()).unwrap();
    (0..rows.len() as u32).for_each(|at| stored.push((rows.get(at, 2), rows.get(at, table.version))));
    stored.sort_unstable();
    let version = |instrument: Datum| if instrument % 5 == 0 { 2 } else { 1 };
    let expected: Vec<(Datum, Datum)> =
        (0..ROWS).filter(stays).map(|instrument| (2 + instrument, version(instrument))).collect();
    assert_eq!(stored, expected);
    let mut again = Changes::new(table);
    (0..ROWS).filter(stays).for_each(|instrument| again.upsert(&row(2 + instrument, version(instrument))));
    let delta = tables.apply(&[again]);
    assert_eq!(delta.outdated as usize, expected.len(), "every row is found by its key");
}

#[test]
fn memory_is_told_as_it_is_allocated() {
    let schema = Arc::new(Schema::base());
    let table = schema.table("base.order_events");
    let mut tables = Tables::new(Arc::clone(&schema));
    let mut records = Records { random: Pcg64::seed_from_u64(3), schema: Arc::clone(&schema) };
    let mut model = Model::new();
    let (holdings, _) = records.batch("base.sod_holding", &mut model);
    tables.apply(&[holdings]);
    let before = tables.table_bytes(table.id);
    let mut changes = Changes::new(table);
    for id in 0..20_000 {
        let mut row = records.row(table);
        row[table.key[0]] = id;
        changes.upsert(&row);
    }
    tables.apply(&[changes]);
    let after = tables.table_bytes(table.id);
    // Eight bytes a home, in whole blocks.
    assert!((20_000 * 8..20_480 * 8 + 1_000).contains(&(after.index - before.index)), "{after:?}");
    let columns = (after.columns - before.columns) / 20_000;
    assert!((20..90).contains(&columns), "{columns} bytes an order; plain columns take 116");
    assert!(tables.bytes() >= after.columns + after.index);
}

#[test]
fn a_change_copies_what_a_reader_holds_and_nothing_else() {
    let schema = Arc::new(Schema::base());
    let table = schema.table("base.order_events");
    let mut tables = Tables::new(Arc::clone(&schema));
    let mut records = Records { random: Pcg64::seed_from_u64(9), schema: Arc::clone(&schema) };
    let (holdings, _) = records.batch("base.sod_holding", &mut Model::new());
    let account = table.partition.unwrap();
    let mut orders = Changes::new(table);
    let mut last = Vec::new();
    for id in 0..3_000 {
        last = records.row(table);
        last[table.key[0]] = id;
        last[account] = 1;
        orders.upsert(&last);
    }
    tables.apply(&[holdings, orders]);
    let partition = tables.accounts.find(1).unwrap() as usize;
    let chunks =
        |published: &[TableSnapshot]| published[table.id].partition(partition).unwrap().chunks().to_vec();
    let changed = [table.column("cum_qty"), table.version];
    let mut change = |tables: &mut Tables| {
        changed.iter().for_each(|&column| last[column] += 1_000_000);
        let mut changes = Changes::new(table);
        changes.upsert(&last);
        let delta = tables.apply(&[changes]);
        tables.recycle(delta);
    };

    let before = chunks(&tables.publish());
    change(&mut tables);
    let after = chunks(&tables.publish());
    assert_eq!(before.len(), 3);
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        // The last order is in the last chunk.
        assert_eq!(triomphe::Arc::ptr_eq(before, after), at < 2, "chunk {at}");
    }
    for (at, pair) in before[2].columns.iter().zip(&after[2].columns).enumerate() {
        let (ColumnChunk::Coded(before), ColumnChunk::Coded(after)) = pair else {
            panic!("orders are coded")
        };
        let name = &table.columns[at].name;
        assert_eq!(triomphe::Arc::ptr_eq(before, after), !changed.contains(&at), "{name}");
        let row = before.len() - 1;
        assert_eq!(before.get(row) != after.get(row), changed.contains(&at), "{name}");
    }

    drop(before);
    let held: Vec<_> = after.iter().map(triomphe::Arc::as_ptr).collect();
    drop(after);
    change(&mut tables);
    let now: Vec<_> = chunks(&tables.publish()).iter().map(triomphe::Arc::as_ptr).collect();
    assert_eq!(now, held, "what no reader holds is changed where it stands");
}
