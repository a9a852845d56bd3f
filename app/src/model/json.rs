//! Pretty-printed JSON as lines of key and value, for showing an event's data.
//!
//! Does not parse: it takes the printer's lines apart, and shows what it does not understand whole.

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// How far it is indented.
    pub depth: usize,
    /// `"reason": ` with its colon, or nothing.
    pub key: String,
    /// The rest of the line.
    pub value: String,
}

/// The lines of an object without its outer braces.
#[must_use]
pub fn fields(pretty: &str) -> Vec<Field> {
    let lines: Vec<&str> = pretty.lines().filter(|l| !l.trim().is_empty()).collect();
    let braces = lines.len() > 2 && lines[0].trim() == "{" && lines[lines.len() - 1].trim() == "}";
    let (lines, outer) = if braces { (&lines[1..lines.len() - 1], 1) } else { (&lines[..], 0) };
    lines.iter().map(|line| field(line, outer)).collect()
}

fn field(line: &str, outer: usize) -> Field {
    let text = line.trim_start();
    let depth = ((line.len() - text.len()) / 2).saturating_sub(outer);
    let key_end = text.starts_with('"').then(|| text.find("\": ")).flatten();
    let (key, value) = key_end.map_or(("", text), |end| text.split_at(end + 3));
    Field { depth, key: key.to_owned(), value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pretty: &str) -> Vec<(usize, String, String)> {
        fields(pretty).into_iter().map(|f| (f.depth, f.key, f.value)).collect()
    }

    #[test]
    fn an_object_is_shown_without_its_outer_braces() {
        let pretty = "{\n  \"reason\": \"no: funds\",\n  \"items\": [\n    1\n  ]\n}";
        let expected = [
            (0, "\"reason\": ".into(), "\"no: funds\",".into()),
            (0, "\"items\": ".into(), "[".into()),
            (1, String::new(), "1".into()),
            (0, String::new(), "]".into()),
        ];
        assert_eq!(read(pretty), expected);
    }

    #[test]
    fn what_is_not_an_object_is_shown_whole() {
        assert_eq!(read("{}"), [(0, String::new(), "{}".into())]);
        assert_eq!(read("not json"), [(0, String::new(), "not json".into())]);
        assert_eq!(read(""), []);
    }
}
