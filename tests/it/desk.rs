//! A small engine that is fed JSON records: what most tests are written on.

use tickview::delta::Changes;
use tickview::ingest::decode::{Decoder, Record};
use tickview::ingest::source::Cut;
use tickview::schedule::Engine;

pub struct Desk {
    pub engine: Engine,
    decoder: Decoder,
}

impl Desk {
    pub fn new() -> Desk {
        let engine = Engine::new();
        let decoder = Decoder::new(engine.schema(), engine.dictionaries().clone()).unwrap();
        Desk { engine, decoder }
    }

    /// Decodes `topic key value` lines, separated by tabs.
    pub fn decode(&mut self, lines: &str) -> Vec<Changes> {
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let mut parts = line.trim().splitn(3, ' ');
            let topic = parts.next().unwrap();
            let key = parts.next().unwrap();
            let value = parts.next().unwrap();
            let table = self.engine.schema().topic(topic).unwrap().id;
            let value = (value != "null").then_some(value.as_bytes());
            self.decoder.decode([Record { table, position: 0, key: Some(key.as_bytes()), value }]);
        }
        let cut = self.decoder.take();
        assert_eq!(cut.set_aside, vec![], "only good records");
        cut.changes
    }

    pub fn tick(&mut self, now: i64, lines: &str) {
        let changes = self.decode(lines);
        self.engine.tick(now, Cut { changes, ..Cut::default() }).unwrap();
    }
}
