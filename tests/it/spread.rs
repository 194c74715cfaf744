//! Views by account over many accounts: the ones that read the rows of the net positions at each tick, on as
//! many cores as there are, held against recomputation at every epoch.

use std::fmt::Write;

use tickview::view::recompute::Oracle;
use tickview::view::spec::Selection;

use crate::desk::{Desk, NOW};
use crate::law::{check, spec};

const ACCOUNTS: usize = 500;
/// With as many products a row as all measures have, more than one core takes alone.
const INSTRUMENTS: usize = 96;

/// How large the quantities and prices of an instrument are: what is multiplied by what takes another way.
#[derive(Debug, Clone, Copy)]
enum Size {
    Lots,
    Fractions,
    /// Codes of more than 48 bits.
    Huge,
    /// Prices whose differences have more than 62 bits, or even 64.
    Dear,
    Dearest,
}

fn size(instrument: usize) -> Size {
    match instrument % 16 {
        3 => Size::Fractions,
        5 => Size::Huge,
        7 => Size::Dear,
        11 => Size::Dearest,
        _ => Size::Lots,
    }
}

fn quantity(account: usize, instrument: usize) -> String {
    let lots = (account * 37 + instrument * 101) % 4_001;
    let sign = if (account + instrument) % 3 == 0 { "-" } else { "" };
    match size(instrument) {
        Size::Lots => format!("{sign}{}", lots * 100),
        Size::Fractions => format!("{sign}{lots}.{:06}", (account * 7_919) % 1_000_000),
        Size::Huge => format!("{sign}{}.{:06}", 900_000_000_000 - lots as u64, (account * 7_919) % 1_000_000),
        Size::Dear | Size::Dearest => format!("{sign}{}", lots % 7),
    }
}

fn price(instrument: usize, round: usize) -> String {
    let step = (instrument * 13 + round * 29) % 97;
    match size(instrument) {
        Size::Lots | Size::Fractions => format!("{}.{:02}", 20 + step, round),
        Size::Huge => format!("{}.{:08}", 10 + step, step),
        Size::Dear => format!("{}.00000001", 20_000_000 + 600_000_000 * (round % 2)),
        Size::Dearest => format!("{}.5", 1_000_000_000 + 3_000_000_000u64 * u64::from(round == 1)),
    }
}

fn prices(instruments: impl Iterator<Item = usize>, round: usize) -> String {
    let currency = |instrument: usize| if instrument % 4 == 1 { "EUR" } else { "USD" };
    let line =
        |at: usize| format!("price I{at:03} {} {} version={}\n", price(at, round), currency(at), round + 1);
    instruments.map(line).collect()
}

fn orders(accounts: impl Iterator<Item = usize>, round: usize) -> String {
    let mut lines = String::new();
    for account in accounts {
        let instrument = (account * 11 + round * 17) % INSTRUMENTS;
        let side = if account % 2 == 0 { "BUY" } else { "SELL_SHORT" };
        // Dear ones are traded at a price that makes amounts of more than 64 bits.
        let average = match size(instrument) {
            Size::Huge => "99999.125",
            Size::Dear | Size::Dearest => "900000000.5",
            _ => "31.0625",
        };
        let filled = match size(instrument) {
            Size::Huge => 900_000_000,
            _ => 40 + account % 50,
        };
        writeln!(
            lines,
            "order O{account}x{round} A{account:04} I{instrument:03} {side} {} {filled} {filled} NEW dayAvgPx={average}",
            filled + 60
        )
        .unwrap();
    }
    lines
}

#[test]
fn v2_views_by_account_over_many_accounts_are_their_recomputation() {
    let mut lines = String::from("fx EUR USD 1.0825\n");
    for instrument in 0..INSTRUMENTS {
        let currency = if instrument % 4 == 1 { "EUR" } else { "USD" };
        let sector = ["Energy", "Health", "Tech"][instrument % 3];
        writeln!(lines, "instrument I{instrument:03} EQUITY {currency} sector={sector}").unwrap();
    }
    for account in 0..ACCOUNTS {
        writeln!(lines, "account A{account:04} USD").unwrap();
        // Some hold not all, and some some of them in two sleeves.
        for instrument in (0..INSTRUMENTS).filter(|instrument| instrument % 8 != 6 || account % 5 != 2) {
            let quantity = quantity(account, instrument);
            writeln!(lines, "holding A{account:04} I{instrument:03} {quantity} portfolioId= sodPrice=30")
                .unwrap();
            if instrument % 24 == 4 && account % 40 == 9 {
                writeln!(lines, "holding A{account:04} I{instrument:03} -150.5 portfolioId=P1").unwrap();
            }
        }
    }
    lines.push_str(&prices((0..INSTRUMENTS).filter(|at| at % 31 != 30), 0));
    lines.push_str(&orders((0..ACCOUNTS).step_by(3), 0));
    let mut desk = Desk::of(&lines);
    let by_account = spec(&["account_id"]);
    let mut some = spec(&["account_id", "sector"]);
    // Many that stand together, and some that stand alone.
    let chosen = (100..300).chain((300..ACCOUNTS).step_by(9)).map(|account| format!("A{account:04}"));
    some.accounts = Selection::Only(chosen.collect());
    let mut by_sector = spec(&["sector", "account_id"]);
    by_sector.exclude_cash = true;
    let specs = [by_account, some, by_sector];
    let views: Vec<u64> = specs.iter().map(|spec| desk.open(spec)).collect();
    let mut oracle = Oracle::new(desk.engine.schema(), 1);
    let opened: Vec<_> = views.iter().copied().zip(&specs).collect();
    let ticks = [
        // All prices; few of them; a rate.
        prices(0..INSTRUMENTS, 1),
        prices([3, 5, 7, 11, 40].into_iter(), 2),
        "fx EUR USD 1.0931 version=2\n".to_owned(),
        // Rows that come, go and move within their pairs, with all prices at once.
        orders((1..ACCOUNTS).step_by(7), 3)
            + "holding A0002 I006 700 portfolioId= sodPrice=31\n"
            + "holding A0007 I014 -5 portfolioId=P2\n"
            + "delete holding A0003 I008 0 portfolioId=\n"
            + "delete holding A0250 I021 0 portfolioId=\n"
            + &prices(0..INSTRUMENTS, 3),
        prices(0..INSTRUMENTS, 4) + "fx EUR USD 1.0712 version=3\n",
    ];
    check(&desk.engine, &opened, &mut oracle);
    for (at, lines) in ticks.iter().enumerate() {
        desk.tick(NOW + 1_000_000 * (at as i64 + 1), lines);
        check(&desk.engine, &opened, &mut oracle);
    }
}
