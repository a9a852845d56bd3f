//! The Istio API as data: every kind, every field, its type and what becomes of it here.
//!
//! One table per kind, in the order in which fields are conventionally printed. The tables decide
//! fates; what needs several fields at once is in `validate`.

mod check;
pub(crate) mod checks;
mod destination_rule;
mod envoy_filter;
mod gateway;
mod instead;
mod metadata;
mod security;
mod telemetry;
mod virtual_service;

pub(crate) use check::{Report, check, is_camel_case_of, order};
pub(crate) use envoy_filter::{LOCAL_RATE_LIMIT, LOCAL_RATE_LIMIT_TYPE, WHOLE};

use crate::{value::Complaint, yaml::Node};

/// A message of the API.
pub(crate) struct Object {
    /// Its name in the reference.
    pub(crate) name: &'static str,
    /// Its fields, in conventional order.
    pub(crate) fields: &'static [Field],
    /// What holds between them.
    pub(crate) rules: &'static [Rule],
    /// Envoy's own messages, which are written in snake case or in camel case.
    pub(crate) envoy: bool,
    /// An empty text in it is the same as none, as protobuf has it outside of a `oneof`.
    pub(crate) empty_is_none: bool,
}

/// One field of a message.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
    pub(crate) treatment: Treatment,
    pub(crate) required: bool,
}

/// What becomes of a field or of a value.
#[derive(Clone, Copy)]
pub(crate) enum Treatment {
    /// In force.
    InForce,
    /// In force, and this is how it is read.
    Read(&'static str),
    /// In force, with a warning that Istio deprecates it; of its value is made what to write.
    Deprecated(fn(&Node) -> String),
    /// In force although Istio does not know it; `validate` shows what Istio would take.
    Extension,
    /// Kept, without effect, for this reason.
    Ignored(&'static str),
    /// Refused for this reason.
    Rejected(&'static str),
}

/// What a field holds.
pub(crate) enum Type {
    /// A text that passes a check.
    Text(Check),
    /// `true` or `false`.
    Bool,
    /// A whole number between bounds.
    Int(i64, i64),
    /// A number that passes a check.
    Number(Check),
    /// One of these words.
    Choice(&'static [(&'static str, Treatment)]),
    /// A message.
    Object(&'static Object),
    /// A message that is chosen by looking at it: the schema, or why there is none.
    Chosen(fn(&Node) -> Result<&'static Object, &'static str>),
    /// Any number of these.
    List(&'static Type),
    /// Names that pass a check, each with one of these.
    Map(Check, &'static Type),
    /// Whatever it is, it is kept as it is.
    Any,
}

/// Looks at a text or at a number as written.
pub(crate) type Check = fn(&str) -> Result<(), Complaint>;

/// A bound on how many of some fields may be present.
pub(crate) struct Rule {
    pub(crate) fields: &'static [&'static str],
    pub(crate) min: usize,
    pub(crate) max: usize,
    /// Why, as a clause.
    pub(crate) why: &'static str,
}

/// A field in force.
const fn field(name: &'static str, kind: Type) -> Field {
    Field { name, kind, treatment: Treatment::InForce, required: false }
}

impl Field {
    const fn required(self) -> Self {
        Self { required: true, name: self.name, kind: self.kind, treatment: self.treatment }
    }
}

/// A field in force that is read in a way worth saying.
const fn read(name: &'static str, kind: Type, how: &'static str) -> Field {
    Field { name, kind, treatment: Treatment::Read(how), required: false }
}

/// How a local rate limit is read.
const PER_SERVICE: &str = "counted once for all instances of the service, and of one outside of \
    the mesh once for each service that calls; Envoy counts in each proxy by itself, and a route \
    in one bucket also where it is split over services outside, each of which has its own here";

/// A field that Istio deprecates.
const fn deprecated(name: &'static str, kind: Type, instead: fn(&Node) -> String) -> Field {
    Field { name, kind, treatment: Treatment::Deprecated(instead), required: false }
}

/// A field that only Vitrine knows.
const fn extension(name: &'static str, kind: Type) -> Field {
    Field { name, kind, treatment: Treatment::Extension, required: false }
}

/// A field that is kept without effect.
const fn ignored(name: &'static str, kind: Type, why: &'static str) -> Field {
    Field { name, kind, treatment: Treatment::Ignored(why), required: false }
}

/// A field that is refused.
const fn rejected(name: &'static str, why: &'static str) -> Field {
    Field { name, kind: Type::Any, treatment: Treatment::Rejected(why), required: false }
}

/// A message of Istio's.
const fn object(name: &'static str, fields: &'static [Field], rules: &'static [Rule]) -> Object {
    Object { name, fields, rules, envoy: false, empty_is_none: false }
}

/// A message of Istio's in which an empty text is the same as none.
const fn plain(name: &'static str, fields: &'static [Field], rules: &'static [Rule]) -> Object {
    Object { name, fields, rules, envoy: false, empty_is_none: true }
}

/// A message of Envoy's.
const fn envoy(name: &'static str, fields: &'static [Field], rules: &'static [Rule]) -> Object {
    Object { name, fields, rules, envoy: true, empty_is_none: false }
}

/// At most one of these.
const fn excludes(fields: &'static [&'static str], why: &'static str) -> Rule {
    Rule { fields, min: 0, max: 1, why }
}

/// At least one of these.
const fn needs(fields: &'static [&'static str], why: &'static str) -> Rule {
    Rule { fields, min: 1, max: usize::MAX, why }
}

/// Exactly one of these.
const fn one_of(fields: &'static [&'static str], why: &'static str) -> Rule {
    Rule { fields, min: 1, max: 1, why }
}

