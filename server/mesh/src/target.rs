//! What a request is addressed to: authority, scheme and path, in the one form in which the door,
//! routing, authorization, rate limits and metrics read them.
//!
//! Whoever compares a path must read what the service reads. A service decodes what is
//! percent-encoded, so a path comes into the mesh normalized, once, where it comes in. Istio's
//! default is the same (`MeshConfig.ProxyPathNormalization`, `BASE`: RFC 3986 and `\` as `/`).
//! What `MERGE_SLASHES` and `DECODE_AND_MERGE_SLASHES` add is not done: `//` and `%2F` name other
//! resources here too, and no route of a service takes them for `/`.

use crate::{Request, journey::Journey};
use http::{
    HeaderMap, HeaderValue, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};

/// Where the edge says with which scheme a request came.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Gives a request that comes into the mesh its one form: the authority of a target in absolute
/// form takes the place of `Host` (RFC 9112, section 3.2.2), and the path is normal. A request
/// with several `Host` headers says two things at once and stays as it is, to be refused; so does
/// one that names no path.
pub fn address(request: &mut Request) {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let Some(said) = request.uri().path_and_query().filter(|_| hosts <= 1) else { return };
    let normal = normal_path(said.path());
    if normal.is_none() && request.uri().authority().is_none() {
        return;
    }
    let query = said.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = match normal {
        None => said.clone(),
        Some(normal) => match PathAndQuery::try_from(normal + &query) {
            Ok(path) => path,
            Err(_) => return,
        },
    };
    let host = request.uri().authority().map(|authority| HeaderValue::from_str(bare(authority)));
    *request.uri_mut() = Uri::from(path);
    if let Some(Ok(host)) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// The host and port a request is addressed to, if it says so itself: the target before the
/// header (RFC 9112, section 3.2.2).
#[must_use]
pub fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let host = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(bare).or_else(host)
}

/// The same for a call in the mesh: what it does not say is the name called.
pub(crate) fn authority_of<'a>(request: &'a Request, journey: &'a Journey) -> &'a str {
    authority(request.uri(), request.headers()).unwrap_or(&journey.called)
}

/// The scheme a request came with: what the edge says, else its own.
pub(crate) fn scheme_of(request: &Request) -> &'static str {
    let forwarded = request.headers().get(FORWARDED_PROTO);
    let https = forwarded.is_some_and(|scheme| scheme.as_bytes() == b"https")
        || request.uri().scheme() == Some(&Scheme::HTTPS);
    if https { "https" } else { "http" }
}

/// Without the user information, which is nobody's name.
fn bare(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, bare)| bare)
}

/// The normal form of a path (RFC 3986, section 6.2.2); none if it has it already, or is no path.
fn normal_path(path: &str) -> Option<String> {
    let plain = |byte: u8| byte == b'/' || is_plain(byte);
    if !path.starts_with('/') || (path.bytes().all(plain) && !path.contains("/.")) {
        return None;
    }
    let normal = without_dots(&octets(path));
    (normal != path).then_some(normal)
}

/// Each octet in one way of writing it: unreserved characters as they are, what else is encoded
/// with upper-case digits, and encoded where it may not stand in a path. A `%` that encodes nothing
/// becomes `%25`: else what follows could make it encode something.
fn octets(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let Some((&byte, rest)) = left.split_first() {
        left = rest;
        match (byte, encoded(rest)) {
            (b'%', Some((octet, rest))) => {
                left = rest;
                match is_unreserved(octet) {
                    true => normal.push(char::from(octet)),
                    false => encode(&mut normal, octet),
                }
            }
            (b'\\', _) => normal.push('/'),
            (byte, _) if byte == b'/' || is_plain(byte) => normal.push(char::from(byte)),
            (byte, _) => encode(&mut normal, byte),
        }
    }
    normal
}

/// The octet of two hexadecimal digits, and what is after them.
fn encoded(rest: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], rest) = rest.split_first_chunk()?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some((digit(high)? * 16 + digit(low)?, rest))
}

