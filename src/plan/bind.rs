//! A client's specification against what exists: every name is looked up, every fault says what there is.

use hashbrown::HashSet;

use super::catalog::{Catalog, Parameters};
use super::grouped::{GroupedView, MeasureKind};
use super::rows::RowsView;
use crate::dictionary::Code;
use crate::error::{Error, Result};
use crate::limits::GROUP_FIELDS_MAX;
use crate::table::is_currency_code;
use crate::table::snapshot::Snapshot;
use crate::view::spec::{Kind, Selection, ViewSpec};

/// The fields legs can be grouped by, as they are named on the wire.
pub const GROUP_FIELDS: [&str; 19] = [
    "account_id",
    "strategy",
    "region",
    "portfolio_id",
    "instrument_id",
    "asset_class",
    "sector",
    "industry",
    "issuer",
    "country_of_risk",
    "country_of_domicile",
    "currency",
    "long_short",
    "side",
    "status",
    "order_type",
    "time_in_force",
    "trader",
    "venue",
];

/// The views that are served, with their titles.
pub const VIEWS: [(&str, &str, Kind); 5] = [
    ("account_overview", "Account Overview", Kind::Grouped),
    ("holdings", "Holdings", Kind::Rows),
    ("orders", "Orders", Kind::Rows),
    ("cash_only", "Cash-Only", Kind::Grouped),
    ("pid_carve_out", "PID Carve-Out", Kind::Grouped),
];

/// The fields a grouped view is grouped by unless its user says otherwise.
pub fn default_group_by(view: &str) -> &'static [&'static str] {
    match view {
        "cash_only" => &["account_id", "currency"],
        _ => &["sector"],
    }
}

/// Which of a view's measures or columns are shown, in order, of what exists at a snapshot.
///
/// # Errors
/// `Invalid` with the protocol's reject code for the first name that does not exist, and for what the view
/// has no use for.
pub fn bind(spec: &ViewSpec, catalog: &Catalog, snapshot: &Snapshot) -> Result<Vec<usize>> {
    let kind = known_view(&spec.view)?;
    if spec.portfolios.is_some() && spec.view != "pid_carve_out" {
        let message = format!("{} has no choice of portfolios; pid_carve_out has", spec.view);
        return Err(Error::invalid("BAD_SPEC", message));
    }
    if !is_currency_code(&spec.currency) {
        let message = format!("currency is {:?}; it must be three letters A-Z, such as USD", spec.currency);
        return Err(Error::invalid("BAD_SPEC", message));
    }
    match kind {
        Kind::Grouped => bind_groups(spec, catalog, snapshot),
        Kind::Rows => bind_rows(spec, catalog, snapshot),
    }
}

fn bind_groups(spec: &ViewSpec, catalog: &Catalog, snapshot: &Snapshot) -> Result<Vec<usize>> {
    let view = GroupedView::new(catalog, &spec.view);
    if spec.group_by.len() > GROUP_FIELDS_MAX {
        return Err(Error::invalid(
            "LIMIT",
            format!("a view has at most {GROUP_FIELDS_MAX} group-by fields"),
        ));
    }
    for (at, field) in spec.group_by.iter().enumerate() {
        if !GROUP_FIELDS.contains(&field.as_str()) {
            return Err(unknown_field(field, "group-by fields", &GROUP_FIELDS.join(", ")));
        }
        if spec.group_by[..at].contains(field) {
            return Err(Error::invalid("BAD_SPEC", format!("{field} stands twice in groupBy; name it once")));
        }
    }
    known_accounts(spec, snapshot)?;
    let names: Vec<&str> = view.measures.iter().map(|measure| measure.name.as_str()).collect();
    let place = |name: &String| {
        let found = names.iter().position(|known| known == name);
        found.ok_or_else(|| unknown_field(name, "measures", &names.join(", ")))
    };
    for key in &spec.sort {
        if !spec.group_by.contains(&key.column) {
            place(&key.column)?;
        }
    }
    for filter in &spec.filter {
        if !spec.group_by.contains(&filter.column) {
            place(&filter.column)?;
        }
    }
    match &spec.columns {
        Some(columns) => columns.iter().map(place).collect(),
        None => Ok((0..names.len())
            .filter(|&at| view.measures[at].basis.is_none_or(|basis| spec.exposures.contains(&basis)))
            .collect()),
    }
}

