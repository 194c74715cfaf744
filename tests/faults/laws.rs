//! The laws alone: what `tests/faults/run` builds a planted fault against, without the rest of the tests.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Each is written for all tests; the laws do not use all of it.
#[allow(dead_code)]
#[path = "../it/desk.rs"]
mod desk;
#[allow(dead_code)]
#[path = "../it/history.rs"]
mod history;
#[path = "../it/law.rs"]
mod law;
#[allow(dead_code)]
#[path = "../it/live.rs"]
mod live;
#[path = "../it/rows.rs"]
mod rows;

// It is an example so that cargo builds it where it is asked for alone; it is run as a test.
#[cfg(not(test))]
fn main() {}
