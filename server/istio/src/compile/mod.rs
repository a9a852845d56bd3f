//! Resources as the policy of the data plane: names resolved, defaults of Istio filled in.
//!
//! Takes resources that passed validation; what is missing or malformed is left out, never guessed.

mod delegate;
mod destination;
mod matching;
mod outbound;
mod route;
mod security;
mod telemetry;

pub(crate) use delegate::{DelegateError, can_meet, delegate_of};
pub(crate) use destination::{callers, implied_subset, rules, says_before};
pub(crate) use matching::{PSEUDO_HEADERS, covers, matches};
pub(crate) use route::{missing_port, name as route_name, unit_length};
pub(crate) use security::{
    DRY_RUN, NTH_RULE, Patch, decides_mtls, dry_run, is_outside, is_selected, mode_of_port,
    peer_instead, rate_limit_patches, selected_services, selector, selects_here,
};
pub(crate) use telemetry::{meant, telemetry_instead};

use crate::{
    known::{Known, KnownService, is_exported, is_for_all},
    policy::{External, ExternalAddress, Listener, Origin, Policy, VirtualHost},
    resource::Resource,
    schema::Kind,
    value,
    yaml::Node,
};
use std::{cell::OnceCell, collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

/// What compilation of every kind needs.
pub(crate) struct Context<'a> {
    pub(crate) known: &'a Known,
    pub(crate) resources: &'a [Arc<Resource>],
    names: BTreeMap<Arc<str>, Arc<str>>,
    /// Made when somebody first asks for it: all service entries are read for it.
    external: OnceCell<BTreeMap<Arc<str>, External>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(known: &'a Known, resources: &'a [Arc<Resource>]) -> Self {
        let mut names: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        for service in &known.services {
            let canonical: Arc<str> = service.name.as_str().into();
            for name in service.all_names() {
                names.entry(name.into()).or_insert_with(|| Arc::clone(&canonical));
            }
        }
        let mut context = Self { known, resources, names, external: OnceCell::new() };
        let hosts: Vec<Arc<str>> =
            context.of(Kind::ServiceEntry).flat_map(exact_hosts).map(Into::into).collect();
        for host in hosts {
            context.names.entry(Arc::clone(&host)).or_insert(host);
        }
        context
    }

    /// The resources of a kind that are seen here, the oldest first.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &'a Resource> + use<'a> {
        let of_kind = self.resources.iter().filter(move |resource| resource.kind() == kind);
        of_kind.map(Arc::as_ref).filter(|resource| is_seen(resource))
    }

    /// The service behind a host in full (as [`Resource::full_host`] has it), if there is one.
    pub(crate) fn service(&self, host: &str) -> Option<&Arc<str>> {
        self.names.get(host.to_ascii_lowercase().as_str())
    }

    /// The service behind a host that a resource names, if there is one.
    pub(crate) fn named(&self, from: &Resource, host: &str) -> Option<&Arc<str>> {
        self.service(&from.full_host(host))
    }

    /// The service behind a host in full, or the host itself.
    pub(crate) fn resolve(&self, host: &str) -> Arc<str> {
        self.service(host).map_or_else(|| host.to_ascii_lowercase().into(), Arc::clone)
    }

    pub(crate) fn known_service(&self, name: &str) -> Option<&'a KnownService> {
        self.known.services.iter().find(|service| service.name == name)
    }

    /// Whether a service is one of the cluster, of which no service entry says anything.
    fn is_own(&self, service: &str) -> bool {
        self.known_service(service).is_some_and(|known| !known.is_external())
    }

    /// Where a service listens: at its port, or at those of its service entries.
    pub(crate) fn ports_of(&self, service: &str) -> Vec<u16> {
        let known = self.known_service(service).map(|known| known.port);
        let entries = self.of(Kind::ServiceEntry).filter(|entry| {
            !self.is_own(service)
                && exact_hosts(entry)
                    .any(|host| self.service(&host).is_some_and(|s| **s == *service))
        });
        let written = entries.flat_map(|entry| entry.spec().list("ports"));
        let written = written.filter_map(|port| number(port, "number"));
        let mut ports: Vec<u16> = Vec::new();
        for port in known.into_iter().chain(written).filter(|port| *port > 0) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports
    }

    /// The port of calls that name none. A service has one pool for all its ports: settings for
    /// this port are those that hold.
    pub(crate) fn port_of(&self, service: &str) -> Option<u16> {
        self.ports_of(service).first().copied()
    }

    /// The services outside of the mesh that service entries describe.
    fn external(&self) -> &BTreeMap<Arc<str>, External> {
        self.external.get_or_init(|| external(self))
    }

    /// The labels of each instance of a service: of those that are registered, or of the addresses
    /// that its service entry names. None where nothing is known of it.
    pub(crate) fn instances_of(&self, service: &str) -> Option<Vec<BTreeMap<String, String>>> {
        if let Some(known) = self.known_service(service) {
            return Some(known.instances.clone());
        }
        let addresses = &self.external().get(service)?.addresses;
        let with_app = |one: &ExternalAddress| {
            let app = ("app".to_owned(), service.to_owned());
            std::iter::once(app).chain(one.labels.iter().cloned()).collect()
        };
        let instances: Vec<_> = addresses.iter().map(with_app).collect();
        (!instances.is_empty()).then_some(instances)
    }

    /// Every name that a host may have been meant to be.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(AsRef::as_ref)
    }

    /// The services of the registry and those of service entries.
    pub(crate) fn services(&self) -> Vec<Arc<str>> {
        let mut services: Vec<_> = self.names.values().cloned().collect();
        services.sort();
        services.dedup();
        services
    }

    /// Every name of one service.
    pub(crate) fn names_of(&self, service: &str) -> impl Iterator<Item = &str> {
        let of_service = self.names.iter().filter(move |(_, named)| ***named == *service);
        of_service.map(|(name, _)| name.as_ref())
    }
}

