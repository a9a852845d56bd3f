//! Whether a text is OpenMetrics 1.0, as strictly as the specification has it: order of the lines,
//! suffixes by type, escapes, buckets, exemplars, the end. It knows nothing of what is measured.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Longest label set of an exemplar, characters.
const EXEMPLAR_MAX: usize = 128;

#[derive(Default)]
struct Family {
    name: String,
    kind: Option<String>,
    described: BTreeSet<String>,
    has_samples: bool,
    /// Of a histogram, by labels without `le`: bound and count of each bucket, and `_count`.
    buckets: BTreeMap<String, Vec<(f64, f64)>>,
    counts: BTreeMap<String, f64>,
}

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
    exemplar: bool,
}

/// Checks a whole text.
///
/// # Errors
/// The first thing that is against the specification, with its line.
pub fn check(text: &str) -> Result<(), String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let (mut over, mut series) = (HashSet::new(), HashSet::new());
    let mut owners: HashMap<String, String> = HashMap::new();
    let mut family = Family::default();
    for (at, line) in body.split_terminator('\n').enumerate() {
        let told = |why: String| format!("line {}: {why}: {line}", at + 1);
        let next = family_of(line, &family).map_err(told)?;
        if next != family.name {
            family.end().map_err(told)?;
            over.insert(std::mem::take(&mut family).name);
            if over.contains(&next) {
                return Err(told(format!("{next} comes again after another family")));
            }
            family.name = next;
        }
        if line.starts_with('#') {
            family.describe(line).map_err(told)?;
            continue;
        }
        let sample = sample(line).map_err(told)?;
        if !series.insert(format!("{}{:?}", sample.name, sorted(&sample.labels))) {
            return Err(told("this series comes twice".to_owned()));
        }
        let owner = owners.entry(sample.name.clone()).or_insert_with(|| family.name.clone());
        if *owner != family.name {
            return Err(told(format!("a sample of that name is of {owner}")));
        }
        family.take(&sample).map_err(told)?;
    }
    family.end()
}

fn sorted(labels: &[(String, String)]) -> Vec<(String, String)> {
    let mut labels = labels.to_vec();
    labels.sort();
    labels
}

/// The family a line belongs to: the one before, if the name is one of its.
fn family_of(line: &str, before: &Family) -> Result<String, String> {
    if let Some(rest) = line.strip_prefix("# ") {
        let mut words = rest.split(' ');
        return match (words.next(), words.next()) {
            (Some("TYPE" | "HELP" | "UNIT"), Some(name)) if is_name(name, ':') => Ok(name.into()),
            _ => Err("no TYPE, HELP or UNIT of a name".to_owned()),
        };
    }
    let end = line.find(['{', ' ']).ok_or("neither labels nor a value")?;
    let name = &line[..end];
    let suffix = name.strip_prefix(before.name.as_str()).filter(|_| !before.name.is_empty());
    match suffix {
        Some(suffix) if before.suffixes().contains(&suffix) => Ok(before.name.clone()),
        // Without a TYPE it is unknown, and its name is the family's.
        _ => Ok(name.to_owned()),
    }
}

fn is_name(text: &str, more: char) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == more)
}

