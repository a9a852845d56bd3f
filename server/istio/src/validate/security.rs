//! Resources that select workloads: security and telemetry.
//!
//! What would let more in than was meant is refused by the tables; here is what merely surprises.

use super::{About, place};
use crate::{
    compile::{self, Context},
    finding::code,
    for_istio::resource,
    known::{Selected, is_for_all},
    policy::{Mtls, ValueMatch},
    resource::Resource,
    schema::Kind,
    value,
    yaml::{Data, Entry, Node},
};
use contract::istio::{Finding, Severity};

/// Why nothing is enforced for what is outside of the mesh.
const NO_PROXY: &str = "no proxy stands before it that could enforce anything";

/// The selector of any of these kinds.
pub(super) fn selector(about: &mut About<'_>) {
    let namespace = &about.resource.key().namespace;
    let labels = compile::selector(about.resource);
    let spec = about.spec();
    if !is_for_all(namespace) {
        let message = format!("There are no workloads in the namespace {namespace}.");
        let advice = "Use the namespace default, or istio-system for the whole mesh.";
        about.silence("spec", &message);
        return about.warn(code::SELECTOR, ("metadata.namespace", spec.at), message, advice);
    }
    if labels.is_empty() {
        return;
    }
    if !compile::selects_here(about.resource) {
        let message =
            format!("With a selector it is for workloads of {namespace} alone, and none is here.");
        about.silence("spec", &message);
        let place = ("spec.selector", place(spec, "selector"));
        let advice = "Use the namespace default, or leave the selector out for the whole mesh.";
        return about.warn(code::SELECTOR, place, message, advice);
    }
    let key = if spec.get("workloadSelector").is_some() { "workloadSelector" } else { "selector" };
    let services = &about.context.known.services;
    let selected: Vec<_> = services.iter().map(|s| (s, s.selected(&labels))).collect();
    let place = (format!("spec.{key}"), place(spec, key));
    if selected.iter().all(|(_, selected)| *selected == Selected::None) {
        let app = labels.iter().find(|(key, _)| key == "app").map(|(_, app)| app.as_str());
        let meant = app.and_then(|app| crate::value::closest(app, about.context.all_names()));
        let advice = match meant {
            Some(name) => format!("Did you mean app: {name}?"),
            None => "Select a service with app and its name.".to_owned(),
        };
        let message = "No workload has these labels, so this resource has no effect.";
        about.silence("spec", message);
        return about.warn(code::SELECTOR, place, message, advice);
    }
    let mut inside =
        selected.iter().filter(|(_, found)| *found != Selected::None).map(|(service, _)| service);
    if inside.all(|service| service.is_external()) {
        let message = format!("What has these labels is outside of the mesh: {NO_PROXY}.");
        about.silence("spec", &message);
        return about.warn(code::SELECTOR, place, message, "Select the services that call it.");
    }
    if let Some((part, _)) = selected.iter().find(|(_, found)| *found == Selected::Some) {
        about.warn(
            code::PART_OF_SERVICE,
            place,
            format!("Only some instances of {} have these labels; it holds for all.", part.name),
            "Select the whole service by app.",
        );
    }
}

pub(super) fn peer_authentication(about: &mut About<'_>) {
    selector(about);
    superseded(about);
    modes_of_ports(about);
    let spec = about.spec();
    let Some(ports) = spec.get("portLevelMtls") else { return };
    let at = ("spec.portLevelMtls", place(spec, "portLevelMtls"));
    if ports.entries().is_empty() {
        let message = "portLevelMtls has no port in it, which Istio refuses.";
        about.error(code::CONFLICT, at, message, "Name a port, or leave it out.");
    } else if compile::selector(about.resource).is_empty() {
        about.error(
            code::CONFLICT,
            at,
            "What holds for a whole namespace or for the mesh has no mode for single ports.",
            "Add a selector, or leave portLevelMtls out.",
        );
    }
}

/// Of several for the same workloads one says the mode: the narrowest, and of those the oldest.
fn superseded(about: &mut About<'_>) {
    let context = about.context;
    let services = compile::selected_services(context, about.resource);
    let instead = |service: &String| compile::peer_instead(context, about.resource, service);
    let others: Vec<_> = services.iter().filter_map(instead).collect();
    if let Some(winner) = others.first().filter(|_| others.len() == services.len()) {
        let why = format!("{} says the mode for the same workloads, and wins", winner.key().name);
        about.silence("spec.mtls", &why);
        about.silence("spec.portLevelMtls", &why);
    }
}

