//! Pairs of instruments: how a leg is grouped and by what it is valued, as one dense number.
//!
//! All a view looks up for a position depends on its pair, so a price is applied once a pair. For all but
//! the cash of open orders without a limit, both are the same instrument.

use hashbrown::HashMap;

use crate::dictionary::Code;
use crate::table::Domain;

pub type Pair = u32;

const NONE: Pair = Pair::MAX;

#[derive(Default)]
pub struct Pairs {
    numbers: HashMap<(Code, Code), Pair>,
    /// By the number of an instrument: its pair with itself, the one nearly all legs have.
    alone: Vec<Pair>,
    /// The codes of the instrument a leg is grouped by, and of the one it is valued by.
    members: Vec<(Code, Code)>,
    /// The same as dense numbers of instruments.
    places: Vec<(u32, u32)>,
    /// By the number of an instrument: the pairs it is grouped by in, and those it values.
    grouped: Vec<Vec<Pair>>,
    valued: Vec<Vec<Pair>>,
}

impl Pairs {
    /// The number of a pair, which is new the first time it is seen.
    pub fn number(&mut self, instrument: Code, priced_as: Code, instruments: &Domain) -> Pair {
        let place = if instrument == priced_as { instruments.find(instrument) } else { None };
        let known = place.and_then(|place| self.alone.get(place as usize));
        if let Some(&pair) = known.filter(|&&pair| pair != NONE) {
            return pair;
        }
        let Pairs { numbers, members, places, grouped, valued, alone } = self;
        let pair = *numbers.entry((instrument, priced_as)).or_insert_with(|| {
            let pair = members.len() as Pair;
            members.push((instrument, priced_as));
            let place = |code: Code| instruments.find(code).expect("a leg's instruments are known");
            let (of, by) = (place(instrument), place(priced_as));
            places.push((of, by));
            for (lists, number) in [(grouped, of as usize), (valued, by as usize)] {
                if lists.len() <= number {
                    lists.resize_with(number + 1, Vec::new);
                }
                lists[number].push(pair);
            }
            pair
        });
        if let Some(place) = place.map(|place| place as usize) {
            if alone.len() <= place {
                alone.resize(place + 1, NONE);
            }
            alone[place] = pair;
        }
        pair
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    #[inline]
    pub fn instrument(&self, pair: Pair) -> Code {
        self.members[pair as usize].0
    }

    #[inline]
    pub fn priced_as(&self, pair: Pair) -> Code {
        self.members[pair as usize].1
    }

    /// The number of the instrument a pair is grouped by.
    #[inline]
    pub fn instrument_number(&self, pair: Pair) -> u32 {
        self.places[pair as usize].0
    }

    /// The number of the instrument a pair is valued by.
    #[inline]
    pub fn priced_as_number(&self, pair: Pair) -> u32 {
        self.places[pair as usize].1
    }

    /// The pairs grouped by an instrument, given by its number.
    pub fn grouped_by(&self, instrument: u32) -> &[Pair] {
        self.grouped.get(instrument as usize).map_or(&[], Vec::as_slice)
    }

    /// The pairs valued by an instrument, given by its number.
    pub fn valued_by(&self, instrument: u32) -> &[Pair] {
        self.valued.get(instrument as usize).map_or(&[], Vec::as_slice)
    }
}
