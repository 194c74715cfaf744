//! The cases: what is in memory, which views are open, and what is done and timed again and again.

use std::ops::Range;

use tickview::view::spec::{Expanded, Selection, ViewSpec};

use crate::target::Target::{self, *};
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
    /// The rows of one account, decoded, into an engine without views; then what everything takes.
    Load,
    /// From handing records to the source of a running server to their patches at clients over sockets, a
    /// client a view.
    EndToEnd,
    /// From a tick of a running server to the last of so many clients of one view.
    FanOut { clients: usize },
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

/// Accounts that are recomputed at once, 225,000 rows at the size of the targets: about 0.6 gigabytes, for each
/// of the two blocks that are under way, besides the engine.
const RECOMPUTED_ACCOUNTS_MAX: usize = 15;
/// Accounts up to which a view is recomputed half way, too, and not at the end alone.
const CHECKED_TWICE_ACCOUNTS_MAX: usize = 500;

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// One line on what it measures.
    pub about: &'static str,
    /// Whether it runs where no case is named.
    pub default: bool,
    pub work: Work,
    /// Accounts in memory; the open views share them out evenly.
    pub accounts: usize,
    views: usize,
    group_by: &'static [&'static str],
    /// The measures shown; `None` is all of them.
    columns: Option<&'static [&'static str]>,
    /// Iterations that count, unless `--iterations` says otherwise.
    iterations: usize,
    /// Runs of the baseline; 0 where the case has none.
    baseline_runs: usize,
    /// Whether it needs all rows of the targets, which such cases load once for all of them.
    pub full: bool,
    pub targets: &'static [Target],
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
    full: false,
    targets: &[],
};

/// What the cases on all 75 million rows have in common.
const FULL: Case = Case { accounts: 5_000, full: true, ..BY_SECTOR };

const MARKET_VALUES: &[&str] = &["mv_sod", "mv_current", "mv_expected"];

pub const CASES: &[Case] = &[
    Case {
        name: "w1",
        about: "2 accounts by sector, all prices change",
        default: true,
        baseline_runs: 25,
        targets: &[P99UsMax(500.0), RatioMin(20.0)],
        ..BY_SECTOR
    },
    Case {
        name: "w2",
        about: "2 accounts by sector, one price changes",
        default: true,
        work: Work::Tick(Change::Price),
        iterations: 2_000,
        baseline_runs: 25,
        targets: &[P50UsMax(40.0), P99UsMax(100.0)],
        ..BY_SECTOR
    },
    Case {
        name: "w3",
        about: "2 accounts by sector, one fill",
        default: true,
        work: Work::Tick(Change::Fill),
        iterations: 2_000,
        baseline_runs: 25,
        targets: &[P50UsMax(40.0), P99UsMax(100.0)],
        ..BY_SECTOR
    },
    Case {
        name: "w4",
        about: "50 accounts by sector, all prices change",
        default: true,
        accounts: 50,
        baseline_runs: 9,
        targets: &[P99UsMax(500.0), RatioMin(150.0)],
        ..BY_SECTOR
    },
    Case {
        name: "w5",
        about: "500 accounts by sector, all prices change",
        accounts: 500,
        baseline_runs: 3,
        targets: &[P99UsMax(500.0), RatioMin(1_000.0)],
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
        targets: &[P99UsMax(10_000.0), RatioMin(50.0)],
        ..BY_SECTOR
    },
    Case {
        name: "w7",
        about: "500 accounts by account, three market values, all prices change",
        accounts: 500,
        group_by: &["account_id"],
        columns: Some(MARKET_VALUES),
        iterations: 200,
        targets: &[P99UsMax(10_000.0)],
        ..BY_SECTOR
    },
    Case {
        name: "load",
        about: "5,000 accounts in memory, an account's rows at a time",
        work: Work::Load,
        views: 0,
        targets: &[ResidentGbMax(8.0), ViewMbMax(1.0)],
        ..FULL
    },
    Case {
        name: "w5-max",
        about: "5,000 accounts by sector, all prices change",
        targets: &[P99UsMax(1_000.0)],
        ..FULL
    },
    Case {
        name: "w7-max",
        about: "5,000 accounts by account, three market values, all prices change",
        group_by: &["account_id"],
        columns: Some(MARKET_VALUES),
        iterations: 100,
        targets: &[P99UsMax(100_000.0)],
        ..FULL
    },
    Case {
        name: "tree",
        about: "5,000 accounts by sector, country and instrument, all expanded, all prices change",
        group_by: &["sector", "country_of_risk", "instrument_id"],
        iterations: 100,
        targets: &[P99UsMax(50_000.0)],
        ..FULL
    },
    Case {
        name: "open",
        about: "the first snapshot of a view of 2 accounts out of 5,000",
        work: Work::Open { accounts: 2 },
        views: 0,
        iterations: 200,
        targets: &[P99UsMax(10_000.0)],
        ..FULL
    },
    Case {
        name: "open-all",
        about: "the first snapshot of a view of 5,000 accounts",
        work: Work::Open { accounts: usize::MAX },
        views: 0,
        iterations: 20,
        targets: &[P99UsMax(250_000.0)],
        ..FULL
    },
    Case {
        name: "ingest",
        about: "1,000 order events from JSON to applied rows",
        work: Work::Ingest,
        accounts: 50,
        views: 0,
        iterations: 500,
        targets: &[EventsPerSecondMin(500_000.0)],
        ..BY_SECTOR
    },
    Case {
        name: "e2e",
        about: "100 views of 2 accounts over sockets, every price and 1,000 order events a second",
        work: Work::EndToEnd,
        accounts: 200,
        views: 100,
        iterations: 1_000,
        targets: &[P99UsMax(100_000.0)],
        ..BY_SECTOR
    },
    Case {
        name: "fan-out",
        about: "1,000 clients of one view of 2 accounts over sockets, one patch a tick",
        work: Work::FanOut { clients: 1_000 },
        iterations: 100,
        targets: &[P99UsMax(100_000.0)],
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

    /// Clients over sockets, where the case has any.
    pub fn clients(&self, options: &Options) -> Option<usize> {
        match self.work {
            Work::EndToEnd => Some(self.views(options)),
            Work::FanOut { clients } => Some(if options.smoke { clients.min(20) } else { clients }),
            _ => None,
        }
    }

    /// Whether its views are recomputed half way, too.
    pub fn is_checked_twice(&self, accounts: usize) -> bool {
        accounts <= CHECKED_TWICE_ACCOUNTS_MAX
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
