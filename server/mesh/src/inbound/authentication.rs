//! Tokens (`RequestAuthentication`): a request with a bad one is refused, one without passes.
//!
//! Follows Istio's reference (`JWTRule`) and, where it is silent, Envoy's `jwt_authn` filter.
//! Signatures are checked by the crate `jsonwebtoken`; times by the clock the mesh was given.

use crate::Request;
use http::{StatusCode, Uri, header, uri::PathAndQuery};
use istio::policy::{JwtRule, RequestAuthentication};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::{Map, Value};

/// How far clocks may differ, seconds (Envoy `clock_skew_seconds`).
const SKEW_S: u64 = 60;
/// Longest token that is looked at, bytes: headers of that size are refused elsewhere anyway.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The checked token of a request; an extension the authorization reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(
    /// The payload.
    pub Map<String, Value>,
);

impl Claims {
    /// `issuer/subject`, as `requestPrincipals` has it; [`None`] when one is missing.
    #[must_use]
    pub fn principal(&self) -> Option<String> {
        let text = |name: &str| self.0.get(name).and_then(Value::as_str);
        Some(format!("{}/{}", text("iss")?, text("sub")?))
    }

    /// `aud`, which is one text or a list.
    #[must_use]
    pub fn audiences(&self) -> Vec<&str> {
        texts(self.0.get("aud"))
    }

    /// A claim by the names of its levels: its texts, whether it is one or a list.
    #[must_use]
    pub fn values(&self, path: &[&str]) -> Vec<&str> {
        let (first, rest) = match path {
            [first, rest @ ..] => (first, rest),
            [] => return Vec::new(),
        };
        let found = self.0.get(*first);
        texts(rest.iter().try_fold(found, |at, name| at.map(|at| at.get(name))).flatten())
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Why a token was refused; the words are Envoy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token.
    #[error("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")]
    Malformed,
    /// No rule takes tokens of this issuer.
    #[error("Jwt issuer is not configured")]
    Issuer,
    /// `nbf` is in the future.
    #[error("Jwt not yet valid")]
    NotYetValid,
    /// `exp` has passed.
    #[error("Jwt is expired")]
    Expired,
    /// None of its audiences is allowed.
    #[error("Audiences in Jwt are not allowed")]
    Audience,
    /// No key is for it.
    #[error("Jwks doesn't have key to match kid or alg from Jwt")]
    Key,
    /// The signature is wrong.
    #[error("Jwt verification fails")]
    Signature,
}

impl TokenError {
    /// 403 for a good token for somebody else, 401 for everything else (Envoy `jwt_authn`).
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Audience => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}

/// A JSON Web Key Set, its keys not yet read.
#[derive(Debug, serde::Deserialize)]
struct KeySet {
    #[serde(default)]
    keys: Vec<Value>,
}

/// The rules of a service, their keys read.
#[derive(Debug, Default)]
pub(crate) struct Authenticator(Vec<Provider>);

#[derive(Debug)]
struct Provider {
    rule: JwtRule,
    keys: Vec<Jwk>,
}

impl Authenticator {
    /// Reads the keys. A rule whose key set cannot be read refuses every token of its issuer.
    pub(crate) fn compile(resources: &[RequestAuthentication]) -> Self {
        let rules = resources.iter().flat_map(|resource| &resource.rules);
        let providers = rules.map(|rule| {
            let keys = serde_json::from_str::<KeySet>(&rule.jwks).map(|set| set.keys);
            let keys = keys.unwrap_or_else(|error| {
                tracing::warn!(%error, issuer = rule.issuer, "a key set could not be read");
                Vec::new()
            });
            // RFC 7517, section 5: a key that is not understood is left out, not the whole set.
            let keys = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
            Provider { rule: rule.clone(), keys: keys.collect() }
        });
        Self(providers.collect())
    }

    /// Checks the token of a request, if it has one, and takes it away unless it goes on.
    pub(crate) fn check(
        &self,
        request: &mut Request,
        now_us: i64,
    ) -> Result<Option<Claims>, TokenError> {
        let Some((provider, place, token)) = self.find(request)? else { return Ok(None) };
        let claims = provider.verify(&token, now_us)?;
        match place {
            _ if provider.rule.forward => {}
            TokenPlace::Header(name) => drop(request.headers_mut().remove(name)),
            // As Envoy does: a service that reads its query strictly knows no such parameter.
            TokenPlace::Query(name) => {
                if let Some(without) = without_parameter(request.uri(), &name) {
                    *request.uri_mut() = without;
                }
            }
        }
        Ok(Some(claims))
    }

    /// What the token of a request claims, if it has one. It stays where it is.
    pub(crate) fn claims(
        &self,
        request: &Request,
        now_us: i64,
    ) -> Result<Option<Claims>, TokenError> {
        let Some((provider, _, token)) = self.find(request)? else { return Ok(None) };
        provider.verify(&token, now_us).map(Some)
    }

