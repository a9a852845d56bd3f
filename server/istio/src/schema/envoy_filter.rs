//! `EnvoyFilter` (networking.istio.io), as far as local rate limits are written with it.
//!
//! Tables only. A patch that holds anything else is kept and has no effect.

use super::{
    DURATION, Field, NO_TARGET_REF, Object, PER_SERVICE, PORT, SELECTED, TEXT, Treatment, Type,
    UINT32, checks, envoy, field, ignored, object, read, rejected,
};
use crate::yaml::Node;

/// The filter that is understood.
pub(crate) const LOCAL_RATE_LIMIT: &str = "envoy.filters.http.local_ratelimit";
/// Its configuration's type.
pub(crate) const LOCAL_RATE_LIMIT_TYPE: &str = "type.googleapis.com/\
    envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

pub(super) static ENVOY_FILTER: Object = object(
    "EnvoyFilter",
    &[
        field("workloadSelector", Type::Object(&WORKLOAD_SELECTOR)),
        rejected("targetRefs", NO_TARGET_REF),
        field("configPatches", Type::List(&Type::Object(&CONFIG_PATCH))),
        ignored(
            "priority",
            Type::Int(-2_147_483_648, 2_147_483_647),
            "limits do not patch each other",
        ),
    ],
    &[],
);

/// `WorkloadSelector` of networking, which security writes otherwise.
pub(super) static WORKLOAD_SELECTOR: Object =
    object("WorkloadSelector", &[field("labels", SELECTED)], &[]);

const FOREIGN: &str =
    "it patches Envoy, and there is no Envoy here; only local rate limits are read";

static CONFIG_PATCH: Object = object(
    "EnvoyConfigObjectPatch",
    &[
        field(
            "applyTo",
            Type::Choice(&[
                ("LISTENER", Treatment::Ignored(FOREIGN)),
                ("FILTER_CHAIN", Treatment::Ignored(FOREIGN)),
                ("NETWORK_FILTER", Treatment::Ignored(FOREIGN)),
                ("HTTP_FILTER", Treatment::InForce),
                ("ROUTE_CONFIGURATION", Treatment::Ignored(FOREIGN)),
                ("VIRTUAL_HOST", Treatment::InForce),
                ("HTTP_ROUTE", Treatment::InForce),
                ("CLUSTER", Treatment::Ignored(FOREIGN)),
                ("EXTENSION_CONFIG", Treatment::Ignored(FOREIGN)),
                ("BOOTSTRAP", Treatment::Ignored(FOREIGN)),
                ("LISTENER_FILTER", Treatment::Ignored(FOREIGN)),
            ]),
        )
        .required(),
        field("match", Type::Chosen(patch_match)),
        field("patch", Type::Object(&PATCH)).required(),
    ],
    &[],
);

pub(crate) const WHOLE: &str = "the limit holds for whatever comes to the workload";

/// A patch is for a single route if it names one, and for a host if it names that alone; which are
/// looked at is said by `validate`.
fn patch_match(value: &Node) -> Result<&'static Object, &'static str> {
    let host = value.path(&["routeConfiguration", "vhost"]);
    let named = host
        .is_some_and(|host| host.path(&["route", "name"]).is_some() || host.get("name").is_some());
    let inbound = value.str("context") == Some("SIDECAR_INBOUND");
    if named && !inbound { Ok(&ROUTE_PATCH_MATCH) } else { Err(WHOLE) }
}

static ROUTE_PATCH_MATCH: Object = object(
    "EnvoyConfigObjectMatch",
    &[
        read("context", TEXT, "looked at where calls leave the mesh"),
        field("routeConfiguration", Type::Object(&ROUTE_CONFIGURATION)),
        ignored("proxy", Type::Any, "there is no Envoy here"),
    ],
    &[],
);

static ROUTE_CONFIGURATION: Object = object(
    "RouteConfigurationMatch",
    &[
        ignored("name", TEXT, "host and rule say which route it is"),
        ignored("portNumber", PORT, "host and rule say which route it is"),
        ignored("portName", TEXT, "host and rule say which route it is"),
        ignored("gateway", TEXT, "there is one gateway workload"),
        field("vhost", Type::Object(&ROUTED_HOST)),
    ],
    &[],
);

static ROUTED_HOST: Object = object(
    "VirtualHostMatch",
    &[
        read("name", TEXT, "its port is not looked at"),
        ignored("domainName", TEXT, "the name says which host it is"),
        field("route", Type::Object(&ROUTE_MATCH)),
    ],
    &[],
);

static ROUTE_MATCH: Object = object(
    "RouteMatch",
    &[
        read("name", TEXT, "a rule of a VirtualService; one without a name is rule- and its place"),
        ignored("action", TEXT, "the rule says what it does"),
    ],
    &[],
);

static PATCH: Object = object(
    "Patch",
    &[
        field(
            "operation",
            Type::Choice(&[
                ("INSERT_BEFORE", Treatment::InForce),
                ("INSERT_AFTER", Treatment::InForce),
                ("INSERT_FIRST", Treatment::InForce),
                ("ADD", Treatment::InForce),
                ("MERGE", Treatment::InForce),
                ("REPLACE", Treatment::InForce),
                ("REMOVE", Treatment::Ignored(FOREIGN)),
            ]),
        ),
        ignored("filterClass", TEXT, "limits stand where the list of layers says"),
        field("value", Type::Chosen(patch_value)),
    ],
    &[],
);

