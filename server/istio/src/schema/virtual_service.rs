//! `VirtualService` (networking.istio.io, `virtual_service.proto`).
//!
//! Tables only.

use super::{
    COUNT, DURATION, LABELS, NAME, Object, PER_SERVICE, PORT, TEXT, TEXTS, Treatment, Type, checks,
    deprecated, destination_rule, excludes, extension, field, ignored, instead, needs, object,
    one_of, plain, read, rejected,
};

const NO_TCP: &str = "calls between the services here are HTTP; there is no TCP or TLS to route";

pub(super) static VIRTUAL_SERVICE: Object = object(
    "VirtualService",
    &[
        field("hosts", Type::List(&Type::Text(checks::host))),
        field("gateways", Type::List(&Type::Text(checks::gateway))),
        field("http", Type::List(&Type::Object(&HTTP_ROUTE))),
        ignored("tls", Type::List(&Type::Object(&TLS_ROUTE)), NO_TCP),
        ignored("tcp", Type::List(&Type::Object(&TCP_ROUTE)), NO_TCP),
        field("exportTo", Type::List(&Type::Text(checks::export_to))),
        extension("trafficPolicy", Type::Object(&destination_rule::TRAFFIC_POLICY)),
    ],
    &[needs(&["http", "tls", "tcp"], "a VirtualService without routes does nothing")],
);

static TLS_ROUTE: Object = object(
    "TLSRoute",
    &[
        field("match", Type::List(&Type::Object(&TLS_MATCH))).required(),
        field("route", Type::List(&Type::Object(&L4_DESTINATION))).required(),
    ],
    &[],
);

static TCP_ROUTE: Object = object(
    "TCPRoute",
    &[
        field("match", Type::List(&Type::Object(&TCP_MATCH))),
        field("route", Type::List(&Type::Object(&L4_DESTINATION))).required(),
    ],
    &[],
);

macro_rules! l4_match_fields {
    ($($more:expr),*) => {
        &[
            $($more,)*
            field("destinationSubnets", Type::List(&Type::Text(checks::ip_block))),
            field("port", PORT),
            field("sourceLabels", LABELS),
            field("gateways", Type::List(&Type::Text(checks::gateway))),
            field("sourceNamespace", Type::Text(checks::label)),
        ]
    };
}

static TLS_MATCH: Object = object(
    "TLSMatchAttributes",
    l4_match_fields!(field("sniHosts", Type::List(&Type::Text(checks::host))).required()),
    &[],
);

static TCP_MATCH: Object = object("L4MatchAttributes", l4_match_fields!(), &[]);

static L4_DESTINATION: Object = object(
    "RouteDestination",
    &[field("destination", Type::Object(&DESTINATION)).required(), field("weight", COUNT)],
    &[],
);

static HTTP_ROUTE: Object = object(
    "HTTPRoute",
    &[
        field("name", TEXT),
        field("match", Type::List(&Type::Object(&MATCH))),
        field("route", Type::List(&Type::Object(&ROUTE_DESTINATION))),
        field("redirect", Type::Object(&REDIRECT)),
        field("directResponse", Type::Object(&DIRECT_RESPONSE)),
        field("delegate", Type::Object(&DELEGATE)),
        field("rewrite", Type::Object(&REWRITE)),
        field("timeout", Type::Text(checks::duration_ms_or_off)),
        field("retries", Type::Object(&RETRY)),
        field("fault", Type::Object(&FAULT)),
        field("mirror", Type::Object(&DESTINATION)),
        field("mirrors", Type::List(&Type::Object(&MIRROR))),
        deprecated("mirrorPercent", Type::Int(0, 100), instead::mirror_percentage),
        field("mirrorPercentage", Type::Object(&PERCENT)),
        field("corsPolicy", Type::Object(&CORS)),
        field("headers", Type::Object(&HEADERS)),
        extension("rateLimit", Type::Object(&RATE_LIMIT)),
    ],
    &[
        excludes(&["route", "redirect"], "a redirected request goes nowhere"),
        excludes(&["fault", "redirect"], "a redirected request meets no fault"),
        excludes(&["rewrite", "redirect"], "the redirect says the new address itself"),
        excludes(&["route", "directResponse"], "the answer is given here"),
        excludes(&["fault", "directResponse"], "the answer is given here"),
        excludes(&["rewrite", "directResponse"], "the answer is given here"),
        excludes(&["redirect", "directResponse"], "only one of them can answer"),
        excludes(&["delegate", "route"], "the delegate says where requests go"),
        excludes(&["delegate", "redirect"], "the delegate says where requests go"),
        excludes(&["delegate", "directResponse"], "the delegate says where requests go"),
        excludes(&["mirror", "mirrors"], "mirrors replaces mirror"),
        needs(
            &["route", "redirect", "directResponse", "delegate"],
            "a rule must say what to do with its requests",
        ),
    ],
);