/// Modes of ports at which nobody listens, and the mode for all of whose ports have their own.
fn modes_of_ports(about: &mut About<'_>) {
    let (context, spec) = (about.context, about.spec());
    let services = compile::selected_services(context, about.resource);
    let Some(first) = services.first() else { return };
    let ports: Vec<_> = services.iter().map(|service| context.port_of(service)).collect();
    for entry in spec.get("portLevelMtls").map_or(&[][..], Node::entries) {
        let path = format!("spec.portLevelMtls[{}]", entry.key);
        let port = entry.key.parse::<u16>().ok();
        if port.is_some() && !ports.contains(&port) {
            let listed: Vec<_> = ports.iter().flatten().map(ToString::to_string).collect();
            let message = format!("{first} does not listen at port {}.", entry.key);
            let advice = format!("Use {}.", listed.first().map_or("mtls", String::as_str));
            about.idle(code::ROUTE_PORT, (path, entry.at), message, advice);
        } else if compile::mode_of_port(about.resource, port).is_none() {
            about.silence(path, "It sets no mode of its own, so that of the workload holds");
        }
    }
    let has_own = |port: &Option<u16>| compile::mode_of_port(about.resource, *port).is_some();
    if ports.iter().all(has_own) {
        about.silence("spec.mtls", "portLevelMtls says the mode of the port at which it listens");
    }
}

pub(super) fn request_authentication(about: &mut About<'_>) {
    selector(about);
    for (index, rule) in about.spec().list("jwtRules").iter().enumerate() {
        let path = format!("spec.jwtRules[{index}]");
        match rule.get("jwks") {
            Some(_) => keys(about, rule, &path),
            None => about.warn(
                code::NO_KEYS,
                (path, rule.at),
                "This rule has no jwks, and keys are not fetched: every token of this issuer is \
                 refused.",
                "Write the JSON Web Key Set into jwks.",
            ),
        }
    }
}

/// What can be done with the keys of a rule.
fn keys(about: &mut About<'_>, rule: &Node, path: &str) {
    // What is no key set is refused already.
    let Some(Ok(keys)) = rule.str("jwks").map(crate::jwks::keys) else { return };
    let unusable: Vec<_> = keys.iter().map(crate::jwks::unusable).enumerate().collect();
    for (key, why) in unusable.iter().filter_map(|(key, why)| Some((key, why.as_ref()?))) {
        about.warn(
            code::NO_KEYS,
            (format!("{path}.jwks"), place(rule, "jwks")),
            format!("keys[{key}] checks no token: {why}."),
            "Use keys of type RSA, EC (P-256, P-384) or OKP (Ed25519) for signatures.",
        );
    }
    if unusable.iter().all(|(_, why)| why.is_some()) {
        about.warn(
            code::NO_KEYS,
            (format!("{path}.jwks"), place(rule, "jwks")),
            "There is no key in this set that checks a token: every token of this issuer is \
             refused.",
            "Write the public keys of the issuer into keys.",
        );
    }
}

pub(super) fn authorization_policy(about: &mut About<'_>) {
    selector(about);
    let spec = about.spec();
    if spec.str("action") == Some("DENY") && spec.list("rules").is_empty() {
        about.error(
            code::MISSING_FIELD,
            ("spec.action", place(spec, "action")),
            "A policy that denies needs rules: without one it would deny nothing.",
            "Add rules; an empty one, rules: [{}], denies everything.",
        );
    }
    for (index, rule) in about.spec().list("rules").iter().enumerate() {
        for (from, node) in rule.list("from").iter().enumerate() {
            let Some(source) = node.get("source") else { continue };
            for (place, principal) in source.list("principals").iter().enumerate() {
                let path = format!("spec.rules[{index}].from[{from}].source.principals[{place}]");
                self::principal(about, principal, path);
            }
        }
    }
    unidentified(about);
    conditions(about);
    if allows(about.resource) {
        unfulfilled(about);
    }
}