/// Whether the services here see a resource: it is exported to them, and if it is a rule, it is in
/// a namespace that Istio looks in, which are the caller's, the service's and the root's.
pub(crate) fn is_seen(resource: &Resource) -> bool {
    let namespace = &resource.key().namespace;
    let looked_in = resource.kind() != Kind::DestinationRule || is_for_all(namespace);
    looked_in && is_exported(namespace, resource.spec().texts("exportTo"))
}

/// The lower-case hosts of a resource that are names, not patterns.
fn exact_hosts(resource: &Resource) -> impl Iterator<Item = String> {
    let hosts = resource.spec().texts("hosts");
    hosts.filter(|host| !host.starts_with('*')).map(str::to_ascii_lowercase)
}

/// Compiles everything.
pub(crate) fn policy(known: &Known, resources: &[Arc<Resource>], revision: u64) -> Policy {
    let context = Context::new(known, resources);
    let virtual_hosts = virtual_hosts(&context);
    let ports = context.services().into_iter().filter_map(|service| {
        let ports = context.ports_of(&service);
        (!ports.is_empty()).then_some((service, ports))
    });
    Policy {
        revision,
        ports: ports.collect(),
        destinations: destination::destinations(&context),
        for_callers: destination::for_callers(&context),
        workloads: security::workloads(&context, &virtual_hosts),
        outbound: outbound::outbound(&context, &virtual_hosts),
        virtual_hosts,
        external: context.external().clone(),
        telemetry: telemetry::telemetry(&context),
        names: context.names,
    }
}

pub(crate) fn origin(resource: &Resource) -> Origin {
    let key = resource.key();
    Origin {
        kind: key.kind.as_str().into(),
        namespace: key.namespace.as_str().into(),
        name: key.name.as_str().into(),
    }
}

/// The routes of every `VirtualService` that is no delegate.
pub(crate) fn virtual_hosts(context: &Context<'_>) -> Vec<VirtualHost> {
    let compiled = context.of(Kind::VirtualService).filter_map(|resource| {
        let hosts: Vec<Arc<str>> = hosts(resource).map(Into::into).collect();
        // One without hosts is a delegate: it is merged where it is named.
        let (built_in, listeners) = gateways(context, resource);
        (!hosts.is_empty()).then(|| VirtualHost {
            origin: origin(resource),
            hosts,
            in_mesh: in_mesh(resource.spec()),
            at_ingress: built_in || !listeners.is_empty(),
            listeners,
            built_in: resource.is_built_in(),
            routes: route::routes(context, resource),
        })
    });
    compiled.collect()
}

/// The lower-case hosts of a resource: those of a `VirtualService` in full, any other's as written.
pub(crate) fn hosts(resource: &Resource) -> impl Iterator<Item = String> {
    resource.spec().texts("hosts").map(|host| match resource.kind() {
        Kind::VirtualService => resource.full_host(host),
        _ => host.to_ascii_lowercase(),
    })
}

/// Whether a `VirtualService` holds for calls between services.
pub(crate) fn in_mesh(spec: &Node) -> bool {
    let mut gateways = spec.texts("gateways").peekable();
    gateways.peek().is_none() || gateways.any(|gateway| gateway == "mesh")
}

