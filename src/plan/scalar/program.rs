//! Scalars compiled together: what several of them have in common is one step, computed once a batch.
//!
//! A [`Program`] is a list of steps, each after those it reads; `CASE` and its like are chains of choices
//! between two lanes, so no step branches. [`Program::run`] computes a batch of rows for the outputs it is
//! asked for, and no step that only others read. What it needs in between is kept in a [`Scratch`], in as
//! few registers as steps live at once, so a batch allocates nothing.
//!
//! Cost: a few nanoseconds a step and batch, and about one a step and row. Batches of [`BATCH_ROWS`] keep
//! all registers in the core's first caches.

use hashbrown::HashMap;

use super::lane::{Lane, Values};
use super::round::Factors;
use super::run::{Lanes, compute};
use super::{Comparison, Scalar};
use crate::datum::{Datum, NULL};

/// Rows that are best run in one go: a register of them is 2 kB.
pub const BATCH_ROWS: usize = 256;

/// The number of a step.
pub(super) type Id = u16;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Input(usize),
    Const(Datum),
    Add(Id, Id),
    Subtract(Id, Id),
    Multiply(Id, Id),
    Negate(Id),
    Compare(Comparison, Id, Id),
    And(Id, Id),
    Or(Id, Id),
    Not(Id),
    IsNull(Id),
    Same(Id, Id),
    In(Id, Vec<Datum>),
    /// The second where the first is true, else the third.
    Choose(Id, Id, Id),
    Coalesce(Id, Id),
    Greatest(Id, Id),
    Least(Id, Id),
    RoundProduct(Vec<(Id, u8)>, u8),
    RoundQuotient((Id, u8), (Id, u8), u8),
}

/// Scalars over the same inputs, as steps.
#[derive(Debug, Clone)]
pub struct Program {
    steps: Vec<Step>,
    /// The step of each scalar.
    outputs: Vec<Id>,
}

/// What one program computes in between, and in which order for the outputs it was last asked for.
#[derive(Debug, Default)]
pub struct Scratch {
    asked: Vec<usize>,
    /// Steps to compute, and the register of each.
    pub(super) order: Vec<(Id, u16)>,
    /// By step: its register, where the order has it.
    pub(super) registers_of: Vec<u16>,
    pub(super) registers: Vec<Register>,
    /// By step: it came out with more than 64 bits the last time.
    pub(super) is_wide: Vec<bool>,
    pub(super) factors: Factors,
}

/// A computed lane.
#[derive(Debug, Default)]
pub(super) struct Register {
    pub(super) narrow: Vec<i64>,
    pub(super) wide: Vec<Datum>,
    pub(super) is_wide: bool,
}

/// The lanes of a run.
pub struct Outputs<'a> {
    program: &'a Program,
    scratch: &'a Scratch,
    inputs: &'a [Lane<'a>],
    len: usize,
}

impl<'a> Outputs<'a> {
    /// The lane of an output that was asked for.
    #[inline]
    pub fn lane(&self, output: usize) -> Lane<'a> {
        let Outputs { program, scratch, inputs, len } = *self;
        let lanes = Lanes {
            steps: &program.steps,
            registers_of: &scratch.registers_of,
            registers: &scratch.registers,
            inputs,
            len,
        };
        lanes.get(program.outputs[output])
    }
}

