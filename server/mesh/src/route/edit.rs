//! What a route changes on requests and answers: path, host, headers.

use crate::Response;
use http::{HeaderMap, HeaderName, Uri, uri::PathAndQuery};
use istio::policy::{HeaderEdits, Match, Rewrite, StringMatch};
use regex::{Captures, Regex};

/// The path and query after a rewrite; none when nothing changes or the new one is no path.
pub(crate) fn rewritten(rewrite: &Rewrite, matched: Option<&Match>, uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let new = if let Some((regex, substitution)) = &rewrite.uri_regex {
        substitute(regex, substitution, path)
    } else {
        let new = rewrite.uri.as_deref()?;
        // As many bytes as matched, whatever their case. Without a condition on the path Istio
        // writes the prefix `/` (`TranslateRouteMatch`).
        let prefix = match matched.and_then(|matched| matched.uri.as_ref()) {
            Some(StringMatch::Prefix(prefix)) => prefix.len(),
            None => 1,
            Some(_) => path.len(),
        };
        format!("{new}{}", path.get(prefix..).unwrap_or_default())
    };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{new}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

/// Replaces each part that the expression matches; `\1` is the first group, `\0` all, `\\` a
/// backslash, as in RE2 (Envoy `RegexMatchAndSubstitute`).
fn substitute(regex: &Regex, substitution: &str, path: &str) -> String {
    let expand = |captures: &Captures<'_>| {
        let mut expanded = String::new();
        let mut characters = substitution.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                expanded.push(character);
                continue;
            }
            match characters.next() {
                Some(digit) if digit.is_ascii_digit() => {
                    let group = digit.to_digit(10).and_then(|group| usize::try_from(group).ok());
                    let text = group.and_then(|group| captures.get(group));
                    expanded.push_str(text.map_or("", |text| text.as_str()));
                }
                Some(other) => expanded.push(other),
                None => expanded.push('\\'),
            }
        }
        expanded
    };
    regex.replace_all(path, expand).into_owned()
}

/// In the extensions of an answer: headers that a rule took away, which nobody adds again.
#[derive(Clone, Debug, Default)]
pub struct TakenAway(Vec<HeaderName>);

impl TakenAway {
    /// Whether a rule took that header of an answer away.
    #[must_use]
    pub fn has(answer: &Response, name: &HeaderName) -> bool {
        answer.extensions().get::<Self>().is_some_and(|taken| taken.0.contains(name))
    }
}

/// Takes away, then sets, then adds: what a route removes and sets is there once (Envoy
/// `HeaderParser`).
pub(crate) fn edit(headers: &mut HeaderMap, edits: &HeaderEdits) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in &edits.add {
        headers.append(name.clone(), value.clone());
    }
}

/// The same to an answer, which keeps in mind what was taken away.
pub(crate) fn edit_answer(answer: &mut Response, edits: &HeaderEdits) {
    edit(answer.headers_mut(), edits);
    if !edits.remove.is_empty() {
        let taken: &mut TakenAway = answer.extensions_mut().get_or_insert_default();
        taken.0.extend(edits.remove.iter().cloned());
    }
}
