//! What a case has to reach on two cores, as data.

use serde_json::Value;

/// A bound on one thing that a case measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    P50UsMax(f64),
    P99UsMax(f64),
    /// The baseline's p50 over the case's.
    RatioMin(f64),
    /// Resident after the load, in gigabytes of 10^9 bytes.
    ResidentGbMax(f64),
    /// One more view, in megabytes of 2^20 bytes.
    ViewMbMax(f64),
    EventsPerSecondMin(f64),
}

impl Target {
    /// What a report says of it; `None` where it says nothing.
    pub fn measured(self, report: &Value) -> Option<f64> {
        match self {
            Target::P50UsMax(_) => report["p50_us"].as_f64(),
            Target::P99UsMax(_) => report["p99_us"].as_f64(),
            Target::RatioMin(_) => report["ratio"].as_f64(),
            Target::ResidentGbMax(_) => {
                report["load"]["resident_mb"].as_f64().map(|mb| mb * 1_048_576.0 / 1e9)
            }
            Target::ViewMbMax(_) => report["load"]["view_mb"].as_f64(),
            Target::EventsPerSecondMin(_) => report["events_per_s"].as_f64(),
        }
    }

    pub fn is_met(self, report: &Value) -> Option<bool> {
        let measured = self.measured(report)?;
        Some(match self {
            Target::P50UsMax(bound)
            | Target::P99UsMax(bound)
            | Target::ResidentGbMax(bound)
            | Target::ViewMbMax(bound) => measured <= bound,
            Target::RatioMin(bound) | Target::EventsPerSecondMin(bound) => measured >= bound,
        })
    }

    /// The bound as a person reads it.
    pub fn text(self) -> String {
        match self {
            Target::P50UsMax(us) => format!("p50 ≤ {}", time(us)),
            Target::P99UsMax(us) => format!("p99 ≤ {}", time(us)),
            Target::RatioMin(ratio) => format!("≥ {}×", thousands(ratio)),
            Target::ResidentGbMax(gb) => format!("≤ {gb} GB resident"),
            Target::ViewMbMax(mb) => format!("≤ {mb} MB a view"),
            Target::EventsPerSecondMin(rate) => format!("≥ {}/s", thousands(rate)),
        }
    }
}

/// Microseconds as milliseconds, to three significant digits.
pub fn time(us: f64) -> String {
    let ms = us / 1e3;
    let digits = match ms {
        ms if ms >= 100.0 => 0,
        ms if ms >= 10.0 => 1,
        ms if ms >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{ms:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = thousands(whole.parse().expect("it was a number"));
    match fraction.trim_end_matches('0') {
        "" => format!("{whole} ms"),
        fraction => format!("{whole}.{fraction} ms"),
    }
}

/// A whole number with commas.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