/// Callers asked for by their identity, at workloads to which nobody shows one.
fn unidentified(about: &mut About<'_>) {
    const NAMES: [&str; 3] = ["principals", "serviceAccounts", "namespaces"];
    let context = about.context;
    let services = compile::selected_services(context, about.resource);
    let off = || services.iter().all(|service| !has_identities(context, service));
    for (index, rule) in about.spec().list("rules").iter().enumerate() {
        for (from, node) in rule.list("from").iter().enumerate() {
            let Some(source) = node.get("source") else { continue };
            let named = NAMES.into_iter().find(|name| !source.list(name).is_empty());
            let Some(name) = named.filter(|_| !services.is_empty() && off()) else { continue };
            about.warn(
                code::PRINCIPAL,
                (format!("spec.rules[{index}].from[{from}].source.{name}"), place(source, name)),
                format!(
                    "Mutual TLS is off for {}: no call to it has an identity, so this is nobody.",
                    services.join(", ")
                ),
                "Set the mode of its PeerAuthentication to PERMISSIVE or STRICT.",
            );
        }
    }
}

/// Values of conditions that are addresses or ports (`ValidateAttribute` in `pkg/config/security`).
fn conditions(about: &mut About<'_>) {
    for (index, rule) in about.spec().list("rules").iter().enumerate() {
        for (at, condition) in rule.list("when").iter().enumerate() {
            let check: fn(&str) -> bool = match condition.str("key") {
                Some("source.ip" | "remote.ip") => |text| value::ip_block(text).is_ok(),
                Some("destination.port") => |text| text.parse::<u16>().is_ok(),
                _ => continue,
            };
            for key in ["values", "notValues"] {
                for (place, node) in condition.list(key).iter().enumerate() {
                    let Some(bad) = node.as_str().filter(|text| !check(text)) else { continue };
                    let key_of = condition.str("key").unwrap_or_default();
                    about.error(
                        code::BAD_VALUE,
                        (format!("spec.rules[{index}].when[{at}].{key}[{place}]"), node.at),
                        format!("\"{}\" is no value of {key_of}.", crate::yaml::shorten(bad)),
                        match key_of {
                            "destination.port" => "Write a port from 0 to 65535.",
                            _ => "Write 10.1.2.3 or 10.1.0.0/16.",
                        },
                    );
                }
            }
        }
    }
}

fn allows(policy: &Resource) -> bool {
    let dry_run = compile::dry_run(policy).and_then(value::go_bool).unwrap_or(false);
    !dry_run && matches!(policy.spec().str("action"), None | Some("ALLOW"))
}

/// Rules of a policy that let in nobody, and workloads that nobody reaches for that.
fn unfulfilled(about: &mut About<'_>) {
    let context = about.context;
    let services = compile::selected_services(context, about.resource);
    for (index, rule) in about.spec().list("rules").iter().enumerate() {
        let unchecked: Vec<_> = services.iter().filter(|s| !checks_tokens(context, s)).collect();
        if needs_token(rule) && !services.is_empty() && unchecked.len() == services.len() {
            let spot = about.spot(format!("spec.rules[{index}]"), rule.at);
            let finding = spot.says(
                Severity::Warning,
                code::TOKEN_UNCHECKED,
                "This rule asks for a token, and no RequestAuthentication checks tokens for this \
                 workload: no request has a request principal, so the rule lets in nobody.",
                "Apply a RequestAuthentication for the workload, with the issuer's keys.",
            );
            let correct_form = Some(request_authentication_form(about.resource));
            about.push(Finding { correct_form, ..finding });
        }
    }
    let shut: Vec<_> = services.iter().filter(|service| is_shut(context, service)).collect();
    if shut.is_empty() {
        messages(about, &services);
    }
    if let [first, ..] = shut[..] {
        let all = shut.iter().map(|service| service.as_str()).collect::<Vec<_>>().join(", ");
        about.warn(
            code::NOBODY_ALLOWED,
            ("spec.rules", place(about.spec(), "rules")),
            format!(
                "No rule that allows something can be met: every request to {all} is refused \
                 with 403."
            ),
            format!("Add a rule that callers of {first} meet, or remove the policy."),
        );
    } else if about.spec().list("rules").is_empty() {
        shut_on_purpose(about, &services);
    }
}

