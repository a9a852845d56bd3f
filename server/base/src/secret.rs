//! Which names stand for secrets: headers, variables, attributes of spans. What such a name holds
//! is neither kept nor shown nor sent; there is one list, so that no way out knows a shorter one.

/// Parts of such names, with `_` for every kind of joint. More than it must be: a value that is
/// hidden without need can be asked for by another name.
const PARTS: [&str; 9] = [
    "authorization",
    "cookie",
    "credential",
    // Of an exporter (`OTEL_EXPORTER_OTLP_HEADERS`): tokens, as a rule.
    "headers",
    "key",
    "passwd",
    "password",
    "secret",
    "token",
];
/// Names with such a part that everybody may know: keys of commands and of messages.
const OPEN: [&str; 3] = ["idempotency_key", "message_key", "partition_key"];

/// Whether a value of this name must not be shown.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let joined: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    let open = OPEN.iter().any(|open| joined.ends_with(open));
    !open && PARTS.iter().any(|part| joined.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name_however_it_is_joined() {
        for secret in [
            "http.request.header.authorization",
            "Proxy-Authorization",
            "set-cookie",
            "db.Password",
            "db.passwd",
            "token",
            "x-auth-token",
            "access.token",
            "api-key",
            "API_KEY",
            "x-api-key",
            "STRIPE_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for open in [
            "http.request.method",
            "idempotency.key",
            "Idempotency-Key",
            "messaging.kafka.message.key",
            "http.request.header.accept",
            "author",
            "order.id",
        ] {
            assert!(!is_secret(open), "{open}");
        }
    }
}
