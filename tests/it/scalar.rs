//! Scalars in columns: the same bits as an evaluation row by row, and as DataFusion's, whatever the values
//! and the number of rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use sqlparser::ast::Statement;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use tickview::datum::{Datum, NULL, power_of_ten, round_product, round_quotient};
use tickview::dictionary::Dictionary;
use tickview::plan::catalog::Planner;
use tickview::plan::scalar::{Comparison, Lane, Program, Scalar, Scratch, Values, compile};

/// Number columns, then boolean columns.
const NUMBERS: usize = 6;
const FLAGS: usize = 2;
const SIZES: [usize; 6] = [1, 2, 63, 64, 65, 1_000];

/// A scale for each number column: a price's, a factor's, a rate's and so on.
const SCALES: [u8; NUMBERS] = [6, 8, 12, 20, 0, 18];

fn boxed(scalar: Scalar) -> Box<Scalar> {
    Box::new(scalar)
}

/// Values of one kind a column, so that most lanes are narrow and some are wide somewhere in the middle.
fn number(kind: usize, random: &mut Pcg64) -> Datum {
    let sign = if random.random_range(0..2) == 0 { 1 } else { -1 };
    let short = Datum::from(random.random_range(-2_000_000..2_000_000i64));
    match (kind, random.random_range(0..40)) {
        (_, 0..4) => NULL,
        (_, 4..6) => 0,
        (_, 6) => sign,
        (1.., 7) => sign * (power_of_ten(18) - 1),
        (2.., 8) => sign * Datum::from(i64::MAX),
        (3.., 9) => Datum::from(i64::MIN),
        (3.., 10) => sign * (power_of_ten(38) - 1),
        (4.., 11) => Datum::MAX,
        (4.., 12) => Datum::MIN + 1,
        (_, 13..20) => sign * power_of_ten(random.random_range(0..12)),
        (3, 20..30) => sign * power_of_ten(random.random_range(18..24)),
        (3, 30..35) => Datum::from(random.random_range(1..9_999i64)) * power_of_ten(18),
        (5, 20..30) => short * power_of_ten(12) + Datum::from(random.random_range(0..7i64)),
        (_, 35..38) => short * 500_000 + sign * 500,
        _ => short,
    }
}

fn literal(random: &mut Pcg64) -> Scalar {
    Scalar::Const(number(random.random_range(0..6), random))
}

/// A random expression that gives a number.
fn numeric(depth: usize, random: &mut Pcg64) -> Scalar {
    let column = |random: &mut Pcg64| Scalar::Column(random.random_range(0..NUMBERS));
    if depth == 0 {
        return if random.random_range(0..4) == 0 { literal(random) } else { column(random) };
    }
    let pair = |random: &mut Pcg64| (boxed(numeric(depth - 1, random)), boxed(numeric(depth - 1, random)));
    let all =
        |random: &mut Pcg64| (0..random.random_range(1..4)).map(|_| numeric(depth - 1, random)).collect();
    match random.random_range(0..10) {
        0 => {
            let (a, b) = pair(random);
            Scalar::Add(a, b)
        }
        1 => {
            let (a, b) = pair(random);
            Scalar::Subtract(a, b)
        }
        2 => {
            let (a, b) = pair(random);
            Scalar::Multiply(a, b)
        }
        3 => Scalar::Negate(boxed(numeric(depth - 1, random))),
        4 => {
            let branches = (0..random.random_range(1..3))
                .map(|_| (condition(depth - 1, random), numeric(depth - 1, random)))
                .collect();
            Scalar::Case(branches, boxed(numeric(depth - 1, random)))
        }
        5 => Scalar::Coalesce(all(random)),
        6 => Scalar::Greatest(all(random)),
        7 => Scalar::Least(all(random)),
        8 => {
            let count = random.random_range(1..6);
            let factor = |random: &mut Pcg64| match random.random_range(0..3) {
                0 => (numeric(depth - 1, random), random.random_range(0..21)),
                1 => {
                    let one = power_of_ten(random.random_range(0..21));
                    (Scalar::Const(one), random.random_range(0..21))
                }
                _ => {
                    let column = random.random_range(0..NUMBERS);
                    (Scalar::Column(column), SCALES[column])
                }
            };
            let factors = (0..count).map(|_| factor(random)).collect();
            Scalar::RoundProduct(factors, [6, 10, 12][random.random_range(0..3)])
        }
        _ => {
            let (a, b) = pair(random);
            let (top, bottom) = (random.random_range(0..19), random.random_range(0..19));
            Scalar::RoundQuotient(Box::new((*a, top)), Box::new((*b, bottom)), 12)
        }
    }
}

