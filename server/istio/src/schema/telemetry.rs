//! `Telemetry` (telemetry.istio.io, `telemetry.proto`).
//!
//! Tables only.

use super::{
    DURATION, NAME, NO_TARGET_REF, Object, SELECTOR, TEXT, Treatment, Type, checks, excludes,
    field, ignored, object, one_of, read, rejected,
};

pub(super) static TELEMETRY: Object = object(
    "Telemetry",
    &[
        field("selector", Type::Object(&SELECTOR)),
        rejected("targetRef", NO_TARGET_REF),
        rejected("targetRefs", NO_TARGET_REF),
        field("tracing", Type::List(&Type::Object(&TRACING))),
        field("metrics", Type::List(&Type::Object(&METRICS))),
        ignored(
            "accessLogging",
            Type::List(&Type::Object(&ACCESS_LOGGING)),
            "each request is a span with its log lines here",
        ),
    ],
    &[],
);

const PROVIDERS: Type = Type::List(&Type::Object(&PROVIDER));
static PROVIDER: Object = object("ProviderRef", &[field("name", NAME).required()], &[]);

const MODE: Type = Type::Choice(&[
    ("CLIENT_AND_SERVER", Treatment::InForce),
    ("CLIENT", Treatment::InForce),
    ("SERVER", Treatment::InForce),
]);

static MODES: Object = object("LogSelector", &[field("mode", MODE)], &[]);

static ACCESS_LOGGING: Object = object(
    "AccessLogging",
    &[
        field("match", Type::Object(&MODES)),
        field("providers", PROVIDERS),
        field("disabled", Type::Bool),
        field("filter", Type::Object(&LOG_FILTER)),
    ],
    &[],
);

static LOG_FILTER: Object = object("Filter", &[field("expression", TEXT)], &[]);

static TRACING: Object = object(
    "Tracing",
    &[
        ignored("match", Type::Object(&MODES), "caller's and callee's spans are one trace here"),
        read(
            "providers",
            PROVIDERS,
            "jaeger, otel and opentelemetry are the OTLP exporter, which sends to where \
             OTEL_EXPORTER_OTLP_ENDPOINT says; the pages show the same spans",
        ),
        read(
            "randomSamplingPercentage",
            Type::Number(checks::percent),
            "the share of the traces that begin at the workload which are recorded: shown on the \
             pages and exported, all their spans or none. The map and the metrics count every \
             call, and what a fault, a breaker or a mirror shows as its evidence is kept",
        ),
        read(
            "disableSpanReporting",
            Type::Bool,
            "the workload's spans are neither shown nor exported, and counted all the same",
        ),
        field("customTags", Type::Map(checks::not_empty, &Type::Object(&CUSTOM_TAG))),
        ignored("useRequestIdForTraceSampling", Type::Bool, "sampling goes by the trace's id"),
        ignored("enableIstioTags", Type::Bool, "spans have OpenTelemetry's attributes here"),
    ],
    &[],
);

static CUSTOM_TAG: Object = object(
    "CustomTag",
    &[
        field("literal", Type::Object(&LITERAL)),
        field("environment", Type::Object(&NAMED)),
        field("header", Type::Object(&NAMED)),
        ignored("formatter", Type::Any, "there are no Envoy format strings here"),
    ],
    &[one_of(&["literal", "environment", "header", "formatter"], "a tag has one source")],
);

static LITERAL: Object = object("Literal", &[field("value", NAME).required()], &[]);
static NAMED: Object =
    object("RequestHeader", &[field("name", NAME).required(), field("defaultValue", TEXT)], &[]);

static METRICS: Object = object(
    "Metrics",
    &[
        ignored("providers", PROVIDERS, "metrics are at /metrics, as OpenMetrics"),
        field("overrides", Type::List(&Type::Object(&OVERRIDE))),
        ignored("reportingInterval", DURATION, "metrics are read when they are asked for"),
    ],
    &[],
);

static OVERRIDE: Object = object(
    "MetricsOverrides",
    &[
        field("match", Type::Object(&METRIC_SELECTOR)),
        read(
            "disabled",
            Type::Bool,
            "holds for istio_requests_total and istio_request_duration_milliseconds of /metrics; \
             the pages are counted by themselves",
        ),
        read(
            "tagOverrides",
            Type::Map(checks::not_empty, &Type::Object(&TAG_OVERRIDE)),
            "holds for istio_requests_total and istio_request_duration_milliseconds of /metrics",
        ),
    ],
    &[],
);

const NO_SIZES: &str = "the sizes of requests and answers are not measured here";
const NO_TCP: &str = "there are no TCP or gRPC metrics here";

static METRIC_SELECTOR: Object = object(
    "MetricSelector",
    &[
        field(
            "metric",
            Type::Choice(&[
                ("ALL_METRICS", Treatment::InForce),
                ("REQUEST_COUNT", Treatment::InForce),
                ("REQUEST_DURATION", Treatment::InForce),
                ("REQUEST_SIZE", Treatment::Ignored(NO_SIZES)),
                ("RESPONSE_SIZE", Treatment::Ignored(NO_SIZES)),
                ("TCP_OPENED_CONNECTIONS", Treatment::Ignored(NO_TCP)),
                ("TCP_CLOSED_CONNECTIONS", Treatment::Ignored(NO_TCP)),
                ("TCP_SENT_BYTES", Treatment::Ignored(NO_TCP)),
                ("TCP_RECEIVED_BYTES", Treatment::Ignored(NO_TCP)),
                ("GRPC_REQUEST_MESSAGES", Treatment::Ignored(NO_TCP)),
                ("GRPC_RESPONSE_MESSAGES", Treatment::Ignored(NO_TCP)),
            ]),
        ),
        ignored(
            "customMetric",
            NAME,
            "there are the metrics that Istio has by itself, and no others",
        ),
        field("mode", MODE),
    ],
    &[excludes(&["metric", "customMetric"], "a selector names one metric")],
);

static TAG_OVERRIDE: Object = object(
    "TagOverride",
    &[
        field(
            "operation",
            Type::Choice(&[("UPSERT", Treatment::InForce), ("REMOVE", Treatment::InForce)]),
        ),
        field("value", TEXT),
    ],
    &[],
);
