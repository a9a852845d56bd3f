//! What validation says, and the codes it says it with.
//!
//! `KIA…` are Kiali's codes and `IST…` those of `istioctl analyze`, with their meaning there.
//! `VIT…` are Vitrine's own. Nothing is found here.

use crate::{value::Complaint, yaml::ReadError, yaml::ReadErrorKind};
use contract::istio::{Finding, Position, ResourceKey, Severity};

/// Most findings of one report; what is beyond is counted by the last of them.
pub const FINDINGS_MAX: usize = 200;

/// Codes of findings. The words are Kiali's, `istioctl`'s or ours.
pub mod code {
    /// The text is not YAML.
    pub const SYNTAX: &str = "VIT001";
    /// A field stands twice in one mapping.
    pub const DUPLICATE_FIELD: &str = "VIT002";
    /// More than is taken at once.
    pub const BOUND: &str = "VIT003";
    /// Not a Kubernetes resource.
    pub const NOT_A_RESOURCE: &str = "VIT004";
    /// A version of the API that does not exist.
    pub const API_VERSION: &str = "VIT005";
    /// The same resource twice in one text.
    pub const DUPLICATE_RESOURCE: &str = "VIT006";
    /// A field that Istio does not have.
    pub const UNKNOWN_FIELD: &str = "VIT010";
    /// Text where a number belongs, and the like.
    pub const WRONG_TYPE: &str = "VIT011";
    /// A value that is out of range or malformed.
    pub const BAD_VALUE: &str = "VIT012";
    /// A field that must be there.
    pub const MISSING_FIELD: &str = "VIT013";
    /// Fields that cannot be together, or of which one must be there.
    pub const CONFLICT: &str = "VIT014";
    /// A field or value that would be wrong to ignore.
    pub const REFUSED: &str = "VIT015";
    /// Applied as an extension; Istio would drop it.
    pub const EXTENSION: &str = "VIT100";
    /// Deprecated by Istio.
    pub const DEPRECATED: &str = "VIT101";
    /// The API group of another kind.
    pub const API_GROUP: &str = "VIT102";
    /// An expression that Istio cannot evaluate.
    pub const EXPRESSION: &str = "VIT103";
    /// Spaces that Istio refuses.
    pub const SPACES: &str = "VIT104";
    /// Fault and retries on one route, which Istio does not combine.
    pub const FAULT_WITH_RETRY: &str = "VIT110";
    /// The timeout ends the request before all tries are made.
    pub const TIMEOUT_BEFORE_RETRIES: &str = "VIT111";
    /// Outlier detection that can never eject.
    pub const NEVER_EJECTS: &str = "VIT112";
    /// A subset's policy that no route reaches.
    pub const SUBSET_UNREACHED: &str = "VIT113";
    /// Mirrored requests that have effects.
    pub const MIRROR_WITH_EFFECT: &str = "VIT114";
    /// A rule that met no request of the last ones.
    pub const NEVER_MATCHED: &str = "VIT115";
    /// A per-try timeout that is ignored.
    pub const PER_TRY_TIMEOUT: &str = "VIT116";
    /// A detector that the other one always forestalls.
    pub const DETECTOR_FORESTALLED: &str = "VIT117";
    /// A delegate that is not there, or cannot be one.
    pub const DELEGATE: &str = "VIT118";
    /// What a rule that answers itself says of requests that it sends nowhere.
    pub const ANSWERED_HERE: &str = "VIT119";
    /// A fault without a percentage hits nobody.
    pub const FAULT_WITHOUT_SHARE: &str = "VIT120";
    /// Tokens that nobody can check.
    pub const NO_KEYS: &str = "VIT121";
    /// A host that no gateway lets in.
    pub const NOT_EXPOSED: &str = "VIT122";
    /// Names or patterns of one service in two resources.
    pub const ALIASES: &str = "VIT123";
    /// HTTP rules for a host that Istio would see as TLS.
    pub const HTTPS_HOST: &str = "VIT124";
    /// A selector that some instances of a service have, and others have not.
    pub const PART_OF_SERVICE: &str = "VIT125";
    /// An `EnvoyFilter` of which nothing is in force.
    pub const NOTHING_IN_FORCE: &str = "VIT126";
    /// A header by the name of an attribute, which Istio ignores.
    pub const PSEUDO_HEADER: &str = "VIT127";
    /// An address that is not reached.
    pub const NOT_REACHED: &str = "VIT128";
    /// What Istio turns on along with a field.
    pub const ALONG_WITH: &str = "VIT129";
    /// A token of `retryOn` that nothing can cause.
    pub const RETRY_ON_NOTHING: &str = "VIT130";
    /// Until when a fault is active, or why it is not.
    pub const FAULT_LIFE: &str = "VIT131";
    /// So many retries that they are a load of their own.
    pub const RETRY_STORM: &str = "VIT132";
    /// A rule that asks for a token where nobody checks tokens.
    pub const TOKEN_UNCHECKED: &str = "VIT133";
    /// A workload that no request may reach.
    pub const NOBODY_ALLOWED: &str = "VIT134";
    /// Two rules of one resource by one name.
    pub const SAME_NAME: &str = "VIT135";
    /// A fault that does not say what it does.
    pub const FAULT_WITHOUT_TYPE: &str = "VIT136";
    /// A `Telemetry`, or a part of one, in whose place another holds.
    pub const TELEMETRY_INSTEAD: &str = "VIT137";
    /// What Envoy would fill into a header, and nothing does here.
    pub const OPERATOR: &str = "VIT138";
    /// A share below the finest that Envoy can draw.
    pub const BELOW_GRAIN: &str = "VIT139";
    /// A resource that no service here sees.
    pub const UNSEEN: &str = "VIT140";
    /// A path to be matched that no request has.
    pub const NO_PATH: &str = "VIT141";
    /// A substitution that names a group which there is not.
    pub const NO_GROUP: &str = "VIT142";
    /// Messages that no rule lets in.
    pub const MESSAGES_REFUSED: &str = "VIT143";
    /// A table that is made smaller than it is written.
    pub const SMALLER_TABLE: &str = "VIT144";
    /// What is built in and was changed, and gives way to another resource.
    pub const GIVES_WAY: &str = "VIT145";
    /// Who comes by plain HTTP is sent away, and here everybody does.
    pub const ALL_REDIRECTED: &str = "VIT146";
    /// More than one resource for the same host and subset.
    pub const DESTINATION_RULE_MULTIMATCH: &str = "KIA0201";
    /// A host that is no service.
    pub const DESTINATION_RULE_HOST: &str = "KIA0202";
    /// Labels that no instance has.
    pub const SUBSET_LABELS: &str = "KIA0203";
    /// A subset without labels.
    pub const SUBSET_WITHOUT_LABELS: &str = "KIA0209";
    /// A `Gateway` whose labels no gateway has.
    pub const GATEWAY_WORKLOAD: &str = "KIA0302";
    /// A selector that no workload has.
    pub const SELECTOR: &str = "KIA0004";
    /// An identity that nobody has.
    pub const PRINCIPAL: &str = "KIA0106";
    /// A destination that is no service.
    pub const ROUTE_HOST: &str = "KIA1101";
    /// A gateway that is not there.
    pub const ROUTE_GATEWAY: &str = "KIA1102";
    /// No route of a protocol that is understood.
    pub const ROUTE_PROTOCOL: &str = "KIA1103";
    /// A weight that has no effect.
    pub const SINGLE_WEIGHT: &str = "KIA1104";
    /// The same destination twice.
    pub const REPEATED_DESTINATION: &str = "KIA1105";
    /// More than one `VirtualService` for the same host.
    pub const VIRTUAL_SERVICE_MULTIMATCH: &str = "KIA1106";
    /// A subset that is not defined.
    pub const SUBSET_NOT_FOUND: &str = "KIA1107";
    /// A port at which its host does not listen (`ReferencedResourceNotFound`, `host:port`).
    pub const ROUTE_PORT: &str = "IST0101";
    /// A rule that an earlier one forestalls (`VirtualServiceUnreachableRule`).
    pub const UNREACHABLE_RULE: &str = "IST0130";
    /// A match that an earlier one forestalls (`VirtualServiceIneffectiveMatch`).
    pub const INEFFECTIVE_MATCH: &str = "IST0131";
}

