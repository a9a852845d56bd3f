//! Reading: positions, duplicate keys, bounds, foreign documents, JSON; and printing back.

mod support;

use contract::istio::{Change, Position};
use istio::{
    Kind, code,
    yaml::{self, Data, Node, ReadErrorKind},
};
use support::{apply, refuse, route, rule};

#[test]
fn every_field_knows_its_line_and_column() {
    let nodes = yaml::read("a: 1\nb:\n  - c: x\n    d: [y, z]\n").unwrap();
    let b = nodes[0].entry("b").unwrap();
    assert_eq!(b.at, Position { line: 2, column: 1 });
    let item = &b.value.items()[0];
    assert_eq!(item.entry("d").unwrap().at, Position { line: 4, column: 5 });
    assert_eq!(item.list("d")[1].at, Position { line: 4, column: 12 });
}

#[test]
fn a_key_twice_is_refused_with_both_lines() {
    let report = refuse(&route("timeout: 1s\ntimeout: 2s"));
    let finding = &report.findings[0];
    assert_eq!(finding.code, code::DUPLICATE_FIELD);
    assert_eq!(finding.at, Position { line: 11, column: 5 });
    assert!(finding.message.contains("on line 10 and on line 11"), "{}", finding.message);
}

#[test]
fn what_is_no_yaml_is_refused_where_it_breaks() {
    for (text, line) in [
        ("a: [1, 2\nb: 3\n", 2),
        ("a: b: c\n", 1),
        ("a: 'x\n", 1),
        ("a: 1\n\tb: 2\n", 1),
        ("a: \u{0}b\n", 1),
        ("x: 1\ny: \u{1b}\n", 2),
        ("a: !secret x\n", 1),
        ("? [a]\n: b\n", 1),
        ("{{ .Values.name }}: x\n", 1),
        ("a: &x 1\n<<: *x\n", 2),
    ] {
        let error = yaml::read(text).unwrap_err();
        assert_eq!(error.at.line, line, "{text:?}: {error:?}");
        assert!(error.at.column >= 1);
    }
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, inner) in "bcdefgh".chars().zip("abcdefg".chars()) {
        let aliases = vec![format!("*{inner}"); 10].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{aliases}]\n"));
    }
    assert_eq!(yaml::read(&bomb).unwrap_err().kind, ReadErrorKind::Bound);
    let deep = "[".repeat(10_000);
    assert_eq!(yaml::read(&deep).unwrap_err().kind, ReadErrorKind::Bound);
    let deep: String = (0..200).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert_eq!(yaml::read(&deep).unwrap_err().kind, ReadErrorKind::Bound);
    let long = "a".repeat(yaml::TEXT_BYTES_MAX + 1);
    assert_eq!(yaml::read(&long).unwrap_err().kind, ReadErrorKind::Bound);
    let many = "---\na\n".repeat(yaml::DOCUMENTS_MAX + 1);
    assert_eq!(yaml::read(&many).unwrap_err().kind, ReadErrorKind::Bound);
    let wide = format!("[{}]", "a,".repeat(yaml::NODES_MAX));
    assert_eq!(yaml::read(&wide).unwrap_err().kind, ReadErrorKind::Bound);
    // One anchor alone is small; what counts is how often it is used.
    let used = format!("a: &a [{}x]\nb: [{}*a]\n", "x,".repeat(999), "*a,".repeat(299));
    assert_eq!(yaml::read(&used).unwrap_err().kind, ReadErrorKind::Bound);
    let own = "a: &a [*a]\n";
    assert_eq!(yaml::read(own).unwrap_err().kind, ReadErrorKind::Unsupported);
    let chain: String = (1..300).map(|n| format!("x{n}: &x{n} [*x{}]\n", n - 1)).collect();
    let chain = format!("x0: &x0 y\n{chain}");
    assert_eq!(yaml::read(&chain).unwrap_err().kind, ReadErrorKind::Bound);
}

