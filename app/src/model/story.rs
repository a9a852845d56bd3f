//! One order, one story: which span and which log lines belong to an event or to a message.
//!
//! Links what different recorders wrote by ids where there are ids, else by time.

use contract::{
    attributes,
    order::{EventView, OrderStatus, OrderView, StepMark},
    saga::SagaStatus,
    trace::{Level, LogView, SpanKind, SpanView, TraceView},
};

use super::tone::Tone;

/// Badge of the whole order: its words and tone.
#[must_use]
pub fn outcome(order: &OrderView) -> (&'static str, Tone) {
    let saga = order.saga.as_ref().map(|s| s.status);
    let undone = order.saga.as_ref().is_some_and(|s| {
        s.compensations
            .iter()
            .flatten()
            .any(|c| matches!(c.mark, StepMark::Done | StepMark::Undone))
    });
    match (order.row.status, saga) {
        (_, Some(SagaStatus::Stuck)) => ("Stuck", Tone::Error),
        (OrderStatus::Processing, Some(SagaStatus::Compensating)) => ("Compensating", Tone::Comp),
        (OrderStatus::Processing, _) => ("Processing", Tone::Info),
        (OrderStatus::Confirmed, _) => ("Confirmed", Tone::Ok),
        (OrderStatus::Shipped, _) => ("Shipped", Tone::Ok),
        (OrderStatus::Cancelled, _) if undone => ("Cancelled, compensated", Tone::Comp),
        (OrderStatus::Cancelled, _) => ("Cancelled", Tone::Comp),
    }
}

/// What the time in the head is: what came after the confirmation, a cancellation or a shipment,
/// is not in it.
#[must_use]
pub fn took_label(order: &OrderView) -> &'static str {
    let confirmed = order.events.iter().any(|event| event.name == "OrderConfirmed");
    if confirmed && order.row.took_us.is_some() { "Confirmed in" } else { "Took" }
}

/// Tone of an event by its name: refusals red, what is not known amber, what undoes violet, the
/// rest neutral.
#[must_use]
pub fn event_tone(name: &str) -> Tone {
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    if has(&["Declined", "Failed", "Rejected", "Refused", "Unavailable"]) {
        Tone::Error
    } else if has(&["TimedOut"]) {
        Tone::Warn
    } else if has(&["Compensation", "Released", "Cancel", "Refund", "Void"]) {
        Tone::Comp
    } else if has(&["Confirmed", "Shipped"]) {
        Tone::Ok
    } else {
        Tone::Neutral
    }
}

/// The event that is selected when the address names none: the timeout or refusal, else the last.
#[must_use]
pub fn first_choice(events: &[EventView]) -> Option<u64> {
    let of = |tone| events.iter().find(move |e| event_tone(&e.name) == tone);
    of(Tone::Warn).or_else(|| of(Tone::Error)).or(events.last()).map(|e| e.version)
}

/// The span in which an event was recorded: the innermost one of its moment, of `orders` if any.
#[must_use]
pub fn span_of_event<'a>(event: &EventView, trace: &'a TraceView) -> Option<&'a SpanView> {
    let version = event.version.to_string();
    let named = trace.spans.iter().find(|s| {
        s.attribute(attributes::EVENT_VERSION) == Some(&version)
            && s.attribute(attributes::EVENT_NAME) == Some(&event.name)
    });
    named.or_else(|| {
        let at =
            |s: &&SpanView| s.start_us <= event.at_us && event.at_us <= s.start_us + s.duration_us;
        let inner = |service: Option<&str>| {
            trace
                .spans
                .iter()
                .filter(|s| service.is_none_or(|name| s.service == name))
                .filter(at)
                .min_by_key(|s| s.duration_us)
        };
        inner(Some("orders")).or_else(|| inner(None))
    })
}

/// Lines written after the event before `version` and not after the event itself.
#[must_use]
pub fn is_of_event(line: &LogView, events: &[EventView], version: u64) -> bool {
    let Some(index) = events.iter().position(|e| e.version == version) else {
        return false;
    };
    let from = index.checked_sub(1).map_or(i64::MIN, |i| events[i].at_us);
    from < line.at_us && line.at_us <= events[index].at_us
}

/// The span in which a step of the saga was done: of what its service worked on in the time of the
/// step, what took longest. Its own calls are not its work.
#[must_use]
pub fn span_of_step<'a>(
    service: &str,
    from_us: i64,
    to_us: Option<i64>,
    trace: &'a TraceView,
) -> Option<&'a SpanView> {
    let within =
        |s: &&SpanView| from_us <= s.start_us && to_us.is_none_or(|to_us| s.start_us <= to_us);
    let works = |s: &&SpanView| {
        s.service == service && !matches!(s.kind, SpanKind::Client | SpanKind::Producer)
    };
    trace.spans.iter().filter(works).filter(within).max_by_key(|s| s.duration_us)
}

