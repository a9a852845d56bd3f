//! Versions of a service that run side by side, and how an answer says which one gave it.
//!
//! What a version does differently is said by the module of its service. All instances of a service
//! are replicas over one database, whatever their version; which of them a call reaches is the
//! mesh's business.

use axum::{Router, middleware::map_response, response::Response};
use http::{HeaderName, HeaderValue};

/// Header of the version that answered.
pub const APP_VERSION: HeaderName = HeaderName::from_static("x-app-version");

/// A version of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The stable one.
    #[default]
    V1,
    /// The next one.
    V2,
}

impl Version {
    /// Its name in labels and headers: `v1`, `v2`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The router, with its version on each of its answers.
    pub fn sign(self, router: Router) -> Router {
        router.layer(map_response(move |mut answer: Response| async move {
            answer.headers_mut().insert(APP_VERSION, HeaderValue::from_static(self.as_str()));
            answer
        }))
    }
}
