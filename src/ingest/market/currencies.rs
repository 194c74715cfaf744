//! Currencies and the rates between them: a random walk in exact steps of 1e-12.
//!
//! Some pairs are quoted direct (EUR in USD), some inverse (JPY per USD), none across, so that most
//! conversions go over the dollar. Some currencies are declared as CASH instruments, some are left to
//! their three letters, and one has no SOD rate at all.

use crate::clock::Timestamp;
use crate::datum::{Datum, NULL};
use crate::dictionary::Dictionary;

use super::codes::{Codes, RateType};
use super::draw::Draw;

pub(super) const CURRENCIES: usize = 10;
pub(super) const USD: usize = 0;

/// ISO code, name where it is declared as an instrument, decimals, rate in 1e-12, and whether that is
/// dollars for one unit or units for one dollar.
const QUOTES: [(&str, Option<&str>, u32, i64, bool); CURRENCIES] = [
    ("USD", Some("US Dollar"), 2, 1_000_000_000_000, true),
    ("EUR", Some("Euro"), 2, 1_084_200_000_000, true),
    ("GBP", Some("Pound Sterling"), 2, 1_267_500_000_000, true),
    ("JPY", Some("Japanese Yen"), 0, 151_420_000_000_000, false),
    ("CHF", Some("Swiss Franc"), 2, 881_200_000_000, false),
    ("CAD", Some("Canadian Dollar"), 2, 1_374_500_000_000, false),
    ("AUD", Some("Australian Dollar"), 2, 661_000_000_000, true),
    ("HKD", None, 2, 7_783_200_000_000, false),
    ("SEK", None, 2, 10_523_000_000_000, false),
    ("SGD", None, 2, 1_341_000_000_000, false),
];

/// The currency without a SOD rate: its LIVE rate stands in.
const WITHOUT_SOD: &str = "SGD";

pub(super) struct Currency {
    pub code: Datum,
    pub name: Option<Datum>,
    /// Units of 1e-6 in the smallest coin.
    pub coin: i64,
    /// Dollars for one unit when the market was made. For sizes only.
    pub usd: f64,
    direct: bool,
    live: i64,
    anchor: i64,
    has_sod: bool,
    version_live: i64,
    version_sod: i64,
}

/// The currencies in their order here, the dollar first.
pub(super) fn currencies(dictionary: &mut Dictionary) -> Vec<Currency> {
    QUOTES
        .iter()
        .map(|&(iso, name, decimals, rate, direct)| {
            let quoted = rate as f64 / 1e12;
            Currency {
                code: Datum::from(dictionary.intern(iso)),
                name: name.map(|name| Datum::from(dictionary.intern(name))),
                coin: 10i64.pow(6 - decimals),
                usd: if direct { quoted } else { 1.0 / quoted },
                direct,
                live: rate,
                anchor: rate,
                has_sod: iso != WITHOUT_SOD,
                version_live: 0,
                version_sod: 0,
            }
        })
        .collect()
}

/// The place of an ISO code.
///
/// # Panics
/// Where the market has no such currency: the lists of names disagree.
pub(super) fn place(iso: &str) -> usize {
    QUOTES
        .iter()
        .position(|quote| quote.0 == iso)
        .unwrap_or_else(|| panic!("the market has no currency {iso}"))
}

impl Currency {
    pub(super) fn has_sod(&self) -> bool {
        self.has_sod
    }

    /// One move of the LIVE rate: up to 0.8 basis points, drawn back towards where it began.
    pub(super) fn step(&mut self, draw: &mut Draw) {
        // A tenth of a pip: 1e-5 for rates about 1, 1e-3 for yen.
        let tick = if self.live > 20_000_000_000_000 { 1_000_000_000 } else { 10_000_000 };
        let ticks = draw.between(0, (self.live / 12_500 / tick).max(1));
        let inward = if self.live > self.anchor { -1 } else { 1 };
        let distance_permille = (self.live - self.anchor).abs() / (self.anchor / 1_000);
        let direction =
            if draw.below(1_000) < 500 + (distance_permille as u64 * 10).min(200) { inward } else { -inward };
        self.live += direction * ticks * tick;
    }

    /// A row of `base.fx_rate` for the pair with the dollar; a SOD row takes the LIVE rate of now.
    pub(super) fn row(
        &mut self,
        rate_type: RateType,
        codes: &Codes,
        usd: Datum,
        at: Timestamp,
    ) -> [Datum; 7] {
        let version = match rate_type {
            RateType::Live => &mut self.version_live,
            RateType::Sod => &mut self.version_sod,
        };
        *version += 1;
        let (from, to) = if self.direct { (self.code, usd) } else { (usd, self.code) };
        let (rate_type, at) = (codes.rate_types[rate_type as usize], Datum::from(at));
        [from, to, rate_type, Datum::from(self.live), at, Datum::from(*version), at]
    }

    /// A row of `base.instrument` where the currency is declared as one.
    pub(super) fn instrument_row(&self, codes: &Codes, at: Timestamp) -> Option<[Datum; 16]> {
        let mut row = [NULL; 16];
        row[0] = self.code;
        row[1] = self.code;
        row[2] = self.name?;
        row[3] = codes.cash;
        row[9] = self.code;
        row[14] = 1;
        row[15] = Datum::from(at);
        Some(row)
    }
}