#[test]
fn aliases_stand_for_what_they_name() {
    let nodes = yaml::read("a: &x {k: v}\nb: *x\n").unwrap();
    assert_eq!(nodes[0].get("a"), nodes[0].get("b"));
    assert_eq!(nodes[0].get("b").unwrap().at, Position { line: 2, column: 4 });
}

#[test]
fn a_merge_key_gives_what_a_mapping_has_not_itself() {
    let text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  x: 0\n  <<: [*a, *b]\n  w: 9\n\
                d: {<<: *a}\ne: {\"<<\": 5}\n";
    let nodes = yaml::read(text).unwrap();
    let fields = |key: &str| {
        let entries = nodes[0].get(key).unwrap().entries().iter();
        let pair = |entry: &yaml::Entry| format!("{}{:?}", entry.key, entry.value.as_number());
        entries.map(|entry| pair(entry).replace("Some", "")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(fields("c"), r#"x("0") w("9") y("2") z("4")"#);
    assert_eq!(fields("d"), r#"x("1") y("2")"#);
    assert_eq!(fields("e"), r#"<<("5")"#, "in quotes it is a name");
    assert_eq!(nodes[0].get("c").unwrap().entry("z").unwrap().at, Position { line: 5, column: 12 });
    let doubled = yaml::read("a: &a {x: 1}\nb: {<<: *a, x: 2, x: 3}\n").unwrap_err();
    assert_eq!(doubled.kind, ReadErrorKind::DuplicateKey);
    let list = yaml::read("a: {<<: [1]}\n").unwrap_err();
    assert_eq!((list.kind, list.at.line), (ReadErrorKind::Unsupported, 1));
    let rules = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\n\
                 spec:\n  hosts: [users]\n  http:\n  - &one\n    timeout: 1s\n    \
                 route: [{destination: {host: users}}]\n    match: [{uri: {prefix: /a}}]\n  \
                 - {<<: *one, timeout: 2s, match: null}\n";
    let routes = support::compile(rules).virtual_hosts[0].routes.clone();
    let timeouts: Vec<_> = routes.iter().map(|route| route.timeout.unwrap().as_secs()).collect();
    assert_eq!((timeouts, routes[1].matches.len()), (vec![1, 2], 0));
}

#[test]
fn scalars_are_those_of_the_core_schema() {
    let is = |text: &str| {
        yaml::read(&format!("a: {text}\n")).unwrap()[0].entries()[0].value.data.clone()
    };
    for (text, expected) in [
        ("true", Data::Bool(true)),
        ("~", Data::Null),
        ("10", Data::Number("10".into())),
        ("-1.50", Data::Number("-1.50".into())),
        ("1e3", Data::Number("1e3".into())),
        ("yes", Data::Text("yes".into())),
        ("0x1F", Data::Text("0x1F".into())),
        ("'10'", Data::Text("10".into())),
        ("!!str 10", Data::Text("10".into())),
        ("1s", Data::Text("1s".into())),
    ] {
        assert_eq!(is(text), expected, "{text}");
    }
}

#[test]
fn json_is_read_as_well() {
    let text = r#"{"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "payments"}, "spec": {"host": "payments",
        "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}}"#;
    let resources = apply(text).configuration;
    let found = resources.get(Kind::DestinationRule, Some("payments")).unwrap();
    assert_eq!(
        found[0].print(),
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: payments
spec:
  host: payments
  trafficPolicy:
    loadBalancer:
      simple: RANDOM
"
    );
}

#[test]
fn lists_are_unpacked_and_foreign_kinds_left() {
    let inner = "    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: a, namespace: shop}
    spec: {host: payments}
";
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n  -\n{inner}  - apiVersion: v1\n    kind: Secret\n    \
         metadata: {{name: s}}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{name: other}}\n---\napiVersion: networking.istio.io/v1\nkind: Sidecar\n\
         metadata: {{name: sidecar}}\n---\n---\n"
    );
    let report = apply(&text).report;
    let found: Vec<_> =
        report.resources.iter().map(|found| (found.resource.to_string(), found.change)).collect();
    assert_eq!(
        found,
        [
            ("DestinationRule shop/a".to_owned(), Change::Created),
            ("Secret default/s".to_owned(), Change::NotOurs),
            ("Gateway default/other".to_owned(), Change::NotOurs),
            ("Sidecar default/sidecar".to_owned(), Change::NotOurs),
        ]
    );
}

#[test]
fn what_is_no_resource_is_refused() {
    for (text, code, word) in [
        ("just text\n", code::NOT_A_RESOURCE, "mapping"),
        ("a: b\n", code::NOT_A_RESOURCE, "no kind"),
        ("kind: VirtualService\n", code::NOT_A_RESOURCE, "apiVersion"),
        (
            "apiVersion: networking.istio.io/v1\nkind: Virtualservice\n",
            code::NOT_A_RESOURCE,
            "no kind",
        ),
        (
            "apiVersion: networking.istio.io/v2\nkind: VirtualService\n",
            code::API_VERSION,
            "no version v2",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nspec: {host: a}\n",
            code::MISSING_FIELD,
            "name",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\n",
            code::MISSING_FIELD,
            "host",
        ),
    ] {
        let report = refuse(text);
        let finding = &report.findings[0];
        assert_eq!(finding.code, code, "{text}: {finding:?}");
        assert!(finding.message.contains(word), "{}", finding.message);
        assert!(finding.at.line >= 1 && finding.at.column >= 1);
    }
}

#[test]
fn what_is_wrong_behind_an_alias_stands_where_the_alias_does() {
    let text = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [users]
  http:
  - &rule
    timeout: 1 s
    route: [{destination: {host: users}}]
  - *rule
";
    let findings = support::refuse(text).findings;
    let places: Vec<_> = findings.iter().map(|f| (f.path.as_str(), f.at.line)).collect();
    assert_eq!(places, [("spec.http[0].timeout", 8), ("spec.http[1].timeout", 10)]);
}

#[test]
fn one_name_twice_in_a_text_is_refused() {
    let text = format!("{}---\n{}", rule("trafficPolicy: {tls: {mode: DISABLE}}"), rule(""));
    let report = refuse(&text);
    assert_eq!(report.findings[0].code, code::DUPLICATE_RESOURCE);
    assert!(report.findings[0].message.contains("line 1 and on line 9"));
}

#[test]
fn a_refused_apply_changes_nothing() {
    let before = apply(&rule("")).configuration;
    let good = rule("trafficPolicy: {loadBalancer: {simple: RANDOM}}");
    let text = format!("{good}---\n{}", route("timeout: soon"));
    let refused = before.apply(&text, &support::known()).unwrap_err();
    assert_eq!(refused.report.findings[0].code, code::BAD_VALUE);
    assert_eq!(before, apply(&rule("")).configuration);
}

#[test]
fn fields_are_printed_in_conventional_order_and_unknown_kinds_of_text_survive() {
    let text = "kind: VirtualService
metadata:
  annotations: {note: \"yes\", long: \"two\\nlines\\n\", odd: \"a: b # c\", time: '12:30'}
  name: x
apiVersion: networking.istio.io/v1
spec:
  http:
  - timeout: 1s
    route: [{weight: 100, destination: {subset: v1, host: payments}}]
    match: [{headers: {end-user: {exact: '1'}}}]
  hosts: [payments]
";
    let configuration = apply(text).configuration;
    let printed = configuration.print();
    assert_eq!(
        printed,
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: x
  annotations:
    note: \"yes\"
    long: |
      two
      lines
    odd: \"a: b # c\"
    time: \"12:30\"
spec:
  hosts:
  - payments
  http:
  - match:
    - headers:
        end-user:
          exact: \"1\"
    route:
    - destination:
        host: payments
        subset: v1
      weight: 100
    timeout: 1s
"
    );
    assert_eq!(apply(&printed).configuration, configuration);
}

#[test]
fn a_resource_in_force_has_the_lines_of_its_print() {
    let resource = apply(&format!("# a comment\n\n\n{}", route("timeout: 1s"))).configuration;
    let found = resource.get(Kind::VirtualService, None).unwrap();
    let line = found[0].spec().list("http")[0].entry("timeout").unwrap().at.line as usize;
    assert_eq!(found[0].print().lines().nth(line - 1), Some("    timeout: 1s"));
    let policy = resource.compile(&support::known(), 1);
    let route = &policy.virtual_hosts[0].routes[0];
    assert_eq!(found[0].print().lines().nth(route.line as usize - 1), Some("  - route:"));
}

#[test]
fn a_misspelt_kind_of_istios_is_refused_and_what_istio_has_besides_is_left_alone() {
    let of = |group: &str, kind: &str| {
        format!("apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n")
    };
    let networking = "networking.istio.io";
    for (kind, meant) in [
        ("DestinationRul", "DestinationRule"),
        ("VirtualServices", "VirtualService"),
        ("Sidecars", "Sidecar"),
    ] {
        let report = refuse(&of(networking, kind));
        let finding = &report.findings[0];
        assert_eq!((finding.code.as_str(), finding.at.line), (code::NOT_A_RESOURCE, 2));
        assert_eq!(finding.advice, format!("Did you mean {meant}?"));
    }
    assert!(refuse(&of("security.istio.io", "X")).findings[0].advice.starts_with("Use Gateway"));
    for (group, kind) in [
        (networking, "Sidecar"),
        (networking, "WorkloadEntry"),
        ("extensions.istio.io", "WasmPlugin"),
        ("install.istio.io", "IstioOperator"),
        ("apps", "VirtualServices"),
        ("gateway.networking.k8s.io", "HTTPRoute"),
    ] {
        let report = apply(&of(group, kind)).report;
        assert_eq!(report.resources[0].change, Change::NotOurs, "{group} {kind}");
    }
}

#[test]
fn names_that_are_not_there_are_guessed() {
    let configuration = apply(&rule("")).configuration;
    let missing = configuration.get(Kind::DestinationRule, Some("paymnts")).unwrap_err();
    assert_eq!(missing.to_string(), "there is no DestinationRule paymnts; did you mean payments?");
    assert!(configuration.delete(Kind::VirtualService, "payments").is_err());
    assert!(configuration.get(Kind::DestinationRule, Some("default/payments")).is_ok());
    assert!(configuration.get(Kind::DestinationRule, Some("other/payments")).is_err());
    assert_eq!(Kind::parse("vs"), Some(Kind::VirtualService));
    assert_eq!(Kind::parse("destinationrules"), Some(Kind::DestinationRule));
    assert_eq!(Kind::parse("pod"), None);
    for kind in Kind::all() {
        assert_eq!(Kind::parse(kind.name()), Some(kind));
    }
}

#[test]
fn nodes_can_be_made_by_hand() {
    let node = Node::map([("a", Node::text("x"))]);
    assert_eq!(yaml::write(&node).0, "a: x\n");
}

#[test]
fn the_largest_texts_of_every_shape_come_to_an_end() {
    let shapes = [
        "- ",
        "[",
        "[\n",
        "{",
        "{a: ",
        "? ",
        "a: ",
        "a:\n ",
        "'",
        "\"",
        "|\n",
        "&a ",
        "*a ",
        "!a ",
        "# x\n",
        "---\n",
        "a\n",
        "- a\n",
        "a: [",
        "\n",
        " ",
        "a: b\n",
        "x: &a {}\n",
        "a, ",
        "\\",
        "%A\n",
        "a: |\n  b\n",
        ": ",
        "-\n",
        "<<: ",
        "\u{e9}",
        "[a: b, ",
        "- - a\n",
        "\t",
    ];
    for shape in shapes {
        let text = shape.repeat(yaml::TEXT_BYTES_MAX / shape.len());
        for text in [text.clone(), format!("a: [{text}"), format!("a: \"{text}")] {
            if let Err(error) = yaml::read(&text) {
                assert!(error.at.line >= 1 && error.at.column >= 1, "{shape:?}");
            }
        }
    }
}
