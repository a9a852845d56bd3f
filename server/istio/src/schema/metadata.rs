//! What every resource has around its `spec` (Kubernetes' `ObjectMeta`).
//!
//! Tables only.

use super::{ANNOTATIONS, LABELS, Object, TEXT, Type, checks, field, ignored, object, read};

const SERVER: &str = "the API server of Kubernetes writes it";

const OLDEST: &str = "where several resources say the same, the oldest comes first; those \
    without come last, by their names";

pub(super) static METADATA: Object = object(
    "ObjectMeta",
    &[
        field("name", Type::Text(checks::dns_name)).required(),
        field("namespace", Type::Text(checks::label)),
        ignored(
            "labels",
            LABELS,
            "only app.kubernetes.io/managed-by: vitrine is read here: what is built in gives way",
        ),
        ignored(
            "annotations",
            ANNOTATIONS,
            "only vitrine.dev/istio-faithful-routes and istio.io/dry-run are read here",
        ),
        read("creationTimestamp", TEXT, OLDEST),
        ignored("deletionGracePeriodSeconds", Type::Any, SERVER),
        ignored("deletionTimestamp", TEXT, SERVER),
        ignored("finalizers", Type::Any, SERVER),
        ignored("generateName", TEXT, "resources are known by their name here"),
        ignored("generation", Type::Any, SERVER),
        ignored("managedFields", Type::Any, SERVER),
        ignored("ownerReferences", Type::Any, SERVER),
        ignored("resourceVersion", TEXT, SERVER),
        ignored("selfLink", TEXT, SERVER),
        ignored("uid", TEXT, SERVER),
    ],
    &[],
);