/// A policy that allows and has no rules is how Istio shuts workloads: of which, is said.
fn shut_on_purpose(about: &mut About<'_>, services: &[String]) {
    let context = about.context;
    let shut: Vec<_> = services
        .iter()
        .filter(|service| rules_that_allow(context, service).next().is_none())
        .map(String::as_str)
        .collect();
    if shut.is_empty() {
        return;
    }
    let spot = about.spot("spec", about.spec().at);
    about.push(spot.says(
        Severity::Info,
        code::NOBODY_ALLOWED,
        format!(
            "A policy without rules allows nothing: every request to {} is refused with 403.",
            shut.join(", ")
        ),
        "If that is not meant, add rules; an empty one, rules: [{}], allows everything.",
    ));
}

/// Whether a request must have a token that was checked to meet a rule.
fn needs_token(rule: &Node) -> bool {
    let from = rule.list("from");
    let sources = || from.iter().filter_map(|node| node.get("source"));
    let asks = |source: &Node| !source.list("requestPrincipals").is_empty();
    let condition = |node: &Node| {
        let of_token = node.str("key").is_some_and(|key| key.starts_with("request.auth."));
        of_token && !node.list("values").is_empty()
    };
    (!from.is_empty() && sources().all(asks)) || rule.list("when").iter().any(condition)
}

/// Whether somebody may meet a rule for a workload.
fn is_met(context: &Context<'_>, service: &str, rule: &Node) -> bool {
    if needs_token(rule) && !checks_tokens(context, service) {
        return false;
    }
    context.known.identities().any(|identity| lets_in_at(context, service, rule, &identity))
        || rule.list("from").is_empty()
        || of_token(rule)
}

/// Whether a rule lets in who calls a workload with an identity. Where mutual TLS is off, nobody
/// shows one.
fn lets_in_at(context: &Context<'_>, service: &str, rule: &Node, identity: &str) -> bool {
    match has_identities(context, service) {
        true => lets_in(rule, identity),
        false => rule.list("from").is_empty() || of_token(rule),
    }
}

fn has_identities(context: &Context<'_>, service: &str) -> bool {
    compile::decides_mtls(context, service).is_none_or(|(mode, _)| mode != Mtls::Disable)
}

/// Whether a rule lets in callers without an identity of the mesh, by their token or address.
fn of_token(rule: &Node) -> bool {
    let names = ["principals", "serviceAccounts", "namespaces"];
    let mut sources = rule.list("from").iter().filter_map(|node| node.get("source"));
    sources.any(|source| names.iter().all(|name| source.list(name).is_empty()))
}

/// Whether who calls with an identity is among those that a rule is for.
fn lets_in(rule: &Node, identity: &str) -> bool {
    let namespace = identity.split('/').nth(2).unwrap_or_default();
    let one_of = |values: Vec<String>, own: &str| {
        values.is_empty() || values.iter().any(|value| ValueMatch::parse(value).holds(own))
    };
    let texts = |source: &Node, key: &str| source.texts(key).map(str::to_owned).collect::<Vec<_>>();
    let accounts = |source: &Node| {
        let of_account = |account: &str| {
            let (namespace, name) = account.split_once('/').unwrap_or(("default", account));
            format!("cluster.local/ns/{namespace}/sa/{name}")
        };
        source.texts("serviceAccounts").map(of_account).collect::<Vec<_>>()
    };
    let may_be = |source: &Node| {
        let named = [texts(source, "principals"), accounts(source)].concat();
        one_of(named, identity) && one_of(texts(source, "namespaces"), namespace)
    };
    let from = rule.list("from");
    from.is_empty() || from.iter().filter_map(|node| node.get("source")).any(may_be)
}

