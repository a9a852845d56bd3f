//! `DestinationRule` (networking.istio.io, `destination_rule.proto`).
//!
//! Tables only.

use super::{
    COUNT, DURATION, LABELS, NAME, Object, PORT, SELECTOR, TEXT, TEXTS, Treatment, Type, UINT32,
    checks, deprecated, excludes, field, ignored, instead, needs, object, one_of, read,
};

const NO_TLS: &str =
    "calls do not leave the process, so there is no transport to encrypt; the page says so";
const NO_TCP: &str = "calls are HTTP requests within the process, without sockets of their own";
const ONE_LOCALITY: &str = "every instance is in the same locality";
const CONNECTED: &str = "of connections to services outside of the mesh; a call in this process \
    has none";
const CONCURRENT: &str = "concurrent requests; each call within the process is a connection";

pub(super) static DESTINATION_RULE: Object = object(
    "DestinationRule",
    &[
        field("host", Type::Text(checks::named_host)).required(),
        field("trafficPolicy", Type::Object(&TRAFFIC_POLICY)),
        field("subsets", Type::List(&Type::Object(&SUBSET))),
        field("exportTo", Type::List(&Type::Text(checks::export_to))),
        field("workloadSelector", Type::Object(&SELECTOR)),
    ],
    &[],
);

static SUBSET: Object = object(
    "Subset",
    &[
        field("name", Type::Text(checks::label_in_any_case)).required(),
        field("labels", LABELS),
        field("trafficPolicy", Type::Object(&TRAFFIC_POLICY)),
    ],
    &[],
);

macro_rules! policy_fields {
    ($($more:expr),*) => {
        &[
            field("loadBalancer", Type::Object(&LOAD_BALANCER)),
            field("connectionPool", Type::Object(&CONNECTION_POOL)),
            field("outlierDetection", Type::Object(&OUTLIER_DETECTION)),
            ignored("tls", Type::Object(&CLIENT_TLS), NO_TLS),
            $($more),*
        ]
    };
}

pub(super) static TRAFFIC_POLICY: Object = object(
    "TrafficPolicy",
    policy_fields!(
        field("portLevelSettings", Type::List(&Type::Object(&PORT_POLICY))),
        ignored("tunnel", Type::Object(&TUNNEL), NO_TCP),
        ignored("proxyProtocol", Type::Object(&PROXY_PROTOCOL), NO_TCP),
        field("retryBudget", Type::Object(&RETRY_BUDGET))
    ),
    &[
        needs(
            &[
                "loadBalancer",
                "connectionPool",
                "outlierDetection",
                "tls",
                "portLevelSettings",
                "tunnel",
                "proxyProtocol",
                "retryBudget",
            ],
            "a traffic policy must say something",
        ),
        excludes(&["tunnel", "proxyProtocol"], "a connection begins in one way"),
    ],
);

static PORT_POLICY: Object = object(
    "PortTrafficPolicy",
    policy_fields!(field("port", Type::Object(&PORT_SELECTOR)).required()),
    &[needs(
        &["loadBalancer", "connectionPool", "outlierDetection", "tls"],
        "the settings of a port must say something",
    )],
);

static CLIENT_TLS: Object = object(
    "ClientTLSSettings",
    &[
        field(
            "mode",
            Type::Choice(&[
                ("DISABLE", Treatment::InForce),
                ("SIMPLE", Treatment::InForce),
                ("MUTUAL", Treatment::InForce),
                ("ISTIO_MUTUAL", Treatment::InForce),
            ]),
        ),
        field("clientCertificate", TEXT),
        field("privateKey", TEXT),
        field("caCertificates", TEXT),
        field("credentialName", TEXT),
        field("subjectAltNames", TEXTS),
        field("sni", TEXT),
        field("insecureSkipVerify", Type::Bool),
        field("caCrl", TEXT),
    ],
    &[],
);

static TUNNEL: Object = object(
    "TunnelSettings",
    &[
        field(
            "protocol",
            Type::Choice(&[("CONNECT", Treatment::InForce), ("POST", Treatment::InForce)]),
        ),
        field("targetHost", Type::Text(checks::name_or_address)).required(),
        field("targetPort", PORT).required(),
    ],
    &[],
);

static PROXY_PROTOCOL: Object = object(
    "ProxyProtocol",
    &[field("version", Type::Choice(&[("V1", Treatment::InForce), ("V2", Treatment::InForce)]))],
    &[],
);

static LOCALITY: Object = object(
    "LocalityLoadBalancerSetting",
    &[
        field("distribute", Type::List(&Type::Object(&DISTRIBUTE))),
        field("failover", Type::List(&Type::Object(&FAILOVER))),
        field("failoverPriority", TEXTS),
        field("enabled", Type::Bool),
    ],
    &[excludes(&["distribute", "failover"], "the one says what the other would decide")],
);

static DISTRIBUTE: Object = object(
    "Distribute",
    &[field("from", NAME), field("to", Type::Map(checks::not_empty, &UINT32))],
    &[],
);

static FAILOVER: Object = object("Failover", &[field("from", NAME), field("to", NAME)], &[]);

static KEEPALIVE: Object = object(
    "TcpKeepalive",
    &[field("probes", UINT32), field("time", DURATION), field("interval", DURATION)],
    &[],
);

static PORT_SELECTOR: Object = object("PortSelector", &[field("number", PORT).required()], &[]);