impl Program {
    pub fn new<'a>(scalars: impl IntoIterator<Item = &'a Scalar>) -> Program {
        let mut builder = Builder::default();
        let outputs = scalars.into_iter().map(|scalar| builder.step(scalar)).collect();
        Program { steps: builder.steps, outputs }
    }

    /// How many scalars it computes.
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Computes the asked outputs for `len` rows.
    ///
    /// `inputs[c]` is column `c`, at least `len` long; what no asked output reads may be anything. A scratch
    /// serves one program.
    pub fn run<'a>(
        &'a self,
        asked: &[usize],
        inputs: &'a [Lane<'a>],
        len: usize,
        scratch: &'a mut Scratch,
    ) -> Outputs<'a> {
        if scratch.registers_of.len() != self.steps.len() || scratch.asked != asked {
            self.plan(asked, scratch);
        }
        compute(&self.steps, scratch, inputs, len);
        Outputs { program: self, scratch, inputs, len }
    }

    /// All outputs for columns of any length, batch by batch.
    pub fn evaluate(&self, inputs: &[Lane], len: usize) -> Vec<Values> {
        let mut columns = vec![Values::default(); self.len()];
        let asked: Vec<usize> = (0..self.len()).collect();
        self.evaluate_into(&asked, inputs, len, &mut Scratch::default(), &mut columns);
        columns
    }

    /// As [`Self::evaluate`], of the asked outputs only, into columns that are kept: the column of output `o`
    /// is `columns[o]`.
    pub fn evaluate_into(
        &self,
        asked: &[usize],
        inputs: &[Lane],
        len: usize,
        scratch: &mut Scratch,
        columns: &mut [Values],
    ) {
        asked.iter().for_each(|&output| columns[output].clear());
        let mut batch = Vec::with_capacity(inputs.len());
        for start in (0..len).step_by(BATCH_ROWS) {
            let rows = start..len.min(start + BATCH_ROWS);
            batch.clear();
            batch.extend(inputs.iter().map(|lane| match lane {
                // An input that nothing reads may be empty.
                Lane::Narrow([]) | Lane::Wide([]) => Lane::Const(NULL),
                lane => lane.slice(rows.clone()),
            }));
            let outputs = self.run(asked, &batch, rows.len(), scratch);
            for &output in asked {
                columns[output].append(outputs.lane(output), rows.len());
            }
        }
    }

    /// Says which steps the outputs need, and gives each a register from its own run to its last reader's.
    fn plan(&self, asked: &[usize], scratch: &mut Scratch) {
        const NO_READER: usize = usize::MAX;
        let count = self.steps.len();
        // By step: the last step that reads it.
        let mut read_last = vec![NO_READER; count];
        let mut needed = vec![false; count];
        for &output in asked {
            needed[self.outputs[output] as usize] = true;
            read_last[self.outputs[output] as usize] = count;
        }
        for at in (0..count).rev().filter(|&at| self.steps[at].is_computed()) {
            if needed[at] {
                self.steps[at].reads(&mut |read| {
                    let read = read as usize;
                    needed[read] = true;
                    if read_last[read] == NO_READER {
                        read_last[read] = at;
                    }
                });
            }
        }
        let mut free: Vec<u16> = Vec::new();
        let mut registers = 0;
        scratch.order.clear();
        scratch.registers_of.clear();
        scratch.registers_of.resize(count, 0);
        for at in (0..count).filter(|&at| needed[at] && self.steps[at].is_computed()) {
            let register = free.pop().unwrap_or_else(|| {
                registers += 1;
                registers - 1
            });
            scratch.registers_of[at] = register;
            scratch.order.push((at as Id, register));
            self.steps[at].reads(&mut |read| {
                let read = read as usize;
                if self.steps[read].is_computed() && std::mem::replace(&mut read_last[read], NO_READER) == at
                {
                    // A second read by the same step finds it freed.
                    free.push(scratch.registers_of[read]);
                }
            });
        }
        scratch.registers.resize_with(scratch.registers.len().max(registers.into()), Register::default);
        scratch.is_wide.resize(count, false);
        scratch.asked.clear();
        scratch.asked.extend_from_slice(asked);
    }
}

impl Step {
    /// Neither an input nor a constant.
    fn is_computed(&self) -> bool {
        !matches!(self, Step::Input(_) | Step::Const(_))
    }

    fn reads(&self, f: &mut dyn FnMut(Id)) {
        match self {
            Step::Input(_) | Step::Const(_) => {}
            Step::Negate(a) | Step::Not(a) | Step::IsNull(a) | Step::In(a, _) => f(*a),
            Step::Add(a, b)
            | Step::Subtract(a, b)
            | Step::Multiply(a, b)
            | Step::Compare(_, a, b)
            | Step::And(a, b)
            | Step::Or(a, b)
            | Step::Same(a, b)
            | Step::Coalesce(a, b)
            | Step::Greatest(a, b)
            | Step::Least(a, b)
            | Step::RoundQuotient((a, _), (b, _), _) => [*a, *b].into_iter().for_each(f),
            Step::Choose(a, b, c) => [*a, *b, *c].into_iter().for_each(f),
            Step::RoundProduct(factors, _) => factors.iter().for_each(|(factor, _)| f(*factor)),
        }
    }
}

