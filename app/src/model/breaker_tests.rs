//! What a breaker's card says, in words.

use super::*;
use contract::resilience::ForcedView;

fn settings() -> BreakerSettings {
    BreakerSettings { failures_in_a_row: 5, wait_ms: 20_000 }
}

fn card(state: BreakerState) -> BreakerCard {
    let distance = (state == BreakerState::Closed).then_some(3);
    BreakerCard {
        line: BreakerLine {
            id: "gateway~recommendations".into(),
            from: "gateway".into(),
            to: "recommendations".into(),
            subset: None,
            state,
            since_us: 0,
            half_open_at_us: Some(20 * US_PER_SECOND),
            forced: None,
            marks: "oxxsoxoxx".into(),
            opens_at: 5,
            distance,
        },
        settings: settings(),
        slow_ms: 1_000,
        window: Vec::new(),
        trials: Vec::new(),
        opened: 1,
        refused: 0,
        refused_per_second: 0.0,
        meanwhile: String::new(),
        causes: Vec::new(),
        history: Vec::new(),
    }
}

#[test]
fn thresholds_read_as_the_arrows_of_the_state_machine() {
    assert_eq!(opens_when(&settings()), "5 in a row fail");
    assert_eq!(opens_when(&BreakerSettings { failures_in_a_row: 1, ..settings() }), "1 call fails");
    assert_eq!(waits(&settings()), "after 20 s");
}

#[test]
fn only_failures_in_a_row_bring_a_breaker_nearer_to_opening() {
    let line = card(BreakerState::Closed).line;
    assert_eq!(run_text(&line), "2 failed in a row");
    assert_eq!((run_cells(&line), share_text(&line)), (2, "2 of 5".into()));
    assert_eq!(distance(&line), "3 more in a row open it");
    assert_eq!(window_text(&line), "5 failed, 1 slow", "failures elsewhere are told apart");
    assert!(!run_is_all(&line));
    let well = BreakerLine { marks: "xxxxo".into(), distance: Some(5), ..line.clone() };
    assert_eq!((run_text(&well), run_cells(&well)), ("none failed in a row".into(), 0));
    let last = BreakerLine { distance: Some(1), marks: "xxxx".into(), ..line.clone() };
    assert_eq!(distance(&last), "the next failure opens it");
    assert!(run_is_all(&last), "what the run says is not said twice");
    let reset = BreakerLine { distance: Some(5), marks: "xxxxx".into(), ..line };
    assert_eq!((run_cells(&reset), share_text(&reset)), (0, "0 of 5".into()));
}

#[test]
fn an_open_ring_runs_down_and_half_open_waits_for_its_one_trial() {
    let open = card(BreakerState::Open);
    assert_eq!(run(&open.line), 2, "what is at the end of the window it opened on");
    assert!((ring(&open, 10 * US_PER_SECOND) - 0.5).abs() < 1e-9);
    assert!((ring(&open, 99 * US_PER_SECOND)).abs() < 1e-9);
    assert_eq!(inside(&open, 14_000_001), ("6 s".into(), "left"));
    let half = card(BreakerState::HalfOpen);
    assert!(ring(&half, 0).abs() < 1e-9);
    assert_eq!(inside(&half, 0), ("0/1".into(), "trial"));
}

#[test]
fn a_forced_breaker_counts_down_to_its_release() {
    let mut forced = card(BreakerState::Open);
    let until_us = 100 * US_PER_SECOND;
    forced.line.forced = Some(ForcedView { to: BreakerState::Open, until_us });
    assert!((ring(&forced, 25 * US_PER_SECOND) - 0.75).abs() < 1e-9);
    assert_eq!(inside(&forced, 25 * US_PER_SECOND), ("1:15".into(), "forced"));
    let said = sentence(&forced.line);
    assert!(said.ends_with("open, forced by hand, 2 failed in a row, opens at 5"), "{said}");
}

#[test]
fn thresholds_that_no_breaker_can_have_are_refused() {
    assert!(mistakes(&settings()).is_empty());
    let fields = |failures_in_a_row, wait_ms| {
        let wrong = mistakes(&BreakerSettings { failures_in_a_row, wait_ms });
        wrong.into_iter().map(|(field, _)| field).collect::<Vec<_>>()
    };
    assert_eq!(fields(0, 0), ["failures_in_a_row", "wait_s"]);
    assert_eq!(fields(101, WAIT_MAX_MS + 1), ["failures_in_a_row", "wait_s"]);
    assert_eq!(fields(100, WAIT_MAX_MS), [""; 0]);
}

#[test]
fn a_card_is_found_by_its_id_its_edge_or_the_edge_of_a_message_whose_delivery_it_watches() {
    let known = ["orders~users", "bus~payments~v1", "gateway~payments~v1"];
    let asked = |asked: &str, id: &str| is_asked(asked, id, known.into_iter());
    assert!(asked("bus~payments~v1", "bus~payments~v1"));
    assert!(asked("gateway~payments", "gateway~payments~v1"));
    assert!(!asked("gateway~payments", "bus~payments~v1"), "its own breaker comes first");
    assert!(asked("orders~payments", "bus~payments~v1"), "orders sends messages to payments");
    assert!(asked("payments~bus", "bus~payments~v1"), "the line of payments to the bus");
    assert!(!asked("orders~user", "orders~users") && !asked("", "orders~users"));
}

#[test]
fn the_line_of_the_bus_on_the_map_runs_from_the_subscriber() {
    let line = card(BreakerState::Closed).line;
    assert_eq!(edge_href(&line), "/?edge=gateway~recommendations");
    let bus = BreakerLine { from: "bus".into(), to: "payments".into(), ..line };
    assert_eq!(edge_href(&bus), "/?edge=payments~bus");
}

#[test]
fn the_head_of_the_list_says_when_thresholds_differ() {
    let line = card(BreakerState::Closed).line;
    let other = BreakerLine { opens_at: 3, ..line.clone() };
    assert_eq!(each_opens(&[line.clone(), line.clone()]), "each opens at 5");
    assert_eq!(each_opens(&[line, other]), "they open at 3 to 5");
}