/// A random expression that gives a truth.
fn condition(depth: usize, random: &mut Pcg64) -> Scalar {
    if depth == 0 {
        return Scalar::Column(NUMBERS + random.random_range(0..FLAGS));
    }
    let pair =
        |random: &mut Pcg64| (boxed(condition(depth - 1, random)), boxed(condition(depth - 1, random)));
    let numbers = |random: &mut Pcg64| (boxed(numeric(depth - 1, random)), boxed(numeric(depth - 1, random)));
    match random.random_range(0..8) {
        0 | 1 => {
            use Comparison::*;
            let comparison = [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual];
            let (a, b) = numbers(random);
            Scalar::Compare(comparison[random.random_range(0..6)], a, b)
        }
        2 => {
            let (a, b) = pair(random);
            Scalar::And(a, b)
        }
        3 => {
            let (a, b) = pair(random);
            Scalar::Or(a, b)
        }
        4 => Scalar::Not(boxed(condition(depth - 1, random))),
        5 => Scalar::IsNull(boxed(numeric(depth - 1, random))),
        6 => {
            let (a, b) = numbers(random);
            Scalar::Same(a, b)
        }
        _ => {
            let list = (0..random.random_range(1..5)).map(|_| number(3, random)).collect();
            Scalar::In(boxed(numeric(depth - 1, random)), list)
        }
    }
}

/// What SQL says of one row, in the most obvious way.
fn reference(scalar: &Scalar, row: &[Datum]) -> Datum {
    let of = |scalar: &Scalar| reference(scalar, row);
    let some = |datum: Datum| (datum != NULL).then_some(datum);
    let truth = |datum: Datum| some(datum).map(|datum| datum == 1);
    let datum_of = |truth: Option<bool>| truth.map_or(NULL, Datum::from);
    let both = |a: &Scalar, b: &Scalar| Some((some(of(a))?, some(of(b))?));
    match scalar {
        Scalar::Column(column) => row[*column],
        Scalar::Const(datum) => *datum,
        Scalar::Add(a, b) => both(a, b).and_then(|(a, b)| a.checked_add(b)).unwrap_or(NULL),
        Scalar::Subtract(a, b) => both(a, b).and_then(|(a, b)| a.checked_sub(b)).unwrap_or(NULL),
        Scalar::Multiply(a, b) => both(a, b).and_then(|(a, b)| a.checked_mul(b)).unwrap_or(NULL),
        Scalar::Negate(a) => some(of(a)).map_or(NULL, |a| -a),
        Scalar::Compare(comparison, a, b) => datum_of(both(a, b).map(|(a, b)| match comparison {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
        })),
        Scalar::And(a, b) => datum_of(match (truth(of(a)), truth(of(b))) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }),
        Scalar::Or(a, b) => datum_of(match (truth(of(a)), truth(of(b))) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }),
        Scalar::Not(a) => datum_of(truth(of(a)).map(|a| !a)),
        Scalar::IsNull(a) => Datum::from(some(of(a)).is_none()),
        Scalar::Same(a, b) => Datum::from(some(of(a)) == some(of(b))),
        Scalar::In(a, list) => datum_of(some(of(a)).map(|a| list.contains(&a))),
        Scalar::Case(branches, otherwise) => {
            let branch = branches.iter().find(|(condition, _)| truth(of(condition)) == Some(true));
            branch.map_or_else(|| of(otherwise), |(_, value)| of(value))
        }
        Scalar::Coalesce(all) => all.iter().find_map(|one| some(of(one))).unwrap_or(NULL),
        Scalar::Greatest(all) => all.iter().filter_map(|one| some(of(one))).max().unwrap_or(NULL),
        Scalar::Least(all) => all.iter().filter_map(|one| some(of(one))).min().unwrap_or(NULL),
        Scalar::RoundProduct(factors, scale) => {
            let factors: Option<Vec<(Datum, u8)>> =
                factors.iter().map(|(factor, scale)| Some((some(of(factor))?, *scale))).collect();
            factors.and_then(|factors| round_product(&factors, *scale)).unwrap_or(NULL)
        }
        Scalar::RoundQuotient(a, b, scale) => both(&a.0, &b.0)
            .and_then(|(top, bottom)| round_quotient((top, a.1), (bottom, b.1), *scale))
            .unwrap_or(NULL),
    }
}