static MATCH: Object = object(
    "HTTPMatchRequest",
    &[
        field("name", TEXT),
        field("uri", Type::Object(&URI_MATCH)),
        field("scheme", Type::Object(&STRING_MATCH)),
        field("method", Type::Object(&STRING_MATCH)),
        field("authority", Type::Object(&STRING_MATCH)),
        field("headers", Type::Map(checks::matched_header, &Type::Object(&STRING_MATCH))),
        field("port", PORT),
        field("sourceLabels", LABELS),
        field("gateways", Type::List(&Type::Text(checks::gateway))),
        field("queryParams", Type::Map(checks::not_empty, &Type::Object(&STRING_MATCH))),
        read("ignoreUriCase", Type::Bool, "holds for exact and prefix, as in Istio"),
        field("withoutHeaders", Type::Map(checks::matched_header, &Type::Object(&ABSENT_MATCH))),
        field("sourceNamespace", Type::Text(checks::label)),
        ignored("statPrefix", TEXT, "metrics are named by the route here"),
    ],
    &[],
);

macro_rules! string_match {
    ($exact:expr, $prefix:expr, $regex:expr, $rule:ident) => {
        object(
            "StringMatch",
            &[field("exact", $exact), field("prefix", $prefix), field("regex", Type::Text($regex))],
            &[$rule(&["exact", "prefix", "regex"], "a StringMatch is one of them")],
        )
    };
}

static STRING_MATCH: Object = string_match!(TEXT, NAME, checks::regex, excludes);
/// Every path begins with nothing, and Envoy has that as a prefix of paths alone.
static URI_MATCH: Object = string_match!(TEXT, TEXT, checks::regex, excludes);
static ABSENT_MATCH: Object = string_match!(TEXT, NAME, checks::regex_or_any, excludes);
/// `validateAllowOrigins`: an origin is something.
static ORIGIN_MATCH: Object = string_match!(NAME, NAME, checks::regex, one_of);

static ROUTE_DESTINATION: Object = object(
    "HTTPRouteDestination",
    &[
        field("destination", Type::Object(&DESTINATION)).required(),
        field("weight", COUNT),
        field("headers", Type::Object(&HEADERS)),
    ],
    &[],
);

static DESTINATION: Object = object(
    "Destination",
    &[
        field("host", Type::Text(checks::destination)).required(),
        field("subset", Type::Text(checks::label_in_any_case)),
        read(
            "port",
            Type::Object(&PORT_SELECTOR),
            "the one port of the service; requests to any other are answered 503",
        ),
    ],
    &[],
);

static PORT_SELECTOR: Object = object("PortSelector", &[field("number", PORT)], &[]);

static REDIRECT: Object = plain(
    "HTTPRedirect",
    &[
        field("uri", TEXT),
        field("authority", TEXT),
        field("port", PORT),
        field(
            "derivePort",
            Type::Choice(&[
                ("FROM_PROTOCOL_DEFAULT", Treatment::InForce),
                ("FROM_REQUEST_PORT", Treatment::InForce),
            ]),
        ),
        field(
            "scheme",
            Type::Choice(&[("http", Treatment::InForce), ("https", Treatment::InForce)]),
        ),
        field("redirectCode", Type::Number(checks::redirect_code)),
    ],
    &[
        needs(
            &["uri", "authority", "scheme", "port", "derivePort"],
            "a redirect must change something",
        ),
        excludes(&["port", "derivePort"], "only one of them can say the port"),
    ],
);

static DIRECT_RESPONSE: Object = object(
    "HTTPDirectResponse",
    &[field("status", Type::Int(200, 599)).required(), field("body", Type::Object(&BODY))],
    &[],
);

static BODY: Object = object(
    "HTTPBody",
    &[field("string", TEXT), field("bytes", Type::Text(checks::base64))],
    &[one_of(&["string", "bytes"], "a body is one of them")],
);

static DELEGATE: Object = object(
    "Delegate",
    &[
        field("name", Type::Text(checks::dns_name)).required(),
        field("namespace", Type::Text(checks::label)),
    ],
    &[],
);

static REWRITE: Object = plain(
    "HTTPRewrite",
    &[
        field("uri", TEXT),
        field("authority", TEXT),
        field("uriRegexRewrite", Type::Object(&REGEX_REWRITE)),
    ],
    &[
        needs(&["uri", "authority", "uriRegexRewrite"], "a rewrite must change something"),
        excludes(&["uri", "uriRegexRewrite"], "only one of them can say the new path"),
    ],
);

static REGEX_REWRITE: Object = plain(
    "RegexRewrite",
    &[
        field("match", Type::Text(checks::regex_anywhere)).required(),
        field("rewrite", TEXT).required(),
    ],
    &[],
);

