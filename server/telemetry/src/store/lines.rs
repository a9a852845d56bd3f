//! The log lines: which leave next, and until when lines have left.
//!
//! A line joins at the end, and what it is worth is asked when it would leave: by then the order it
//! is about is over, and known to be one that is come back for or not.

use super::{ages::Sort, record::LogRecord};
use std::collections::VecDeque;

/// Log lines by age, in the sorts that traces are of. Those that were not asked about are plain.
#[derive(Debug)]
pub(super) struct Lines {
    most: usize,
    sorts: [VecDeque<LogRecord>; 4],
    /// The latest line of each sort that left.
    left_until_us: [i64; 4],
    pub(super) evicted: u64,
}

impl Lines {
    /// No lines yet; there are none from before the start.
    pub(super) fn new(most: usize, started_us: i64) -> Self {
        Self { most, sorts: Default::default(), left_until_us: [started_us; 4], evicted: 0 }
    }

    pub(super) fn add(&mut self, line: LogRecord, sort_of: impl Fn(&LogRecord) -> Sort) {
        self.sorts[Sort::Plain as usize].push_back(line);
        while self.len() > self.most {
            self.make_room(&sort_of);
        }
    }

    /// Takes the line that is next, and keeps it with its like if it is worth more than it was.
    fn make_room(&mut self, sort_of: impl Fn(&LogRecord) -> Sort) {
        let asked = Sort::makes_room(self.sorts.each_ref().map(VecDeque::len), self.most) as usize;
        let from = (asked..self.sorts.len()).chain(0..asked);
        let next = from.filter_map(|sort| Some((sort, self.sorts[sort].pop_front()?))).next();
        let Some((sort, line)) = next else { return };
        let worth = sort_of(&line);
        if worth as usize > sort && worth >= Sort::Lasting {
            self.sorts[worth as usize].push_back(line);
            return;
        }
        self.left_until_us[sort] = self.left_until_us[sort].max(line.at_us);
        self.evicted += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.sorts.iter().map(VecDeque::len).sum()
    }

    /// Until when lines of a sort have left.
    pub(super) fn left_until_us(&self, sort: Sort) -> i64 {
        self.left_until_us[sort as usize]
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &LogRecord> {
        self.sorts.iter().flatten()
    }
}
