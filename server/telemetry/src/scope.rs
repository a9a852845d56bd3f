//! The layer that knows whose span is current: it hands services down and records log lines.
//!
//! It lies inside the OpenTelemetry layer of one `Layered`, so that it hears of a span's end first
//! and can leave the service of that span where the processor finds it a moment later.

use crate::{
    hub::{Hub, Item},
    names,
    store::record::{ATTRIBUTES_MAX, LogRecord, Packer, REDACTED},
    symbols::Table,
};
use contract::trace::Level;
use opentelemetry::trace::TraceContextExt;
use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::{Arc, OnceLock},
};
use tracing::{
    Dispatch, Event, Subscriber,
    dispatcher::WeakDispatch,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

thread_local! {
    /// What the span that is ending on this thread has from around it.
    static ENDING: Cell<Option<Inherited>> = const { Cell::new(None) };
    static PACKER: RefCell<Packer> = RefCell::default();
}

/// What a span has from around it when it ends.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) service: u16,
    /// The ids of the faults that what it is about has met.
    pub(crate) faults: Option<String>,
    /// Neither it nor what it is a part of was left unreported.
    pub(crate) reported: bool,
}

/// What the span that ends on this thread right now has from around it, once.
pub(crate) fn take_ending() -> Option<Inherited> {
    ENDING.take()
}

/// Runs with the packer of this thread.
pub(crate) fn with_packer<T>(run: impl FnOnce(&mut Packer) -> T) -> T {
    PACKER.with_borrow_mut(run)
}

/// What a span hands down.
#[derive(Debug)]
pub(crate) struct Scope {
    service: u16,
    pub(crate) order: Option<Box<str>>,
    pub(crate) correlation: Option<Box<str>>,
    fault: Option<Box<str>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ScopeLayer {
    hub: Arc<Hub>,
    clock: base::Clock,
    fallback: u16,
    dispatch: Arc<OnceLock<WeakDispatch>>,
}

impl ScopeLayer {
    pub(crate) fn new(hub: Arc<Hub>, clock: base::Clock) -> Self {
        let fallback = hub.symbols.service(names::SERVICE_FALLBACK);
        Self { hub, clock, fallback, dispatch: Arc::default() }
    }

    /// Where the dispatch this layer becomes part of can be found.
    pub(crate) fn dispatch(&self) -> Arc<OnceLock<WeakDispatch>> {
        Arc::clone(&self.dispatch)
    }

    fn ids<S>(&self, span: &SpanRef<'_, S>) -> Option<([u8; 16], u64)>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let dispatch = self.dispatch.get()?.upgrade()?;
        let context = tracing_opentelemetry::get_otel_context(&span.id(), &dispatch)?;
        let context = context.span().span_context().clone();
        let span = u64::from_be_bytes(context.span_id().to_bytes());
        context.is_valid().then(|| (context.trace_id().to_bytes(), span))
    }
}

impl<S> Layer<S> for ScopeLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // A layer belongs to one subscriber; a second dispatch of it finds the same spans.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        let mut fields = ScopeFields::new(&self.hub.symbols.words);
        attributes.record(&mut fields);
        let service = match &fields.service {
            Some(name) => self.hub.symbols.service(name),
            None => span
                .parent()
                .and_then(|parent| parent.extensions().get::<Scope>().map(|scope| scope.service))
                .unwrap_or(self.fallback),
        };
        span.extensions_mut().insert(Scope {
            service,
            order: fields.order,
            correlation: fields.correlation,
            fault: fields.fault,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        let mut fields = ScopeFields::new(&self.hub.symbols.words);
        values.record(&mut fields);
        if let Some(scope) = span.extensions_mut().get_mut::<Scope>() {
            if let Some(name) = &fields.service {
                scope.service = self.hub.symbols.service(name);
            }
            scope.order = fields.order.or_else(|| scope.order.take());
            scope.correlation = fields.correlation.or_else(|| scope.correlation.take());
            scope.fault = fields.fault.or_else(|| scope.fault.take());
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line::new(&self.hub.symbols.words);
        event.record(&mut line);
        let mut service = None;
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let Some(scope) = extensions.get::<Scope>() else {
                continue;
            };
            service = service.or(Some(scope.service));
            line.inherit(names::ORDER_ID_FIELD, scope.order.as_deref());
            line.inherit(names::CORRELATION_ID_FIELD, scope.correlation.as_deref());
            line.inherit(names::FAULT_ID, scope.fault.as_deref());
        }
        let around = context.event_span(event);
        let carried = around.as_ref().and_then(base::carried::faults_of);
        line.inherit(names::FAULT_ID, carried.as_deref());
        let ids = around.and_then(|span| self.ids(&span));
        let (trace, span) = ids.unwrap_or_default();
        let service = match &line.service {
            Some(name) => self.hub.symbols.service(name),
            None => service.unwrap_or(self.fallback),
        };
        self.hub.take(Item::Log(LogRecord {
            at_us: self.clock.now_us(),
            trace,
            span,
            packed: with_packer(|packer| line.pack(packer)),
            service,
            level: level_of(*event.metadata().level()),
        }));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let inherited = context.span(&id).and_then(|span| {
            let service = span.extensions().get::<Scope>().map(|scope| scope.service)?;
            let faults = base::carried::faults_of(&span);
            Some(Inherited { service, faults, reported: base::carried::is_reported(&span) })
        });
        ENDING.set(inherited);
    }
}

fn level_of(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        _ => Level::Debug,
    }
}

