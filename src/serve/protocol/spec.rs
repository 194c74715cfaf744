//! A specification on the wire, and what it asks for.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::view::spec::{Basis, Comparison, Expanded, Filter, Selection, SortKey, ViewSpec};

/// What a client wants to see, bound to nothing yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Query {
    View(ViewSpec),
    Sql(String),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Spec {
    View(Box<ViewFields>),
    Sql(SqlSpec),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlSpec {
    pub sql: String,
}

/// What is absent has the protocol's default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ViewFields {
    pub view: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Accounts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portfolios: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposures: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<Vec<SortBy>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Vec<FilterBy>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expanded: Option<Branches>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_cash: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "accounts are \"all\" or a list of ids")]
pub enum Accounts {
    /// `all`, and no other word.
    Word(String),
    Ids(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expanded is \"none\", \"level:N\", \"all\" or a list of keys")]
pub enum Branches {
    /// `none`, `all` or `level:N`.
    Word(String),
    Keys(Vec<Vec<Option<String>>>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SortBy {
    pub column: String,
    pub desc: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterBy {
    pub column: String,
    pub op: String,
    pub value: Option<String>,
}

impl<'de> Deserialize<'de> for Spec {
    /// Decides by the field `sql`, so that a mistake in one form is not told as a mismatch with both.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.get("sql").is_some() {
            SqlSpec::deserialize(value).map(Spec::Sql).map_err(D::Error::custom)
        } else {
            ViewFields::deserialize(value)
                .map(|fields| Spec::View(Box::new(fields)))
                .map_err(D::Error::custom)
        }
    }
}

const OPERATORS: [(&str, Comparison); 7] = [
    ("=", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    ("<=", Comparison::LessOrEqual),
    (">", Comparison::Greater),
    (">=", Comparison::GreaterOrEqual),
    ("contains", Comparison::Contains),
];

impl Spec {
    /// Fills in the defaults.
    ///
    /// # Errors
    /// `BAD_SPEC` for a word that means nothing. Names of views, fields and accounts are the engine's to judge.
    pub fn query(self) -> Result<Query> {
        match self {
            Spec::Sql(spec) => Ok(Query::Sql(spec.sql)),
            Spec::View(fields) => fields.view_spec().map(Query::View),
        }
    }
}

impl ViewFields {
    fn view_spec(self) -> Result<ViewSpec> {
        if self.scenario.is_some() {
            return Err(Error::unsupported("this server computes no scenarios"));
        }
        let defaults = ViewSpec::new(self.view);
        let exposures = match self.exposures {
            None => defaults.exposures,
            Some(names) => names.iter().map(|name| basis(name)).collect::<Result<_>>()?,
        };
        let filter = self.filter.unwrap_or_default().into_iter().map(|filter| {
            let comparison = comparison(&filter.op)?;
            Ok(Filter { column: filter.column, comparison, value: filter.value })
        });
        let sort = self.sort.unwrap_or_default().into_iter();
        Ok(ViewSpec {
            accounts: match self.accounts {
                None => defaults.accounts,
                Some(Accounts::Ids(ids)) => Selection::Only(ids),
                Some(Accounts::Word(word)) if word == "all" => Selection::All,
                Some(Accounts::Word(word)) => {
                    return Err(bad(format!("accounts are \"all\" or a list of ids, not {word:?}")));
                }
            },
            portfolios: self.portfolios,
            group_by: self.group_by.unwrap_or(defaults.group_by),
            exposures,
            columns: self.columns,
            sort: sort.map(|sort| SortKey { column: sort.column, descending: sort.desc }).collect(),
            filter: filter.collect::<Result<_>>()?,
            expanded: match self.expanded {
                None => defaults.expanded,
                Some(Branches::Keys(keys)) => Expanded::Keys(keys),
                Some(Branches::Word(word)) => expanded(&word)?,
            },
            currency: self.currency.unwrap_or(defaults.currency),
            exclude_cash: self.exclude_cash.unwrap_or(defaults.exclude_cash),
            view: defaults.view,
        })
    }
}

impl From<&ViewSpec> for Spec {
    /// States every field, defaults too.
    fn from(spec: &ViewSpec) -> Spec {
        let sort = |key: &SortKey| SortBy { column: key.column.clone(), desc: key.descending };
        let filter = |filter: &Filter| FilterBy {
            column: filter.column.clone(),
            op: operator(filter.comparison).to_owned(),
            value: filter.value.clone(),
        };
        Spec::View(Box::new(ViewFields {
            view: spec.view.clone(),
            accounts: Some(match &spec.accounts {
                Selection::All => Accounts::Word("all".to_owned()),
                Selection::Only(ids) => Accounts::Ids(ids.clone()),
            }),
            portfolios: spec.portfolios.clone(),
            group_by: Some(spec.group_by.clone()),
            exposures: Some(spec.exposures.iter().map(|basis| basis.name().to_owned()).collect()),
            columns: spec.columns.clone(),
            sort: Some(spec.sort.iter().map(sort).collect()),
            filter: Some(spec.filter.iter().map(filter).collect()),
            expanded: Some(match &spec.expanded {
                Expanded::None => Branches::Word("none".to_owned()),
                Expanded::All => Branches::Word("all".to_owned()),
                Expanded::Level(level) => Branches::Word(format!("level:{level}")),
                Expanded::Keys(keys) => Branches::Keys(keys.clone()),
            }),
            currency: Some(spec.currency.clone()),
            scenario: None,
            exclude_cash: Some(spec.exclude_cash),
        }))
    }
}

fn expanded(word: &str) -> Result<Expanded> {
    match word {
        "none" => Ok(Expanded::None),
        "all" => Ok(Expanded::All),
        _ => {
            word.strip_prefix("level:").and_then(|level| level.parse().ok()).map(Expanded::Level).ok_or_else(
                || bad(format!("expanded is \"none\", \"level:N\", \"all\" or a list of keys, not {word:?}")),
            )
        }
    }
}

fn basis(name: &str) -> Result<Basis> {
    let found = Basis::ALL.into_iter().find(|basis| basis.name() == name);
    found.ok_or_else(|| bad(format!("an exposure is SOD, CURRENT or EXPECTED, not {name:?}")))
}

fn comparison(op: &str) -> Result<Comparison> {
    let found = OPERATORS.iter().find(|(name, _)| *name == op);
    found
        .map(|&(_, comparison)| comparison)
        .ok_or_else(|| bad(format!("a filter's op is one of =, !=, <, <=, >, >= and contains, not {op:?}")))
}

fn operator(comparison: Comparison) -> &'static str {
    let found = OPERATORS.iter().find(|(_, known)| *known == comparison);
    found.expect("every comparison has an operator").0
}

fn bad(message: String) -> Error {
    Error::invalid("BAD_SPEC", message)
}
