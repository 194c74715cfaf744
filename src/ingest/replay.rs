//! Recorded topics as a source: a directory of `TOPIC.ndjson` files, one record a line.
//!
//! The files are merged by record time; of equal times the topics come in the order of the schema, and
//! the lines of one file always in theirs. So the same directory gives the same records in the same
//! order, however it is cut. It never holds more of a file than one line.
//! Cost: one pass over each file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use crate::clock::Timestamp;
use crate::delta::Changes;
use crate::dictionary::Dictionaries;
use crate::error::{Error, Kind, Result};
use crate::ingest::decode::{Decoder, Line, Record, line};
use crate::ingest::source::{Announced, Cut, Progress, Source, TopicOffset, Unit};
use crate::limits::RECORD_BYTES_MAX;
use crate::schema::{Schema, Table, TableId};

/// Bytes of one line: a record as large as one may be, its timestamp, and what stands between them.
const LINE_BYTES_MAX: usize = RECORD_BYTES_MAX + 4_096;

/// Bytes of a file whose lines say how long its lines are.
const SAMPLE_BYTES: u64 = 256 << 10;

/// Plays a directory of recorded topics, as fast as it can or at a multiple of record time.
pub struct Replay {
    decoder: Decoder,
    /// In the order of the schema, which decides between equal times.
    files: Vec<TopicFile>,
    pace: Option<Pace>,
    /// The tables whose first record opens the first day, the one that decides first.
    day_tables: [TableId; 2],
    record_time_max: Option<Timestamp>,
    caught_up: bool,
}

/// How record time follows the time of the cuts.
struct Pace {
    speed: f64,
    /// The time of the first cut, and of the first record: both are where the replay starts.
    start: Option<(Timestamp, Timestamp)>,
}

impl Replay {
    /// Opens a directory of files named after topics, such as `base.price.ndjson`.
    ///
    /// Each line is `{"key": …, "value": {…} or null, "timestamp": …}`, the timestamp an ISO 8601 time or
    /// milliseconds since 1970. `speed` is record time for each unit of time, from the first record at
    /// the first cut; without it all records are due at once. Files of other names than `….ndjson` are
    /// left alone.
    ///
    /// # Errors
    /// `Invalid` where there is no such directory, nothing to replay in it, a file of no topic, or a
    /// speed that is not positive; `Unavailable` where a file cannot be read.
    pub fn open(
        dir: &Path,
        schema: &Schema,
        dictionaries: Arc<RwLock<Dictionaries>>,
        speed: Option<f64>,
    ) -> Result<Replay> {
        if let Some(speed) = speed
            && !(speed.is_finite() && speed > 0.0)
        {
            return Err(invalid(format!("a replay's speed must be a positive number, not {speed}")));
        }
        let mut files = topic_files(dir, schema)?;
        for file in &mut files {
            file.advance()?;
        }
        Ok(Replay {
            decoder: Decoder::new(schema, dictionaries)?,
            files,
            pace: speed.map(|speed| Pace { speed, start: None }),
            day_tables: [schema.table("base.business_date").id, schema.table("base.sod_holding").id],
            record_time_max: None,
            caught_up: false,
        })
    }

    /// Goes on behind what was applied before: `offsets` count the lines of each file that were, and `time` is
    /// the greatest record time of these.
    ///
    /// # Errors
    /// `Invalid` where there is no such file any more, or it has fewer lines; `Unavailable` where one cannot be
    /// read.
    pub fn resume(&mut self, offsets: &[TopicOffset], time: Timestamp) -> Result<()> {
        for TopicOffset { topic, offset, .. } in offsets {
            let file = self.files.iter_mut().find(|file| file.topic == *topic);
            let gone = || {
                let message = format!(
                    "{offset} records of {topic} were applied before, and the recording has fewer: replay the \
                     recording of the checkpoint, or remove the checkpoints to play it from the beginning"
                );
                Error::invalid("OFFSET_OUT_OF_RANGE", message)
            };
            let file = file.ok_or_else(gone)?;
            while file.offset() < *offset {
                if matches!(file.head, Head::End) {
                    return Err(gone());
                }
                file.advance()?;
            }
        }
        self.record_time_max = self.record_time_max.max(Some(time));
        self.caught_up = self.is_caught_up();
        Ok(())
    }

    /// The file whose head is next: a bad line at once, else the earliest.
    fn next(&self) -> Option<usize> {
        let heads = self.files.iter().enumerate().filter(|(_, file)| !matches!(file.head, Head::End));
        heads.min_by_key(|(_, file)| file.head.time()).map(|(at, _)| at)
    }

