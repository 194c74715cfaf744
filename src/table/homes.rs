//! Where the row of each key stands, for tables whose key is one text: by the text's code.
//!
//! It grows by blocks, so that no insert moves what is there. Cost: 8 bytes a code, in blocks that have any.

use super::PartitionId;
use super::partition::Row;
use crate::prefetch::prefetch;

/// Codes of a block, which takes 32 kilobytes.
const BLOCK_CODES: usize = 4096;

/// The place of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    pub partition: PartitionId,
    pub row: Row,
}

const NOWHERE: Home = Home { partition: PartitionId::MAX, row: Row::MAX };

#[derive(Debug, Default)]
pub struct Homes {
    blocks: Vec<Option<Box<[Home]>>>,
}

impl Homes {
    #[inline]
    pub fn get(&self, code: usize) -> Option<Home> {
        let block = self.blocks.get(code / BLOCK_CODES)?.as_ref()?;
        Some(block[code % BLOCK_CODES]).filter(|&home| home != NOWHERE)
    }

    /// Asks for the memory of a place that is read soon.
    #[inline]
    pub fn prefetch(&self, code: usize) {
        if let Some(Some(block)) = self.blocks.get(code / BLOCK_CODES) {
            prefetch(&block[code % BLOCK_CODES]);
        }
    }

    #[inline]
    pub fn set(&mut self, code: usize, home: Home) {
        let at = code / BLOCK_CODES;
        if self.blocks.len() <= at {
            self.blocks.resize(at + 1, None);
        }
        let block = self.blocks[at].get_or_insert_with(|| vec![NOWHERE; BLOCK_CODES].into_boxed_slice());
        block[code % BLOCK_CODES] = home;
    }

    pub fn remove(&mut self, code: usize) {
        if let Some(Some(block)) = self.blocks.get_mut(code / BLOCK_CODES) {
            block[code % BLOCK_CODES] = NOWHERE;
        }
    }

    /// Bytes that it has allocated.
    pub fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().flatten().count() * BLOCK_CODES * size_of::<Home>();
        blocks + self.blocks.capacity() * size_of::<Option<Box<[Home]>>>()
    }
}
