//! Every bound of the engine and the server, in one place.

/// Records taken from the sources for one tick while the engine loads: few enough that what a tick makes
/// of them, some megabytes, is at hand again for the next, and that the page hears of progress often.
pub const CUT_RECORDS_MAX: usize = 16_384;
/// Cuts of 5 megabytes that are made ahead of the engine while it loads.
pub const CUTS_AHEAD_MAX: usize = 4;
/// Topics that never rest while the market is open, and the silence after which clients are told.
///
/// Prices come many a second; the rate of a less liquid currency may take its time. All other topics are
/// quiet by nature: an account is declared once, and a desk may have no order for an hour.
pub const SILENCE_MS_MAX_BY_TOPIC: [(&str, u64); 2] = [("base.price", 5_000), ("base.fx-rate", 30_000)];
/// Cuts in a row, none later than such a silence, after which a topic is expected to go on.
pub const FLOWING_CUTS_MIN: u32 = 10;
/// Bytes of one record's key and value together; a larger record is set aside.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Records kept in the quarantine; beyond it the oldest go, and are still counted.
pub const QUARANTINE_RECORDS_MAX: usize = 10_000;
/// Bytes of a set-aside record's payload that are kept.
pub const QUARANTINE_PAYLOAD_BYTES_MAX: usize = 4_096;
/// Bytes of Kafka's records that wait, of all partitions together, in librdkafka's queues; each may exceed
/// its share by one fetch.
pub const KAFKA_QUEUED_BYTES_MAX: usize = 128 << 20;
/// Records and bytes of one partition that are taken out of its queue ahead of the cuts.
pub const KAFKA_AHEAD_RECORDS_MAX: usize = 8_192;
pub const KAFKA_AHEAD_BYTES_MAX: usize = 1 << 20;
/// How long a partition may be out of reach, or behind what its broker has, before clients are told.
pub const KAFKA_LAG_MS_MAX: u64 = 5_000;
/// How long a cluster may take to answer when a source is opened.
pub const KAFKA_CONNECT_MS_MAX: u64 = 15_000;
/// Checkpoints that are kept: where the last is damaged, the one before it is read.
pub const CHECKPOINTS_KEPT: usize = 2;
/// Group-by fields of one view.
pub const GROUP_FIELDS_MAX: usize = 8;
/// Groups a view may have over all its levels.
pub const GROUPS_MAX: usize = 2_000_000;
/// Rows of one window.
pub const WINDOW_ROWS_MAX: usize = 100_000;
/// Recomputations at a time; each takes a core and a few copies of the rows it reads.
pub const AUDITS_MAX: usize = 1;
/// Views one session may hold open.
pub const SESSION_VIEWS_MAX: usize = 64;
/// Sessions the server holds, those waiting to be resumed among them.
pub const SESSIONS_MAX: usize = 4_096;
/// Bytes of one frame from a client.
pub const CLIENT_FRAME_BYTES_MAX: usize = 4 << 20;
/// Frames a second from one client, counted over ten seconds.
pub const CLIENT_FRAMES_PER_SECOND_MAX: u32 = 200;
/// Patches sent and not yet acknowledged, of one view of one client.
pub const PATCHES_UNACKNOWLEDGED_MAX: usize = 2;
/// Frames that wait for one slow socket.
pub const SOCKET_FRAMES_MAX: usize = 64;
/// Time a disconnected session's views are kept.
pub const SESSION_GRACE_MS: u64 = 60_000;
pub const HEARTBEAT_MS: u64 = 5_000;
/// Silence after which a peer is dead.
pub const SILENCE_MS_MAX: u64 = 15_000;
/// Rows of net positions that are read in one go for a view that opens: about 5 ms, so that a tick that
/// falls due meanwhile is hardly late.
pub const OPENING_ROWS: usize = 400_000;
/// Compiled views that nobody has open and that are kept for whoever opens them next.
pub const SHAPES_IDLE_MAX: usize = 32;
/// The longest a change waits for its tick.
pub const TICK_WINDOW_MS: u64 = 100;
/// Rows that may come, go or move in one patch; beyond it a snapshot is cheaper to apply.
pub const PATCH_STEPS_MAX: usize = 2_000;
/// Groups of one view that are open by name rather than by level.
pub const BRANCHES_MAX: usize = 100_000;
/// Frames a client may send before it says hello.
pub const EARLY_FRAMES_MAX: usize = 64;
/// Messages from all clients that wait for the engine.
pub const INBOX_MESSAGES_MAX: usize = 4_096;
/// Bytes of an ad-hoc query's text.
pub const QUERY_TEXT_BYTES_MAX: usize = 64 << 10;
/// Rows that an ad-hoc query answers; beyond it the answer says that there are more.
pub const QUERY_ROWS_MAX: usize = 10_000;
/// Bytes an ad-hoc query holds at a time, its answer among them.
pub const QUERY_MEMORY_BYTES_MAX: usize = 512 << 20;
/// Resident bytes of a server without rows, its page and plans among them.
///
/// Measured, as the next three, by `bench load` with 60 to 400 accounts of 5,000 holdings and 10,000 orders
/// each: what is resident after the load lies on a line through this. What a view keeps is small beside it.
pub const BASE_BYTES: u64 = 128 << 20;
/// Resident bytes of a holding: 19 of its row and its key's index, 47 of the net position it begins, and a
/// quarter that the allocator rounds up and holdings of the market, less regular, take more.
pub const HOLDING_BYTES: u64 = 85;
/// Resident bytes of an order: 29 to 44 of its row and its key's place, 19 of the text of its id, the rest as
/// above, with the net positions that a few orders begin.
pub const ORDER_BYTES: u64 = 85;
/// Resident bytes of a row of any other table.
pub const OTHER_ROW_BYTES: u64 = 300;
/// Live views of SQL that an engine holds.
pub const LIVE_VIEWS_MAX: usize = 1_024;
/// Bytes that the plan of one live view holds at a time, its rows among them.
pub const LIVE_MEMORY_BYTES_MAX: usize = 512 << 20;
/// Groups of one live view: each costs a row of its plan's input.
pub const LIVE_GROUPS_MAX: usize = 2_000_000;
/// How often sources are asked for news while there is none.
pub const SOURCE_POLL_MS: u64 = 2;