/// Which lines of the log are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFilter {
    /// Every line.
    #[default]
    All,
    /// Warnings and errors.
    Warn,
    /// Errors.
    Error,
}

impl LogFilter {
    /// Its word in the address.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The filter of a word; any other word shows every line.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        let known = [Self::Warn, Self::Error].into_iter().find(|filter| filter.word() == word);
        known.unwrap_or_default()
    }

    /// The line is shown.
    #[must_use]
    pub fn lets(self, level: Level) -> bool {
        match self {
            Self::All => true,
            Self::Warn => level >= Level::Warn,
            Self::Error => level >= Level::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::span_tree::tests::{span, trace};

    fn event(version: u64, name: &str, at_us: i64) -> EventView {
        EventView { version, name: name.into(), at_us, summary: String::new(), json: String::new() }
    }

    fn line(at_us: i64, level: Level) -> LogView {
        LogView {
            at_us,
            service: "orders".into(),
            level,
            message: String::new(),
            span_id: None,
            trace_id: None,
            fields: vec![],
        }
    }

    #[test]
    fn the_refusal_is_selected_first_and_without_one_the_last_event() {
        let mut events = vec![
            event(1, "OrderPlaced", 1),
            event(2, "PaymentDeclined", 2),
            event(3, "OrderCancelled", 3),
        ];
        assert_eq!(first_choice(&events), Some(2));
        events.remove(1);
        assert_eq!(first_choice(&events), Some(3));
        assert_eq!(first_choice(&[]), None);
    }

    #[test]
    fn an_event_belongs_to_the_innermost_span_of_its_moment() {
        let trace = trace(vec![
            span("outer", None, 0, 100),
            span("inner", Some("outer"), 10, 20),
            span("late", None, 60, 5),
        ]);
        let found = span_of_event(&event(1, "OrderPlaced", 15), &trace).map(|s| s.span_id.as_str());
        assert_eq!(found, Some("inner"));
        assert_eq!(span_of_event(&event(1, "OrderPlaced", 500), &trace), None);
    }

    #[test]
    fn an_event_belongs_to_the_span_that_says_so_whatever_its_moment() {
        let mut append = span("append", None, 90, 5);
        append.attributes.push((attributes::EVENT_NAME.into(), "OrderPlaced".into()));
        append.attributes.push((attributes::EVENT_VERSION.into(), "1".into()));
        let trace = trace(vec![span("inner", None, 10, 20), append]);
        let found = |version, name| {
            let found = span_of_event(&event(version, name, 15), &trace);
            found.map(|s| s.span_id.as_str())
        };
        assert_eq!(found(1, "OrderPlaced"), Some("append"));
        assert_eq!(found(2, "OrderPlaced"), Some("inner"));
    }

    #[test]
    fn the_lines_of_an_event_are_those_that_led_to_it() {
        let events = [event(1, "a", 10), event(2, "b", 20)];
        let of: Vec<bool> =
            [5, 10, 11, 20, 21].map(|at| is_of_event(&line(at, Level::Info), &events, 2)).to_vec();
        assert_eq!(of, [false, false, true, true, false]);
        assert!(is_of_event(&line(5, Level::Info), &events, 1));
        assert!(!is_of_event(&line(5, Level::Info), &events, 9));
    }

    #[test]
    fn a_step_belongs_to_the_longest_work_of_its_service_in_its_time() {
        let mut reserve = span("process inventory.reserve", None, 10, 20);
        reserve.service = "inventory".into();
        reserve.kind = SpanKind::Consumer;
        let mut release = reserve.clone();
        release.span_id = "release".into();
        release.start_us = 50;
        let trace = trace(vec![span("outer", None, 0, 100), reserve, release]);
        let found =
            |service, from, to| span_of_step(service, from, to, &trace).map(|s| s.span_id.as_str());
        assert_eq!(found("inventory", 5, Some(35)), Some("process inventory.reserve"));
        assert_eq!(found("inventory", 40, None), Some("release"));
        assert_eq!(found("inventory", 11, Some(20)), None);
        assert_eq!(found("payments", 5, None), None);
    }

    #[test]
    fn the_warn_filter_shows_errors_too() {
        let levels = [Level::Info, Level::Warn, Level::Error];
        assert_eq!(levels.map(|l| LogFilter::Warn.lets(l)), [false, true, true]);
        assert_eq!(levels.map(|l| LogFilter::Error.lets(l)), [false, false, true]);
        assert_eq!(levels.map(|l| LogFilter::All.lets(l)), [true, true, true]);
    }
}