#[derive(Default)]
struct Builder {
    steps: Vec<Step>,
    known: HashMap<Step, Id>,
}

impl Builder {
    fn step(&mut self, scalar: &Scalar) -> Id {
        let mut is_const = true;
        scalar.columns(&mut |_| is_const = false);
        if is_const {
            return self.number(Step::Const(scalar.value(&[])));
        }
        let step = match scalar {
            Scalar::Column(column) => Step::Input(*column),
            Scalar::Const(datum) => Step::Const(*datum),
            Scalar::Add(a, b) => Step::Add(self.step(a), self.step(b)),
            Scalar::Subtract(a, b) => Step::Subtract(self.step(a), self.step(b)),
            Scalar::Multiply(a, b) => match (a.as_ref(), b.as_ref()) {
                (Scalar::Const(1), other) | (other, Scalar::Const(1)) => return self.step(other),
                _ => Step::Multiply(self.step(a), self.step(b)),
            },
            Scalar::Negate(a) => Step::Negate(self.step(a)),
            Scalar::Compare(comparison, a, b) => Step::Compare(*comparison, self.step(a), self.step(b)),
            Scalar::And(a, b) => match (a.as_ref(), b.as_ref()) {
                (Scalar::Const(1), other) | (other, Scalar::Const(1)) => return self.step(other),
                _ => Step::And(self.step(a), self.step(b)),
            },
            Scalar::Or(a, b) => Step::Or(self.step(a), self.step(b)),
            Scalar::Not(a) => Step::Not(self.step(a)),
            Scalar::IsNull(a) => Step::IsNull(self.step(a)),
            Scalar::Same(a, b) => Step::Same(self.step(a), self.step(b)),
            Scalar::In(a, list) => Step::In(self.step(a), list.clone()),
            Scalar::Case(branches, otherwise) => {
                let mut chosen = self.step(otherwise);
                for (condition, value) in branches.iter().rev() {
                    chosen = match self.step(condition) {
                        condition if self.steps[condition as usize] == Step::Const(1) => self.step(value),
                        condition if matches!(self.steps[condition as usize], Step::Const(_)) => chosen,
                        condition => match self.step(value) {
                            value if value == chosen => chosen,
                            value => self.number(Step::Choose(condition, value, chosen)),
                        },
                    };
                }
                return chosen;
            }
            Scalar::Coalesce(all) => return self.fold(all, Step::Coalesce),
            Scalar::Greatest(all) => return self.fold(all, Step::Greatest),
            Scalar::Least(all) => return self.fold(all, Step::Least),
            Scalar::RoundProduct(factors, scale) => {
                let factors = factors.iter().map(|(factor, scale)| (self.step(factor), *scale)).collect();
                Step::RoundProduct(factors, *scale)
            }
            Scalar::RoundQuotient(a, b, scale) => {
                Step::RoundQuotient((self.step(&a.0), a.1), (self.step(&b.0), b.1), *scale)
            }
        };
        self.number(step)
    }

    fn fold(&mut self, all: &[Scalar], of: fn(Id, Id) -> Step) -> Id {
        let mut result = self.step(&all[0]);
        for one in &all[1..] {
            let one = self.step(one);
            result = self.number(of(result, one));
        }
        result
    }

    /// The number of a step, which is new the first time it is met.
    fn number(&mut self, step: Step) -> Id {
        if let Some(&known) = self.known.get(&step) {
            return known;
        }
        let id = Id::try_from(self.steps.len()).expect("a program has fewer than 65,536 steps");
        self.steps.push(step.clone());
        self.known.insert(step, id);
        id
    }
}
