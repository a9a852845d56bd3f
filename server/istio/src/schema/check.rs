//! Walks a resource along its table and says what becomes of each field.
//!
//! Looks at one resource alone. What depends on other resources or on services is in `validate`.

use super::{Field, Kind, Object, Rule, Treatment, Type, metadata::METADATA};
use crate::{
    finding::{Spot, code},
    value::{self, Complaint},
    yaml::{Data, Entry, Node, Position, shorten},
};
use contract::istio::{Fate, FieldFate, Finding, ResourceKey, Severity};

/// What became of the fields of one resource.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) fates: Vec<FieldFate>,
    pub(crate) findings: Vec<Finding>,
}

/// Checks a whole resource.
pub(crate) fn check(kind: Kind, key: &ResourceKey, root: &Node) -> Report {
    let mut walk = Walk { key, path: String::new(), report: Report::default() };
    for entry in root.entries() {
        walk.path = entry.key.clone();
        match entry.key.as_str() {
            "apiVersion" | "kind" => walk.fate(entry.at, Fate::InForce, None),
            "metadata" | "spec" if entry.value.data == Data::Null => {}
            "metadata" => walk.object(&entry.value, &METADATA),
            "spec" => walk.object(&entry.value, kind.info().schema),
            "status" => {
                let why = "the API server of Kubernetes writes it";
                walk.fate(entry.at, Fate::Ignored, Some(why.to_owned()));
            }
            name => {
                let known = ["apiVersion", "kind", "metadata", "spec", "status"];
                walk.unknown(entry.at, name, kind.name(), known.into_iter());
            }
        }
    }
    for (name, object) in [("metadata", &METADATA), ("spec", kind.info().schema)] {
        if root.get(name).is_none() {
            name.clone_into(&mut walk.path);
            walk.object(&Node { at: root.at, data: Data::Map(Vec::new()) }, object);
        }
    }
    walk.report
}

/// The same resource with its fields in conventional order.
pub(crate) fn order(kind: Kind, root: Node) -> Node {
    const ROOT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    let Data::Map(mut entries) = root.data else {
        return root;
    };
    let rank = |entry: &Entry| ROOT.iter().position(|name| *name == entry.key);
    entries.sort_by_key(|entry| rank(entry).unwrap_or(usize::MAX));
    for entry in &mut entries {
        let value = std::mem::take(&mut entry.value);
        entry.value = match entry.key.as_str() {
            "metadata" => order_object(value, &METADATA),
            "spec" => order_object(value, kind.info().schema),
            _ => value,
        };
    }
    Node { at: root.at, data: Data::Map(entries) }
}

fn order_object(node: Node, object: &Object) -> Node {
    let Data::Map(mut entries) = node.data else {
        return node;
    };
    let find = |key: &str| object.fields.iter().position(|field| object.names(field, key));
    entries.sort_by_key(|entry| find(&entry.key).unwrap_or(usize::MAX));
    for entry in &mut entries {
        if let Some(field) = find(&entry.key).and_then(|index| object.fields.get(index)) {
            entry.value = order_value(std::mem::take(&mut entry.value), &field.kind);
        }
    }
    Node { at: node.at, data: Data::Map(entries) }
}

fn order_value(node: Node, kind: &Type) -> Node {
    match (kind, node.data) {
        (Type::Object(object), data) => order_object(Node { at: node.at, data }, object),
        (Type::Chosen(choose), data) => {
            let node = Node { at: node.at, data };
            match choose(&node) {
                Ok(object) => order_object(node, object),
                Err(_) => node,
            }
        }
        (Type::List(item), Data::List(items)) => {
            let items = items.into_iter().map(|node| order_value(node, item)).collect();
            Node { at: node.at, data: Data::List(items) }
        }
        (Type::Map(_, value), Data::Map(entries)) => {
            let order = |entry: Entry| Entry { value: order_value(entry.value, value), ..entry };
            Node { at: node.at, data: Data::Map(entries.into_iter().map(order).collect()) }
        }
        (_, data) => Node { at: node.at, data },
    }
}

impl Object {
    fn names(&self, field: &Field, key: &str) -> bool {
        field.name == key || (self.envoy && is_camel_case_of(key, field.name))
    }

    fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| self.names(field, key))
    }

    fn has(&self, node: &Node, name: &str) -> bool {
        let present = |entry: &&Entry| match &entry.value.data {
            Data::Null => false,
            Data::List(items) => !items.is_empty(),
            Data::Text(text) => !(self.empty_is_none && text.is_empty()),
            _ => true,
        };
        let same = |key: &str| key == name || (self.envoy && is_camel_case_of(key, name));
        node.entries().iter().filter(present).any(|entry| same(&entry.key))
    }
}

/// Whether `key` is `snake` in protobuf's JSON spelling: `tokenBucket` of `token_bucket`.
pub(crate) fn is_camel_case_of(key: &str, snake: &str) -> bool {
    let mut camel = String::with_capacity(snake.len());
    let mut upper = false;
    for c in snake.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    key == camel
}

struct Walk<'a> {
    key: &'a ResourceKey,
    path: String,
    report: Report,
}

impl Walk<'_> {
    fn fate(&mut self, at: Position, fate: Fate, why: Option<String>) {
        self.report.fates.push(FieldFate { path: self.path.clone(), at, fate, why });
    }

    fn spot(&self, at: Position) -> Spot {
        Spot { resource: Some(self.key.clone()), path: self.path.clone(), at }
    }

    fn reject(&mut self, at: Position, code: &str, complaint: Complaint) {
        self.fate(at, Fate::Rejected, Some(complaint.message.clone()));
        let finding = self.spot(at).error(code, complaint);
        self.report.findings.push(finding);
    }

    fn unknown<'a>(
        &mut self,
        at: Position,
        name: &str,
        object: &str,
        names: impl Iterator<Item = &'a str>,
    ) {
        let message = format!("{object} has no field \"{}\".", shorten(name));
        let advice = match value::closest(name, names) {
            Some(closest) => format!("Did you mean {closest}?"),
            None => "Remove it, or look where it belongs in the Istio reference.".to_owned(),
        };
        self.reject(at, code::UNKNOWN_FIELD, Complaint { message, advice });
    }

    /// Runs `inside` with a longer path.
    fn below(&mut self, step: &str, inside: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        inside(self);
        self.path.truncate(length);
    }

    fn object(&mut self, node: &Node, object: &'static Object) {
        let Data::Map(entries) = &node.data else {
            let message = format!("{} is a mapping, not {}.", object.name, node.describe());
            let advice = "Write its fields below, indented.";
            self.reject(node.at, code::WRONG_TYPE, Complaint::new(message, advice));
            return;
        };
        for entry in entries {
            self.below(&format!(".{}", entry.key), |walk| match object.field(&entry.key) {
                Some(_) if object.empty_is_none && entry.value.as_str() == Some("") => {
                    let why = "an empty text is the same as none";
                    walk.fate(entry.at, Fate::Ignored, Some(why.to_owned()));
                }
                Some(field) => walk.field(entry, field),
                None => {
                    let names = object.fields.iter().map(|field| field.name);
                    walk.unknown(entry.at, &entry.key, object.name, names);
                }
            });
        }
        for field in object.fields {
            if field.required && !object.has(node, field.name) {
                let message = format!("{} needs the field {}.", object.name, field.name);
                let complaint = Complaint::new(message, "Add it.");
                let spot = self.spot(node.at);
                self.report.findings.push(spot.error(code::MISSING_FIELD, complaint));
            }
        }
        for rule in object.rules {
            self.rule(node, object, rule);
        }
    }

    fn rule(&mut self, node: &Node, object: &Object, rule: &Rule) {
        let present: Vec<_> =
            rule.fields.iter().copied().filter(|name| object.has(node, name)).collect();
        let Rule { fields, min, max, why } = rule;
        if present.len() < *min && misspelt(node, object, fields) {
            // That finding says more than that none is there.
            return;
        }
        let (message, advice) = if present.len() < *min {
            (
                format!("{} has none of {}: {why}.", object.name, listed(fields)),
                format!("Add {}.", fields.first().copied().unwrap_or_default()),
            )
        } else if present.len() > *max {
            (
                format!("{} cannot have {} together: {why}.", object.name, listed(&present)),
                "Keep one of them.".to_owned(),
            )
        } else {
            return;
        };
        let last = present.last().and_then(|name| node.entry(name));
        let at = last.map_or(node.at, |entry| entry.at);
        let finding = self.spot(at).error(code::CONFLICT, Complaint { message, advice });
        self.report.findings.push(finding);
    }

    fn field(&mut self, entry: &Entry, field: &'static Field) {
        let why = match field.treatment {
            _ if entry.value.data == Data::Null => {
                let why = "a field with nothing in it is the same as none";
                return self.fate(entry.at, Fate::Ignored, Some(why.to_owned()));
            }
            Treatment::Ignored(why) => {
                // Kept, so it must be something a real Istio takes; the fate is the field's.
                let fates = self.report.fates.len();
                self.value(&entry.value, &field.kind, entry.at, None);
                let rejected = |fate: &FieldFate| fate.fate == Fate::Rejected;
                let kept: Vec<_> = self.report.fates.drain(fates..).filter(rejected).collect();
                self.fate(entry.at, Fate::Ignored, Some(why.to_owned()));
                self.report.fates.extend(kept);
                return;
            }
            Treatment::Rejected(why) => {
                let message = format!("{} is not understood here: {why}.", field.name);
                let complaint = Complaint::new(message, "Remove it.");
                return self.reject(entry.at, code::REFUSED, complaint);
            }
            Treatment::InForce => None,
            Treatment::Read(how) => Some(format!("read as: {how}")),
            Treatment::Deprecated(instead) => {
                let instead = instead(&entry.value);
                self.deprecated(entry.at, field.name, &instead);
                Some(format!("deprecated; write {instead}"))
            }
            Treatment::Extension => {
                Some("an extension of Vitrine's; Istio would drop it".to_owned())
            }
        };
        self.value(&entry.value, &field.kind, entry.at, why);
    }

    fn deprecated(&mut self, at: Position, name: &str, instead: &str) {
        let message = format!("Istio deprecates {name}; it is converted.");
        let advice = format!("Write {instead}.");
        let finding = self.spot(at).says(Severity::Warning, code::DEPRECATED, message, advice);
        self.report.findings.push(finding);
    }

    /// A value; `at` is where the name of its field stands.
    fn value(&mut self, node: &Node, kind: &'static Type, at: Position, why: Option<String>) {
        match kind {
            Type::Object(object) => self.message(node, object, at, why),
            Type::Chosen(choose) => match choose(node) {
                Ok(object) => self.message(node, object, at, why),
                Err(why) => self.fate(at, Fate::Ignored, Some(why.to_owned())),
            },
            Type::List(item) => self.list(node, item, at, why),
            Type::Map(check, value) => self.map(node, *check, value, at, why),
            Type::Any => self.fate(at, Fate::InForce, why),
            leaf => match leaf_value(node, leaf) {
                Ok(None) => self.fate(at, Fate::InForce, why),
                Ok(Some(treatment)) => self.choice(node, treatment, at, why),
                Err((code, complaint)) => self.reject(node.at, code, complaint),
            },
        }
    }

    fn message(&mut self, node: &Node, object: &'static Object, at: Position, why: Option<String>) {
        // What holds for the whole message is said once, and so is an empty one.
        if why.is_some() || node.entries().is_empty() {
            self.fate(at, Fate::InForce, why);
        }
        self.object(node, object);
    }

    fn choice(&mut self, node: &Node, treatment: Treatment, at: Position, why: Option<String>) {
        let word = node.as_str().unwrap_or_default();
        match treatment {
            Treatment::InForce | Treatment::Extension => self.fate(at, Fate::InForce, why),
            Treatment::Read(how) => self.fate(at, Fate::InForce, Some(format!("read as: {how}"))),
            Treatment::Deprecated(instead) => {
                let instead = instead(node);
                self.deprecated(node.at, word, &instead);
                self.fate(at, Fate::InForce, Some(format!("deprecated; write {instead}")));
            }
            Treatment::Ignored(why) => self.fate(at, Fate::Ignored, Some(why.to_owned())),
            Treatment::Rejected(why) => {
                let message = format!("{word} is not understood here: {why}.");
                let complaint = Complaint::new(message, "Remove it or use another value.");
                self.reject(node.at, code::REFUSED, complaint);
            }
        }
    }

    fn list(&mut self, node: &Node, item: &'static Type, at: Position, why: Option<String>) {
        let Data::List(items) = &node.data else {
            let message = format!("This is a list, not {}.", node.describe());
            let advice = "Begin each item on its own line with a hyphen.";
            return self.reject(node.at, code::WRONG_TYPE, Complaint::new(message, advice));
        };
        if why.is_some() || items.is_empty() || !is_nested(item) {
            self.fate(at, Fate::InForce, why);
        }
        for (index, node) in items.iter().enumerate() {
            self.below(&format!("[{index}]"), |walk| match is_nested(item) {
                true => walk.value(node, item, node.at, None),
                // Items of a plain list share the fate of the list unless they are bad.
                false => {
                    if let Err((code, complaint)) = leaf_value(node, item) {
                        walk.reject(node.at, code, complaint);
                    }
                }
            });
        }
    }

    fn map(
        &mut self,
        node: &Node,
        check: super::Check,
        value: &'static Type,
        at: Position,
        why: Option<String>,
    ) {
        let Data::Map(entries) = &node.data else {
            let message = format!("This is a mapping, not {}.", node.describe());
            let advice = "Write name: value, one on each line, indented.";
            return self.reject(node.at, code::WRONG_TYPE, Complaint::new(message, advice));
        };
        if why.is_some() || entries.is_empty() {
            self.fate(at, Fate::InForce, why);
        }
        for entry in entries {
            self.below(&format!("[{}]", entry.key), |walk| match check(&entry.key) {
                Ok(()) => walk.value(&entry.value, value, entry.at, None),
                Err(complaint) => walk.reject(entry.at, code::BAD_VALUE, complaint),
            });
        }
    }
}