    /// Hands the head of a file to the decoder and goes on to its next line.
    fn deliver(&mut self, at: usize) -> Result<()> {
        let file = &mut self.files[at];
        let position = Position { file: &file.name, line: file.line };
        match &file.head {
            Head::Record(Line { key, value, timestamp }) => {
                let part = |range: &Range<usize>| &file.buffer[range.clone()];
                let (key, value) = (key.as_ref().map(part), value.as_ref().map(part));
                let record = Record { table: file.table, position, key, value };
                if self.decoder.decode([record]) == 1 {
                    self.record_time_max = self.record_time_max.max(Some(*timestamp));
                    file.newest = file.newest.max(Some(*timestamp));
                }
            }
            Head::Bad(reason) => self.decoder.set_aside(file.table, position, &file.buffer, reason),
            Head::End => {}
        }
        file.moved = true;
        file.advance()
    }

    /// Whether a first snapshot may be shown. At a pace that is once the first day has begun, since the
    /// rest may be hours away.
    fn is_caught_up(&self) -> bool {
        let rest = self.files.iter().map(|file| file.head.time()).min();
        match &self.pace {
            None => rest.is_none_or(|rest| rest == Timestamp::MAX),
            Some(pace) => rest.is_none_or(|rest| self.first_day(pace).is_some_and(|first| rest > first)),
        }
    }

    /// The time of the record that opens the first day, once it is known.
    fn first_day(&self, pace: &Pace) -> Option<Timestamp> {
        for table in self.day_tables {
            match self.files.iter().find(|file| file.table == table) {
                Some(TopicFile { first: Some(first), .. }) => return Some(*first),
                Some(TopicFile { head: Head::Bad(_), .. }) => return None,
                _ => {}
            }
        }
        pace.start.map(|(_, record)| record)
    }
}

impl Source for Replay {
    fn reuse(&mut self, spent: Vec<Changes>) {
        self.decoder.reuse(spent);
    }

    fn cut(&mut self, now: Timestamp, records_max: usize) -> Result<Cut> {
        let mut taken = 0;
        let mut more = false;
        while let Some(at) = self.next() {
            if let (Some(pace), Head::Record(record)) = (&mut self.pace, &self.files[at].head)
                && record.timestamp > pace.record_time(now, record.timestamp)
            {
                break;
            }
            if taken == records_max {
                more = true;
                break;
            }
            self.deliver(at)?;
            taken += 1;
        }
        self.caught_up = self.caught_up || self.is_caught_up();
        let shown = if self.caught_up { &[] } else { self.files.as_slice() };
        let progress = shown.iter().map(TopicFile::progress).collect();
        let Cut { changes, set_aside, .. } = self.decoder.take();
        let offsets = self.files.iter_mut().filter_map(|file| {
            let moved = std::mem::take(&mut file.moved);
            moved.then(|| TopicOffset { topic: file.topic.clone(), partition: 0, offset: file.offset() })
        });
        let offsets = offsets.collect();
        let newest = self.files.iter_mut().filter_map(|file| Some((file.table, file.newest.take()?)));
        let newest = newest.collect();
        let (record_time_max, caught_up) = (self.record_time_max, self.caught_up);
        let ended = self.next().is_none();
        // What was recorded last is the end of the source's time, too.
        let playing = self.pace.as_ref().filter(|_| !ended);
        let source_time = playing.and_then(|pace| pace.time(now)).or(record_time_max);
        Ok(Cut {
            changes,
            set_aside,
            record_time_max,
            caught_up,
            more,
            progress,
            newest,
            source_time,
            ended,
            offsets,
            ..Cut::default()
        })
    }

    /// Lines by the size of each file and of the lines at its beginning: to read all of it only to count
    /// would cost a pass. A key that is written again and again counts each time, so it is rather too many.
    fn announced(&self) -> Option<Announced> {
        let mut announced = Announced::default();
        for file in &self.files {
            let lines = file.lines_estimated().ok()?;
            // A topic's table has its name with underscores.
            announced.add(&file.topic.replace('-', "_"), lines);
        }
        Some(announced)
    }
}

impl Pace {
    /// The record time that has come at `now`; the first record asked about starts the replay.
    fn record_time(&mut self, now: Timestamp, first: Timestamp) -> Timestamp {
        self.start.get_or_insert((now, first));
        self.time(now).expect("the replay has started")
    }

    /// The record time that has come at `now`, once the replay has started.
    fn time(&self, now: Timestamp) -> Option<Timestamp> {
        let (start, first) = self.start?;
        // A float is exact enough to wait by: below 2^53 µs, 285 years, it misses less than one.
        Some(first.saturating_add((now.saturating_sub(start) as f64 * self.speed) as Timestamp))
    }
}

/// One topic's file, read line by line.
struct TopicFile {
    table: TableId,
    topic: String,
    /// The file's name, for positions.
    name: String,
    path: PathBuf,
    /// Ends where the file ended when it was opened, so that what is appended changes nothing.
    reader: BufReader<io::Take<File>>,
    bytes_total: u64,
    /// Bytes of the lines handed out.
    bytes_done: u64,
    /// Bytes read, the head's among them.
    bytes_read: u64,
    /// The line of the head, counted from 1.
    line: u64,
    buffer: Vec<u8>,
    head: Head,
    /// The time of the first good line, once it has been the head.
    first: Option<Timestamp>,
    /// The time of the newest good record since the last cut.
    newest: Option<Timestamp>,
    /// A line was handed out since the last cut.
    moved: bool,
}