/// Whether requests for a resource come in by a gateway that is there without a resource, and the
/// servers of the others that let its hosts in.
pub(crate) fn gateways(context: &Context<'_>, resource: &Resource) -> (bool, Vec<Listener>) {
    let (mut built_in, mut listeners) = (false, Vec::new());
    for gateway in resource.spec().texts("gateways").filter(|gateway| *gateway != "mesh") {
        match find_gateway(context, resource, gateway) {
            Some(FoundGateway::BuiltIn) => built_in = true,
            Some(FoundGateway::Resource(gateway)) => {
                let servers = gateway.spec().list("servers").iter();
                let servers = servers.filter_map(|server| listener(gateway, server, resource));
                let lets_in = |listener: &Listener| {
                    let mut patterns = listener.hosts.iter();
                    patterns.any(|pattern| hosts(resource).any(|host| overlap(pattern, &host)))
                };
                listeners.extend(servers.filter(lets_in));
            }
            None => {}
        }
    }
    (built_in, listeners)
}

/// A server of a `Gateway`, with the hosts that it lets in for a resource.
fn listener(gateway: &Resource, server: &Node, to: &Resource) -> Option<Listener> {
    let port = server.get("port")?;
    let hosts = server.texts("hosts").filter_map(|host| host_for(gateway, host, to));
    let redirect = server.path(&["tls", "httpsRedirect"]).and_then(Node::as_bool);
    Some(Listener {
        hosts: hosts.map(Into::into).collect(),
        // A Unix domain socket has none.
        port: number(port, "number").unwrap_or(0),
        tls: is_tls(port),
        https_redirect: redirect.unwrap_or(false),
    })
}

/// Whether those who come to a port speak TLS.
pub(crate) fn is_tls(port: &Node) -> bool {
    let protocol = port.str("protocol").and_then(value::protocol);
    matches!(protocol, Some("HTTPS" | "TLS"))
}

/// A host of a server, lower-case, if it is let in for a resource: before it may stand which
/// namespace the resource must be in, `.` for that of the gateway and `*` for any.
pub(crate) fn host_for(gateway: &Resource, host: &str, to: &Resource) -> Option<String> {
    let (namespace, host) = host.split_once('/').unwrap_or(("*", host));
    let namespace = match namespace {
        "." => gateway.key().namespace.as_str(),
        other => other,
    };
    let is_let_in = namespace == "*" || namespace == to.key().namespace;
    is_let_in.then(|| host.to_ascii_lowercase())
}

/// A gateway that a `VirtualService` names.
pub(crate) enum FoundGateway<'a> {
    /// There without a resource.
    BuiltIn,
    /// This resource.
    Resource(&'a Resource),
}

/// The gateway of that name, seen from a resource.
pub(crate) fn find_gateway<'a>(
    context: &Context<'a>,
    from: &Resource,
    gateway: &str,
) -> Option<FoundGateway<'a>> {
    let own = from.key().namespace.as_str();
    // The older form is the name of a service: NAME.NAMESPACE.svc.cluster.local
    // (`resolveGatewayName` in `pilot/pkg/model`).
    let of_service = || {
        let (name, rest) = gateway.split_once('.')?;
        Some((rest.split('.').next().unwrap_or(rest), name))
    };
    let (namespace, name) = gateway.split_once('/').or_else(of_service).unwrap_or((own, gateway));
    let matching =
        |resource: &&Resource| resource.key().name == name && resource.key().namespace == namespace;
    let found = context.of(Kind::Gateway).find(matching).map(FoundGateway::Resource);
    found.or_else(|| {
        let built_in = context.known.gateways.iter().any(|known| known == name);
        built_in.then_some(FoundGateway::BuiltIn)
    })
}

/// Whether two host patterns have a host in common.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (None, None) => a == b,
        (Some(suffix), None) => b.ends_with(suffix),
        (None, Some(suffix)) => a.ends_with(suffix),
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
    }
}

fn external(context: &Context<'_>) -> BTreeMap<Arc<str>, External> {
    let mut external = BTreeMap::new();
    // Those of users first: what is built in gives way.
    let (built_in, by_users): (Vec<_>, Vec<_>) =
        context.of(Kind::ServiceEntry).partition(|entry| entry.is_built_in());
    for resource in by_users.into_iter().chain(built_in) {
        let spec = resource.spec();
        for host in exact_hosts(resource) {
            let service = context.resolve(&host);
            if context.is_own(&service) {
                continue;
            }
            let own = context.known_service(&service).is_some();
            external.entry(service).or_insert_with(|| External {
                origin: origin(resource),
                endpoints: endpoints(spec, &host).into_iter().map(|(text, _)| text).collect(),
                addresses: addresses(spec, &host).filter(|_| !own).collect(),
            });
        }
    }
    external
}

