//! Whatever is printed is read as the same again, with the places the printer said.
//!
//! The seed of a failure is printed by proptest; `PROPTEST_CASES` changes the number of cases.

mod support;

use istio::yaml::{self, Data, Entry, Node, Position};
use proptest::{collection::vec, prelude::*};

/// Texts that YAML, or YAML 1.1, would take for something else.
const PLAIN: &str = "yes on null ~ true 1.5 0x1F 1_000 12:30 2001-01-01 * &a !t % @ ` a: --- ... \
    { [ > ' \" \\ é 日本 \u{2028} \t \r - ? : = << 0 +1 ~a 0.5.1 10.0.0.0/8 1e5 .5 5.";
/// The same with spaces and line breaks.
const SPACED: &str = "|- a|a: b|# x|a #b| a|a |a\nb|a\nb\n|a\n\nb|\n|\na| a\nb|a \nb|a\tb|\
    ---\na\n---\n|a\n  b\n c";

fn scalar() -> impl Strategy<Value = Data> {
    let words = PLAIN.split(' ').chain(SPACED.split('|'));
    let word = prop::sample::select(words.collect::<Vec<_>>());
    prop_oneof![
        Just(Data::Null),
        any::<bool>().prop_map(Data::Bool),
        any::<i32>().prop_map(|n| Data::Number(n.to_string())),
        (any::<u16>(), 0_u32..1000).prop_map(|(a, b)| Data::Number(format!("{a}.{b}"))),
        word.prop_map(|word| Data::Text(word.to_owned())),
        "\\PC{0,20}".prop_map(Data::Text),
        "[a-z :#\\-\n]{0,20}".prop_map(Data::Text),
        Just(Data::List(Vec::new())),
        Just(Data::Map(Vec::new())),
    ]
}

fn text() -> impl Strategy<Value = String> {
    scalar().prop_filter_map("a key is a text", |data| match data {
        Data::Text(text) => Some(text),
        _ => None,
    })
}

fn map(entries: Vec<(String, Node)>) -> Data {
    let mut seen = std::collections::HashSet::new();
    let unique = entries.into_iter().filter(|(key, _)| seen.insert(key.clone()));
    let entry = |(key, value)| Entry { key, at: Position::default(), value };
    Data::Map(unique.map(entry).collect())
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = scalar().prop_map(Node::new);
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|items| Node::new(Data::List(items))),
            vec((text(), inner), 0..5).prop_map(|entries| Node::new(map(entries))),
        ]
    })
}

/// Places of fields, in order.
fn places(node: &Node, found: &mut Vec<Position>) {
    for entry in node.entries() {
        found.push(entry.at);
        places(&entry.value, found);
    }
    for item in node.items() {
        found.push(item.at);
        places(item, found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_document_is_read_as_the_same(node in vec((text(), node()), 1..4)) {
        let node = Node::new(map(node));
        let (text, placed) = yaml::write(&node);
        let again = yaml::read(&text).map_err(|e| TestCaseError::fail(format!("{e:?}\n{text}")))?;
        prop_assert_eq!(&again, std::slice::from_ref(&node), "{}", text);
        prop_assert_eq!(&placed, &node);
        let (mut expected, mut said) = (Vec::new(), Vec::new());
        places(&again[0], &mut expected);
        places(&placed, &mut said);
        prop_assert_eq!(expected, said, "{}", text);
    }
}

#[test]
fn the_resources_of_the_seed_are_printed_and_read_as_the_same() {
    for text in [
        include_str!("data/istio-config.yml"),
        include_str!("data/traffic-management.yml"),
        include_str!("data/observability.yml"),
    ] {
        let configuration = support::apply(text).configuration;
        let printed = configuration.print();
        let again = support::apply(&printed).configuration;
        assert_eq!(again, configuration);
        assert_eq!(again.print(), printed);
    }
}