/// Any text.
const TEXT: Type = Type::Text(checks::any);
/// A text that is not empty.
const NAME: Type = Type::Text(checks::not_empty);
/// Texts.
const TEXTS: Type = Type::List(&TEXT);
/// Names with texts of any sort.
const ANNOTATIONS: Type = Type::Map(checks::not_empty, &TEXT);
/// Labels.
const LABELS: Type = Type::Map(checks::label_name, &Type::Text(checks::label_value));
/// Labels that are looked for.
const SELECTED: Type = Type::Map(checks::selected_name, &Type::Text(checks::selected));
/// A duration of at least a millisecond.
const DURATION: Type = Type::Text(checks::duration_ms);
/// A port.
const PORT: Type = Type::Int(1, 65_535);
/// An unsigned number.
const UINT32: Type = Type::Int(0, 4_294_967_295);
/// A signed number of the API that must not be negative.
const COUNT: Type = Type::Int(0, 2_147_483_647);

/// `WorkloadSelector` of security and telemetry.
static SELECTOR: Object = object("WorkloadSelector", &[field("matchLabels", SELECTED)], &[]);

/// Why nothing selects by a Gateway API reference.
const NO_TARGET_REF: &str = "there are no Gateway API resources here, and leaving it out would \
    apply the resource to every workload; use selector";

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// What comes in from outside.
    Gateway,
    /// Routing.
    VirtualService,
    /// What happens behind the routing.
    DestinationRule,
    /// Services outside the mesh.
    ServiceEntry,
    /// Envoy's configuration, as far as it limits rates.
    EnvoyFilter,
    /// Mutual TLS.
    PeerAuthentication,
    /// Tokens.
    RequestAuthentication,
    /// Who may do what.
    AuthorizationPolicy,
    /// Spans and metrics.
    Telemetry,
}

/// What is known of a kind.
pub(crate) struct KindInfo {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    /// Other names on the command line.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) group: &'static str,
    /// The preferred one first.
    pub(crate) versions: &'static [&'static str],
    pub(crate) schema: &'static Object,
}

const NETWORKING: &str = "networking.istio.io";
const SECURITY: &str = "security.istio.io";
const NETWORKING_VERSIONS: &[&str] = &["v1", "v1beta1", "v1alpha3"];

pub(crate) static KINDS: [KindInfo; 9] = [
    KindInfo {
        kind: Kind::Gateway,
        name: "Gateway",
        aliases: &["gateways", "gw"],
        group: NETWORKING,
        versions: NETWORKING_VERSIONS,
        schema: &gateway::GATEWAY,
    },
    KindInfo {
        kind: Kind::VirtualService,
        name: "VirtualService",
        aliases: &["virtualservices", "vs"],
        group: NETWORKING,
        versions: NETWORKING_VERSIONS,
        schema: &virtual_service::VIRTUAL_SERVICE,
    },
    KindInfo {
        kind: Kind::DestinationRule,
        name: "DestinationRule",
        aliases: &["destinationrules", "dr"],
        group: NETWORKING,
        versions: NETWORKING_VERSIONS,
        schema: &destination_rule::DESTINATION_RULE,
    },
    KindInfo {
        kind: Kind::ServiceEntry,
        name: "ServiceEntry",
        aliases: &["serviceentries", "se"],
        group: NETWORKING,
        versions: NETWORKING_VERSIONS,
        schema: &gateway::SERVICE_ENTRY,
    },
    KindInfo {
        kind: Kind::EnvoyFilter,
        name: "EnvoyFilter",
        aliases: &["envoyfilters", "ef"],
        group: NETWORKING,
        versions: &["v1alpha3"],
        schema: &envoy_filter::ENVOY_FILTER,
    },
    KindInfo {
        kind: Kind::PeerAuthentication,
        name: "PeerAuthentication",
        aliases: &["peerauthentications", "pa"],
        group: SECURITY,
        versions: &["v1", "v1beta1"],
        schema: &security::PEER_AUTHENTICATION,
    },
    KindInfo {
        kind: Kind::RequestAuthentication,
        name: "RequestAuthentication",
        aliases: &["requestauthentications", "ra"],
        group: SECURITY,
        versions: &["v1", "v1beta1"],
        schema: &security::REQUEST_AUTHENTICATION,
    },
    KindInfo {
        kind: Kind::AuthorizationPolicy,
        name: "AuthorizationPolicy",
        aliases: &["authorizationpolicies", "ap"],
        group: SECURITY,
        versions: &["v1", "v1beta1"],
        schema: &security::AUTHORIZATION_POLICY,
    },
    KindInfo {
        kind: Kind::Telemetry,
        name: "Telemetry",
        aliases: &["telemetries", "telemetry"],
        group: "telemetry.istio.io",
        versions: &["v1", "v1alpha1"],
        schema: &telemetry::TELEMETRY,
    },
];

impl Kind {
    pub(crate) fn info(self) -> &'static KindInfo {
        // The table is in the order of the variants; a test compares them.
        &KINDS[self as usize]
    }

    /// Its name: `VirtualService`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The kind of that name, in any case, singular, plural or short: `vs`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let same = |other: &&str| other.eq_ignore_ascii_case(name);
        let found = |info: &&KindInfo| same(&info.name) || info.aliases.iter().any(same);
        KINDS.iter().find(found).map(|info| info.kind)
    }

    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|info| info.kind)
    }
}