fn encode(normal: &mut String, octet: u8) {
    normal.push('%');
    for digit in [octet >> 4, octet & 0xf] {
        normal.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What may stand in a segment of a path as it is (RFC 3986, section 3.3).
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

/// RFC 3986, section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_dots = [".", ".."].contains(&segment);
        if segment == ".." {
            kept.pop();
        }
        // Dots at the end stand for a folder.
        match is_dots {
            false => kept.push(segment),
            true if segments.peek().is_none() => kept.push(""),
            true => {}
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn addressed(target: &str, hosts: &[&str]) -> (String, Vec<String>) {
        let mut request = http::Request::builder().uri(target);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let mut request = request.body(Body::empty()).unwrap();
        address(&mut request);
        let hosts = request.headers().get_all(header::HOST).iter();
        let hosts = hosts.map(|host| host.to_str().unwrap().to_owned()).collect();
        (request.uri().to_string(), hosts)
    }

    #[test]
    fn a_path_has_one_form_whatever_of_it_is_encoded() {
        for (path, normal) in [
            ("/products/p-moka", "/products/p-moka"),
            // RFC 3986, section 6.2.2.2: unreserved characters are never encoded.
            ("/products/p%2Dmoka", "/products/p-moka"),
            ("/%70roducts/p%2dmoka", "/products/p-moka"),
            ("/%7Euser%5F%2E1", "/~user_.1"),
            // Section 6.2.2.1: digits of what is encoded are upper-case; it stays encoded.
            ("/a%2fb%3a", "/a%2Fb%3A"),
            ("/a%25b", "/a%25b"),
            // Decoded once, never twice.
            ("/%2561", "/%2561"),
            ("/%%36%31", "/%2561"),
            ("/%zz%", "/%25zz%25"),
            // Section 6.2.2.3, the example of section 5.2.4, and dots that are encoded.
            ("/a/b/c/./../../g", "/a/g"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../..", "/"),
            ("/a//../b", "/a/b"),
            ("/.well-known/..a/b..", "/.well-known/..a/b.."),
            // Slashes are not merged, and one that is encoded separates nothing.
            ("/a//b", "/a//b"),
            ("/a\\b", "/a/b"),
            ("/a\\..\\b", "/b"),
            ("/a%5Cb", "/a%5Cb"),
            // What may not stand in a path is encoded.
            ("/a^b|c", "/a%5Eb%7Cc"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("*", "*"),
        ] {
            let found = normal_path(path).unwrap_or_else(|| path.to_owned());
            assert_eq!(found, normal, "{path}");
            assert_eq!(normal_path(&found), None, "{found} is normal");
        }
    }

    #[test]
    fn the_query_stays_as_it_was_sent() {
        let sent = "/%61?q=%61/../b&r=a%2fb";
        assert_eq!(addressed(sent, &["a"]).0, "/a?q=%61/../b&r=a%2fb");
    }

    #[test]
    fn the_authority_of_an_absolute_target_is_the_host_whatever_the_header_says() {
        let host = |target: &str, hosts: &[&str]| addressed(target, hosts);
        let to = |path: &str, host: &str| (path.to_owned(), vec![host.to_owned()]);
        let admin = "http://admin.example.com/a";
        assert_eq!(host(admin, &["localhost"]), to("/a", "admin.example.com"));
        assert_eq!(host(admin, &[]), to("/a", "admin.example.com"));
        assert_eq!(host("https://a.example:81/%2e", &["b"]), to("/", "a.example:81"));
        assert_eq!(host("http://localhost@a.example/?q", &["localhost"]), to("/?q", "a.example"));
        assert_eq!(host("/a", &["localhost:3000"]), to("/a", "localhost:3000"));
    }

    #[test]
    fn what_says_two_things_or_names_no_path_stays_as_it_is() {
        let two = addressed("http://a.example/%61", &["b", "c"]);
        assert_eq!(two, ("http://a.example/%61".to_owned(), vec!["b".to_owned(), "c".to_owned()]));
        assert_eq!(addressed("a.example:80", &["b"]).0, "a.example:80");
    }
}
