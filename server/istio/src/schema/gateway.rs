//! `Gateway` and `ServiceEntry` (networking.istio.io).
//!
//! Tables only.

use super::{
    ANNOTATIONS, LABELS, NAME, Object, PORT, TEXT, TEXTS, Treatment, Type, UINT32, checks,
    envoy_filter::WORKLOAD_SELECTOR, excludes, field, ignored, object, read, rejected,
};

const EDGE: &str = "the edge listens where the command line says";

const LISTENS: &str = "what match.port of rules and ports of policies are compared with; the edge \
    listens where the command line says";
const SPOKEN: &str = "tells the port of requests that came over HTTPS from that of the others; the \
    edge speaks plain HTTP";

pub(super) static GATEWAY: Object = object(
    "Gateway",
    &[
        ignored(
            "selector",
            ANNOTATIONS,
            "there is one gateway workload, the edge; it is taken for it",
        ),
        field("servers", Type::List(&Type::Object(&SERVER))).required(),
    ],
    &[],
);

static SERVER: Object = object(
    "Server",
    &[
        field("port", Type::Object(&SERVER_PORT)).required(),
        ignored("bind", Type::Text(checks::address), EDGE),
        field("hosts", Type::List(&Type::Text(checks::gateway_host))).required(),
        ignored(
            "tls",
            Type::Object(&SERVER_TLS),
            "the edge speaks plain HTTP; put TLS in front of it",
        ),
        ignored("defaultEndpoint", TEXT, EDGE),
        ignored("name", TEXT, "nothing refers to it"),
    ],
    &[],
);

static SERVER_PORT: Object = object(
    "Port",
    &[
        read("number", PORT, LISTENS).required(),
        ignored("name", NAME, EDGE).required(),
        read("protocol", Type::Text(checks::protocol), SPOKEN).required(),
        rejected("targetPort", "Istio refuses it on a Gateway, where it would do nothing"),
    ],
    &[],
);

const TLS_VERSION: Type = Type::Choice(&[
    ("TLS_AUTO", Treatment::InForce),
    ("TLSV1_0", Treatment::InForce),
    ("TLSV1_1", Treatment::InForce),
    ("TLSV1_2", Treatment::InForce),
    ("TLSV1_3", Treatment::InForce),
]);

static SERVER_TLS: Object = object(
    "ServerTLSSettings",
    &[
        field("httpsRedirect", Type::Bool),
        field(
            "mode",
            Type::Choice(&[
                ("PASSTHROUGH", Treatment::InForce),
                ("SIMPLE", Treatment::InForce),
                ("MUTUAL", Treatment::InForce),
                ("AUTO_PASSTHROUGH", Treatment::InForce),
                ("ISTIO_MUTUAL", Treatment::InForce),
                ("OPTIONAL_MUTUAL", Treatment::InForce),
            ]),
        ),
        field("serverCertificate", TEXT),
        field("privateKey", TEXT),
        field("caCertificates", TEXT),
        field("caCrl", TEXT),
        field("tlsCertificates", Type::List(&Type::Object(&TLS_CERTIFICATE))),
        field("credentialName", TEXT),
        field("credentialNames", TEXTS),
        field("caCertCredentialName", TEXT),
        field("subjectAltNames", TEXTS),
        field("verifyCertificateSpki", TEXTS),
        field("verifyCertificateHash", TEXTS),
        field("minProtocolVersion", TLS_VERSION),
        field("maxProtocolVersion", TLS_VERSION),
        field("cipherSuites", TEXTS),
    ],
    &[],
);

static TLS_CERTIFICATE: Object = object(
    "TLSCertificate",
    &[field("serverCertificate", TEXT), field("privateKey", TEXT), field("caCertificates", TEXT)],
    &[],
);

pub(super) static SERVICE_ENTRY: Object = object(
    "ServiceEntry",
    &[
        field("hosts", Type::List(&Type::Text(checks::entry_host))).required(),
        ignored(
            "addresses",
            Type::List(&Type::Text(checks::ip_block)),
            "services are found by name here, not by address",
        ),
        field("ports", Type::List(&Type::Object(&SERVICE_PORT))),
        ignored(
            "location",
            Type::Choice(&[
                ("MESH_EXTERNAL", Treatment::InForce),
                ("MESH_INTERNAL", Treatment::InForce),
            ]),
            "there is no mutual TLS here that one would have and the other not",
        ),
        ignored(
            "resolution",
            Type::Choice(&[
                ("NONE", Treatment::InForce),
                ("STATIC", Treatment::InForce),
                ("DNS", Treatment::InForce),
                ("DNS_ROUND_ROBIN", Treatment::InForce),
                ("DYNAMIC_DNS", Treatment::InForce),
            ]),
            "addresses of this machine are called as they are; no other machine is reached",
        ),
        read(
            "endpoints",
            Type::List(&Type::Object(&ENDPOINT)),
            "those of this machine; the names of the payment provider stand for its own address",
        ),
        ignored(
            "workloadSelector",
            Type::Object(&WORKLOAD_SELECTOR),
            "there are no WorkloadEntries here",
        ),
        field("exportTo", Type::List(&Type::Text(checks::export_to))),
        ignored("subjectAltNames", TEXTS, "no certificates are checked here"),
    ],
    &[excludes(&["endpoints", "workloadSelector"], "one of them says where the service is")],
);

static SERVICE_PORT: Object = object(
    "ServicePort",
    &[
        field("number", PORT).required(),
        ignored(
            "protocol",
            Type::Text(checks::protocol_or_none),
            "requests are HTTP; TLS would begin behind the stand-in",
        ),
        field("name", Type::Text(checks::label_in_any_case)).required(),
        field("targetPort", PORT),
    ],
    &[],
);

const ALIKE: &str = "every endpoint of an external service is taken alike";

static ENDPOINT: Object = object(
    "WorkloadEntry",
    &[
        field("address", NAME),
        field("ports", Type::Map(checks::label_in_any_case, &PORT)),
        ignored("labels", LABELS, ALIKE),
        ignored("network", TEXT, ALIKE),
        ignored("locality", TEXT, ALIKE),
        ignored("weight", UINT32, ALIKE),
        ignored("serviceAccount", TEXT, ALIKE),
    ],
    &[],
);
