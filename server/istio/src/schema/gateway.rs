//! `Gateway` and `ServiceEntry` (networking.istio.io).
//!
//! Tables only.

use super::{
    ANNOTATIONS, Field, LABELS, NAME, Object, PORT, TEXT, TEXTS, Treatment, Type, UINT32, checks,
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
        field("tls", Type::Object(&SERVER_TLS)),
        ignored("defaultEndpoint", TEXT, EDGE),
        ignored("name", TEXT, "nothing refers to it"),
    ],
    &[],
);

static SERVER_PORT: Object = object(
    "Port",
    &[
        read("number", Type::Int(0, 65_535), LISTENS),
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

const REDIRECTED: &str = "requests for its hosts are answered 301 with the same address by https; \
    the edge itself speaks plain HTTP, and believes nobody who says he came by https";

/// A field about connections that are encrypted.
const fn of_tls(name: &'static str, kind: Type) -> Field {
    ignored(name, kind, "the edge speaks plain HTTP; put TLS in front of it")
}

static SERVER_TLS: Object = object(
    "ServerTLSSettings",
    &[
        read("httpsRedirect", Type::Bool, REDIRECTED),
        of_tls(
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
        of_tls("serverCertificate", TEXT),
        of_tls("privateKey", TEXT),
        of_tls("caCertificates", TEXT),
        of_tls("caCrl", TEXT),
        of_tls("tlsCertificates", Type::List(&Type::Object(&TLS_CERTIFICATE))),
        of_tls("credentialName", TEXT),
        of_tls("credentialNames", TEXTS),
        of_tls("caCertCredentialName", TEXT),
        of_tls("subjectAltNames", TEXTS),
        of_tls("verifyCertificateSpki", TEXTS),
        of_tls("verifyCertificateHash", TEXTS),
        of_tls("minProtocolVersion", TLS_VERSION),
        of_tls("maxProtocolVersion", TLS_VERSION),
        of_tls("cipherSuites", TEXTS),
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

const ALIKE: &str = "every endpoint of an external service is called as often as the others";

static ENDPOINT: Object = object(
    "WorkloadEntry",
    &[
        field("address", NAME),
        field("ports", Type::Map(checks::label_in_any_case, &PORT)),
        read("labels", LABELS, "subsets select by them"),
        ignored("network", TEXT, ALIKE),
        ignored("locality", TEXT, ALIKE),
        ignored("weight", UINT32, ALIKE),
        ignored("serviceAccount", TEXT, ALIKE),
    ],
    &[],
);