type Labels = Vec<(String, String)>;

/// Every address with its port: the endpoint's own for the named port, else the target port, else
/// the port. Without endpoints the host is its own address. Each with the endpoint's labels.
fn endpoints(spec: &Node, host: &str) -> Vec<(String, Labels)> {
    let ports = spec.list("ports");
    let with_port = |address: &str, endpoint: Option<&Node>| -> Vec<(String, Labels)> {
        let one = |port: &Node| {
            let name = port.str("name").unwrap_or_default();
            let own = endpoint.and_then(|node| node.path(&["ports", name]));
            let number = own.or_else(|| port.get("targetPort")).or_else(|| port.get("number"));
            number.and_then(whole).map(|number| format!("{address}:{number}"))
        };
        let found: Vec<_> = ports.iter().filter_map(one).collect();
        let found = if found.is_empty() { vec![address.to_owned()] } else { found };
        let labels = labels(endpoint.and_then(|endpoint| endpoint.get("labels")));
        found.into_iter().map(|text| (text, labels.clone())).collect()
    };
    let written = spec.list("endpoints").iter().filter_map(|endpoint| {
        endpoint.str("address").map(|address| with_port(address, Some(endpoint)))
    });
    let written: Vec<_> = written.flatten().collect();
    if written.is_empty() { with_port(host, None) } else { written }
}

/// The addresses of this machine among those of a service outside the mesh.
pub(crate) fn addresses(spec: &Node, host: &str) -> impl Iterator<Item = ExternalAddress> {
    let local = |(text, labels): (String, Labels)| {
        let text = text.replacen("localhost:", "127.0.0.1:", 1);
        let address = text.parse::<SocketAddr>().ok().filter(|at| at.ip().is_loopback())?;
        Some(ExternalAddress { address, labels })
    };
    endpoints(spec, host).into_iter().filter_map(local)
}

/// A duration field.
pub(crate) fn duration(node: &Node, key: &str) -> Option<Duration> {
    node.str(key).and_then(|text| value::duration(text).ok())
}

/// A whole number field that fits.
pub(crate) fn number<T: TryFrom<i64>>(node: &Node, key: &str) -> Option<T> {
    T::try_from(whole(node.get(key)?)?).ok()
}

/// A whole number, however it is written.
fn whole(node: &Node) -> Option<i64> {
    value::whole(node.as_number()?)
}

/// A number field.
fn float(node: &Node, key: &str) -> Option<f64> {
    node.get(key)?.as_number()?.parse().ok()
}

/// A text field that is not empty.
fn filled(node: &Node, key: &str) -> Option<String> {
    node.str(key).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// A mapping of texts.
pub(crate) fn labels(node: Option<&Node>) -> Vec<(String, String)> {
    let entries = node.map_or(&[][..], Node::entries).iter();
    let pair = |entry: &crate::yaml::Entry| {
        entry.value.as_str().map(|value| (entry.key.clone(), value.to_owned()))
    };
    entries.filter_map(pair).collect()
}

/// Every `Destination` of a rule: of its routes and of its mirrors.
pub(crate) fn destination_nodes(route: &Node) -> impl Iterator<Item = &Node> {
    let routes = route.list("route").iter().filter_map(|node| node.get("destination"));
    let mirrors = route.list("mirrors").iter().filter_map(|node| node.get("destination"));
    routes.chain(route.get("mirror")).chain(mirrors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_entries_are_read_once_for_whoever_asks_of_the_instances_of_their_hosts() {
        let head = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\n";
        let text = format!(
            "{head}spec: {{hosts: [a.example], \
             ports: [{{number: 80, name: http, protocol: HTTP}}], \
             resolution: STATIC, endpoints: [{{address: 127.0.0.1}}]}}\n"
        );
        let known = Known::default();
        let applied = crate::Configuration::default().apply(&text, &known).unwrap();
        let resources: Vec<_> = applied.configuration.resources().cloned().collect();
        let context = Context::new(&known, &resources);
        assert_eq!(context.instances_of("a.example").map(|all| all.len()), Some(1));
        let read = context.external.get().map(std::ptr::from_ref);
        assert!(read.is_some());
        context.instances_of("a.example");
        assert_eq!(context.external.get().map(std::ptr::from_ref), read);
    }
}