impl Family {
    fn suffixes(&self) -> &'static [&'static str] {
        match self.kind.as_deref() {
            Some("counter") => &["_total", "_created"],
            Some("histogram") => &["_bucket", "_count", "_sum", "_created"],
            Some("gaugehistogram") => &["_bucket", "_gcount", "_gsum"],
            Some("summary") => &["", "_count", "_sum", "_created"],
            Some("info") => &["_info"],
            _ => &[""],
        }
    }

    fn describe(&mut self, line: &str) -> Result<(), String> {
        if self.has_samples {
            return Err("a description after the first sample".to_owned());
        }
        let mut words = line.splitn(4, ' ').skip(1);
        let (word, _, said) = (words.next(), words.next(), words.next().unwrap_or_default());
        let word = word.unwrap_or_default();
        if !self.described.insert(word.to_owned()) {
            return Err(format!("a second {word}"));
        }
        match word {
            "TYPE" => {
                let kinds = [
                    "counter",
                    "gauge",
                    "histogram",
                    "gaugehistogram",
                    "stateset",
                    "info",
                    "summary",
                    "unknown",
                ];
                if !kinds.contains(&said) {
                    return Err(format!("{said:?} is no type"));
                }
                let suffix = ["_total", "_created", "_bucket", "_info"];
                if suffix.iter().any(|suffix| self.name.ends_with(suffix)) {
                    return Err("the name of a family has no suffix".to_owned());
                }
                self.kind = Some(said.to_owned());
            }
            "UNIT" if !said.is_empty() && !self.name.ends_with(&format!("_{said}")) => {
                return Err(format!("the name does not end with its unit {said}"));
            }
            "HELP" => drop(unescaped(said)?),
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, sample: &Sample) -> Result<(), String> {
        self.has_samples = true;
        let suffix = sample.name.strip_prefix(self.name.as_str()).unwrap_or_default();
        if !self.suffixes().contains(&suffix) {
            return Err(format!("a {:?} has no sample {}", self.kind, sample.name));
        }
        let counts = ["_total", "_bucket", "_count"].contains(&suffix);
        if counts && !(sample.value >= 0.0 && sample.value.is_finite()) {
            return Err("a count below nothing, or none".to_owned());
        }
        if sample.exemplar && !["_total", "_bucket"].contains(&suffix) {
            return Err("an exemplar where none may be".to_owned());
        }
        if self.kind.as_deref() != Some("histogram") {
            return Ok(());
        }
        let others: Vec<_> = sorted(&sample.labels).into_iter().filter(|l| l.0 != "le").collect();
        let key = format!("{others:?}");
        if suffix == "_bucket" {
            let bound = sample.labels.iter().find(|(name, _)| name == "le");
            let bound = bound.ok_or("a bucket without le")?;
            let bound = number(&bound.1)?;
            self.buckets.entry(key).or_default().push((bound, sample.value));
        } else if suffix == "_count" {
            self.counts.insert(key, sample.value);
        }
        Ok(())
    }

    /// What only all samples of a family can say.
    fn end(&self) -> Result<(), String> {
        for (labels, buckets) in &self.buckets {
            let told = |why: &str| format!("{} {labels}: {why}", self.name);
            let grows = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            if !buckets.windows(2).all(grows) {
                return Err(told("buckets do not grow"));
            }
            let last = buckets.last().filter(|(bound, _)| *bound == f64::INFINITY);
            let all = last.ok_or_else(|| told("no bucket +Inf"))?.1;
            if self.counts.get(labels).is_some_and(|count| (count - all).abs() > 0.0) {
                return Err(told("the bucket +Inf is not the count"));
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<f64, String> {
    let plain = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        text if text.chars().all(plain) => text.parse().map_err(|_| format!("{text} is no number")),
        text => Err(format!("{text} is no number")),
    }
}

/// `name{label="value"} value [timestamp] [# {label="value"} value [timestamp]]`.
fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("neither labels nor a value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name, ':') {
        return Err(format!("{name} is no name"));
    }
    let (labels, rest) = labels(rest)?;
    let rest = rest.strip_prefix(' ').ok_or("no blank before the value")?;
    let (measured, exemplar) = match rest.split_once(" # ") {
        Some((measured, exemplar)) => (measured, Some(exemplar)),
        None => (rest, None),
    };
    let value = values(measured)?;
    if let Some(exemplar) = exemplar {
        let (labels, rest) = self::labels(exemplar)?;
        let length: usize = labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum();
        if length > EXEMPLAR_MAX {
            return Err("the labels of the exemplar are too long".to_owned());
        }
        values(rest.strip_prefix(' ').ok_or("no value of the exemplar")?)?;
    }
    Ok(Sample { name: name.to_owned(), labels, value, exemplar: exemplar.is_some() })
}

/// A value, and a timestamp if there is one.
fn values(text: &str) -> Result<f64, String> {
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        [value] => number(value),
        [value, timestamp] => number(timestamp).and_then(|_| number(value)),
        _ => Err("more than a value and a timestamp".to_owned()),
    }
}

type Labels = Vec<(String, String)>;

/// `{a="b",c="d"}` at the beginning, if it is there, and the rest.
fn labels(text: &str) -> Result<(Labels, &str), String> {
    let Some(mut rest) = text.strip_prefix('{') else { return Ok((Vec::new(), text)) };
    let mut labels = Labels::new();
    loop {
        if let Some(after) = rest.strip_prefix('}').filter(|_| labels.is_empty()) {
            return Ok((labels, after));
        }
        let (name, value) = rest.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name, '_') || labels.iter().any(|(known, _)| known == name) {
            return Err(format!("{name:?} is no name of a label, or comes twice"));
        }
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.ok_or("a value without its end")?;
        labels.push((name.to_owned(), unescaped(&value[..end])?));
        rest = &value[end + 1..];
        match rest.split_at_checked(1) {
            Some((",", after)) => rest = after,
            Some(("}", after)) => return Ok((labels, after)),
            _ => return Err("neither a further label nor the end of them".to_owned()),
        }
    }
}

