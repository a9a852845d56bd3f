//! What a span carries on beside its trace: W3C Baggage, with the ids of the faults it has met.
//!
//! It is an extension of the span, so whatever runs in the span or below it finds it, detached
//! work too, and messages recorded there take it along. Without telemetry there are no spans and
//! nothing is carried; the headers of calls travel all the same. What is a valid header, and how
//! long it may be, is the business of who reads and writes headers.

use contract::attributes::FAULT_ID;
use tracing::Span;
use tracing_subscriber::{
    Registry,
    registry::{LookupSpan, SpanRef},
};

/// The baggage of one span, an extension of it.
#[derive(Debug)]
pub struct Carried {
    baggage: String,
    faults: Option<String>,
}

impl Carried {
    fn new(baggage: String) -> Self {
        let faults = faults(&baggage);
        Self { baggage, faults }
    }

    /// The ids of faults in it, comma separated.
    #[must_use]
    pub fn faults(&self) -> Option<&str> {
        self.faults.as_deref()
    }
}

/// The baggage lines of the faults that were met in a span and below it: no more than was carried
/// in from before. An extension of the span.
#[derive(Debug, Default)]
struct Met {
    all: String,
    /// Those of them that took time, and so count whatever came of what they held.
    held: String,
}

/// The span is that of a call: what is met below it is known around it only once the call has ended
/// and says what of it counts. An extension of the span.
#[derive(Debug)]
struct OfCall;

/// The member of the faults; its commas are percent-encoded (W3C Baggage, section 3.2.1.3).
fn faults(baggage: &str) -> Option<String> {
    baggage.split(',').find_map(|member| {
        let (key, value) = member.split(';').next()?.split_once('=')?;
        let value = value.trim().replace("%2C", ",").replace("%2c", ",");
        (key.trim() == FAULT_ID && !value.is_empty()).then_some(value)
    })
}

/// The baggage of `span`, or of the nearest span around it that has some.
#[must_use]
pub fn of(span: &Span) -> Option<String> {
    let line = look(span, |span| nearest(span, |carried| carried.baggage.clone())).flatten();
    line.filter(|line| !line.is_empty())
}

/// The same for the faults, for a span of a subscriber.
pub fn faults_of<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> Option<String> {
    nearest(span, |carried| carried.faults.clone()).flatten()
}

/// Gives `span` its baggage; with an empty one it and what is below it carry nothing, whatever is
/// met around it from now on.
pub fn set(span: &Span, baggage: &str) {
    look(span, |span| span.extensions_mut().replace(Carried::new(baggage.to_owned())));
}

/// Changes the baggage of `span` and of every span around it in this process: what happens there
/// from now on follows from what was met here. `change` sees what there is and gives what shall be.
pub fn update(span: &Span, change: impl Fn(Option<&str>) -> Option<String>) {
    look(span, |span| {
        for around in span.scope() {
            let mut extensions = around.extensions_mut();
            let before = extensions.get_mut::<Carried>().map(|carried| carried.baggage.as_str());
            if let Some(after) = change(before) {
                extensions.replace(Carried::new(after));
            }
        }
    });
}

/// Marks the span of a call: [`meet`] goes no further up than to it.
pub fn of_call(span: &Span) {
    look(span, |span| span.extensions_mut().replace(OfCall));
}

/// Notes what was met in `span`, and what of that took time, as baggage lines, for it and the spans
/// around it up to that of the call which all of it serves. Each change sees what there is and
/// gives what shall be.
pub fn meet(
    span: &Span,
    all: impl Fn(Option<&str>) -> Option<String>,
    held: impl Fn(Option<&str>) -> Option<String>,
) {
    let given = |line: &str| (!line.is_empty()).then(|| line.to_owned());
    look(span, |span| {
        for around in span.scope() {
            let mut extensions = around.extensions_mut();
            let before = extensions.remove::<Met>().unwrap_or_default();
            let (before_all, before_held) = (given(&before.all), given(&before.held));
            let all = all(before_all.as_deref()).unwrap_or(before.all);
            let held = held(before_held.as_deref()).unwrap_or(before.held);
            extensions.insert(Met { all, held });
            if extensions.get_mut::<OfCall>().is_some() {
                break;
            }
        }
    });
}

