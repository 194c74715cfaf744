//! The closed sets of words the market speaks, and their dictionary codes. Decides nothing.

use crate::datum::Datum;
use crate::dictionary::Dictionary;

use super::names;

/// An enumeration whose members stand for words of the schema, in order of their place in `TEXTS`.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($member:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum $name { $($member),+ }

        impl $name {
            const TEXTS: &'static [&'static str] = &[$($text),+];
        }
    };
}

words! { Side { Buy = "BUY", BuyCover = "BUY_COVER", Subscribe = "SUBSCRIBE", Sell = "SELL", SellShort = "SELL_SHORT", Redeem = "REDEEM" } }

impl Side {
    pub(super) fn sign(self) -> i64 {
        match self {
            Side::Buy | Side::BuyCover | Side::Subscribe => 1,
            Side::Sell | Side::SellShort | Side::Redeem => -1,
        }
    }
}

words! { Status {
    PendingNew = "PENDING_NEW",
    New = "NEW",
    PartiallyFilled = "PARTIALLY_FILLED",
    PendingCancel = "PENDING_CANCEL",
    PendingReplace = "PENDING_REPLACE",
    Suspended = "SUSPENDED",
    Stopped = "STOPPED",
    Filled = "FILLED",
    Cancelled = "CANCELLED",
    Rejected = "REJECTED",
    Expired = "EXPIRED",
    DoneForDay = "DONE_FOR_DAY",
    Calculated = "CALCULATED",
    Replaced = "REPLACED",
} }

words! {
    /// Without CASH: the cash instruments are the currencies.
    Class { Equity = "EQUITY", Bond = "BOND", Fund = "FUND", Option = "OPTION", Future = "FUTURE" }
}

words! { OrderType { Limit = "LIMIT", Market = "MARKET", StopLimit = "STOP_LIMIT", OnClose = "MARKET_ON_CLOSE" } }
words! { TimeInForce { Day = "DAY", GoodTillCancel = "GTC", Immediate = "IOC" } }
words! { PriceType { Last = "LAST", Mid = "MID", Close = "CLOSE", Evaluated = "EVALUATED" } }
words! { PriceSource { Exchange = "EXCHANGE", Composite = "COMPOSITE", Administrator = "ADMINISTRATOR", Evaluator = "EVALUATOR" } }
words! { RateType { Live = "LIVE", Sod = "SOD" } }
words! { MovementType {
    Dividend = "DIVIDEND",
    TradeSettlement = "TRADE_SETTLEMENT",
    Subscription = "SUBSCRIPTION",
    Redemption = "REDEMPTION",
    Fee = "FEE",
    Interest = "INTEREST",
} }

/// The sleeves an account can have; every account has the first, the unsleeved rest.
pub(super) const SLEEVES: [&str; 4] = ["", "CORE", "HEDGE", "ALPHA"];

/// The code of each word, in the place of its member.
pub(super) struct Codes {
    pub sides: Vec<Datum>,
    pub statuses: Vec<Datum>,
    pub classes: Vec<Datum>,
    pub order_types: Vec<Datum>,
    pub times_in_force: Vec<Datum>,
    pub price_types: Vec<Datum>,
    pub price_sources: Vec<Datum>,
    pub rate_types: Vec<Datum>,
    pub movement_types: Vec<Datum>,
    pub sleeves: Vec<Datum>,
    pub traders: Vec<Datum>,
    pub cash: Datum,
    pub current: Datum,
}

impl Codes {
    pub(super) fn new(dictionary: &mut Dictionary) -> Codes {
        let mut all =
            |texts: &[&str]| texts.iter().map(|text| Datum::from(dictionary.intern(text))).collect();
        Codes {
            sides: all(Side::TEXTS),
            statuses: all(Status::TEXTS),
            classes: all(Class::TEXTS),
            order_types: all(OrderType::TEXTS),
            times_in_force: all(TimeInForce::TEXTS),
            price_types: all(PriceType::TEXTS),
            price_sources: all(PriceSource::TEXTS),
            rate_types: all(RateType::TEXTS),
            movement_types: all(MovementType::TEXTS),
            sleeves: all(&SLEEVES),
            traders: all(&names::TRADERS),
            cash: Datum::from(dictionary.intern("CASH")),
            current: Datum::from(dictionary.intern("current")),
        }
    }
}