/// Only `\\`, `\"` and `\n` are escapes.
fn unescaped(text: &str) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text.chars());
    while let Some(c) = rest.next() {
        out.push(match (c, c == '\\') {
            (_, true) => match rest.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => return Err(format!("\\{other:?} is no escape")),
            },
            (c, false) => c,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a Calls.\n# TYPE a counter\na_total{of=\"x\\\"\\\\\"} 1 # \
                        {trace_id=\"ab\"} 0.5 1.5\n# TYPE b_seconds histogram\n# UNIT b_seconds \
                        seconds\nb_seconds_bucket{le=\"1.0\"} 1\nb_seconds_bucket{le=\"+Inf\"} \
                        2\nb_seconds_count 2\nb_seconds_sum 3.5\n# TYPE c gauge\nc{} -1.0\n# EOF\n";

    #[test]
    fn a_text_as_it_must_be_is_taken_and_one_with_a_mistake_is_not() {
        assert_eq!(check(GOOD), Ok(()));
        for (right, wrong) in [
            ("# EOF\n", ""),
            ("# EOF\n", "# EOF\n\n"),
            ("a_total{", "a{"),
            ("# TYPE a counter\n", ""),
            ("# TYPE a counter", "# TYPE a count"),
            ("\\\\\"}", "\\x\"}"),
            ("# HELP a Calls.\n# TYPE a", "# TYPE a counter\n# TYPE a"),
            ("le=\"1.0\"} 1", "le=\"1.0\"} 3"),
            ("_count 2", "_count 1"),
            ("# UNIT b_seconds seconds", "# UNIT b_seconds bytes"),
            ("c{} -1.0\n", "c{} -1.0\nc 2\n"),
            ("c{} -1.0\n", "c{} -1.0\na_total 2\n"),
            ("c{} -1.0\n", "c{} -1.0 # {a=\"b\"} 1\n"),
            ("c{} -1.0\n", "\nc{} -1.0\n"),
            ("c{} -1.0\n", "c{} -1.0,0\n"),
            ("c{} -1.0\n", "c{x=\"1\",x=\"2\"} 1\n"),
            ("c{} -1.0\n", "c{} -1.0\n# HELP c Late.\n"),
        ] {
            let text = GOOD.replacen(right, wrong, 1);
            assert_ne!(text, GOOD, "{right:?} is not there");
            assert!(check(&text).is_err(), "{right:?} as {wrong:?} is taken");
        }
    }
}
