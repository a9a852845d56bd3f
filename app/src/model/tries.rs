//! The worst case of timeout and retries: which tries fit, which is cut short, which never runs.
//!
//! Back-off between tries (at most 250 ms each) is left out, so the bar is the shortest worst case.

/// What becomes of a try when every try takes as long as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs to its own limit.
    Runs,
    /// The timeout ends it.
    Cut,
    /// The timeout is over before it.
    Never,
}

/// One block of the bar; times in milliseconds from the first try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// "try 1", "retry 2", "cut short", "retry 3 never runs".
    pub label: String,
    /// Where it begins.
    pub from_ms: u64,
    /// Where it ends.
    pub to_ms: u64,
    /// What becomes of it.
    pub fate: Fate,
}

/// The bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorstCase {
    /// From left to right without gaps.
    pub blocks: Vec<Block>,
    /// The timeout, if there is one.
    pub timeout_ms: Option<u64>,
    /// Right end of the axis.
    pub end_ms: u64,
    /// One sentence for those who do not see the bar.
    pub text: String,
}

/// Blocks of the bar; more retries are summed up in the last.
const BLOCKS_MAX: u32 = 8;

/// The bar of a route; none if neither a timeout nor a limit per try bounds it.
#[must_use]
pub fn worst_case(
    attempts: u32,
    per_try_ms: Option<u64>,
    timeout_ms: Option<u64>,
) -> Option<WorstCase> {
    // A try without a limit of its own takes all that the timeout leaves.
    let each = per_try_ms.or(timeout_ms).filter(|each| *each > 0)?;
    let shown = attempts.min(BLOCKS_MAX);
    let mut blocks = Vec::new();
    for at in 0..=shown {
        let from_ms = each.saturating_mul(u64::from(at));
        let to_ms = from_ms.saturating_add(each);
        let name = if at == 0 { "try 1".to_owned() } else { format!("retry {at}") };
        match timeout_ms {
            Some(timeout) if timeout <= from_ms => {
                let label = format!("{name} never runs");
                blocks.push(Block { label, from_ms, to_ms, fate: Fate::Never });
            }
            Some(timeout) if timeout < to_ms => {
                blocks.push(Block { label: name, from_ms, to_ms: timeout, fate: Fate::Runs });
                let label = "cut short".to_owned();
                blocks.push(Block { label, from_ms: timeout, to_ms, fate: Fate::Cut });
            }
            _ => blocks.push(Block { label: name, from_ms, to_ms, fate: Fate::Runs }),
        }
    }
    let end_ms = blocks.last().map_or(each, |last| last.to_ms).max(timeout_ms.unwrap_or(0));
    let text = sentence(&blocks, timeout_ms, end_ms);
    Some(WorstCase { blocks, timeout_ms, end_ms, text })
}

fn sentence(blocks: &[Block], timeout_ms: Option<u64>, end_ms: u64) -> String {
    let never = blocks.iter().filter(|block| block.fate == Fate::Never).count();
    let cut = blocks.iter().any(|block| block.fate == Fate::Cut);
    match timeout_ms {
        Some(timeout) if never > 0 => {
            let run = blocks.len() - never - usize::from(cut);
            format!("The {} timeout leaves time for {run} tries.", seconds(timeout))
        }
        Some(timeout) if cut => {
            format!("The {} timeout cuts the last try short.", seconds(timeout))
        }
        _ => format!("At worst a call takes {}.", seconds(end_ms)),
    }
}

/// `6 s`, `2.5 s`, `0.25 s`: as they are written in YAML, in seconds.
#[must_use]
pub fn seconds(ms: u64) -> String {
    format!("{} s", plain_seconds(ms))
}

/// `6`, `2.5`, `0.25`: for a field whose unit stands beside it.
#[must_use]
pub fn plain_seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads what [`plain_seconds`] writes.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.trim().parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within a day")]
    (0.0..=86_400.0).contains(&seconds).then(|| (seconds * 1_000.0).round() as u64)
}

/// Ticks of the axis: zero, whole steps, the end. Milliseconds.
#[must_use]
pub fn ticks(end_ms: u64) -> Vec<u64> {
    let step = [1, 2, 5].into_iter().flat_map(|m| [1, 10, 100, 1_000, 10_000].map(|p| m * p));
    let mut steps: Vec<u64> = step.map(|s| s * 10).collect();
    steps.sort_unstable();
    let step = steps.into_iter().find(|step| end_ms / step <= 6).unwrap_or(end_ms.max(1));
    (0..=end_ms / step).map(|n| n * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(case: &WorstCase) -> Vec<(&str, u64, u64)> {
        case.blocks.iter().map(|b| (b.label.as_str(), b.from_ms, b.to_ms)).collect()
    }

    #[test]
    fn six_seconds_cut_the_second_retry_and_the_third_never_runs() {
        let case = worst_case(3, Some(2_500), Some(6_000)).unwrap();
        let expected = [
            ("try 1", 0, 2_500),
            ("retry 1", 2_500, 5_000),
            ("retry 2", 5_000, 6_000),
            ("cut short", 6_000, 7_500),
            ("retry 3 never runs", 7_500, 10_000),
        ];
        assert_eq!(drawn(&case), expected);
        assert_eq!((case.end_ms, case.blocks[4].fate), (10_000, Fate::Never));
        assert_eq!(case.text, "The 6 s timeout leaves time for 3 tries.");
    }

    #[test]
    fn without_a_limit_per_try_the_first_try_may_take_all_of_the_timeout() {
        let case = worst_case(2, None, Some(5_000)).unwrap();
        assert_eq!(case.blocks[0].fate, Fate::Runs);
        assert!(case.blocks[1..].iter().all(|block| block.fate == Fate::Never));
        assert_eq!(worst_case(2, None, None), None);
    }

    #[test]
    fn without_a_timeout_every_try_runs() {
        let case = worst_case(1, Some(2_000), None).unwrap();
        assert_eq!(drawn(&case), [("try 1", 0, 2_000), ("retry 1", 2_000, 4_000)]);
        assert_eq!(case.text, "At worst a call takes 4 s.");
        let exact = worst_case(1, Some(2_000), Some(4_000)).unwrap();
        assert!(exact.blocks.iter().all(|block| block.fate == Fate::Runs));
    }

    #[test]
    fn the_bar_is_bounded_whatever_is_typed() {
        let case = worst_case(u32::MAX, Some(1), Some(1)).unwrap();
        assert_eq!(case.blocks.len(), BLOCKS_MAX as usize + 1);
        assert!(worst_case(9, Some(u64::MAX), Some(u64::MAX)).is_some());
    }

    #[test]
    fn seconds_are_written_short_and_read_back() {
        assert_eq!([6_000, 2_500, 250, 0].map(seconds), ["6 s", "2.5 s", "0.25 s", "0 s"]);
        assert_eq!(
            (parse_seconds(" 2.5 "), parse_seconds("-1"), parse_seconds("x")),
            (Some(2_500), None, None)
        );
    }

    #[test]
    fn an_axis_has_at_most_seven_ticks() {
        assert_eq!(ticks(10_000), [0, 2_000, 4_000, 6_000, 8_000, 10_000]);
        for end in [1, 77, 4_000, 60_000, 500_000] {
            assert!(ticks(end).len() <= 7, "{end}: {:?}", ticks(end));
        }
    }
}