/// Patches are told apart by what they hold.
fn patch_value(value: &Node) -> Result<&'static Object, &'static str> {
    if value.str("name") == Some(LOCAL_RATE_LIMIT) {
        return Ok(&HTTP_FILTER);
    }
    let per_filter =
        value.get("typed_per_filter_config").or_else(|| value.get("typedPerFilterConfig"));
    if per_filter.is_some_and(|filters| filters.get(LOCAL_RATE_LIMIT).is_some()) {
        return Ok(&ROUTE_VALUE);
    }
    Err(FOREIGN)
}

static HTTP_FILTER: Object = envoy(
    "HttpFilter",
    &[field("name", TEXT), field("typed_config", Type::Chosen(typed_config))],
    &[],
);

static ROUTE_VALUE: Object = envoy(
    "VirtualHost",
    &[
        ignored("name", TEXT, "the limit holds for whatever comes to the workload"),
        field("rate_limits", Type::List(&Type::Object(&RATE_LIMIT))),
        field("typed_per_filter_config", Type::Object(&PER_FILTER)),
    ],
    &[],
);

static PER_FILTER: Object =
    envoy("typed_per_filter_config", &[field(LOCAL_RATE_LIMIT, Type::Chosen(typed_config))], &[]);

fn typed_config(value: &Node) -> Result<&'static Object, &'static str> {
    match value.str("@type") {
        Some(LOCAL_RATE_LIMIT_TYPE) => Ok(&TYPED),
        Some(_) if value.get("type_url").is_some() || value.get("typeUrl").is_some() => {
            Ok(&TYPED_STRUCT)
        }
        _ => Err("its @type is not Envoy's LocalRateLimit"),
    }
}

static TYPED_STRUCT: Object = envoy(
    "TypedStruct",
    &[
        field("@type", Type::Text(checks::type_url)).required(),
        field("type_url", Type::Text(checks::type_url)).required(),
        field("value", Type::Object(&UNTYPED)).required(),
    ],
    &[],
);

macro_rules! limit_fields {
    ($($first:expr),*) => {
        &[
            $($first,)*
            ignored("stat_prefix", TEXT, "counters are named by the resource here"),
            LimitField::STATUS,
            field("token_bucket", Type::Object(&TOKEN_BUCKET)),
            field("filter_enabled", Type::Object(&FRACTION)),
            field("filter_enforced", Type::Object(&FRACTION)),
            ignored("response_headers_to_add", Type::Any, "the draft RateLimit headers are sent"),
            ignored("request_headers_to_add_when_not_enforced", Type::Any, NOTED),
            field("descriptors", Type::List(&Type::Object(&DESCRIPTOR))),
            ignored("stage", UINT32, "there is one stage"),
            ignored(
                "local_rate_limit_per_downstream_connection",
                Type::Bool,
                "there are no connections within the process",
            ),
            ignored("enable_x_ratelimit_headers", TEXT, "the draft RateLimit headers are sent"),
            ignored("always_consume_default_token_bucket", Type::Bool, NOTED),
            field("rate_limits", Type::List(&Type::Object(&RATE_LIMIT))),
        ]
    };
}

const NOTED: &str = "a request over the limit is noted on its span";

/// Holds a field for the macro above.
struct LimitField;

impl LimitField {
    const STATUS: Field = field("status", Type::Object(&STATUS));
}

static TYPED: Object = envoy(
    "LocalRateLimit",
    limit_fields!(field("@type", Type::Text(checks::type_url)).required()),
    &[],
);
static UNTYPED: Object = envoy("LocalRateLimit", limit_fields!(), &[]);

static STATUS: Object = envoy("HttpStatus", &[field("code", Type::Any)], &[]);

static TOKEN_BUCKET: Object = envoy(
    "TokenBucket",
    &[
        read("max_tokens", Type::Int(1, 4_294_967_295), PER_SERVICE).required(),
        field("tokens_per_fill", Type::Int(1, 4_294_967_295)),
        field("fill_interval", DURATION).required(),
    ],
    &[],
);

static FRACTION: Object = envoy(
    "RuntimeFractionalPercent",
    &[
        ignored("runtime_key", TEXT, "there is no runtime layer; the default is used"),
        field("default_value", Type::Object(&FRACTIONAL_PERCENT)),
    ],
    &[],
);

static FRACTIONAL_PERCENT: Object = envoy(
    "FractionalPercent",
    &[
        field("numerator", Type::Int(0, 1_000_000)),
        field(
            "denominator",
            Type::Choice(&[
                ("HUNDRED", Treatment::InForce),
                ("TEN_THOUSAND", Treatment::InForce),
                ("MILLION", Treatment::InForce),
            ]),
        ),
    ],
    &[],
);

static DESCRIPTOR: Object = envoy(
    "LocalRateLimitDescriptor",
    &[
        field("entries", Type::List(&Type::Object(&ENTRY))),
        field("token_bucket", Type::Object(&TOKEN_BUCKET)),
        ignored("limit", Type::Any, "the token bucket says the limit"),
    ],
    &[],
);

static ENTRY: Object = envoy(
    "Entry",
    &[
        field(
            "key",
            Type::Choice(&[("remote_address", Treatment::Read("a bucket for each address"))]),
        ),
        rejected("value", "a bucket is for every remote address here, not for a certain one"),
    ],
    &[],
);

static RATE_LIMIT: Object = envoy(
    "RateLimit",
    &[
        ignored("stage", UINT32, "there is one stage"),
        field("actions", Type::List(&Type::Object(&RATE_LIMIT_ACTION))),
    ],
    &[],
);

static RATE_LIMIT_ACTION: Object = envoy("Action", &[field("remote_address", Type::Any)], &[]);
