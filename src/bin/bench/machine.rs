//! The machine that a run's numbers are of: processor, memory, how fast it reads, and which sources ran.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::report::tenths;

/// Far more than any cache holds; all of it is given back before the first case.
const BUFFER_BYTES: usize = 1 << 30;
/// Of a smoke run, which is not about speed.
const BUFFER_BYTES_SMOKE: usize = 64 << 20;
/// How long each bandwidth is measured at least.
const MEASURE: Duration = Duration::from_millis(500);

/// The first line of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct MachineLine {
    pub machine: Machine,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    /// In units of 2^20 bytes.
    pub memory_mb: f64,
    /// What one core reads, and what two read at once, in 10^9 bytes a second.
    pub read_gb_s_one_core: f64,
    pub read_gb_s_two_cores: f64,
    /// The commit of the sources the bench was started in; null outside a repository.
    pub commit: Option<String>,
    /// Whether the sources differ from the commit; null outside a repository.
    pub dirty: Option<bool>,
}

impl Machine {
    /// Takes about a second.
    pub fn measured(smoke: bool) -> Result<Machine> {
        let buffer = vec![1u64; if smoke { BUFFER_BYTES_SMOKE } else { BUFFER_BYTES } / size_of::<u64>()];
        let halves = buffer.split_at(buffer.len() / 2);
        let time = if smoke { MEASURE / 10 } else { MEASURE };
        let gb_s = |bytes_s: f64| tenths(bytes_s / 1e9);
        let one = read_rate(&buffer, time);
        let two = std::thread::scope(|scope| {
            let other = scope.spawn(|| read_rate(halves.0, time));
            read_rate(halves.1, time) + other.join().expect("reading does not panic")
        });
        Ok(Machine {
            cpu: line_of("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism()?.get(),
            memory_mb: kilobytes("/proc/meminfo", "MemTotal")? / 1024.0,
            read_gb_s_one_core: gb_s(one),
            read_gb_s_two_cores: gb_s(two),
            commit: git(&["rev-parse", "HEAD"]),
            dirty: git(&["status", "--porcelain"]).map(|changes| !changes.is_empty()),
        })
    }
}

/// Bytes a second of reading a buffer from its first word to its last, again and again.
fn read_rate(buffer: &[u64], time: Duration) -> f64 {
    let started = Instant::now();
    let mut bytes = 0;
    while started.elapsed() < time {
        // Several sums at a time, so that additions do not wait for each other.
        let mut sums = [0u64; 16];
        for words in buffer.chunks_exact(16) {
            sums.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        }
        std::hint::black_box(sums);
        bytes += size_of_val(buffer);
    }
    bytes as f64 / started.elapsed().as_secs_f64()
}

/// The most memory that was resident since the last call of [`forget_peak`], in units of 2^20 bytes.
pub fn peak_mb() -> Result<f64> {
    Ok(tenths(kilobytes("/proc/self/status", "VmHWM")? / 1024.0))
}

/// What is resident now, in units of 2^20 bytes.
pub fn resident_mb() -> Result<f64> {
    Ok(tenths(kilobytes("/proc/self/status", "VmRSS")? / 1024.0))
}

/// Begins a new peak, where the kernel lets a process do so; else the one of the whole process stands.
pub fn forget_peak() {
    const PEAK: &str = "5";
    let _ = std::fs::write("/proc/self/clear_refs", PEAK);
}

fn kilobytes(path: &str, name: &str) -> Result<f64> {
    let value = line_of(path, name)?;
    let number = value.trim_end_matches("kB").trim();
    number.parse().with_context(|| format!("{name} of {path} is {value:?}, not a number of kB"))
}

/// What stands after a name and its colon.
fn line_of(path: &str, name: &str) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    let value = |line: &str| {
        let (known, value) = line.split_once(':')?;
        (known.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(value).with_context(|| format!("{path} has no {name}"))
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