    /// The first token that is where a rule looks, with the rule for its issuer.
    fn find(
        &self,
        request: &Request,
    ) -> Result<Option<(&Provider, TokenPlace, String)>, TokenError> {
        let mut found = None;
        for provider in &self.0 {
            for (place, token) in provider.tokens(request) {
                match issuer(&token) {
                    Some(issuer) if issuer == provider.rule.issuer => {
                        return Ok(Some((provider, place, token)));
                    }
                    Some(_) => found = Some(TokenError::Issuer),
                    None => found = Some(TokenError::Malformed),
                }
            }
        }
        found.map_or(Ok(None), Err)
    }
}

/// Where a token stood.
#[derive(Clone, Debug)]
enum TokenPlace {
    Header(String),
    Query(String),
}

impl Provider {
    /// Tokens where the rule looks; the default places are those of Istio's reference, in order.
    fn tokens(&self, request: &Request) -> Vec<(TokenPlace, String)> {
        let JwtRule { from_headers, from_params, .. } = &self.rule;
        if from_headers.is_empty() && from_params.is_empty() {
            let bearer = in_header(request, header::AUTHORIZATION.as_str(), "Bearer ");
            return bearer.into_iter().chain(in_query(request, "access_token")).collect();
        }
        let headers =
            from_headers.iter().flat_map(|(name, prefix)| in_header(request, name, prefix));
        headers.chain(from_params.iter().filter_map(|name| in_query(request, name))).collect()
    }

    fn verify(&self, token: &str, now_us: i64) -> Result<Claims, TokenError> {
        let head = decode_header(token).map_err(|_| TokenError::Malformed)?;
        let claims: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_| TokenError::Malformed)?;
        times(&claims, now_us)?;
        let claims = Claims(claims);
        let allowed = &self.rule.audiences;
        let named = |audience: &&str| allowed.iter().any(|allowed| trim(allowed) == trim(audience));
        if !allowed.is_empty() && !claims.audiences().iter().any(named) {
            return Err(TokenError::Audience);
        }
        let fitting = self.keys.iter().filter(|key| fits(key, head.kid.as_deref(), head.alg));
        let mut refused = TokenError::Key;
        for key in fitting {
            match verified(token, key, head.alg) {
                true => return Ok(claims),
                false => refused = TokenError::Signature,
            }
        }
        Err(refused)
    }
}

/// Envoy compares audiences without scheme and without a slash at the end.
fn trim(audience: &str) -> &str {
    let rest = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://"));
    let rest = rest.unwrap_or(audience);
    rest.strip_suffix('/').unwrap_or(rest)
}

fn in_header(request: &Request, name: &str, prefix: &str) -> Vec<(TokenPlace, String)> {
    let values = request.headers().get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    let tokens = values.filter_map(|value| value.strip_prefix(prefix)).map(str::trim);
    let kept = tokens.filter(|token| !token.is_empty());
    kept.map(|token| (TokenPlace::Header(name.to_owned()), token.to_owned())).collect()
}

fn in_query(request: &Request, name: &str) -> Option<(TokenPlace, String)> {
    let pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    // A token is base64url and dots: it needs no decoding.
    pairs
        .into_iter()
        .find(|(key, _)| *key == name)
        .map(|(key, token)| (TokenPlace::Query(key.to_owned()), token.to_owned()))
}

/// The same address with all but that parameter.
fn without_parameter(uri: &Uri, name: &str) -> Option<Uri> {
    let is_other = |pair: &&str| pair.split('=').next() != Some(name);
    let left = uri.query()?.split('&').filter(is_other).collect::<Vec<_>>().join("&");
    let path = uri.path();
    let target = if left.is_empty() { path.to_owned() } else { format!("{path}?{left}") };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

/// `iss` before anything is checked: it only says whose rule is asked.
fn issuer(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let claims: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    Some(claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn times(claims: &Map<String, Value>, now_us: i64) -> Result<(), TokenError> {
    let now_s = u64::try_from(now_us / 1_000_000).unwrap_or(0);
    // RFC 7519, section 2: a NumericDate may have a fraction.
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(TokenError::Malformed),
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double for long")]
    let (early, late) = ((now_s.saturating_sub(SKEW_S)) as f64, (now_s + SKEW_S) as f64);
    if time("nbf")?.is_some_and(|from| late < from) {
        return Err(TokenError::NotYetValid);
    }
    if time("exp")?.is_some_and(|until| early > until) {
        return Err(TokenError::Expired);
    }
    Ok(())
}

/// Whether a key may have signed: the id if both have one, the algorithm, the use.
fn fits(key: &Jwk, kid: Option<&str>, alg: Algorithm) -> bool {
    let same_id = match (kid, key.common.key_id.as_deref()) {
        (Some(token), Some(key)) => token == key,
        _ => true,
    };
    let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    let algorithm = match key.common.key_algorithm {
        Some(named) => named_algorithm(named) == Some(alg),
        None => true,
    };
    let family = match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(
            alg,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        AlgorithmParameters::EllipticCurve(_) => {
            matches!(alg, Algorithm::ES256 | Algorithm::ES384)
        }
        AlgorithmParameters::OctetKeyPair(_) => alg == Algorithm::EdDSA,
        AlgorithmParameters::OctetKey(_) => {
            matches!(alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
        }
        _ => false,
    };
    same_id && signs && algorithm && family
}

fn named_algorithm(named: KeyAlgorithm) -> Option<Algorithm> {
    named.to_string().parse().ok()
}

fn verified(token: &str, key: &Jwk, alg: Algorithm) -> bool {
    let Ok(key) = DecodingKey::from_jwk(key) else { return false };
    let mut validation = Validation::new(alg);
    // Times, issuer and audience have been checked, with the mesh's clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    decode::<Map<String, Value>>(token, &key, &validation).is_ok()
}
