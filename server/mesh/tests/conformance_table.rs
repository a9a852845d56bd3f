//! The documented semantics row by row: what each asks for, and which test holds it here, why
//! nothing has to, or how and why it is done otherwise.
//!
//! Outlier detection (O) is Envoy's `OutlierDetection` as Istio configures it, with what Istio adds
//! to it (I), circuit breaking (C) Envoy's `CircuitBreakers.Thresholds`, retries and timeouts (R)
//! Envoy's router and Istio's default policy. The test is that the table is whole and every test it
//! names exists.

use Held::{ByTest, NoField, Otherwise};

/// How a row is held.
enum Held {
    /// These tests or rows of vectors fail when it does not hold.
    ByTest(&'static [&'static str]),
    /// Istio's API has no field for it, so that nobody can ask for it here.
    NoField(&'static str),
    /// It is done otherwise on purpose; the tests hold what is done.
    Otherwise(&'static str, &'static [&'static str]),
}

struct Row {
    id: &'static str,
    says: &'static str,
    held: Held,
}

const fn row(id: &'static str, says: &'static str, held: Held) -> Row {
    Row { id, says, held }
}

/// Files in which the tests are, and the vectors they run.
const SOURCES: &[&str] = &[
    include_str!("conformance_limits.rs"),
    include_str!("conformance_outlier.rs"),
    include_str!("retries.rs"),
    include_str!("vectors/outlier.json"),
    include_str!("../src/retry/backoff.rs"),
    include_str!("../src/retry/decide.rs"),
    include_str!("../../istio/tests/conformance.rs"),
    include_str!("../../istio/tests/findings.rs"),
    include_str!("../../istio/tests/validation.rs"),
];

const TABLE: &[Row] = &[
    row("O1", "defaults of every detector", ByTest(&["outlier_detection_has_envoys_defaults"])),
    row(
        "O2",
        "five 5xx in a row eject inline, at the fifth",
        ByTest(&[
            "vector O2",
            "vector O2b",
            "o2_o9_the_fifth_5xx_ejects_at_once_and_a_sweep_takes_back",
        ]),
    ),
    row("O3", "a success begins the count anew", ByTest(&["vector O3", "vector O3b"])),
    row(
        "O4",
        "unless split, local and upstream errors share one count",
        ByTest(&[
            "vector O4",
            "o4_a_deadline_that_cuts_the_call_counts_and_a_caller_that_goes_away_does_not",
        ]),
    ),
    row(
        "O5",
        "split: local errors count only for their own detector",
        ByTest(&["vector O5", "vector O5b", "vector O5c", "vector O5d"]),
    ),
    row(
        "O6",
        "gateway failures are 502, 503, 504, and local ones unless split",
        ByTest(&["vector O6", "vector O6b", "vector O6c", "vector O6d", "vector O6e"]),
    ),
    row(
        "O7",
        "an ejection lasts base times the ejections in a row, up to the maximum",
        ByTest(&["vector O7", "vector O7b"]),
    ),
    row(
        "O8",
        "a healthy interval takes one off the multiplier",
        ByTest(&["vector O8", "vector O8b", "vector O8c", "vector O8d"]),
    ),
    row(
        "O9",
        "the return is on a sweep, without a probe",
        ByTest(&["vector O9", "vector O9b", "vector O9c"]),
    ),
    row(
        "O10",
        "the share of ejected hosts is bounded, but one may always be",
        ByTest(&["vector O10", "vector O10b", "vector O10c", "vector O10d"]),
    ),
    row(
        "O11",
        "enforcing_* ejects with a chance",
        NoField("Istio enforces what it configures by 100 % and has no field for less"),
    ),
    row("O12", "success rate", NoField("Istio's OutlierDetection has no success-rate detector")),
    row(
        "O13",
        "failure percentage",
        NoField("Istio's OutlierDetection has no failure-percentage detector"),
    ),
    row(
        "O14",
        "below the panic threshold the ejected are used again; Istio's default is off",
        ByTest(&["o14_below_the_minimum_health_the_ejected_are_used_again"]),
    ),
    row(
        "O15",
        "a successful active health check takes back",
        NoField("Istio configures no active health checks for outlier detection"),
    ),
    row(
        "O16",
        "5xx are errors unless remapped; gRPC statuses are mapped first",
        ByTest(&["vector O16", "vector O16b", "o16_grpc_statuses_are_mapped_first"]),
    ),
    row(
        "I1",
        "each detector is on only when its limit is above 0",
        ByTest(&["a_detector_is_on_only_above_zero", "outlier_detection_has_envoys_defaults"]),
    ),
    row(
        "I2",
        "consecutiveErrors is taken with a warning",
        ByTest(&[
            "outlier_detection_has_envoys_defaults",
            "subsets_and_detectors_are_warned_of_where_it_is_due_and_only_there",
        ]),
    ),
    row(
        "I3",
        "times below 1 ms or with parts of a millisecond are refused",
        ByTest(&["destination_rules_that_istio_refuses_are_refused"]),
    ),
    row(
        "I4",
        "consecutiveLocalOriginFailures without the split is refused",
        ByTest(&["destination_rules_that_istio_refuses_are_refused"]),
    ),
    row(
        "C1",
        "defaults are 1024 connections, pending and requests, and 3 retries",
        Otherwise(
            "Istio raises Envoy's defaults to 2^32-1, which is no limit; so here",
            &[
                "c1_a_limit_that_is_not_configured_refuses_nothing",
                "connection_limits_are_off_unless_written_above_zero",
            ],
        ),
    ),
    row(
        "C2",
        "each limit has its counter of overflows",
        Otherwise(
            "upstream_cx_pool_overflow is not counted: max_connection_pools has no field in Istio, \
             so that it could only ever be 0; the other three are",
            &[
                "c2_c3_requests_over_the_limit_are_refused_at_once_with_uo_and_the_header",
                "c2_connections_over_the_limit_wait_and_who_finds_no_place_to_wait_is_refused",
                "max_retries_bounds_the_retries_under_way_and_what_is_over_is_counted",
            ],
        ),
    ),
    row(
        "C3",
        "refused at once with 503, UO and x-envoy-overloaded; it closes by itself",
        ByTest(&["c2_c3_requests_over_the_limit_are_refused_at_once_with_uo_and_the_header"]),
    ),
    row(
        "C4",
        "a retry budget overrides max_retries; its defaults are 20 % and 3",
        ByTest(&[
            "a_budget_is_a_share_of_what_is_under_way_and_overrides_max_retries",
            "a_retry_budget_is_20_percent_and_three_unless_written",
        ]),
    ),
    row(
        "C5",
        "of 100 active requests a budget of 25 % allows 25 retries",
        ByTest(&["a_budget_is_a_share_of_what_is_under_way_and_overrides_max_retries"]),
    ),
    row(
        "C6",
        "of two thresholds of one priority the first wins",
        NoField("Istio has one connection pool per host and no priorities in it"),
    ),
    row("C7", "track_remaining", NoField("Istio does not set it")),
    row("C8", "thresholds per host", NoField("Istio does not set per_host_thresholds")),
    row(
        "R1",
        "Istio's default policy retries twice for its own tokens, preferably at another host, \
         unless a consistent hash says at which",
        Otherwise(
            "a host that was not tried is taken at once, where Envoy draws up to five times for \
             one; a 503 is an answer here and not repeated unless retryOn says so, where Istio's \
             default lists it as a retriable status code",
            &[
                "without_a_route_istio_repeats_lost_connections_twice_and_no_503",
                "the_default_retry_policy_is_istios",
                "a_retry_goes_to_another_host_while_there_is_one_unless_told_otherwise",
                "a_retry_of_a_consistent_hash_stays_with_the_host_of_its_key_unless_told_otherwise",
            ],
        ),
    ),
    row(
        "R2",
        "the route timeout covers tries and back-offs; on expiry 504 and no retry",
        ByTest(&[
            "the_route_timeout_covers_all_tries_and_their_back_offs",
            "a_deadline_during_the_back_off_ends_the_call_with_504_and_no_retry",
        ]),
    ),
    row(
        "R3",
        "a per-try timeout is shorter than the route's, or ignored; its expiry is retriable",
        ByTest(&[
            "a_per_try_timeout_that_is_not_shorter_than_the_route_timeout_is_ignored",
            "a_per_try_timeout_that_is_not_below_the_timeout_is_ignored",
            "a_try_that_takes_too_long_is_repeated_under_5xx_gateway_error_and_reset",
        ]),
    ),
    row(
        "R4",
        "fully jittered exponential back-off from 25 ms, capped at ten times that",
        ByTest(&[
            "the_intervals_are_25_75_175_and_then_250_milliseconds",
            "the_wait_is_uniform_from_nothing_to_the_interval",
        ]),
    ),
    row(
        "R5",
        "5xx: any 5xx, or no answer",
        ByTest(&[
            "each_token_names_the_statuses_the_documentation_says",
            "each_token_names_the_losses_the_documentation_says",
        ]),
    ),
    row(
        "R6",
        "gateway-error: 502, 503, 504",
        ByTest(&["each_token_names_the_statuses_the_documentation_says"]),
    ),
    row(
        "R7",
        "reset, connect-failure, refused-stream, retriable-4xx, -status-codes, -headers",
        Otherwise(
            "retriable-headers has no field in Istio that lists the headers, and is kept but \
             ignored",
            &[
                "each_token_names_the_losses_the_documentation_says",
                "each_token_names_the_statuses_the_documentation_says",
            ],
        ),
    ),
    row(
        "R8",
        "gRPC statuses are read from the headers of the answer alone",
        ByTest(&[
            "each_grpc_token_names_its_code",
            "grpc_statuses_are_read_from_the_headers_of_the_answer",
        ]),
    ),
    row(
        "R9",
        "Retry-After may decide the back-off",
        NoField("Istio does not set rate_limited_retry_back_off"),
    ),
    row(
        "R10",
        "what Istio's validation refuses of a retry policy",
        ByTest(&[
            "fields_of_a_rule_that_istio_refuses_are_refused",
            "written_retries_keep_the_defaults_of_what_they_leave_out",
        ]),
    ),
];

#[test]
fn every_documented_row_is_in_the_table_once_and_in_order() {
    let ids: Vec<String> = [('O', 16), ('I', 4), ('C', 8), ('R', 10)]
        .into_iter()
        .flat_map(|(letter, count)| (1..=count).map(move |number| format!("{letter}{number}")))
        .collect();
    assert_eq!(TABLE.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
    for row in TABLE {
        assert!(row.says.len() > 10, "{} says nothing", row.id);
        if let NoField(why) | Otherwise(why, _) = row.held {
            assert!(why.len() > 20, "{} has no reason", row.id);
        }
    }
}

#[test]
fn every_test_that_the_table_names_exists() {
    for row in TABLE {
        let (ByTest(tests) | Otherwise(_, tests)) = row.held else { continue };
        assert!(!tests.is_empty(), "{} is held by nothing", row.id);
        for test in tests {
            let written = match test.strip_prefix("vector ") {
                Some(vector) => format!("\"id\": \"{vector}\""),
                None => format!("fn {test}()"),
            };
            let there = SOURCES.iter().any(|source| source.contains(&written));
            assert!(there, "{}: there is no {test}", row.id);
        }
    }
}
