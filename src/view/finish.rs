//! What is shown of groups, from their aggregates: the outputs of each part, and the measures over these.
//!
//! Both are programs, run for many groups of any levels at once, so that the cost of walking an expression is
//! shared by them. A share of the total is no function of its group alone: it is left to who knows the total.
//! Cost: about a nanosecond a step of the programs and group, and a few a step and batch.

use super::groups::GroupId;
use super::recompute::quality_of;
use super::result::Cell;
use super::shape::{MeasureOf, Priced};
use crate::datum::{Datum, NULL};
use crate::plan::scalar::{BATCH_ROWS, Lane, Outputs, Program, Scratch, Values};

/// The last steps of the views of a shape.
pub struct Finish {
    /// By part: its outputs, over its aggregates.
    parts: Vec<Program>,
    /// What makes the cells of measures, over what they read of the parts.
    measures: Program,
    /// What measures read: a part and a place among its outputs.
    reads: Vec<(usize, usize)>,
    shown: Vec<Shown>,
}

/// How a measure's cell comes from the outputs of the measures' program.
#[derive(Debug, Clone, Copy)]
enum Shown {
    Plain(usize),
    Graded(usize, usize),
    Weight,
}

/// What one view wants of it, with the room that takes; the room grows with the groups that move at once.
pub struct Finishing {
    parts: Vec<OfPart>,
    /// As of the shape; none where the output is not wanted.
    reads: Vec<Option<(usize, usize)>>,
    /// Outputs of the measures' program.
    asked: Vec<usize>,
    scratch: Scratch,
    /// By measure: how its cell comes; none where it is not wanted.
    shown: Vec<Option<Shown>>,
    cells: Vec<Cell>,
}

/// The lanes of a measure.
enum Of<'a> {
    Plain(Lane<'a>),
    Graded(Lane<'a>, Lane<'a>),
    Later,
}

struct OfPart {
    /// The outputs that are wanted, and the aggregates they read.
    asked: Vec<usize>,
    aggregates: Vec<usize>,
    /// By aggregate: its values, group after group.
    columns: Vec<Values>,
    scratch: Scratch,
}

impl Finish {
    pub fn new(parts: &[Priced], measures: &[MeasureOf], reads: Vec<(usize, usize)>) -> Finish {
        let of_part = |priced: &Priced| Program::new(priced.part.outputs.iter().map(|(_, scalar)| scalar));
        let mut scalars = Vec::new();
        let mut place = |scalar| {
            scalars.push(scalar);
            scalars.len() - 1
        };
        let shown = measures.iter().map(|measure| match measure {
            MeasureOf::Plain(value) => Shown::Plain(place(value)),
            MeasureOf::Graded(value, quality) => Shown::Graded(place(value), place(quality)),
            MeasureOf::Weight(_) => Shown::Weight,
        });
        let shown = shown.collect();
        Finish { parts: parts.iter().map(of_part).collect(), measures: Program::new(scalars), reads, shown }
    }
}

impl Finishing {
    /// By part, the outputs and the aggregates that are wanted, and the measures.
    pub fn new(
        finish: &Finish,
        outputs: &[Vec<bool>],
        aggregates: &[Vec<bool>],
        measures: &[bool],
    ) -> Finishing {
        let places = |wanted: &[bool]| (0..wanted.len()).filter(|&at| wanted[at]).collect::<Vec<usize>>();
        let parts = outputs.iter().zip(aggregates).map(|(outputs, aggregates)| OfPart {
            asked: places(outputs),
            aggregates: places(aggregates),
            columns: vec![Values::default(); aggregates.len()],
            scratch: Scratch::default(),
        });
        let shown: Vec<Option<Shown>> =
            finish.shown.iter().zip(measures).map(|(&shown, &wanted)| wanted.then_some(shown)).collect();
        let asked = shown.iter().flatten().flat_map(|shown| match *shown {
            Shown::Plain(value) => [Some(value), None],
            Shown::Graded(value, quality) => [Some(value), Some(quality)],
            Shown::Weight => [None, None],
        });
        let reads =
            finish.reads.iter().map(|&(part, output)| outputs[part][output].then_some((part, output)));
        Finishing {
            parts: parts.collect(),
            reads: reads.collect(),
            asked: asked.flatten().collect(),
            scratch: Scratch::default(),
            shown,
            cells: Vec::new(),
        }
    }

    /// Computes the cells of groups, each of a level, in their order; `values` gives the aggregates of a part.
    ///
    /// Weights and what is not wanted are handed out empty.
    pub fn evaluate<'v>(
        &mut self,
        finish: &Finish,
        groups: &[(usize, GroupId)],
        values: &dyn Fn(usize, usize, GroupId) -> &'v [Datum],
        take: &mut dyn FnMut(usize, GroupId, &mut [Cell]),
    ) {
        let Finishing { parts, reads, asked, scratch, shown, cells } = self;
        for groups in groups.chunks(BATCH_ROWS) {
            let len = groups.len();
            let mut inputs: Vec<(&[usize], Vec<Lane>, &mut Scratch)> = Vec::with_capacity(parts.len());
            for (part, OfPart { asked, aggregates, columns, scratch }) in parts.iter_mut().enumerate() {
                aggregates.iter().for_each(|&aggregate| columns[aggregate].clear());
                for &(level, group) in groups {
                    let values = values(part, level, group);
                    aggregates.iter().for_each(|&aggregate| columns[aggregate].push(values[aggregate]));
                }
                inputs.push((asked, columns.iter().map(Values::lane).collect(), scratch));
            }
            let outputs: Vec<Outputs> = inputs
                .iter_mut()
                .zip(&finish.parts)
                .map(|((asked, lanes, scratch), program)| program.run(asked, lanes, len, scratch))
                .collect();
            let read = |read: &Option<(usize, usize)>| match *read {
                Some((part, output)) => outputs[part].lane(output),
                None => Lane::Const(NULL),
            };
            let lanes: Vec<Lane> = reads.iter().map(read).collect();
            let results = finish.measures.run(asked, &lanes, len, scratch);
            let lanes: Vec<Of> = shown
                .iter()
                .map(|shown| match *shown {
                    Some(Shown::Plain(value)) => Of::Plain(results.lane(value)),
                    Some(Shown::Graded(value, quality)) => {
                        Of::Graded(results.lane(value), results.lane(quality))
                    }
                    Some(Shown::Weight) | None => Of::Later,
                })
                .collect();
            for (row, &(level, group)) in groups.iter().enumerate() {
                cells.clear();
                cells.extend(lanes.iter().map(|lane| match lane {
                    Of::Plain(value) => Cell::new(value.get(row)),
                    Of::Graded(value, quality) => {
                        Cell { value: value.get(row), quality: quality_of(quality.get(row)) }
                    }
                    Of::Later => Cell::EMPTY,
                }));
                take(level, group, cells);
            }
        }
    }
}
