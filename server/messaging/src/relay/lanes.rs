//! Where each lane of a relay is in its outbox: what to ask for next, and what of an answer is
//! taken under way. Pure; who asks, and what becomes of what is taken, is the relay's.

use super::{IN_FLIGHT_MAX, READ_MAX};
use crate::OutboxRow;

/// Messages that wait for the same subscribers.
struct Lane {
    /// Its topics; none for the lane of all others.
    topics: Vec<&'static str>,
    /// Everything of it up to here was taken under way.
    last: i64,
    under_way: usize,
    /// There may be more of it after `last`, and nobody asked yet.
    behind: bool,
}

impl Lane {
    const fn new(topics: Vec<&'static str>) -> Self {
        Self { topics, last: 0, under_way: 0, behind: true }
    }

    const fn has_room(&self) -> bool {
        self.under_way < IN_FLIGHT_MAX
    }

    const fn wants(&self) -> bool {
        self.behind && self.has_room()
    }
}

/// What an outbox is asked: for the messages of some lanes, all of which are at one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    from: i64,
    except: Vec<&'static str>,
    /// Which lanes it is for.
    asked: Vec<bool>,
    /// The furthest place that any lane had seen.
    seen: i64,
}

impl Question {
    /// The place after which messages are wanted.
    pub(super) const fn from(&self) -> i64 {
        self.from
    }

    /// Topics of lanes that it is not for.
    pub(super) fn except(&self) -> &[&'static str] {
        &self.except
    }
}

/// The lanes of one relay.
pub(super) struct Lanes(Vec<Lane>);

impl Lanes {
    /// One for each group of topics, and the last for topics in no group.
    pub(super) fn new(groups: Vec<Vec<&'static str>>) -> Self {
        Self(groups.into_iter().chain([Vec::new()]).map(Lane::new).collect())
    }

    /// Messages were recorded: also while a question is under way, whose answer may be without
    /// them.
    pub(super) fn recorded(&mut self) {
        self.0.iter_mut().for_each(|lane| lane.behind = true);
    }

    /// A message of a lane is not under way any more.
    pub(super) fn gave_back(&mut self, lane: usize) {
        self.0[lane].under_way -= 1;
    }

    /// What to ask for the lanes that are furthest behind, as far as they have room; mostly all
    /// lanes are at one place, and one look serves them all. None when no lane wants anything. A
    /// question is answered before the next is asked.
    pub(super) fn question(&mut self) -> Option<Question> {
        let lanes = &mut self.0;
        let from = lanes.iter().filter(|lane| lane.wants()).map(|lane| lane.last).min()?;
        let asked: Vec<bool> = lanes.iter().map(|l| l.wants() && l.last == from).collect();
        let others = lanes.iter().zip(&asked).filter(|(_, asked)| !**asked);
        let except = others.flat_map(|(lane, _)| lane.topics.iter().copied()).collect();
        let seen = lanes.iter().map(|lane| lane.last).max().unwrap_or(from);
        for (lane, _) in lanes.iter_mut().zip(&asked).filter(|(_, asked)| **asked) {
            lane.behind = false;
        }
        Some(Question { from, except, asked, seen })
    }