static RETRY: Object = object(
    "HTTPRetry",
    &[
        field("attempts", COUNT),
        field("perTryTimeout", DURATION),
        field("retryOn", Type::Text(checks::retry_on)),
        ignored("retryRemoteLocalities", Type::Bool, "every instance is in the same locality"),
        field("retryIgnorePreviousHosts", Type::Bool),
        field("backoff", DURATION),
    ],
    &[],
);

static FAULT: Object = object(
    "HTTPFaultInjection",
    &[field("delay", Type::Object(&DELAY)), field("abort", Type::Object(&ABORT))],
    &[needs(&["delay", "abort"], "a fault is a delay, an abort or both")],
);

static DELAY: Object = object(
    "HTTPFaultInjection.Delay",
    &[
        field("fixedDelay", DURATION),
        rejected("exponentialDelay", "Istio does not implement it and refuses it"),
        field("percentage", Type::Object(&FAULT_PERCENT)),
        deprecated("percent", Type::Int(0, 100), instead::percentage),
    ],
    &[excludes(&["fixedDelay", "exponentialDelay"], "a delay is one of them")],
);

static ABORT: Object = object(
    "HTTPFaultInjection.Abort",
    &[
        field("httpStatus", Type::Int(200, 599)),
        field("grpcStatus", Type::Text(checks::grpc_status)),
        rejected("http2Error", "Istio does not implement it and refuses it"),
        field("percentage", Type::Object(&FAULT_PERCENT)),
    ],
    &[excludes(&["httpStatus", "grpcStatus", "http2Error"], "an abort is one of them")],
);

static PERCENT: Object = object("Percent", &[field("value", Type::Number(checks::percent))], &[]);

static FAULT_PERCENT: Object =
    object("Percent", &[field("value", Type::Number(checks::fault_percent))], &[]);

static MIRROR: Object = object(
    "HTTPMirrorPolicy",
    &[
        field("destination", Type::Object(&DESTINATION)).required(),
        field("percentage", Type::Object(&PERCENT)),
    ],
    &[],
);

static CORS: Object = object(
    "CorsPolicy",
    &[
        field("allowOrigins", Type::List(&Type::Object(&ORIGIN_MATCH))),
        deprecated("allowOrigin", TEXTS, instead::allow_origins),
        field("allowMethods", Type::List(&Type::Text(checks::method))),
        field("allowHeaders", Type::List(&Type::Text(checks::header_or_any))),
        field("exposeHeaders", Type::List(&Type::Text(checks::header_or_any))),
        field("maxAge", Type::Text(checks::duration_s)),
        field("allowCredentials", Type::Bool),
        ignored(
            "unmatchedPreflights",
            Type::Choice(&[
                ("UNSPECIFIED", Treatment::InForce),
                ("FORWARD", Treatment::InForce),
                ("IGNORE", Treatment::InForce),
            ]),
            "a preflight that matches no origin is forwarded, which is the default",
        ),
    ],
    &[excludes(&["allowOrigins", "allowOrigin"], "allowOrigins replaces allowOrigin")],
);

static HEADERS: Object = object(
    "Headers",
    &[
        field("request", Type::Object(&HEADER_OPERATIONS)),
        field("response", Type::Object(&HEADER_OPERATIONS)),
    ],
    &[],
);

const HEADER_VALUE: Type = Type::Text(checks::header_value);

static HEADER_OPERATIONS: Object = object(
    "HeaderOperations",
    &[
        field("set", Type::Map(checks::settable_header, &HEADER_VALUE)),
        field("add", Type::Map(checks::settable_header, &HEADER_VALUE)),
        field("remove", Type::List(&Type::Text(checks::settable_header))),
    ],
    &[],
);

/// As Istio's users sometimes write it by analogy with Envoy's rate limit service.
static RATE_LIMIT: Object = object(
    "rateLimit",
    &[
        field("dimensions", Type::Object(&DIMENSIONS)),
        field("limit", Type::Object(&LIMIT)).required(),
    ],
    &[],
);

static DIMENSIONS: Object =
    object("dimensions", &[field("remoteAddress", Type::Object(&REMOTE_ADDRESS))], &[]);

static REMOTE_ADDRESS: Object = object(
    "remoteAddress",
    &[read("value", Type::Text(checks::any), "each remote address has its own bucket")],
    &[],
);

static LIMIT: Object = object(
    "limit",
    &[
        read("requestsPerUnit", Type::Int(1, 1_000_000), PER_SERVICE).required(),
        field(
            "unit",
            Type::Choice(&[
                ("SECOND", Treatment::InForce),
                ("MINUTE", Treatment::InForce),
                ("HOUR", Treatment::InForce),
                ("DAY", Treatment::InForce),
            ]),
        )
        .required(),
    ],
    &[],
);