/// Fields of a span that are handed down.
#[derive(Debug)]
struct ScopeFields<'h> {
    words: &'h Table,
    service: Option<String>,
    order: Option<Box<str>>,
    correlation: Option<Box<str>>,
    fault: Option<Box<str>>,
}

impl<'h> ScopeFields<'h> {
    const fn new(words: &'h Table) -> Self {
        Self { words, service: None, order: None, correlation: None, fault: None }
    }
}

/// OpenTelemetry's layer knows `i64` alone: other integers reach it as text, which the processor
/// turns back under the keys that are noted here.
impl Visit for ScopeFields<'_> {
    fn record_u64(&mut self, field: &Field, _: u64) {
        self.words.note_integer(field.name());
    }

    fn record_i128(&mut self, field: &Field, _: i128) {
        self.words.note_integer(field.name());
    }

    fn record_u128(&mut self, field: &Field, _: u128) {
        self.words.note_integer(field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            names::SERVICE_NAME => self.service = Some(value.to_owned()),
            names::ORDER_ID => self.order = Some(value.into()),
            names::CORRELATION_ID => self.correlation = Some(value.into()),
            names::FAULT_ID => self.fault = Some(value.into()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(
            field.name(),
            names::SERVICE_NAME | names::ORDER_ID | names::CORRELATION_ID | names::FAULT_ID
        ) {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

/// A log line as it is read.
#[derive(Debug)]
struct Line<'h> {
    words: &'h Table,
    message: String,
    service: Option<String>,
    fields: Vec<(&'static str, String)>,
}

impl<'h> Line<'h> {
    const fn new(words: &'h Table) -> Self {
        Self { words, message: String::new(), service: None, fields: Vec::new() }
    }

    /// Takes a field from a span around the line, unless the line or an inner span has it.
    fn inherit(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value
            && self.fields.iter().all(|(held, _)| *held != key)
        {
            self.fields.push((key, value.to_owned()));
        }
    }

    fn pack(&self, packer: &mut Packer) -> Box<[u8]> {
        packer.text(&self.message);
        packer.count(self.fields.len().min(ATTRIBUTES_MAX));
        for (key, value) in self.fields.iter().take(ATTRIBUTES_MAX) {
            let (number, secret) = self.words.key(key);
            packer.numbered(number, key);
            packer.string(if secret { REDACTED } else { value });
        }
        packer.take()
    }

    fn push(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            names::SERVICE_NAME => self.service = Some(value),
            // One name for the same thing in all lines, so that it can be searched for.
            names::ORDER_ID => self.fields.push((names::ORDER_ID_FIELD, value)),
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.words.note_integer(field.name());
        self.push(field, value.to_string());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.words.note_integer(field.name());
        self.push(field, value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.words.note_integer(field.name());
        self.push(field, value.to_string());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut next = value.source();
        while let Some(cause) = next {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            next = cause.source();
        }
        self.push(field, chain);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}"));
    }
}