    /// The messages of an answer that go under way now, each with its lane.
    pub(super) fn take(
        &mut self,
        question: &Question,
        rows: Vec<OutboxRow>,
    ) -> Vec<(usize, OutboxRow)> {
        let lanes = &mut self.0;
        // A full answer may not be all of it. After one that is not full nothing is left of these
        // lanes up to the furthest place that was seen before the question.
        let more = rows.len() == READ_MAX;
        let end = rows.last().map_or(question.from, |row| row.sequence);
        let seen = question.seen.max(end);
        let mut taken = Vec::with_capacity(rows.len());
        let mut cut = vec![false; lanes.len()];
        for row in rows {
            let of_topic = |lane: &Lane| lane.topics.contains(&row.message.topic.as_str());
            let index = lanes.iter().position(of_topic).unwrap_or(lanes.len() - 1);
            if !question.asked[index] || cut[index] {
                continue;
            }
            if lanes[index].has_room() {
                lanes[index].last = row.sequence;
                lanes[index].under_way += 1;
                taken.push((index, row));
            } else {
                cut[index] = true;
            }
        }
        for (index, lane) in lanes.iter_mut().enumerate().filter(|(i, _)| question.asked[*i]) {
            if cut[index] {
                lane.behind = true;
            } else {
                lane.last = if more { end } else { seen };
                lane.behind |= more;
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    /// Two lanes with topics, and the one of all others.
    fn lanes() -> Lanes {
        Lanes::new(vec![vec!["stock.moved"], vec!["order.confirmed"]])
    }

    fn row(sequence: i64, topic: &str) -> OutboxRow {
        let message = Message {
            id: sequence.to_string(),
            topic: topic.into(),
            source: "inventory".into(),
            key: "ord-1".into(),
            correlation_id: None,
            trace: base::TraceContext::default(),
            recorded_us: 0,
            body: serde_json::Value::Null,
        };
        OutboxRow { sequence, message }
    }

    /// Asks, and is answered with these; what was asked and what is taken.
    fn answered(lanes: &mut Lanes, rows: Vec<OutboxRow>) -> (i64, Vec<(usize, i64)>) {
        let question = lanes.question().expect("something is wanted");
        let taken = lanes.take(&question, rows);
        let places = taken.into_iter().map(|(lane, row)| (lane, row.sequence)).collect();
        (question.from(), places)
    }

    #[test]
    fn one_question_serves_all_lanes_that_are_at_one_place() {
        let mut lanes = lanes();
        let rows = vec![row(1, "order.confirmed"), row(2, "nobody.cares"), row(4, "stock.moved")];
        assert_eq!(answered(&mut lanes, rows), (0, vec![(1, 1), (2, 2), (0, 4)]));
        assert_eq!(lanes.question(), None, "all of it was read");
        lanes.recorded();
        assert_eq!(answered(&mut lanes, vec![]), (4, vec![]));
    }

    #[test]
    fn what_is_recorded_while_the_outbox_answers_is_asked_for_afterwards() {
        let mut lanes = lanes();
        let question = lanes.question().expect("a start asks");
        lanes.recorded();
        assert_eq!(lanes.take(&question, vec![row(1, "stock.moved")]).len(), 1);
        assert_eq!(answered(&mut lanes, vec![row(2, "stock.moved")]), (1, vec![(0, 2)]));
        assert_eq!(lanes.question(), None);
    }

    #[test]
    fn a_lane_without_room_stays_where_it_is_and_the_others_go_on() {
        let mut lanes = lanes();
        let full = IN_FLIGHT_MAX as i64;
        let rows = (1..=full).map(|n| row(n, "stock.moved")).collect();
        assert_eq!(answered(&mut lanes, rows).1.len(), IN_FLIGHT_MAX);
        // The answer was full: there may be more, of this lane only once it has room.
        let question = lanes.question().expect("the others are behind");
        assert_eq!((question.from(), question.except()), (full, &["stock.moved"][..]));
        let taken = lanes.take(&question, vec![row(full + 2, "order.confirmed")]);
        assert_eq!(taken.len(), 1);
        assert_eq!(lanes.question(), None);
        lanes.gave_back(0);
        let rows = vec![row(full + 1, "stock.moved"), row(full + 3, "stock.moved")];
        assert_eq!(answered(&mut lanes, rows), (full, vec![(0, full + 1)]));
        assert_eq!(lanes.question(), None, "it is full again");
        // What was left of that answer is asked for from where the lane is.
        lanes.gave_back(0);
        let rows = vec![row(full + 3, "stock.moved")];
        assert_eq!(answered(&mut lanes, rows), (full + 1, vec![(0, full + 3)]));
        assert_eq!(lanes.question(), None);
    }

    #[test]
    fn a_lane_that_was_held_up_joins_the_others_when_nothing_of_it_is_left() {
        let mut lanes = lanes();
        let rows = (1..=IN_FLIGHT_MAX as i64).map(|n| row(n, "stock.moved")).collect();
        answered(&mut lanes, rows);
        answered(&mut lanes, vec![row(900, "order.confirmed")]);
        lanes.gave_back(0);
        assert_eq!(answered(&mut lanes, vec![]).0, IN_FLIGHT_MAX as i64);
        lanes.recorded();
        let question = lanes.question().expect("something was recorded");
        assert_eq!((question.from(), question.except()), (900, &[][..]));
    }
}