/// What was met in this span and below it; nothing of what its callers brought along, or others
/// met beside it.
#[must_use]
pub fn met(span: &Span) -> Option<String> {
    read_met(span, |met| &met.all)
}

/// What of that took time.
#[must_use]
pub fn held(span: &Span) -> Option<String> {
    read_met(span, |met| &met.held)
}

fn read_met(span: &Span, read: impl Fn(&Met) -> &str) -> Option<String> {
    let line = look(span, |span| span.extensions().get::<Met>().map(|met| read(met).to_owned()));
    line.flatten().filter(|line| !line.is_empty())
}

/// Whether what happens in a span is reported: an extension of the span.
#[derive(Debug)]
struct Reported(bool);

/// Says whether `span` and what happens in it is reported, until a span in it says otherwise.
pub fn report(span: &Span, reported: bool) {
    look(span, |span| span.extensions_mut().replace(Reported(reported)));
}

/// Whether a span is reported, as it or the nearest span around it says; each is unless one does.
pub fn is_reported<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> bool {
    let mut around = span.scope();
    let said = around.find_map(|around| around.extensions().get::<Reported>().map(|said| said.0));
    said.unwrap_or(true)
}

fn nearest<S: for<'a> LookupSpan<'a>, T>(
    span: &SpanRef<'_, S>,
    read: impl Fn(&Carried) -> T,
) -> Option<T> {
    span.scope().find_map(|around| around.extensions().get::<Carried>().map(&read))
}

/// The span as its registry knows it.
fn look<T>(span: &Span, run: impl FnOnce(&SpanRef<'_, Registry>) -> T) -> Option<T> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        registry.span(id).map(|span| run(&span))
    });
    found.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_span_carries_is_found_below_it_and_what_was_met_below_is_found_around() {
        tracing::subscriber::with_default(Registry::default(), || {
            let handler = tracing::info_span!("handler");
            let sibling = handler.in_scope(|| tracing::info_span!("sibling"));
            let call = handler.in_scope(|| tracing::info_span!("call"));
            set(&handler, "user=ada");
            assert_eq!(of(&call).as_deref(), Some("user=ada"));
            update(&call, |before| {
                Some(format!("{},{FAULT_ID}=F-1%2CF-2", before.unwrap_or("a=b")))
            });
            assert_eq!(of(&handler).as_deref(), Some("user=ada,vitrine.fault.id=F-1%2CF-2"));
            let of_sibling = look(&sibling, faults_of).flatten();
            assert_eq!(of_sibling.as_deref(), Some("F-1,F-2"));
        });
    }

    #[test]
    fn what_was_met_is_known_around_the_place_and_not_beside_or_below_it() {
        tracing::subscriber::with_default(Registry::default(), || {
            let handler = tracing::info_span!("handler");
            let sibling = handler.in_scope(|| tracing::info_span!("sibling"));
            let call = handler.in_scope(|| tracing::info_span!("call"));
            let below = call.in_scope(|| tracing::info_span!("below"));
            set(&handler, "vitrine.fault.id=F-1");
            meet(&call, |before| Some(format!("{}F-2", before.unwrap_or_default())), |_| None);
            let line = Some("F-2".to_owned());
            assert_eq!((met(&handler), met(&call)), (line.clone(), line));
            assert_eq!((met(&sibling), met(&below), held(&handler)), (None, None, None));
        });
    }

    #[test]
    fn what_was_met_below_a_call_is_not_known_around_it_before_it_says_so() {
        tracing::subscriber::with_default(Registry::default(), || {
            let caller = tracing::info_span!("caller");
            let call = caller.in_scope(|| tracing::info_span!("call"));
            of_call(&call);
            let callee = call.in_scope(|| tracing::info_span!("callee"));
            let line = |line: &'static str| move |_: Option<&str>| Some(line.to_owned());
            meet(&callee, line("F-1,F-2"), line("F-2"));
            assert_eq!((met(&call).as_deref(), met(&caller)), (Some("F-1,F-2"), None));
            assert_eq!(held(&call).as_deref(), Some("F-2"));
            meet(&caller, line("F-2"), |_| None);
            assert_eq!((met(&caller).as_deref(), held(&caller)), (Some("F-2"), None));
        });
    }

    #[test]
    fn without_a_subscriber_nothing_is_carried() {
        let span = Span::none();
        set(&span, "user=ada");
        assert_eq!(of(&span), None);
    }
}