static LOAD_BALANCER: Object = object(
    "LoadBalancerSettings",
    &[
        field("simple", SIMPLE),
        field("consistentHash", Type::Object(&CONSISTENT_HASH)),
        ignored("localityLbSetting", Type::Object(&LOCALITY), ONE_LOCALITY),
        ignored("zoneAwareLbSetting", Type::Any, ONE_LOCALITY),
        deprecated("warmupDurationSecs", DURATION, instead::warmup),
        field("warmup", Type::Object(&WARMUP)),
    ],
    &[
        excludes(&["simple", "consistentHash"], "one service has one way of balancing"),
        excludes(&["warmup", "warmupDurationSecs"], "warmup replaces warmupDurationSecs"),
    ],
);

const SIMPLE: Type = Type::Choice(&[
    ("UNSPECIFIED", Treatment::Read("LEAST_REQUEST, Istio's default")),
    ("ROUND_ROBIN", Treatment::InForce),
    ("LEAST_REQUEST", Treatment::InForce),
    ("RANDOM", Treatment::InForce),
    ("LEAST_CONN", Treatment::Deprecated(|_| "LEAST_REQUEST".to_owned())),
    (
        "PASSTHROUGH",
        Treatment::Ignored("no caller knows an instance's address; LEAST_REQUEST is used"),
    ),
]);

static CONSISTENT_HASH: Object = object(
    "ConsistentHashLB",
    &[
        field("httpHeaderName", Type::Text(checks::header_name)),
        field("httpCookie", Type::Object(&COOKIE)),
        field("useSourceIp", Type::Bool),
        field("httpQueryParameterName", NAME),
        field("ringHash", Type::Object(&RING_HASH)),
        field("maglev", Type::Object(&MAGLEV)),
        deprecated("minimumRingSize", RING_SIZE, instead::ring_hash),
    ],
    &[
        one_of(
            &["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"],
            "a hash is taken of one thing",
        ),
        excludes(&["ringHash", "maglev", "minimumRingSize"], "a table is built in one way"),
    ],
);

const COOKIE_ATTRIBUTES: Type = Type::List(&Type::Object(&COOKIE_ATTRIBUTE));

static COOKIE_ATTRIBUTE: Object =
    object("HTTPCookie.Attribute", &[field("name", NAME).required(), field("value", TEXT)], &[]);

static COOKIE: Object = object(
    "HTTPCookie",
    &[
        field("name", NAME).required(),
        field("path", TEXT),
        field("ttl", Type::Text(checks::duration)),
        ignored(
            "attributes",
            COOKIE_ATTRIBUTES,
            "the cookie is set with its path and its age only",
        ),
    ],
    &[],
);

/// Envoy's own limit (`RingHashLbConfig.minimum_ring_size`).
const RING_SIZE: Type = Type::Int(1, 8_388_608);

static RING_HASH: Object = object("RingHash", &[field("minimumRingSize", RING_SIZE)], &[]);

static MAGLEV: Object =
    object("MagLev", &[field("tableSize", Type::Number(checks::maglev_size)).required()], &[]);

static WARMUP: Object = object(
    "WarmupConfiguration",
    &[
        field("duration", DURATION).required(),
        field("minimumPercent", Type::Number(checks::percent)),
        field("aggression", Type::Number(checks::at_least_one)),
    ],
    &[],
);

static CONNECTION_POOL: Object = object(
    "ConnectionPoolSettings",
    &[field("tcp", Type::Object(&TCP_SETTINGS)), field("http", Type::Object(&HTTP_SETTINGS))],
    &[needs(&["tcp", "http"], "a connection pool must say something")],
);

static TCP_SETTINGS: Object = object(
    "ConnectionPoolSettings.TCPSettings",
    &[
        read("maxConnections", COUNT, CONCURRENT),
        read("connectTimeout", DURATION, CONNECTED),
        ignored("tcpKeepalive", Type::Object(&KEEPALIVE), NO_TCP),
        ignored("maxConnectionDuration", DURATION, NO_TCP),
        read("idleTimeout", DURATION, "holds unless http.idleTimeout is there"),
    ],
    &[],
);

static HTTP_SETTINGS: Object = object(
    "ConnectionPoolSettings.HTTPSettings",
    &[
        field("http1MaxPendingRequests", COUNT),
        field("http2MaxRequests", COUNT),
        ignored(
            "maxRequestsPerConnection",
            COUNT,
            "a call in this process has no connection, and those to an address are kept",
        ),
        field("maxRetries", COUNT),
        read("idleTimeout", DURATION, CONNECTED),
        ignored(
            "h2UpgradePolicy",
            Type::Choice(&[
                ("DEFAULT", Treatment::InForce),
                ("DO_NOT_UPGRADE", Treatment::InForce),
                ("UPGRADE", Treatment::InForce),
            ]),
            NO_TCP,
        ),
        ignored("useClientProtocol", Type::Bool, NO_TCP),
        ignored(
            "maxConcurrentStreams",
            COUNT,
            "no connection here has several streams; http2MaxRequests is the limit in force",
        ),
        ignored("http2KeepAlive", Type::Any, NO_TCP),
    ],
    &[],
);

static OUTLIER_DETECTION: Object = object(
    "OutlierDetection",
    &[
        deprecated("consecutiveErrors", COUNT, instead::detectors),
        field("splitExternalLocalOriginErrors", Type::Bool),
        field("consecutiveLocalOriginFailures", UINT32),
        field("consecutiveGatewayErrors", UINT32),
        field("consecutive5xxErrors", UINT32),
        field("interval", DURATION),
        field("baseEjectionTime", DURATION),
        field("maxEjectionPercent", Type::Int(0, 100)),
        field("minHealthPercent", Type::Int(0, 100)),
        field("outlierDetectionHttpErrorCodes", Type::List(&Type::Int(100, 599))),
    ],
    &[],
);

static RETRY_BUDGET: Object = object(
    "RetryBudget",
    &[field("percent", Type::Number(checks::percent)), field("minRetryConcurrency", UINT32)],
    &[],
);
