//! What there is to ask for: accounts, currencies, views and their measures, at one epoch.

use crate::view::result::Unit;
use crate::view::spec::Basis;
pub use crate::view::spec::Kind;

/// The choices a client has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    pub status: Status,
    pub accounts: Vec<Account>,
    /// Every portfolio id in use, the unsleeved `""` among them.
    pub portfolios: Vec<String>,
    /// The currencies that results can be reported in.
    pub currencies: Vec<String>,
    pub views: Vec<View>,
}

/// Where the engine stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The day shown, as ISO 8601.
    pub business_date: Option<String>,
    pub rollover: Option<Rollover>,
    pub epoch: u64,
    /// A first consistent snapshot stands.
    pub ready: bool,
}

/// A day that is arriving and not yet shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollover {
    /// As ISO 8601.
    pub to: String,
    /// Accounts that have arrived, of `expected`.
    pub arrived: u64,
    pub expected: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub name: Option<String>,
    pub strategy: Option<String>,
    pub region: Option<String>,
    pub base_currency: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub name: String,
    pub title: String,
    pub kind: Kind,
    /// The fields it can be grouped by.
    pub group_by: Vec<String>,
    pub default_group_by: Vec<String>,
    /// Whether a client chooses among the exposures.
    pub exposures: bool,
    /// Whether a client chooses among the portfolios.
    pub portfolios: bool,
    pub measures: Vec<Measure>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    pub name: String,
    pub title: String,
    pub unit: Unit,
    /// `None` where the measure has no exposure.
    pub basis: Option<Basis>,
    /// Digits after the point.
    pub scale: u8,
    /// One sentence that says what it is.
    pub doc: String,
}
