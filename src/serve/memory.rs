//! How much memory the server may take: what is refused before it loads, and what waits once it is too much.
//!
//! A source that announces more rows than fit is not begun. While it runs, what is resident is read once a
//! second. Beyond the limit the engine is asked for no tick: sources keep what they have, so nothing is lost
//! and every epoch stays whole, what is open is served as it stands, and no other view is opened. It goes on
//! once less than [`RESUME_PERCENT`] of the limit is resident. It frees nothing by itself: views that close
//! do, and whoever runs the server may restart it with fewer rows or more room.

use std::fmt;

use crate::clock::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::ingest::source::Announced;
use crate::limits::{BASE_BYTES, HOLDING_BYTES, ORDER_BYTES, OTHER_ROW_BYTES};

/// Of the limit; less than all of it, so that one page more or less does not stop and start the data.
pub const RESUME_PERCENT: u64 = 95;
const KIB: u64 = 1 << 10;
/// What one view at a time, and the system beside the server, are left of the memory there is.
const SPARE_FRACTION: u64 = 8;

/// A number of bytes, read and written as `8GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("KiB", KIB),
    ("MiB", KIB * KIB),
    ("GiB", KIB * KIB * KIB),
    ("TiB", KIB * KIB * KIB * KIB),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Size, String> {
        let refusal = || format!("{text:?} is no size; write it as 8GiB, 512MiB or a number of bytes");
        let ends = |unit: &str| {
            let start = text.len().checked_sub(unit.len())?;
            text.is_char_boundary(start)
                .then(|| text.split_at(start))
                .filter(|(_, end)| end.eq_ignore_ascii_case(unit))
        };
        let unit = UNITS.iter().find_map(|(unit, bytes)| Some((ends(unit)?.0, *bytes)));
        let (number, bytes) = unit.unwrap_or((text, 1));
        let number: f64 = number.trim().parse().map_err(|_| refusal())?;
        let size = number * bytes as f64;
        // Far below 2^64 and exact to a byte where it was written as whole bytes.
        if size.is_finite() && (1.0..9e15).contains(&size) {
            Ok(Size(size.round() as u64))
        } else {
            Err(refusal())
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS[..4].iter().rev().find(|(_, bytes)| self.0 >= *bytes);
        match unit {
            Some((unit, bytes)) => write!(f, "{:.1} {unit}", self.0 as f64 / *bytes as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// What is there, less an eighth: the machine's memory, or the control group's where that is less. `None`
/// where the system does not say.
///
/// `read` gives the text of a file, to be told by a test.
pub fn standard_limit(read: &dyn Fn(&str) -> Option<String>) -> Option<Size> {
    let machine = kilobytes(&read("/proc/meminfo")?, "MemTotal:")?;
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let groups = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        group_limit(controllers, path, read)
    });
    let least = groups.chain([machine]).min()?;
    Some(Size(least - least / SPARE_FRACTION))
}

/// The least limit of a control group and of all it is in, by either version of their files.
fn group_limit(controllers: &str, path: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        controllers if controllers.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let mut path = path.trim_end_matches('/');
    let mut least: Option<u64> = None;
    loop {
        // `max` is no number, and no limit.
        let limit = read(&format!("{root}{path}/{file}")).and_then(|text| text.trim().parse().ok());
        least = least.into_iter().chain(limit).min();
        let Some(parent) = path.rfind('/') else { return least };
        path = &path[..parent];
    }
}

/// Bytes of this process that are resident. `None` where the system does not say.
pub fn resident() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The text of a file, where it can be read.
pub fn read_file(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * KIB)
}

/// What the rows that a source announces will take, loaded and with a view open.
pub fn estimate(announced: &Announced) -> Size {
    let Announced { holdings, orders, others } = *announced;
    Size(BASE_BYTES + holdings * HOLDING_BYTES + orders * ORDER_BYTES + others * OTHER_ROW_BYTES)
}

/// Lets a source begin that fits.
///
/// # Errors
/// `Overloaded` where it does not, with what it needs and what to do.
pub fn admit(announced: &Announced, limit: Size) -> Result<()> {
    let need = estimate(announced);
    if need <= limit {
        return Ok(());
    }
    let room = limit.0.saturating_sub(BASE_BYTES) as f64 / (need.0 - BASE_BYTES) as f64;
    let message = format!(
        "the source announces {} holdings and {} orders, which take about {need} in memory, and the limit is \
         {limit}: load fewer accounts, {:.0} % of them fit, or raise --memory-limit where the machine has more",
        thousands(announced.holdings),
        thousands(announced.orders),
        (room * 100.0).floor(),
    );
    Err(Error::new(Kind::Overloaded, "LIMIT", message))
}

/// A whole number with commas.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Reads what is resident and says when the data has to stand still.
pub struct Watch {
    limit: Size,
    read: Box<dyn FnMut() -> Option<u64> + Send>,
    resident: u64,
    halted_since: Option<Timestamp>,
}

impl Watch {
    /// Watches this process.
    pub fn new(limit: Size) -> Watch {
        Watch::of(limit, resident)
    }

    /// As [`Self::new`], with a reading of one's own.
    pub fn of(limit: Size, read: impl FnMut() -> Option<u64> + Send + 'static) -> Watch {
        Watch { limit, read: Box::new(read), resident: 0, halted_since: None }
    }

    /// Reads, and returns whether the data begins or ceases to stand still.
    pub fn look(&mut self, now: Timestamp) -> bool {
        // A reading that fails says nothing new.
        self.resident = (self.read)().unwrap_or(self.resident);
        let resume_below = self.limit.0 / 100 * RESUME_PERCENT;
        match self.halted_since {
            None if self.resident > self.limit.0 => self.halted_since = Some(now),
            Some(_) if self.resident < resume_below => self.halted_since = None,
            _ => return false,
        }
        true
    }

    pub fn limit(&self) -> Size {
        self.limit
    }

    pub fn resident(&self) -> Size {
        Size(self.resident)
    }

    /// Since when the data stands still, if it does.
    pub fn halted_since(&self) -> Option<Timestamp> {
        self.halted_since
    }
}
