//! What `GET /api/catalog` and `GET /api/status` answer.

use serde::Serialize;

use crate::catalog::{Catalog, Kind, Measure, Rollover, Status, View};
use crate::view::spec::Basis;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson<'a> {
    business_date: Option<&'a str>,
    rollover: Option<RolloverJson<'a>>,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<bool>,
}

#[derive(Serialize)]
struct RolloverJson<'a> {
    to: &'a str,
    arrived: u64,
    expected: u64,
}

#[derive(Serialize)]
struct CatalogJson<'a> {
    #[serde(flatten)]
    status: StatusJson<'a>,
    accounts: Vec<AccountJson<'a>>,
    portfolios: &'a [String],
    currencies: &'a [String],
    views: Vec<ViewJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountJson<'a> {
    id: &'a str,
    name: Option<&'a str>,
    strategy: Option<&'a str>,
    region: Option<&'a str>,
    base_currency: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ViewJson<'a> {
    name: &'a str,
    title: &'a str,
    kind: &'static str,
    group_by: &'a [String],
    default_group_by: &'a [String],
    exposures: bool,
    portfolios: bool,
    measures: Vec<MeasureJson<'a>>,
}

#[derive(Serialize)]
struct MeasureJson<'a> {
    name: &'a str,
    title: &'a str,
    unit: &'static str,
    basis: Option<&'static str>,
    scale: u8,
    doc: &'a str,
}

pub fn status_json(status: &Status) -> String {
    json(&StatusJson { ready: Some(status.ready), ..status_fields(status) })
}

pub fn catalog_json(catalog: &Catalog) -> String {
    let accounts = catalog.accounts.iter().map(|account| AccountJson {
        id: &account.id,
        name: account.name.as_deref(),
        strategy: account.strategy.as_deref(),
        region: account.region.as_deref(),
        base_currency: account.base_currency.as_deref(),
    });
    json(&CatalogJson {
        status: status_fields(&catalog.status),
        accounts: accounts.collect(),
        portfolios: &catalog.portfolios,
        currencies: &catalog.currencies,
        views: catalog.views.iter().map(view).collect(),
    })
}

fn status_fields(status: &Status) -> StatusJson<'_> {
    StatusJson {
        business_date: status.business_date.as_deref(),
        rollover: status.rollover.as_ref().map(rollover),
        epoch: status.epoch,
        ready: None,
    }
}

fn rollover(rollover: &Rollover) -> RolloverJson<'_> {
    RolloverJson { to: &rollover.to, arrived: rollover.arrived, expected: rollover.expected }
}

fn view(view: &View) -> ViewJson<'_> {
    ViewJson {
        name: &view.name,
        title: &view.title,
        kind: match view.kind {
            Kind::Grouped => "grouped",
            Kind::Rows => "rows",
        },
        group_by: &view.group_by,
        default_group_by: &view.default_group_by,
        exposures: view.exposures,
        portfolios: view.portfolios,
        measures: view.measures.iter().map(measure).collect(),
    }
}

fn measure(measure: &Measure) -> MeasureJson<'_> {
    MeasureJson {
        name: &measure.name,
        title: &measure.title,
        unit: measure.unit.name(),
        basis: measure.basis.map(Basis::name),
        scale: measure.scale,
        doc: &measure.doc,
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the shapes above have string keys only")
}
