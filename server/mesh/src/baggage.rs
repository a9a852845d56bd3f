//! W3C Baggage (Working Draft, section 3): the ids of the faults a request has met travel with it.
//!
//! Reads and writes one member of the header, [`KEY`], and passes all others on untouched. Unlike
//! the rest of the mesh's headers it crosses services that know nothing of faults.

use crate::fault::FaultId;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The member with the ids, comma separated (the comma percent-encoded, as section 3.2.1.3 asks).
pub const KEY: &str = "vitrine.fault.id";
/// The header.
pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// Longest header written, bytes: what section 3.3.2 asks every platform to pass on.
const HEADER_BYTES_MAX: usize = 8192;
/// Ids carried; the first ones win, because they are nearest to the cause.
const IDS_MAX: usize = 8;

/// Everything that section 3.2.1.3 does not let stand in a value.
const VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// The ids of the faults a request has met, nearest to the cause first.
#[must_use]
pub fn fault_ids(headers: &HeaderMap) -> Vec<FaultId> {
    let mut ids = Vec::new();
    for member in members(headers).filter(|member| is_ours(member)) {
        let value = member.split(';').next().and_then(|pair| pair.split_once('='));
        let Some((_, value)) = value else { continue };
        let value = percent_decode_str(value.trim()).decode_utf8_lossy();
        for id in value.split(',').filter_map(|id| id.trim().parse().ok()) {
            if ids.len() < IDS_MAX && !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    ids
}

/// The ids in the baggage of a span.
pub(crate) fn ids(line: &str) -> Vec<FaultId> {
    let mut headers = HeaderMap::new();
    if let Ok(line) = HeaderValue::from_str(line) {
        headers.insert(BAGGAGE, line);
    }
    fault_ids(&headers)
}

/// Adds an id. When it would make the header too long nothing changes: what others put there is
/// not ours to drop.
pub fn append(headers: &mut HeaderMap, id: FaultId) {
    let mut ids = fault_ids(headers);
    if ids.contains(&id) || ids.len() == IDS_MAX {
        return;
    }
    ids.push(id);
    write(headers, &ids);
}

/// A header line with these ids added; [`None`] when there would be none.
#[must_use]
pub fn with(line: Option<&str>, ids: &[FaultId]) -> Option<String> {
    let mut headers = HeaderMap::new();
    if let Some(line) = line.and_then(|line| HeaderValue::from_str(line).ok()) {
        headers.insert(BAGGAGE, line);
    }
    ids.iter().for_each(|id| append(&mut headers, *id));
    headers.get(BAGGAGE)?.to_str().ok().map(str::to_owned)
}

/// The whole baggage of a request as one header line, to be passed on. What is too long is not.
pub(crate) fn of(headers: &HeaderMap) -> Option<HeaderValue> {
    let text = members(headers).collect::<Vec<_>>().join(",");
    let fits = !text.is_empty() && text.len() <= HEADER_BYTES_MAX;
    fits.then(|| HeaderValue::from_str(&text).ok()).flatten()
}

/// Takes the ids away, for a request from outside: who sends it cannot blame a fault.
/// What others put there stays, however long it is.
pub fn strip(headers: &mut HeaderMap) {
    if !members(headers).any(is_ours) {
        return;
    }
    let others: Vec<_> = members(headers).filter(|member| !is_ours(member)).collect();
    match HeaderValue::from_str(&others.join(",")) {
        Ok(others) if !others.is_empty() => headers.insert(BAGGAGE, others),
        _ => headers.remove(BAGGAGE),
    };
}

/// Puts the ids in place of those that are there.
fn write(headers: &mut HeaderMap, ids: &[FaultId]) {
    let mut list: Vec<String> =
        members(headers).filter(|member| !is_ours(member)).map(str::to_owned).collect();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    list.push(format!("{KEY}={}", utf8_percent_encode(&ids.join(","), VALUE)));
    let text = list.join(",");
    if text.len() <= HEADER_BYTES_MAX
        && let Ok(value) = HeaderValue::from_str(&text)
    {
        headers.insert(BAGGAGE, value);
    }
}

fn members(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(BAGGAGE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

fn is_ours(member: &str) -> bool {
    member.split_once('=').is_some_and(|(key, _)| key.trim() == KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (BAGGAGE, HeaderValue::from_str(line).unwrap())).collect()
    }

    fn ids(numbers: &[u32]) -> Vec<FaultId> {
        numbers.iter().copied().map(FaultId).collect()
    }

    #[test]
    fn an_id_is_added_beside_what_others_put_there() {
        let mut headers = headers(&["user=ada;meta=1", "plan=gold"]);
        append(&mut headers, FaultId(21));
        append(&mut headers, FaultId(22));
        append(&mut headers, FaultId(21));
        let expected = "user=ada;meta=1,plan=gold,vitrine.fault.id=F-21%2CF-22";
        assert_eq!(headers.get(BAGGAGE).unwrap(), expected);
        assert_eq!(headers.get_all(BAGGAGE).iter().count(), 1);
        assert_eq!(fault_ids(&headers), ids(&[21, 22]));
    }

    #[test]
    fn ids_are_read_from_every_line_with_spaces_and_properties() {
        let headers = headers(&["a=b, vitrine.fault.id = F-3;x=y", "vitrine.fault.id=F-4%2cF-3"]);
        assert_eq!(fault_ids(&headers), ids(&[3, 4]));
    }

    #[test]
    fn what_is_no_id_is_not_taken_for_one() {
        let lines = ["vitrine.fault.id=F-,vitrine.fault.id=21", "vitrine.fault.id", "=,,;", "F-9"];
        assert!(fault_ids(&headers(&lines)).is_empty());
    }

    #[test]
    fn the_list_and_the_header_are_bounded() {
        let mut many = HeaderMap::new();
        (1..=20).for_each(|n| append(&mut many, FaultId(n)));
        assert_eq!(fault_ids(&many), ids(&[1, 2, 3, 4, 5, 6, 7, 8]));
        let long = format!("k={}", "x".repeat(HEADER_BYTES_MAX - 10));
        let mut full = headers(&[&long]);
        append(&mut full, FaultId(1));
        assert_eq!(full.get(BAGGAGE).unwrap(), long.as_str());
    }

    #[test]
    fn stripping_leaves_the_others_or_no_header() {
        let mut mixed = headers(&["a=b,vitrine.fault.id=F-3"]);
        strip(&mut mixed);
        assert_eq!(mixed.get(BAGGAGE).unwrap(), "a=b");
        let mut alone = headers(&["vitrine.fault.id=F-3"]);
        strip(&mut alone);
        assert!(!alone.contains_key(BAGGAGE));
        let long = format!("k={}", "x".repeat(HEADER_BYTES_MAX + 8));
        let mut full = headers(&["vitrine.fault.id=F-3", &long]);
        strip(&mut full);
        assert_eq!(full.get(BAGGAGE).unwrap(), long.as_str());
        assert!(fault_ids(&full).is_empty());
    }
}