fn columns(rows: usize, random: &mut Pcg64) -> Vec<Vec<Datum>> {
    // A kind that is drawn for the whole column: small ones stay at 64 bits.
    let numbers = (0..NUMBERS).map(|column| if random.random_range(0..2) == 0 { 0 } else { column });
    let kinds: Vec<usize> = numbers.collect();
    let mut columns: Vec<Vec<Datum>> =
        kinds.iter().map(|&kind| (0..rows).map(|_| number(kind, random)).collect()).collect();
    let flag = |random: &mut Pcg64| [0, 1, NULL][random.random_range(0..3)];
    columns.extend((0..FLAGS).map(|_| (0..rows).map(|_| flag(random)).collect::<Vec<_>>()));
    columns
}

/// A column as a lane: the same everywhere, wide, or as narrow as it is kept.
fn lane<'a>(column: &'a [Datum], kept: &'a Values, wide: bool) -> Lane<'a> {
    match column {
        [first, rest @ ..] if rest.iter().all(|datum| datum == first) => Lane::Const(*first),
        _ if wide => Lane::Wide(column),
        _ => kept.lane(),
    }
}

#[test]
fn scalars_in_columns_are_those_of_their_rows() {
    for seed in 0..120 {
        let random = &mut Pcg64::seed_from_u64(seed);
        let scalars: Vec<Scalar> = (0..6)
            .map(|at| if at % 3 == 2 { condition(3, random) } else { numeric(1 + at % 4, random) })
            .collect();
        let program = Program::new(&scalars);
        let asked: Vec<usize> = (0..scalars.len()).collect();
        // One scratch for all batches, as the engine has: what one leaves behind reaches no other.
        let mut scratch = Scratch::default();
        for rows in SIZES {
            let columns = columns(rows, random);
            let kept: Vec<Values> = columns.iter().map(|column| column.iter().copied().collect()).collect();
            let lanes: Vec<Lane> = columns
                .iter()
                .zip(&kept)
                .map(|(column, kept)| lane(column, kept, random.random_range(0..4) == 0))
                .collect();
            let expected = |scalar: &Scalar| -> Vec<Datum> {
                let row = |row: usize| columns.iter().map(|column| column[row]).collect::<Vec<_>>();
                (0..rows).map(|at| reference(scalar, &row(at))).collect()
            };
            let outputs = program.run(&asked, &lanes, rows, &mut scratch);
            for (at, scalar) in scalars.iter().enumerate() {
                let values: Vec<Datum> = (0..rows).map(|row| outputs.lane(at).get(row)).collect();
                assert_eq!(values, expected(scalar), "seed {seed}, {rows} rows: {scalar:?}");
            }
            // Some of them alone, and in batches.
            let some: Vec<usize> = asked.iter().copied().filter(|_| random.random_range(0..2) == 0).collect();
            let mut batched = vec![Values::default(); scalars.len()];
            program.evaluate_into(&some, &lanes, rows, &mut scratch, &mut batched);
            for at in some {
                let values: Vec<Datum> = (0..rows).map(|row| batched[at].get(row)).collect();
                assert_eq!(values, expected(&scalars[at]), "seed {seed}, {rows} rows: {:?}", scalars[at]);
            }
            for row in [0, rows / 2, rows - 1] {
                let data: Vec<Datum> = columns.iter().map(|column| column[row]).collect();
                for scalar in &scalars {
                    assert_eq!(scalar.value(&data), reference(scalar, &data), "seed {seed}: {scalar:?}");
                }
            }
        }
    }
}