/// Whether every chosen account is named by some topic.
fn known_accounts(spec: &ViewSpec, snapshot: &Snapshot) -> Result<()> {
    let Selection::Only(names) = &spec.accounts else { return Ok(()) };
    let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
    let accounts: HashSet<Code> = snapshot.accounts.iter().copied().collect();
    let known = |name: &String| dictionaries.names.find(name).is_some_and(|code| accounts.contains(&code));
    let Some(name) = names.iter().find(|name| !known(name)) else { return Ok(()) };
    let some: Vec<_> = snapshot.accounts.iter().take(5).map(|&code| dictionaries.names.text(code)).collect();
    let total = accounts.len();
    let message =
        format!("no topic names the account {name:?}; there are {total}, such as {}", some.join(", "));
    Err(Error::invalid("UNKNOWN_ACCOUNT", message))
}

fn bind_rows(spec: &ViewSpec, catalog: &Catalog, snapshot: &Snapshot) -> Result<Vec<usize>> {
    let parameters = Parameters { currency: spec.currency.clone(), exclude_cash: spec.exclude_cash };
    let view = RowsView::new(catalog, &spec.view, &parameters);
    if !spec.group_by.is_empty() {
        let message = format!("{} is a list of rows and has no groups; leave groupBy empty", spec.view);
        return Err(Error::invalid("BAD_SPEC", message));
    }
    known_accounts(spec, snapshot)?;
    let names = view.names();
    let place = |name: &String| {
        let found = names.iter().position(|known| known == name);
        found.ok_or_else(|| unknown_field(name, "columns", &names.join(", ")))
    };
    let ordered_by = spec.sort.iter().map(|key| &key.column);
    for name in ordered_by.chain(spec.filter.iter().map(|filter| &filter.column)) {
        place(name)?;
    }
    match &spec.columns {
        Some(columns) => columns.iter().map(place).collect(),
        None => Ok((0..names.len()).collect()),
    }
}

/// The kind of the served view of a name.
///
/// # Errors
/// `UNKNOWN_VIEW`, with the views there are.
fn known_view(name: &str) -> Result<Kind> {
    if let Some((_, _, kind)) = VIEWS.iter().find(|(known, ..)| *known == name) {
        return Ok(*kind);
    }
    let all: Vec<_> = VIEWS.iter().map(|(name, ..)| *name).collect();
    Err(Error::invalid("UNKNOWN_VIEW", format!("there is no view {name:?}; there are {}", all.join(", "))))
}

fn unknown_field(name: &str, kind: &str, all: &str) -> Error {
    Error::invalid("UNKNOWN_FIELD", format!("there is no field {name:?} here; the {kind} are {all}"))
}

/// The kind of a view that [`bind`] has accepted.
///
/// # Panics
/// Where there is no such view.
pub fn kind_of(name: &str) -> Kind {
    known_view(name).expect("the name was bound")
}

/// The title of a measure or view field, such as `MV current`.
pub fn title(name: &str) -> String {
    // Cash: what it is in, then the exposure.
    match name {
        "sod" => return "Local SOD".to_owned(),
        "current" | "expected" => return format!("Local {name}"),
        "sod_base" => return "Base SOD".to_owned(),
        "current_base" => return "Base current".to_owned(),
        "expected_base" => return "Base expected".to_owned(),
        _ => {}
    }
    let words: Vec<String> = name
        .split('_')
        .enumerate()
        .map(|(at, word)| match word {
            "mv" | "sod" | "pnl" | "fx" | "pid" => word.to_uppercase(),
            "pnl_fx" => "P&L FX".to_owned(),
            _ if at == 0 => word[..1].to_uppercase() + &word[1..],
            _ => word.to_owned(),
        })
        .collect();
    words.join(" ").replace("PNL", "P&L")
}