fn is_nested(kind: &Type) -> bool {
    matches!(kind, Type::Object(_) | Type::Chosen(_) | Type::List(_) | Type::Map(..))
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What YAML 1.1, which Kubernetes still reads, makes of a number that begins with a zero, where
/// that is another one.
fn octal(number: &str) -> Option<i64> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let read = i64::from_str_radix(digits, 8).ok().filter(|_| digits.starts_with('0'))?;
    (digits.parse() != Ok(read)).then_some(read)
}

/// Whether a single value fits; a choice also says what becomes of it.
fn leaf_value(node: &Node, kind: &Type) -> Result<Option<Treatment>, (&'static str, Complaint)> {
    let bad = |complaint| (code::BAD_VALUE, complaint);
    let wrong = |expected: &str, advice: String| {
        let message = format!("This is {expected}, not {}.", node.describe());
        (code::WRONG_TYPE, Complaint { message, advice })
    };
    let number = || {
        let advice = "Write it without quotes, in decimal digits.".to_owned();
        let number = node.as_number().ok_or_else(|| wrong("a number", advice))?;
        match octal(number) {
            Some(read) => Err(bad(Complaint::new(
                format!("Kubernetes reads {number} as an octal number, which is {read}."),
                "Write it without the zero before it.",
            ))),
            None => Ok(number),
        }
    };
    let text = || {
        node.as_str().ok_or_else(|| match &node.data {
            Data::Number(raw) => wrong("a text", format!("Put it in quotes: \"{raw}\".")),
            Data::Bool(raw) => wrong("a text", format!("Put it in quotes: \"{raw}\".")),
            _ => wrong("a text", "Write one value.".to_owned()),
        })
    };
    match kind {
        Type::Text(check) => check(text()?).map(|()| None).map_err(bad),
        Type::Number(check) => check(number()?).map(|()| None).map_err(bad),
        Type::Int(min, max) => value::integer(number()?, *min, *max).map(|_| None).map_err(bad),
        Type::Bool => match node.as_bool() {
            Some(_) => Ok(None),
            None => Err(wrong("true or false", "Write true or false, without quotes.".to_owned())),
        },
        Type::Choice(words) => {
            let word = text()?;
            let found = words.iter().find(|(name, _)| *name == word);
            found.map(|(_, treatment)| Some(*treatment)).ok_or_else(|| {
                let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
                let message = format!("\"{}\" is not one of its values.", shorten(word));
                let advice = match value::closest(word, names.iter().copied()) {
                    Some(closest) => format!("Did you mean {closest}?"),
                    None => format!("Use {}.", names.join(", ")),
                };
                bad(Complaint { message, advice })
            })
        }
        _ => Ok(None),
    }
}

/// Whether an unknown field of an object is nearly the name of one of these.
fn misspelt(node: &Node, object: &Object, fields: &[&str]) -> bool {
    let Data::Map(entries) = &node.data else { return false };
    let unknown = entries.iter().filter(|entry| object.field(&entry.key).is_none());
    let names = || object.fields.iter().map(|field| field.name);
    unknown
        .filter_map(|entry| value::closest(&entry.key, names()))
        .any(|near| fields.contains(&near))
}
