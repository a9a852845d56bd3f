//! A draft in the fragment of an address, so that it can be sent to somebody else.
//!
//! The fragment never reaches the server. It is not compressed: browsers only compress in the
//! background, where a click may no longer write to the clipboard, and a draft of a host fits.

/// Longest text of a draft in a link, bytes: what mail programs and chats still leave whole.
pub const SHARED_BYTES_MAX: usize = 24 * 1024;
/// What the fragment begins with.
const PREFIX: &str = "#draft=";
/// The alphabet of RFC 4648, section 5, without padding.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The fragment of a draft: the revision it was made on and its text. None if it is too long.
#[must_use]
pub fn fragment(base: u64, text: &str) -> Option<String> {
    if text.len() > SHARED_BYTES_MAX {
        return None;
    }
    let mut out = format!("{PREFIX}{base}.");
    for chunk in text.as_bytes().chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..=chunk.len() {
            let six = usize::try_from(bits >> (18 - 6 * i) & 63).unwrap_or(0);
            out.push(char::from(ALPHABET[six]));
        }
    }
    Some(out)
}

/// Reads what [`fragment`] writes; none of anything else.
#[must_use]
pub fn read(fragment: &str) -> Option<(u64, String)> {
    let (base, coded) = fragment.strip_prefix(PREFIX)?.split_once('.')?;
    // Three bytes are four letters.
    if coded.len() > SHARED_BYTES_MAX / 3 * 4 + 4 {
        return None;
    }
    let mut bytes = Vec::with_capacity(coded.len());
    for chunk in coded.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for (i, letter) in chunk.iter().enumerate() {
            let six = ALPHABET.iter().position(|known| known == letter)?;
            bits |= u32::try_from(six).ok()? << (18 - 6 * i);
        }
        // One letter alone is less than a byte.
        let whole = chunk.len().checked_sub(1).filter(|bytes| *bytes > 0)?;
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(whole));
    }
    Some((base.parse().ok()?, String::from_utf8(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_comes_out_of_the_link_as_it_went_in() {
        for text in ["", "a", "ab", "abc", "kind: VirtualService\n# größer → \u{1f980}\n"] {
            let link = fragment(17, text).unwrap();
            assert_eq!(read(&link), Some((17, text.to_owned())), "{link}");
            let plain = |c: char| c.is_ascii_alphanumeric() || "#=.-_".contains(c);
            assert!(link.chars().all(plain), "{link}");
        }
        let most = "x".repeat(SHARED_BYTES_MAX);
        assert_eq!(read(&fragment(1, &most).unwrap()), Some((1, most.clone())));
        assert_eq!(fragment(1, &format!("{most}x")), None);
    }

    #[test]
    fn what_is_no_draft_is_none() {
        let long = format!("#draft=1.{}", "A".repeat(SHARED_BYTES_MAX * 2));
        for text in ["", "#draft=", "#draft=x.YQ", "#draft=1.Y", "#draft=1.Y!", "#top", &long] {
            assert_eq!(read(text), None, "{text:.20}");
        }
        assert_eq!(read("#draft=1._w"), None, "not UTF-8");
    }
}