/// Products at the edges of 64 and 128 bits, and halves that round to even, by way of every power of ten.
#[test]
fn rounded_products_are_exact_at_every_edge() {
    let mut edges: Vec<Datum> = vec![0, 1, -1, 2, 5, 15, 25, -25, 35, NULL, Datum::MAX, Datum::MIN + 1];
    for exponent in 0..=38 {
        let power = power_of_ten(exponent);
        edges.extend([power, -power, power - 1, power / 2, power / 2 + 1]);
    }
    for bits in [31, 32, 62, 63, 64, 65, 95, 96, 126] {
        edges.extend([(1 << bits) - 1, 1 << bits, -(1i128 << bits)]);
    }
    let kept = |values: Vec<Datum>| values.into_iter().collect::<Values>();
    for (scales, to) in
        [([6, 8, 20], 6), ([8, 20, 12], 10), ([12, 12, 0], 12), ([0, 0, 0], 6), ([18, 18, 18], 6)]
    {
        let factor = |at: usize| (Scalar::Column(at), scales[at]);
        let scalar = Scalar::RoundProduct((0..3).map(factor).collect(), to);
        let program = Program::new([&scalar]);
        // Every seventh: with the first two they still meet at every power of ten.
        for &third in edges.iter().step_by(7) {
            let all = || edges.iter().flat_map(|&a| edges.iter().map(move |&b| [a, b, third]));
            let columns: Vec<Values> = (0..3).map(|at| kept(all().map(|row| row[at]).collect())).collect();
            let lanes: Vec<Lane> = columns.iter().map(Values::lane).collect();
            let values = program.evaluate(&lanes, edges.len().pow(2)).remove(0);
            for (at, row) in all().enumerate() {
                assert_eq!(values.get(at), reference(&scalar, &row), "{row:?} at {scales:?} to {to}");
            }
        }
    }
}

/// An expression as DataFusion executes it, which knows some functions only by what they are simplified to.
fn simplified(expr: &Expr, input: &DFSchema) -> Expr {
    let context = SimplifyContext::builder().with_schema(Arc::new(input.clone())).build();
    ExprSimplifier::new(context).simplify(expr.clone().unalias()).unwrap()
}

const SQL: [&str; 18] = [
    "q + p",
    "-q",
    "q * CAST(-1 AS DECIMAL(1, 0))",
    "q * p",
    "round6(q, p)",
    "round6(q * n, p, f)",
    "round10(p, f, r)",
    "round10(p + COALESCE(q, CAST(0 AS DECIMAL(18, 8))), f, r)",
    "round12(r, quotient12(1, r))",
    "quotient12(q, p)",
    "CASE WHEN t IN ('A', 'B') THEN q WHEN b THEN p ELSE CAST(0 AS DECIMAL(18, 6)) END",
    "CASE WHEN b AND q > p THEN round6(q, p, f) WHEN f IS NOT NULL THEN CAST(0 AS DECIMAL(38, 6)) END",
    "COALESCE(q, p, CAST(1 AS DECIMAL(18, 6)))",
    "GREATEST(q, p)",
    "LEAST(q, CAST(0 AS DECIMAL(18, 6)))",
    "CAST(b AND t = 'A' OR NOT (n > 3) AS BOOLEAN)",
    "(t IS DISTINCT FROM 'A') AND (q <= p OR n <> 2)",
    "COALESCE(n >= 0 AND t NOT IN ('A', 'C'), FALSE)",
];

