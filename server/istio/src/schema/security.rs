//! The kinds of security.istio.io.
//!
//! Tables only. What narrows an authorization policy is never ignored, because ignoring it would
//! let more in: it is in force or refused.

use super::{
    DURATION, NAME, NO_TARGET_REF, Object, SELECTOR, TEXT, TEXTS, Treatment, Type, checks,
    excludes, field, ignored, needs, object, read, rejected,
};

pub(super) static PEER_AUTHENTICATION: Object = object(
    "PeerAuthentication",
    &[
        field("selector", Type::Object(&SELECTOR)),
        field("mtls", Type::Object(&MTLS)),
        read(
            "portLevelMtls",
            Type::Map(checks::port_text, &Type::Object(&MTLS)),
            "of the port at which the service listens; there are no target ports here",
        ),
    ],
    &[],
);

static MTLS: Object = object(
    "MutualTLS",
    &[field(
        "mode",
        Type::Choice(&[
            ("UNSET", Treatment::Read("the mode of the namespace or of the mesh")),
            ("DISABLE", Treatment::Read("callers have no identity there; nothing is encrypted")),
            ("PERMISSIVE", Treatment::InForce),
            (
                "STRICT",
                Treatment::Read("every caller in the mesh has an identity; nothing is encrypted"),
            ),
        ]),
    )],
    &[],
);

pub(super) static REQUEST_AUTHENTICATION: Object = object(
    "RequestAuthentication",
    &[
        field("selector", Type::Object(&SELECTOR)),
        rejected("targetRef", NO_TARGET_REF),
        rejected("targetRefs", NO_TARGET_REF),
        field("jwtRules", Type::List(&Type::Object(&JWT_RULE))),
    ],
    &[],
);

static JWT_RULE: Object = object(
    "JWTRule",
    &[
        field("issuer", NAME).required(),
        field("audiences", Type::List(&NAME)),
        ignored(
            "jwksUri",
            Type::Text(checks::jwks_uri),
            "no keys are fetched from other machines; write them in jwks",
        ),
        field("jwks", Type::Text(checks::jwks)),
        field("fromHeaders", Type::List(&Type::Object(&JWT_HEADER))),
        field("fromParams", Type::List(&NAME)),
        ignored("outputPayloadToHeader", TEXT, "services read no token"),
        field("forwardOriginalToken", Type::Bool),
        ignored(
            "outputClaimToHeaders",
            Type::List(&Type::Object(&CLAIM_TO_HEADER)),
            "services read no token",
        ),
        ignored("timeout", DURATION, "no keys are fetched from other machines"),
        ignored(
            "fromCookies",
            Type::List(&NAME),
            "tokens are looked for in headers and parameters",
        ),
        ignored("spaceDelimitedClaims", TEXTS, "claims are compared as they are"),
    ],
    &[excludes(&["jwks", "jwksUri"], "keys come from one of them")],
);

static CLAIM_TO_HEADER: Object = object(
    "ClaimToHeader",
    &[
        field("header", Type::Text(checks::plain_header)).required(),
        field("claim", NAME).required(),
    ],
    &[],
);

static JWT_HEADER: Object = object(
    "JWTHeader",
    &[field("name", Type::Text(checks::header_name)).required(), field("prefix", TEXT)],
    &[],
);

pub(super) static AUTHORIZATION_POLICY: Object = object(
    "AuthorizationPolicy",
    &[
        field("selector", Type::Object(&SELECTOR)),
        rejected("targetRef", NO_TARGET_REF),
        rejected("targetRefs", NO_TARGET_REF),
        field("rules", Type::List(&Type::Object(&RULE))),
        field(
            "action",
            Type::Choice(&[
                ("ALLOW", Treatment::InForce),
                ("DENY", Treatment::InForce),
                ("AUDIT", Treatment::Read("a match is noted on the span")),
                (
                    "CUSTOM",
                    Treatment::Rejected(
                        "there is no external authorizer here, and leaving the policy out \
                         would let in what it might deny",
                    ),
                ),
            ]),
        ),
        rejected("provider", "there is no external authorizer here"),
    ],
    &[],
);

static RULE: Object = object(
    "Rule",
    &[
        field("from", Type::List(&Type::Object(&FROM))),
        field("to", Type::List(&Type::Object(&TO))),
        field("when", Type::List(&Type::Object(&CONDITION))),
    ],
    &[],
);

static FROM: Object = object("From", &[field("source", Type::Object(&SOURCE)).required()], &[]);
static TO: Object = object("To", &[field("operation", Type::Object(&OPERATION)).required()], &[]);

const VALUES: Type = Type::List(&Type::Text(checks::value_match));
const BLOCKS: Type = Type::List(&Type::Text(checks::ip_block));
const NO_FORWARDED: &str = "the address that the ingress itself sees: no proxy before it is \
    trusted (numTrustedProxies 0), so X-Forwarded-For is not believed";

static SOURCE: Object = object(
    "Source",
    &[
        field("principals", VALUES),
        field("notPrincipals", VALUES),
        field("requestPrincipals", VALUES),
        field("notRequestPrincipals", VALUES),
        field("namespaces", VALUES),
        field("notNamespaces", VALUES),
        field("serviceAccounts", Type::List(&NAME)),
        field("notServiceAccounts", Type::List(&NAME)),
        field("ipBlocks", BLOCKS),
        field("notIpBlocks", BLOCKS),
        read("remoteIpBlocks", BLOCKS, NO_FORWARDED),
        read("notRemoteIpBlocks", BLOCKS, NO_FORWARDED),
    ],
    &[
        needs(
            &[
                "principals",
                "notPrincipals",
                "requestPrincipals",
                "notRequestPrincipals",
                "namespaces",
                "notNamespaces",
                "serviceAccounts",
                "notServiceAccounts",
                "ipBlocks",
                "notIpBlocks",
                "remoteIpBlocks",
                "notRemoteIpBlocks",
            ],
            "a source without conditions would be everybody",
        ),
        excludes(&["serviceAccounts", "principals"], "both name identities"),
        excludes(&["serviceAccounts", "namespaces"], "a service account has its namespace"),
    ],
);

/// What ports of policies are compared with.
const COMPARED: &str = "compared with the port of the service that is called, and at the gateway \
    with that of its server; there are no target ports here";
const PORTS: Type = Type::List(&Type::Text(checks::port_text));
const PATHS: Type = Type::List(&Type::Text(checks::path));

static OPERATION: Object = object(
    "Operation",
    &[
        field("hosts", VALUES),
        field("notHosts", VALUES),
        read("ports", PORTS, COMPARED),
        read("notPorts", PORTS, COMPARED),
        field("methods", VALUES),
        field("notMethods", VALUES),
        field("paths", PATHS),
        field("notPaths", PATHS),
    ],
    &[needs(
        &["hosts", "notHosts", "ports", "notPorts", "methods", "notMethods", "paths", "notPaths"],
        "an operation without conditions would be everything",
    )],
);

static CONDITION: Object = object(
    "Condition",
    &[
        field("key", Type::Text(checks::condition_key)).required(),
        field("values", VALUES),
        field("notValues", VALUES),
    ],
    &[needs(&["values", "notValues"], "a condition must say which values")],
);
