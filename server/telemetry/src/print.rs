//! How a log line looks on standard error: time, level, who says it, the sentence, its own fields.
//!
//! Without the spans around it: a line of a service stands in six of them, and the pages show those
//! better than a terminal does.

use std::fmt;
use tracing::{Event, Level, Subscriber};
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
        writeln!(writer)
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

    #[test]
    fn a_line_has_its_own_fields_and_not_those_of_the_spans_around_it() {
        let written = Written::default();
        let writer = written.clone();
        let layer =
            fmt::layer().event_format(Line).with_ansi(false).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _span = tracing::info_span!("call", url.path = "/orders").entered();
            tracing::warn!(order_id = "ord-1", "payment declined");
        });
        let line = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(line.contains(" WARN telemetry::print::tests: payment declined"), "{line}");
        assert!(line.contains("order_id=\"ord-1\"") && !line.contains("url.path"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
