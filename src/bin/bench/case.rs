//! The cases: what is in memory, which views are open, and what is done and timed again and again.

use std::ops::Range;

use tickview::view::spec::{Expanded, Selection, ViewSpec};

use crate::world::{Size, World};

/// What one iteration does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A tick with this change, to the text of every view's patch.
    Tick(Change),
    /// Opens a view of so many accounts, to the text of its first snapshot; another selection each time.
    Open { accounts: usize },
    /// Order events from JSON to applied rows, no view open.
    Ingest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Every price becomes another.
    Prices,
    /// The price of one instrument, each time of another.
    Price,
    /// A fill on one open order.
    Fill,
}

/// Accounts up to which a selection names each.
const NAMED_ACCOUNTS_MAX: usize = 50;

/// Accounts that are recomputed at once: more would need more memory than everything else.
const RECOMPUTED_ACCOUNTS_MAX: usize = 100;

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// One line on what it measures.
    pub about: &'static str,
    /// Whether it runs where no case is named.
    pub default: bool,
    pub work: Work,
    /// Accounts in memory; the open views share them out evenly.
    accounts: usize,
    views: usize,
    group_by: &'static [&'static str],
    /// The measures shown; `None` is all of them.
    columns: Option<&'static [&'static str]>,
    /// Iterations that count, unless `--iterations` says otherwise.
    iterations: usize,
    /// Runs of the baseline; 0 where the case has none.
    baseline_runs: usize,
}

/// What most cases have in common.
const BY_SECTOR: Case = Case {
    name: "",
    about: "",
    default: false,
    work: Work::Tick(Change::Prices),
    accounts: 2,
    views: 1,
    group_by: &["sector"],
    columns: None,
    iterations: 500,
    baseline_runs: 0,
};

const MARKET_VALUES: &[&str] = &["mv_sod", "mv_current", "mv_expected"];

pub const CASES: &[Case] = &[
    Case {
        name: "w1",
        about: "2 accounts by sector, all prices change",
        default: true,
        baseline_runs: 25,
        ..BY_SECTOR
    },
    Case {
        name: "w2",
        about: "2 accounts by sector, one price changes",
        default: true,
        work: Work::Tick(Change::Price),
        iterations: 2_000,
        baseline_runs: 25,
        ..BY_SECTOR
    },
    Case {
        name: "w3",
        about: "2 accounts by sector, one fill",
        default: true,
        work: Work::Tick(Change::Fill),
        iterations: 2_000,
        baseline_runs: 25,
        ..BY_SECTOR
    },
    Case {
        name: "w4",
        about: "50 accounts by sector, all prices change",
        default: true,
        accounts: 50,
        baseline_runs: 9,
        ..BY_SECTOR
    },
    Case {
        name: "w5",
        about: "500 accounts by sector, all prices change",
        accounts: 500,
        baseline_runs: 3,
        ..BY_SECTOR
    },
    Case {
        name: "w5-max",
        about: "5,000 accounts by sector, all prices change",
        accounts: 5_000,
        ..BY_SECTOR
    },
    Case {
        name: "w6",
        about: "100 views of 2 accounts each by sector, all prices change",
        default: true,
        accounts: 200,
        views: 100,
        iterations: 120,
        baseline_runs: 3,
        ..BY_SECTOR
    },
    Case {
        name: "w7",
        about: "500 accounts by account, three market values, all prices change",
        accounts: 500,
        group_by: &["account_id"],
        columns: Some(MARKET_VALUES),
        iterations: 200,
        ..BY_SECTOR
    },
    Case {
        name: "w7-max",
        about: "5,000 accounts by account, three market values, all prices change",
        accounts: 5_000,
        group_by: &["account_id"],
        columns: Some(MARKET_VALUES),
        iterations: 100,
        ..BY_SECTOR
    },
    Case {
        name: "tree",
        about: "5,000 accounts by sector, country and instrument, all expanded, all prices change",
        accounts: 5_000,
        group_by: &["sector", "country_of_risk", "instrument_id"],
        iterations: 100,
        ..BY_SECTOR
    },
    Case {
        name: "open",
        about: "the first snapshot of a view of 2 accounts out of 5,000",
        work: Work::Open { accounts: 2 },
        accounts: 5_000,
        views: 0,
        iterations: 200,
        ..BY_SECTOR
    },
    Case {
        name: "open-all",
        about: "the first snapshot of a view of 5,000 accounts",
        work: Work::Open { accounts: usize::MAX },
        accounts: 5_000,
        views: 0,
        iterations: 20,
        ..BY_SECTOR
    },
    Case {
        name: "ingest",
        about: "1,000 order events from JSON to applied rows",
        work: Work::Ingest,
        accounts: 50,
        views: 0,
        iterations: 500,
        ..BY_SECTOR
    },
];

/// How a run differs from the one of the targets.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub seed: u64,
    /// Few rows and few iterations: whether everything still works, not how fast.
    pub smoke: bool,
    pub iterations: Option<usize>,
    /// Accounts in memory, instead of the case's.
    pub accounts: Option<usize>,
    /// Whether the baseline's plans are written to stderr.
    pub explain: bool,
}

impl Case {
    pub fn size(&self, options: &Options) -> Size {
        let least = 2 * self.views(options).max(1);
        if options.smoke {
            let accounts = self.accounts.min(least.max(8));
            return Size { instruments: 300, accounts, holdings: 240, orders: 400 };
        }
        let accounts = options.accounts.unwrap_or(self.accounts).max(least);
        Size { instruments: 5_000, accounts, holdings: 5_000, orders: 10_000 }
    }

    pub fn views(&self, options: &Options) -> usize {
        if options.smoke { self.views.min(5) } else { self.views }
    }

    pub fn iterations(&self, options: &Options) -> usize {
        options.iterations.unwrap_or(if options.smoke { 10 } else { self.iterations }).max(2)
    }

    pub fn baseline_runs(&self, options: &Options) -> usize {
        if options.smoke { self.baseline_runs.min(2) } else { self.baseline_runs }
    }

    /// How many accounts are recomputed at once, the results to be added up.
    pub fn recomputed_at_once(&self, options: &Options) -> usize {
        match self.group_by {
            // One instrument in few accounts may have no start-of-day value at all: nothing to add up.
            [.., "instrument_id"] if options.smoke => usize::MAX,
            _ if options.smoke => 3,
            _ => RECOMPUTED_ACCOUNTS_MAX,
        }
    }

    /// The view of these accounts out of so many.
    pub fn spec(&self, accounts: Range<usize>, of: usize) -> ViewSpec {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let all = self.accounts > NAMED_ACCOUNTS_MAX && accounts.len() == of;
        ViewSpec {
            accounts: if all { Selection::All } else { only(accounts) },
            group_by: names(self.group_by),
            columns: self.columns.map(names),
            expanded: Expanded::All,
            ..ViewSpec::new("account_overview")
        }
    }
}

pub fn only(accounts: Range<usize>) -> Selection {
    Selection::Only(accounts.map(World::account).collect())
}