/// The next line of a file, in its buffer.
enum Head {
    Record(Line),
    /// The reason why the line is none.
    Bad(String),
    End,
}

impl Head {
    /// When it is due: a bad line waits for nothing, and the end never comes.
    fn time(&self) -> Timestamp {
        match self {
            Head::Record(line) => line.timestamp,
            Head::Bad(_) => Timestamp::MIN,
            Head::End => Timestamp::MAX,
        }
    }
}

struct Position<'a> {
    file: &'a str,
    line: u64,
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl TopicFile {
    fn open(path: PathBuf, name: String, table: &Table) -> Result<TopicFile> {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes_total, file) = opened.map_err(|error| unreadable(&path, &error))?;
        Ok(TopicFile {
            table: table.id,
            topic: table.topic.clone(),
            name,
            path,
            reader: BufReader::with_capacity(1 << 16, file.take(bytes_total)),
            bytes_total,
            bytes_done: 0,
            bytes_read: 0,
            line: 0,
            buffer: Vec::new(),
            head: Head::End,
            first: None,
            newest: None,
            moved: false,
        })
    }

    /// How many lines stand before the head.
    fn offset(&self) -> i64 {
        match self.head {
            Head::End => self.line as i64,
            Head::Record(_) | Head::Bad(_) => self.line as i64 - 1,
        }
    }

    /// Makes the next line that is not blank the head.
    fn advance(&mut self) -> Result<()> {
        loop {
            self.bytes_done = self.bytes_read;
            self.buffer.clear();
            let read = self.read_line().map_err(|error| unreadable(&self.path, &error))?;
            if read == 0 {
                self.head = Head::End;
                return Ok(());
            }
            self.bytes_read += read;
            self.line += 1;
            self.buffer.pop_if(|last| *last == b'\n');
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let parsed = if self.buffer.len() > LINE_BYTES_MAX {
            Err(format!("the line is too long; it must have at most {LINE_BYTES_MAX} bytes"))
        } else {
            line(&self.buffer)
        };
        self.head = match parsed {
            Ok(line) => {
                self.first = self.first.or(Some(line.timestamp));
                Head::Record(line)
            }
            Err(reason) => Head::Bad(reason),
        };
        Ok(())
    }

    /// Reads to the end of the line and returns its bytes; of too long a line it keeps the beginning.
    fn read_line(&mut self) -> io::Result<u64> {
        let kept = (&mut self.reader).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut self.buffer)?;
        let mut read = kept as u64;
        if kept > LINE_BYTES_MAX && !self.buffer.ends_with(b"\n") {
            read += self.reader.skip_until(b'\n')? as u64;
        }
        Ok(read)
    }

    fn progress(&self) -> Progress {
        let (done, total) = (self.bytes_done, self.bytes_total);
        Progress { topic: self.topic.clone(), done, total, unit: Unit::Bytes }
    }

    /// How many lines the file has, if all are as long as its first.
    fn lines_estimated(&self) -> io::Result<u64> {
        let mut sample = Vec::new();
        File::open(&self.path)?.take(SAMPLE_BYTES).read_to_end(&mut sample)?;
        let lines = sample.iter().filter(|&&byte| byte == b'\n').count().max(1) as u64;
        let whole = sample.iter().rposition(|&byte| byte == b'\n').map_or(sample.len(), |last| last + 1);
        Ok((self.bytes_total * lines).div_ceil((whole as u64).max(1)))
    }
}

/// The files to replay, in the order of the schema.
fn topic_files(dir: &Path, schema: &Schema) -> Result<Vec<TopicFile>> {
    let entries = fs::read_dir(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            invalid(format!("there is no directory {} to replay", dir.display()))
        }
        _ => unreadable(dir, &error),
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(dir, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(topic) = name.strip_suffix(".ndjson") else { continue };
        let Some(table) = schema.topic(topic) else {
            return Err(invalid(format!(
                "{} is no file of a known topic: {}",
                path.display(),
                known(schema)
            )));
        };
        files.push(TopicFile::open(path, name, table)?);
    }
    if files.is_empty() {
        let wanted = known(schema);
        return Err(invalid(format!("{} has nothing to replay; it may hold {wanted}", dir.display())));
    }
    files.sort_by_key(|file| file.table);
    Ok(files)
}

fn known(schema: &Schema) -> String {
    let names: Vec<String> = schema.tables.iter().map(|table| format!("{}.ndjson", table.topic)).collect();
    names.join(", ")
}

fn invalid(message: String) -> Error {
    Error::invalid("REPLAY", message)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::Unavailable, "REPLAY", format!("{} cannot be read: {error}", path.display()))
}
