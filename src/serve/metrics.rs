//! What the server tells of itself at `/metrics`, in the text format of Prometheus.

use std::sync::OnceLock;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::session::Traffic;
use super::views::{Gauges, Tick};

/// From ten microseconds, a tick that touches one group, to ten seconds, one that should not be.
const SECONDS: [f64; 16] = [
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    1.0, 10.0,
];

/// The registry of this process; the first call installs it.
///
/// # Panics
/// Where another recorder of metrics is installed already.
pub fn registry() -> &'static PrometheusHandle {
    static REGISTRY: OnceLock<PrometheusHandle> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .expect("there are buckets");
        let handle = builder.install_recorder().expect("this is the only recorder");
        describe();
        handle
    })
}

fn describe() {
    describe_histogram!(
        "tickview_tick_seconds",
        Unit::Seconds,
        "Time of a tick that changed something, all of it"
    );
    describe_histogram!("tickview_stage_seconds", Unit::Seconds, "Time of a tick's stages");
    describe_gauge!(
        "tickview_last_tick_seconds",
        Unit::Seconds,
        "Time of the last tick that changed something, by part of its evaluation"
    );
    describe_counter!("tickview_ticks_total", "Ticks that changed something");
    describe_gauge!("tickview_checkpoint_bytes", Unit::Bytes, "Files of the last checkpoint");
    describe_gauge!("tickview_checkpoint_seconds", Unit::Seconds, "What it took to write it");
    describe_counter!("tickview_checkpoints_total", "Checkpoints written");
    describe_counter!("tickview_checkpoint_errors_total", "Checkpoints that could not be written");
    describe_counter!("tickview_tick_errors_total", "Ticks that failed and changed nothing");
    describe_gauge!("tickview_epoch", "Number of the committed state");
    describe_gauge!("tickview_ready", "1 once a first consistent snapshot stands");
    describe_gauge!("tickview_rows", "Rows by table");
    describe_gauge!("tickview_views", "Distinct views that clients have open");
    describe_gauge!("tickview_views_maintained", "Views the engine maintains");
    describe_gauge!("tickview_sessions", "Sessions, those expected back among them");
    describe_gauge!("tickview_sockets", "WebSockets that are open");
    describe_gauge!("tickview_resident_bytes", Unit::Bytes, "Memory of the process that is resident");
    describe_gauge!(
        "tickview_memory_limit_bytes",
        Unit::Bytes,
        "Resident memory beyond which sources wait and no view is opened"
    );
    describe_gauge!("tickview_halted", "1 while the data stands still for want of memory");
    describe_counter!("tickview_patches_total", "Patches sent");
    describe_counter!(
        "tickview_patch_cells_total",
        "Changed cells, once for all who were sent the same patch"
    );
    describe_counter!("tickview_patch_bytes_total", Unit::Bytes, "Bytes of patches sent");
    describe_counter!("tickview_snapshots_total", "Snapshots sent");
    describe_counter!("tickview_snapshot_bytes_total", Unit::Bytes, "Bytes of snapshots sent");
    describe_counter!("tickview_gaps_total", "Patches given up for a snapshot");
    describe_counter!("tickview_rejects_total", "Frames rejected");
    describe_gauge!(
        "tickview_source_lag_seconds",
        Unit::Seconds,
        "How far the newest record taken lies behind the source's own time, by topic"
    );
    describe_gauge!("tickview_quarantined_records", "Records set aside since the start, by topic");
}

/// A tick that changed something: its stages, and the time to compare and send after it.
pub(super) fn record_tick(tick: &Tick, publish_us: u64, total_us: u64) {
    counter!("tickview_ticks_total").increment(1);
    histogram!("tickview_tick_seconds").record(seconds(total_us));
    for &(stage, us) in tick.stages_us.iter().chain(&[("publish", publish_us)]) {
        histogram!("tickview_stage_seconds", "stage" => stage).record(seconds(us));
    }
    for &(part, ns) in &tick.parts_ns {
        gauge!("tickview_last_tick_seconds", "part" => part).set(ns as f64 / 1e9);
    }
}

pub(super) fn record_tick_error() {
    counter!("tickview_tick_errors_total").increment(1);
}

pub(super) fn record_checkpoint(bytes: u64, seconds: f64) {
    counter!("tickview_checkpoints_total").increment(1);
    gauge!("tickview_checkpoint_bytes").set(bytes as f64);
    gauge!("tickview_checkpoint_seconds").set(seconds);
}

pub(super) fn record_checkpoint_error() {
    counter!("tickview_checkpoint_errors_total").increment(1);
}

pub(super) fn record_traffic(traffic: Traffic) {
    counter!("tickview_patches_total").increment(traffic.patches);
    counter!("tickview_patch_cells_total").increment(traffic.patch_cells);
    counter!("tickview_patch_bytes_total").increment(traffic.patch_bytes);
    counter!("tickview_snapshots_total").increment(traffic.snapshots);
    counter!("tickview_snapshot_bytes_total").increment(traffic.snapshot_bytes);
    counter!("tickview_gaps_total").increment(traffic.gaps);
    counter!("tickview_rejects_total").increment(traffic.rejects);
}

/// What the desk has at hand.
pub(super) struct Load {
    pub epoch: u64,
    pub ready: bool,
    pub views: usize,
    pub sessions: usize,
    pub sockets: usize,
    /// What is resident and what may be, in bytes, and whether the data stands still for it.
    pub memory: Option<(u64, u64, bool)>,
}

pub(super) fn record_gauges(load: &Load, gauges: Gauges) {
    gauge!("tickview_epoch").set(load.epoch as f64);
    gauge!("tickview_ready").set(f64::from(u8::from(load.ready)));
    gauge!("tickview_views").set(load.views as f64);
    gauge!("tickview_sessions").set(load.sessions as f64);
    gauge!("tickview_sockets").set(load.sockets as f64);
    if let Some((resident, limit, halted)) = load.memory {
        gauge!("tickview_resident_bytes").set(resident as f64);
        gauge!("tickview_memory_limit_bytes").set(limit as f64);
        gauge!("tickview_halted").set(f64::from(u8::from(halted)));
    }
    gauge!("tickview_views_maintained").set(gauges.views as f64);
    for (table, rows) in gauges.rows {
        gauge!("tickview_rows", "table" => table).set(rows as f64);
    }
    for (topic, lag_us) in gauges.source_lag_us {
        gauge!("tickview_source_lag_seconds", "topic" => topic).set(seconds(lag_us));
    }
    for (topic, records) in gauges.quarantined {
        gauge!("tickview_quarantined_records", "topic" => topic).set(records as f64);
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
