//! What a client asks for: a view, a selection, levels and how to show them. Names only; nothing bound.

/// The rows an account selection takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selection {
    All,
    /// Exactly these; an empty list selects nothing.
    Only(Vec<String>),
}

/// What a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A tree of groups.
    Grouped,
    /// A list of rows with primary keys.
    Rows,
}

/// An account exposure: which quantity a position has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    Sod,
    Current,
    Expected,
}

impl Basis {
    pub const ALL: [Basis; 3] = [Basis::Sod, Basis::Current, Basis::Expected];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Basis::Sod => "SOD",
            Basis::Current => "CURRENT",
            Basis::Expected => "EXPECTED",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SortKey {
    pub column: String,
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// The text contains the value, whatever the case.
    Contains,
}

/// Hides the rows that do not satisfy it. `column` is a measure or a group-by field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    pub column: String,
    pub comparison: Comparison,
    /// `None` is "no value".
    pub value: Option<String>,
}

/// Which groups of a tree show their children.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expanded {
    None,
    /// Depths 1 to this are shown.
    Level(usize),
    All,
    /// The groups with these paths.
    Keys(Vec<Vec<Option<String>>>),
}

/// A view as a client specifies it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ViewSpec {
    pub view: String,
    pub accounts: Selection,
    /// The chosen sleeves; `None` is all of them.
    pub portfolios: Option<Vec<String>>,
    pub group_by: Vec<String>,
    pub exposures: Vec<Basis>,
    /// The columns to show, in this order; `None` is every column of the exposures.
    pub columns: Option<Vec<String>>,
    pub sort: Vec<SortKey>,
    pub filter: Vec<Filter>,
    pub expanded: Expanded,
    /// The reporting currency.
    pub currency: String,
    pub exclude_cash: bool,
}

impl ViewSpec {
    /// The view with every default of the protocol.
    pub fn new(view: impl Into<String>) -> ViewSpec {
        ViewSpec {
            view: view.into(),
            accounts: Selection::All,
            portfolios: None,
            group_by: Vec::new(),
            exposures: Basis::ALL.to_vec(),
            columns: None,
            sort: Vec::new(),
            filter: Vec::new(),
            expanded: Expanded::Level(1),
            currency: "USD".to_owned(),
            exclude_cash: false,
        }
    }
}