/// The title of a column of a row-level view, such as `Average price today`.
pub fn row_title(name: &str) -> String {
    match name {
        "account_id" => "Account".to_owned(),
        "instrument_id" => "Instrument".to_owned(),
        "portfolio_id" => "Portfolio".to_owned(),
        "order_id" => "Order".to_owned(),
        "order_qty" => "Order quantity".to_owned(),
        "cum_qty" => "Filled in all".to_owned(),
        "day_filled" => "Filled today".to_owned(),
        "day_avg_px" => "Average price today".to_owned(),
        "filled_mv" => "Filled MV".to_owned(),
        "open_mv" => "Open MV".to_owned(),
        name => title(name),
    }
}

/// One sentence on a column of a row-level view, for the catalogue.
pub fn row_doc(name: &str) -> String {
    let text = match name {
        "account_id" | "instrument_id" | "order_id" => "Part of what names the row.",
        "portfolio_id" => "The sleeve inside the account; empty for the unsleeved rest.",
        "currency" => "The currency of the instrument.",
        "quantity" => "Start-of-day quantity, signed; par for bonds.",
        "sod_price" => "Start-of-day price in the instrument's currency, all-in for bonds.",
        "unit_price" => "What one unit is worth now, in the reporting currency.",
        "mv" => "Quantity times unit value; a future has none.",
        "price_time" => "When the price was made.",
        "order_qty" => "Ordered quantity.",
        "cum_qty" => "Filled quantity over all days of the order.",
        "day_filled" => "Quantity filled today.",
        "remaining" => "Quantity still open.",
        "day_avg_px" => "Average price of today's fills, in the instrument's currency.",
        "limit_price" => "Limit in the instrument's currency; none for a market order.",
        "filled_mv" => "Today's fills, signed by side, times unit value.",
        "open_mv" => "The open quantity, signed by side, times unit value.",
        _ => "",
    };
    text.to_owned()
}

/// One sentence on a measure, for the catalogue.
pub fn doc(name: &str, kind: &MeasureKind) -> String {
    let family = name.split('_').next().unwrap_or(name);
    let text = match (family, name) {
        ("mv", _) => "Quantity times unit value, summed over the positions.",
        ("long", _) => "Sum of the positive net exposures, (account, instrument) by (account, instrument).",
        ("short", _) => "Sum of the negative net exposures, (account, instrument) by (account, instrument).",
        ("gross", _) => "Long less short exposure.",
        ("net", _) => "Long plus short exposure.",
        ("weight", _) => "Share of the market value of all selected rows.",
        (_, "day_pnl") => "Profit and loss of the day: price, currency and trading effects together.",
        (_, "day_pnl_price") => "What price changes since the start of day made of its holdings.",
        (_, "day_pnl_fx") => "What currency changes since the start of day made of its holdings.",
        (_, "day_pnl_trading") => "What the day's fills are worth now, less what they cost.",
        ("sod" | "current" | "expected", name) if name.ends_with("_base") => {
            "Cash in the account's base currency at live rates; by account only."
        }
        (_, "sod") => "Cash at the start of the day; by currency only.",
        (_, "current") => "Cash with the day's movements and fills; by currency only.",
        (_, "expected") => "Current cash and what open orders with a limit will move; by currency only.",
        (_, "overdrawn") => "Accounts' nets of a currency that are expected to be negative.",
        (_, "holdings") => "Start-of-day holdings that are not zero.",
        (_, "orders") => "Orders that count today.",
        (_, "live_orders") => "Orders that are still open.",
        (_, "unpriced") => "Positions that have no price.",
        (_, "stale") => "Positions whose price is older than its limit.",
        (_, "price_time_min") => "The oldest price behind the positions.",
        (_, "price_time_max") => "The newest price behind the positions.",
        _ if matches!(kind, MeasureKind::Weight { .. }) => "A share of the total.",
        _ => "",
    };
    text.to_owned()
}