/// Sagas go on by messages, and a policy that names who may call easily forgets who brings them.
fn messages(about: &mut About<'_>, services: &[String]) {
    let context = about.context;
    let Some(messenger) = &context.known.messenger else { return };
    let takes = |service: &&String| {
        context.known_service(service).is_some_and(|known| known.takes_messages)
    };
    let shut_out = |service: &&String| {
        let mut rules = rules_that_allow(context, service).peekable();
        let lets_in = |rule: &Node| lets_in_at(context, service, rule, messenger);
        rules.peek().is_some() && !rules.any(lets_in)
    };
    let stopped: Vec<_> = services.iter().filter(takes).filter(shut_out).cloned().collect();
    if !stopped.is_empty() && !about.spec().list("rules").is_empty() {
        about.warn(
            code::MESSAGES_REFUSED,
            ("spec.rules", place(about.spec(), "rules")),
            format!(
                "Messages come to {} as {messenger}, and no rule lets them in: orders that wait \
                 for one stand still.",
                stopped.join(", ")
            ),
            format!("Add {messenger} to the principals."),
        );
    }
}

/// Whether what allows something for a workload allows nobody. A policy without rules says that on
/// purpose, so that at least one must have some.
fn is_shut(context: &Context<'_>, service: &str) -> bool {
    let mut rules = rules_that_allow(context, service).peekable();
    rules.peek().is_some() && !rules.any(|rule| is_met(context, service, rule))
}

/// The rules of all policies that allow something for a workload.
fn rules_that_allow<'a>(
    context: &'a Context<'a>,
    service: &'a str,
) -> impl Iterator<Item = &'a Node> {
    let policies = context.of(Kind::AuthorizationPolicy).filter(|policy| allows(policy));
    let here = policies.filter(move |policy| compile::is_selected(context, policy, service));
    here.flat_map(|policy| policy.spec().list("rules"))
}

/// Whether tokens of some issuer are checked for a workload, with a key that can check one.
pub(super) fn checks_tokens(context: &Context<'_>, service: &str) -> bool {
    let all = context.of(Kind::RequestAuthentication);
    let here = all.filter(|resource| compile::is_selected(context, resource, service));
    let sets = here.flat_map(|resource| resource.spec().list("jwtRules"));
    let mut keys = sets.filter_map(|rule| crate::jwks::keys(rule.str("jwks")?).ok()).flatten();
    keys.any(|key| crate::jwks::unusable(&key).is_none())
}

/// A `RequestAuthentication` for the workload of a policy, to be filled in.
fn request_authentication_form(policy: &Resource) -> String {
    let rule = Node::map([
        ("issuer", Node::text("https://issuer.example.com")),
        ("jwks", Node::text("{\"keys\": []}")),
    ]);
    let rules = ("jwtRules", Node::new(Data::List(vec![rule])));
    let selector = policy.spec().get("selector").map(|selector| ("selector", selector.clone()));
    let spec = Node::map(selector.into_iter().chain([rules]));
    let (version, kind) = ("security.istio.io/v1", Kind::RequestAuthentication);
    let root = resource(version, kind, &policy.key().name, policy, spec);
    crate::yaml::write(&root).0
}

/// `cluster.local/ns/NAMESPACE/sa/ACCOUNT`: accounts are named as services here.
fn principal(about: &mut About<'_>, node: &Node, path: String) {
    let Some(text) = node.as_str() else { return };
    let context = about.context;
    let there: Vec<_> = context.known.identities().collect();
    let pattern = ValueMatch::parse(text);
    if there.iter().any(|identity| pattern.holds(identity)) {
        return;
    }
    // By the account: all else is the same in most of them.
    let account_of = |text: &str| text.rsplit_once("/sa/").map_or(text, |(_, a)| a).to_owned();
    let account = account_of(text);
    let accounts: Vec<_> = there.iter().map(|identity| account_of(identity)).collect();
    let near = || value::closest(&account, accounts.iter().map(String::as_str)).map(str::to_owned);
    let name = context.service(&account).map(ToString::to_string).or_else(near);
    let meant = name.and_then(|name| there.iter().find(|identity| account_of(identity) == name));
    about.warn(
        code::PRINCIPAL,
        (path, node.at),
        format!("Nobody here has the identity {text}."),
        match meant {
            Some(identity) => format!("Did you mean {identity}?"),
            None => "Use cluster.local/ns/default/sa/ and the name of a service.".to_owned(),
        },
    );
}