#[test]
fn scalars_in_columns_are_those_of_datafusion() {
    let decimal = |precision, scale| DataType::Decimal128(precision, scale);
    let fields = [
        ("q", decimal(18, 6)),
        ("p", decimal(18, 8)),
        ("f", decimal(38, 20)),
        ("r", decimal(24, 12)),
        ("n", DataType::Int64),
        ("t", DataType::Utf8),
        ("b", DataType::Boolean),
    ];
    let fields: Vec<Field> = fields.into_iter().map(|(name, of)| Field::new(name, of, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut planner = Planner::new(&tickview::schema::Schema::base(), 1);
    planner.add_relation("sample", Arc::clone(&schema));
    let text = format!("SELECT {} FROM sample", SQL.join(", "));
    let Statement::Query(query) = Parser::parse_sql(&GenericDialect {}, &text).unwrap().remove(0) else {
        panic!("that is a query")
    };
    let LogicalPlan::Projection(plan) = planner.logical(&query).unwrap() else { panic!("it projects") };
    let input: &DFSchema = plan.input.schema();
    let mut names = Dictionary::default();
    let leaves: Vec<Scalar> = (0..schema.fields().len()).map(Scalar::Column).collect();
    let compiled = |expr: &Expr, names: &mut Dictionary| compile(expr, input, &leaves, names).unwrap();
    let scalars: Vec<Scalar> = plan.expr.iter().map(|expr| compiled(expr, &mut names)).collect();
    let program = Program::new(&scalars);
    let codes: Vec<Datum> = ["A", "B", "C", "D"].map(|text| names.intern(text).into()).to_vec();
    for (seed, rows) in (0..).zip(SIZES) {
        let random = &mut Pcg64::seed_from_u64(seed);
        let mut draw = |of: &mut dyn FnMut(&mut Pcg64) -> Datum| -> Vec<Datum> {
            (0..rows).map(|_| if random.random_range(0..8) == 0 { NULL } else { of(random) }).collect()
        };
        let mut number = |most: i64| draw(&mut |random| random.random_range(-most..most).into());
        let columns = [
            number(9_999_999_999),
            number(99_999_999_999),
            draw(&mut |random| power_of_ten(random.random_range(16..22)) * 5),
            draw(&mut |random| random.random_range(1..9_000_000_000_000i64).into()),
            draw(&mut |random| random.random_range(-5..5i64).into()),
            draw(&mut |random| codes[random.random_range(0..4)]),
            draw(&mut |random| random.random_range(0..2i64).into()),
        ];
        let some = |datum: &Datum| (*datum != NULL).then_some(*datum);
        let arrays: Vec<ArrayRef> = columns
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| -> ArrayRef {
                match field.data_type() {
                    DataType::Decimal128(precision, scale) => {
                        let array: Decimal128Array = column.iter().map(some).collect();
                        Arc::new(array.with_precision_and_scale(*precision, *scale).unwrap())
                    }
                    DataType::Int64 => {
                        let values = column.iter().map(|datum| some(datum).map(|value| value as i64));
                        Arc::new(values.collect::<datafusion::arrow::array::Int64Array>())
                    }
                    DataType::Utf8 => {
                        let texts =
                            column.iter().map(|datum| some(datum).map(|code| names.text(code as u32)));
                        Arc::new(texts.collect::<StringArray>())
                    }
                    _ => {
                        let flags = column.iter().map(|datum| some(datum).map(|flag| flag == 1));
                        Arc::new(flags.collect::<BooleanArray>())
                    }
                }
            })
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        let kept: Vec<Values> = columns.iter().map(|column| column.iter().copied().collect()).collect();
        let lanes: Vec<Lane> = kept.iter().map(Values::lane).collect();
        let values = program.evaluate(&lanes, rows);
        for ((expr, values), text) in plan.expr.iter().zip(values).zip(SQL) {
            let physical = planner.state().create_physical_expr(simplified(expr, input), input).unwrap();
            let array = match physical.evaluate(&batch).unwrap() {
                ColumnarValue::Array(array) => array,
                scalar => scalar.into_array(rows).unwrap(),
            };
            for row in 0..rows {
                let expected = match array.data_type() {
                    _ if array.is_null(row) => NULL,
                    DataType::Boolean => array.as_boolean().value(row).into(),
                    DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
                    _ => array.as_primitive::<Decimal128Type>().value(row),
                };
                assert_eq!(values.get(row), expected, "row {row} of {rows}: {text}");
            }
        }
    }
}
