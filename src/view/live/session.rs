//! What it takes to plan a view in one reporting currency: made once, so that a view is planned in its own
//! time alone.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col};
use hashbrown::{HashMap, HashSet};

use crate::console::RELATIONS;
use crate::dictionary::Dictionary;
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::live::{Core, GROUP};
use crate::plan::relation::{Relation, relations};
use crate::plan::scan::Leaf;
use crate::schema::{Schema, TableId};

/// The groups of a view as the plan around its core reads them.
pub(super) const GROUPS: &str = "(groups)";

/// Shipped relations whose rows are those of base rows.
const OF_ROWS: [&str; 2] = ["counting_order", "leg"];

pub(super) struct Session {
    /// Reads shipped relations as names.
    pub named: Planner,
    /// Reads them as the queries they are.
    pub whole: Planner,
    pub shipped: HashMap<String, Vec<Relation>>,
    plans: HashMap<String, LogicalPlan>,
}

/// What a query reads.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub tables: HashSet<TableId>,
    /// The engine's own state, which any tick may change.
    pub system: bool,
}

impl Session {
    pub fn new(
        schema: &Schema,
        catalog: &Catalog,
        currency: &str,
        names: &mut Dictionary,
    ) -> Result<Session> {
        let parameters = Parameters { currency: currency.to_owned(), exclude_cash: false };
        let mut session = Session {
            named: Planner::new(schema, 1),
            whole: Planner::new(schema, 1),
            shipped: HashMap::new(),
            plans: HashMap::new(),
        };
        for relation in RELATIONS {
            let query = catalog.bound(relation, &parameters);
            let plan = session.named.logical(&query)?;
            if OF_ROWS.contains(&relation) {
                let rows = relations(&plan, names, &session.shipped)?;
                session.shipped.insert(relation.to_owned(), rows);
            }
            session.named.add_relation(relation, Arc::new(plan.schema().as_arrow().clone()));
            session.plans.insert(relation.to_owned(), plan);
            session.whole.inline(relation, &query)?;
        }
        Ok(session)
    }

    pub fn reads(&self, plan: &LogicalPlan, schema: &Schema) -> Result<Reads> {
        let mut reads = Reads::default();
        self.add_reads(plan, schema, &mut reads)?;
        Ok(reads)
    }

    fn add_reads(&self, plan: &LogicalPlan, schema: &Schema, reads: &mut Reads) -> Result<()> {
        let mut names = Vec::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                names.push(scan.table_name.to_string());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        for name in names {
            match (self.plans.get(&name), schema.find(&name)) {
                (Some(plan), _) => self.add_reads(plan, schema, reads)?,
                (None, Some(table)) => drop(reads.tables.insert(table.id)),
                (None, None) => reads.system = true,
            }
        }
        Ok(())
    }
}

/// Whether rows of a core carry the number of their group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbered {
    Yes,
    No,
}

/// The rows of a core as a plan: a leaf that is filled before each run. With their numbers, where the plan around
/// them says whose row is whose.
pub(super) fn groups_of(core: &Core, numbered: Numbered) -> Result<LogicalPlan> {
    let fields = core.schema.fields().iter().enumerate();
    let mut fields: Vec<Field> = fields
        .map(|(at, field)| Field::new(format!("c{at}"), field.data_type().clone(), field.is_nullable()))
        .collect();
    fields.push(Field::new(GROUP, DataType::Int64, false));
    let leaf = Leaf::relation(GROUPS, Arc::new(ArrowSchema::new(fields)));
    let named = core.schema.iter().enumerate().map(|(at, (qualifier, field))| -> Expr {
        col(format!("c{at}")).alias_qualified(qualifier.cloned(), field.name().clone())
    });
    let number = Expr::Column(Column::new_unqualified(GROUP)).alias(GROUP);
    let named = named.chain((numbered == Numbered::Yes).then_some(number));
    let scan = LogicalPlanBuilder::scan(GROUPS, provider_as_source(Arc::new(leaf)), None)?;
    Ok(scan.project(named.collect::<Vec<_>>())?.build()?)
}