pub(super) fn telemetry(about: &mut About<'_>) {
    selector(about);
    one_telemetry(about);
    let tracing = about.spec().list("tracing").iter().enumerate();
    let lists = tracing.map(|(index, tracing)| (index, tracing.list("providers")));
    for (index, providers) in lists.collect::<Vec<_>>() {
        providers_of_spans(about, index, providers);
    }
    for (index, metrics) in about.spec().list("metrics").iter().enumerate() {
        for (place, node) in metrics.list("overrides").iter().enumerate() {
            let path = format!("spec.metrics[{index}].overrides[{place}].tagOverrides");
            for entry in node.get("tagOverrides").map_or(&[][..], Node::entries) {
                expression(about, entry, &path);
            }
        }
    }
}

/// One resource holds for each workload and width, and in it the last tracing that says something.
/// Istio says of neither which it leaves out.
fn one_telemetry(about: &mut About<'_>) {
    const FIELDS: [&str; 3] = ["randomSamplingPercentage", "disableSpanReporting", "customTags"];
    let (context, spec) = (about.context, about.spec());
    let services = compile::selected_services(context, about.resource);
    let instead = |service: &String| compile::telemetry_instead(context, about.resource, service);
    let winners: Vec<_> = services.iter().filter_map(instead).collect();
    if let Some(winner) = winners.first().filter(|_| winners.len() == services.len()) {
        let name = &winner.key().name;
        about.idle(
            code::TELEMETRY_INSTEAD,
            ("spec", spec.at),
            format!("{name} holds for the same workloads, and one Telemetry holds for each."),
            format!("Put both into one, or delete {name}."),
        );
    }
    let tracing = spec.list("tracing");
    for (index, node) in tracing.iter().enumerate() {
        for key in FIELDS.into_iter().filter(|key| node.get(key).is_some()) {
            let later = tracing.iter().rposition(|other| other.get(key).is_some());
            if let Some(later) = later.filter(|later| *later > index) {
                about.idle(
                    code::TELEMETRY_INSTEAD,
                    (format!("spec.tracing[{index}].{key}"), place(node, key)),
                    format!("tracing[{later}] says {key} too, and the last one holds."),
                    "Keep one tracing; Istio supports no more.",
                );
            }
        }
    }
}

/// Names of tracing providers that mean the exporter there is.
const OTLP: [&str; 3] = ["jaeger", "otel", "opentelemetry"];

fn providers_of_spans(about: &mut About<'_>, index: usize, providers: &[Node]) {
    for (place, provider) in providers.iter().enumerate() {
        if let Some(name) = provider.str("name").filter(|name| !OTLP.contains(name)) {
            about.idle(
                code::NOTHING_IN_FORCE,
                (format!("spec.tracing[{index}].providers[{place}].name"), provider.at),
                format!("There is no provider {name} here: spans leave by OTLP only."),
                "Use jaeger or opentelemetry, and set OTEL_EXPORTER_OTLP_ENDPOINT.",
            );
        }
    }
}

/// A value is an expression over attributes; a bare word is none of them.
fn expression(about: &mut About<'_>, entry: &Entry, path: &str) {
    let value = entry.value.get("value");
    let Some(written) = value.and_then(Node::as_str) else {
        if entry.value.str("operation") != Some("REMOVE") {
            let place = (format!("{path}[{}]", entry.key), entry.at);
            let message = "A tag that is set needs a value.";
            about.error(code::MISSING_FIELD, place, message, "Add value, or operation: REMOVE.");
        }
        return;
    };
    if entry.value.str("operation") == Some("REMOVE") && !written.is_empty() {
        let place = (format!("{path}[{}].value", entry.key), place(&entry.value, "value"));
        let message = "A tag that is removed has no value.";
        return about.error(code::CONFLICT, place, message, "Remove it, or the operation.");
    }
    let meant = compile::meant(written);
    if meant != written {
        let at = value.map_or(entry.at, |node| node.at);
        let spot = about.spot(format!("{path}[{}].value", entry.key), at);
        let finding = spot.says(
            Severity::Warning,
            code::EXPRESSION,
            format!(
                "\"{written}\" is no attribute of Istio's expressions, which would leave the tag \
                 unknown. It is read as {meant}."
            ),
            format!("Write {meant}."),
        );
        let form = Node::map([(
            "tagOverrides",
            Node::map([(entry.key.as_str(), Node::map([("value", Node::text(meant))]))]),
        )]);
        let correct_form = Some(crate::yaml::write(&form).0);
        about.push(Finding { correct_form, ..finding });
    }
}
