//! How a log line looks on standard error: time, level, who says it, the sentence, its own fields,
//! and of which order and request it is.
//!
//! Without the spans around it: a line of a service stands in six of them, and the pages show those
//! better than a terminal does.

use crate::{names, scope::Scope};
use std::fmt;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// One event, one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        SystemTime.format_time(&mut writer)?;
        if writer.has_ansi_escapes() {
            write!(writer, " \x1b[{}m{:>5}\x1b[0m ", colour(*metadata.level()), metadata.level())?;
        } else {
            write!(writer, " {:>5} ", metadata.level())?;
        }
        write!(writer, "{}: ", metadata.target())?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        let mut ids = Ids::default();
        event.record(&mut ids);
        for span in context.event_scope().into_iter().flatten() {
            if let Some(scope) = span.extensions().get::<Scope>() {
                ids.inherit(scope);
            }
        }
        for (name, id) in
            [(names::ORDER_ID_FIELD, ids.order), (names::CORRELATION_ID_FIELD, ids.correlation)]
        {
            if let Id::Inherited(id) = id {
                write!(writer, " {name}={id}")?;
            }
        }
        writeln!(writer)
    }
}

/// Where a line's id is.
#[derive(Debug, Default)]
enum Id {
    /// Not found yet.
    #[default]
    Missing,
    /// Among its own fields, printed already.
    Own,
    /// On a span around it.
    Inherited(Box<str>),
}

impl Id {
    /// Of inner spans first, unless the line has its own.
    fn inherit(&mut self, id: Option<&str>) {
        if let (Self::Missing, Some(id)) = (&self, id) {
            *self = Self::Inherited(id.into());
        }
    }
}

/// What a line is found by.
#[derive(Debug, Default)]
struct Ids {
    order: Id,
    correlation: Id,
}

impl Ids {
    fn inherit(&mut self, scope: &Scope) {
        self.order.inherit(scope.order.as_deref());
        self.correlation.inherit(scope.correlation.as_deref());
    }
}

impl Visit for Ids {
    fn record_debug(&mut self, field: &Field, _: &dyn fmt::Debug) {
        match field.name() {
            names::ORDER_ID_FIELD | names::ORDER_ID => self.order = Id::Own,
            names::CORRELATION_ID_FIELD | names::CORRELATION_ID => self.correlation = Id::Own,
            _ => {}
        }
    }
}

/// Of "Select Graphic Rendition" (ECMA-48, section 8.3.117).
const fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StoreLimits, hub::Hub, scope::ScopeLayer};
    use base::Clock;
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use tracing_subscriber::{fmt, layer::SubscriberExt as _};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is printed of what happens under the layers of the program.
    fn printed(happens: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer =
            fmt::layer().event_format(Line).with_ansi(false).with_writer(move || writer.clone());
        let hub = Arc::new(Hub::new(StoreLimits::default(), 0));
        let layers = tracing_subscriber::registry().with(ScopeLayer::new(hub, Clock::system()));
        tracing::subscriber::with_default(layers.with(layer), happens);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_has_its_own_fields_and_not_those_of_the_spans_around_it() {
        let line = printed(|| {
            let _span = tracing::info_span!("call", url.path = "/orders").entered();
            tracing::warn!(order_id = "ord-1", "payment declined");
        });
        assert!(line.contains(" WARN telemetry::print::tests: payment declined"), "{line}");
        assert!(line.contains("order_id=\"ord-1\"") && !line.contains("url.path"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_line_says_of_which_order_and_request_it_is_once() {
        let lines = printed(|| {
            let outer = tracing::info_span!("a", vitrine.correlation.id = "cor-0").entered();
            let inner = tracing::info_span!(
                "b",
                vitrine.correlation.id = tracing::field::Empty,
                order.id = "ord-1"
            );
            inner.record(names::CORRELATION_ID, "cor-1");
            inner.in_scope(|| tracing::warn!("late"));
            inner.in_scope(|| tracing::warn!(order_id = "ord-2", "late"));
            tracing::warn!("outside");
            drop(outer);
            tracing::warn!("nobody's");
        });
        let ends: Vec<_> = lines.lines().filter_map(|line| line.split_once("tests: ")).collect();
        let ends: Vec<_> = ends.into_iter().map(|(_, end)| end).collect();
        assert_eq!(
            ends,
            [
                "late order_id=ord-1 correlation_id=cor-1",
                "late order_id=\"ord-2\" correlation_id=cor-1",
                "outside correlation_id=cor-0",
                "nobody's",
            ]
        );
    }
}