/// Where something stands: a field of a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spot {
    pub(crate) resource: Option<ResourceKey>,
    pub(crate) path: String,
    pub(crate) at: Position,
}

impl Spot {
    /// A finding here.
    pub(crate) fn says(
        self,
        severity: Severity,
        code: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            code: code.to_owned(),
            severity,
            resource: self.resource,
            path: self.path,
            at: self.at,
            message: message.into(),
            advice: advice.into(),
            correct_form: None,
        }
    }

    /// An error here.
    pub(crate) fn error(self, code: &str, complaint: Complaint) -> Finding {
        self.says(Severity::Error, code, complaint.message, complaint.advice)
    }
}

impl From<ReadError> for Finding {
    fn from(error: ReadError) -> Self {
        let code = match error.kind {
            ReadErrorKind::Syntax | ReadErrorKind::Unsupported => code::SYNTAX,
            ReadErrorKind::DuplicateKey => code::DUPLICATE_FIELD,
            ReadErrorKind::Bound => code::BOUND,
        };
        let spot = Spot { at: error.at, ..Spot::default() };
        spot.says(Severity::Error, code, error.message, error.advice)
    }
}

/// The worst first, then by place; at most [`FINDINGS_MAX`].
pub(crate) fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        (b.severity, a.at, &a.path, &a.code).cmp(&(a.severity, b.at, &b.path, &b.code))
    });
    findings.dedup();
    if findings.len() > FINDINGS_MAX {
        let more = findings.len() - (FINDINGS_MAX - 1);
        findings.truncate(FINDINGS_MAX - 1);
        if let Some(last) = findings.last().cloned() {
            findings.push(Finding {
                code: code::BOUND.to_owned(),
                message: format!("{more} more findings are left out."),
                advice: "Correct the first ones and apply again.".to_owned(),
                correct_form: None,
                ..last
            });
        }
    }
    findings
}
