//! How calls are balanced, as pages and programs see it: engine types turned into views, each with
//! the lines of the `DestinationRule` that say so.

use super::{documents, rates::ratio, read_form::last_line};
use crate::control::Control;
use contract::{
    ApiError, FieldError,
    balance::{
        ArcView, AskBalance, BalanceView, HashView, HostBalance, InstancePhase, InstanceView,
        KEY_BYTES_MAX, KeyView, LeavingView, LeftView, PolicyView, PoolTab, PoolView, RING_LENGTH,
        RuleView, Untold, WHOLE, WarmupView,
    },
    service::GATEWAY,
};
use istio::{
    KnownService,
    policy::{Action, HashKey, HashTable, LoadBalancer, Policy},
    yaml::Node,
};
use mesh::{InstanceBalance, LOOK_SLOTS_MAX, Leaving, Mesh, Phase, Pool, PoolBalance, Stretch};

/// Every pool of every host, without the arcs of rings. All tables together are gone through up to
/// [`LOOK_SLOTS_MAX`] slots, which takes its time: to be called where no request waits.
pub(crate) fn all(control: &Control, mesh: &Mesh) -> Vec<HostBalance> {
    within(control, mesh, LOOK_SLOTS_MAX)
}

fn within(control: &Control, mesh: &Mesh, mut slots: usize) -> Vec<HostBalance> {
    let known = control.known().services.iter();
    let of = |service: &KnownService| {
        let documents = written(control, service);
        let mut told = |mut pool: PoolBalance| {
            slots -= pool.look(slots);
            view(&pool, &documents)
        };
        let pools = mesh.balance(&service.name)?.into_iter().map(&mut told).collect();
        Some(HostBalance { host: service.name.clone(), pools })
    };
    known.filter_map(of).collect()
}

/// One pool of a host, and what is asked about it. To be called as [`all`] is.
///
/// # Errors
/// There is no such pool or instance, or a key is longer than any is.
pub(crate) fn one(
    control: &Control,
    mesh: &Mesh,
    service: &KnownService,
    asked: &AskBalance,
) -> Result<BalanceView, ApiError> {
    let missing = |what: String| ApiError::NotFound { what };
    if asked.key.as_ref().is_some_and(|key| key.len() > KEY_BYTES_MAX) {
        let reason = format!("At most {KEY_BYTES_MAX} bytes are a key.");
        return Err(ApiError::Invalid { fields: vec![FieldError::new("key", reason)] });
    }
    let host = &service.name;
    let mut pools = mesh.balance(host).ok_or_else(|| missing(format!("instance of {host}")))?;
    let wanted = match &asked.pool {
        Some(id) => id.clone(),
        None => mostly(&mesh.in_force().policy, host).unwrap_or_else(|| WHOLE.to_owned()),
    };
    let found = pools.iter().position(|pool| id(&pool.pool) == wanted);
    // What most requests are sent to may be a subset that no rule has.
    let found = found.or_else(|| asked.pool.is_none().then_some(0));
    let tabs = pools.iter().map(tab).collect();
    let shown = found.and_then(|at| pools.get_mut(at));
    let shown = shown.ok_or_else(|| missing(format!("pool {wanted} of {host}")))?;
    shown.look(LOOK_SLOTS_MAX);
    let shown = &*shown;
    let there = |left: &str| shown.instances.iter().any(|one| *one.instance == *left);
    let left = match asked.left.as_deref() {
        None => None,
        // Without an arc it would seem that nothing moves.
        Some(left) if there(left) && !shown.leaving_told() => None,
        Some(left) if there(left) => Some((left, shown.moves(left).unwrap_or_default())),
        Some(left) => return Err(missing(format!("instance {left} in {}", name(&shown.pool)))),
    };
    let key = asked.key.as_deref().and_then(|key| {
        let owner = shown.key(key, asked.left.as_deref())?;
        let name = |instance: Option<std::sync::Arc<str>>| instance.map(|i| i.to_string());
        Some(KeyView {
            key: key.to_owned(),
            hash: format!("{:016x}", owner.hash),
            at: millionths(owner.at),
            instance: name(owner.instance),
            due: name(owner.due),
            after: name(owner.after),
        })
    });
    Ok(BalanceView {
        host: host.clone(),
        pools: tabs,
        arcs: shown.arcs().iter().map(arc).collect(),
        shown: view(shown, &written(control, service)),
        key,
        left: left.map(|(instance, arcs)| LeftView {
            instance: instance.to_owned(),
            arcs: arcs.iter().map(arc).collect(),
        }),
    })
}

/// The documents of the host's page, with the lines they have there.
fn written(control: &Control, service: &KnownService) -> Vec<Node> {
    let text = documents::text(&control.configuration(), service);
    documents::read(&text).unwrap_or_default()
}

/// The subset that the last rule of the host sends most to: what takes the rest.
fn mostly(policy: &Policy, host: &str) -> Option<String> {
    let virtual_host = policy.virtual_host(host, host, host == GATEWAY)?;
    let Action::Forward(to) = &virtual_host.routes.last()?.action else { return None };
    let here = to.iter().filter(|to| &*to.service == host);
    here.rev().max_by_key(|to| to.weight)?.subset.as_ref().map(ToString::to_string)
}

/// "app=orders".
fn callers(pool: &Pool) -> Option<String> {
    let labels = pool.callers.as_ref()?.iter().map(|(name, value)| format!("{name}={value}"));
    Some(labels.collect::<Vec<_>>().join(","))
}

fn id(pool: &Pool) -> String {
    let subset = pool.subset.as_deref().unwrap_or(WHOLE);
    callers(pool).map_or_else(|| subset.to_owned(), |callers| format!("{subset}~{callers}"))
}

fn label(pool: &Pool) -> String {
    let subset = pool.subset.as_deref().unwrap_or("all instances");
    callers(pool).map_or_else(|| subset.to_owned(), |callers| format!("{subset} for {callers}"))
}

/// For sentences: "payments v2".
fn name(pool: &Pool) -> String {
    let subset = pool.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
    format!("{}{subset}", pool.service)
}

fn picked(pool: &PoolBalance) -> u64 {
    pool.instances.iter().map(|instance| instance.picked).sum()
}

fn tab(pool: &PoolBalance) -> PoolTab {
    PoolTab { id: id(&pool.pool), label: label(&pool.pool), picked: picked(pool) }
}

fn untold(pool: &PoolBalance) -> Option<Untold> {
    match (pool.shares_told(), pool.leaving_told()) {
        (true, true) => None,
        (true, false) => Some(Untold::Leaving),
        (false, _) => Some(Untold::Shares),
    }
}

fn view(pool: &PoolBalance, documents: &[Node]) -> PoolView {
    // A service whose subsets are implied has a policy that nobody wrote.
    let origin = pool.origin.as_ref().filter(|origin| !origin.kind.is_empty());
    let rule = origin.map(|origin| {
        let own = documents::title(&origin.namespace, &origin.name);
        let found = lines(documents, &own, pool.pool.subset.as_deref());
        let (name, lines) = found.map_or((own, None), |(name, lines)| (name, Some(lines)));
        RuleView { name, lines }
    });
    let all = picked(pool);
    PoolView {
        id: id(&pool.pool),
        label: label(&pool.pool),
        policy: PolicyView {
            default: rule.as_ref().is_none_or(|rule| rule.lines.is_none()),
            ..policy_view(pool)
        },
        rule,
        panic: pool.panic,
        outlier: pool.outlier,
        picked: all,
        unkeyed: pool.unkeyed,
        untold: untold(pool),
        instances: pool.instances.iter().map(|one| instance(one, pool, all)).collect(),
    }
}

/// Where the `loadBalancer` of a pool is written: in its subset, else for all of the host, as the
/// rule of that title has it, else another that says something of the host.
fn lines(documents: &[Node], own: &str, subset: Option<&str>) -> Option<(String, (u32, u32))> {
    let rules = || documents.iter().filter(|doc| doc.str("kind") == Some("DestinationRule"));
    let titled = |doc: &&Node| documents::title_of(doc) == own;
    let rules = rules().filter(titled).chain(rules().filter(|doc| !titled(doc)));
    let found = rules.filter_map(|rule| {
        let spec = rule.get("spec")?;
        let mut subsets = spec.list("subsets").iter();
        let subset = subset.and_then(|name| subsets.find(|node| node.str("name") == Some(name)));
        let (first, last) = subset.and_then(balancer).or_else(|| balancer(spec))?;
        Some((documents::title_of(rule), (first, last)))
    });
    found.into_iter().next()
}

/// The lines of the `loadBalancer` in a `trafficPolicy`, settings of a port among it.
fn balancer(node: &Node) -> Option<(u32, u32)> {
    let policy = node.get("trafficPolicy")?;
    let ports = policy.list("portLevelSettings").iter();
    let entry = ports.chain([policy]).find_map(|settings| settings.entry("loadBalancer"))?;
    Some((entry.at.line, last_line(&entry.value).max(entry.at.line)))
}

fn policy_view(pool: &PoolBalance) -> PolicyView {
    let (name, hash) = match &pool.policy {
        LoadBalancer::LeastRequest => ("LEAST_REQUEST", None),
        LoadBalancer::RoundRobin => ("ROUND_ROBIN", None),
        LoadBalancer::Random => ("RANDOM", None),
        LoadBalancer::ConsistentHash { key, table } => {
            let (field, name) = hashed(key);
            let (table, size_field, size) = match table {
                HashTable::Ring { minimum_size } => ("RING_HASH", "minimumRingSize", *minimum_size),
                HashTable::Maglev { size } => ("MAGLEV", "tableSize", *size),
            };
            let positions = pool.positions().and_then(|count| u64::try_from(count).ok());
            let hash = HashView {
                field: field.to_owned(),
                name,
                table: table.to_owned(),
                size_field: size_field.to_owned(),
                size,
                positions: positions.unwrap_or_default(),
            };
            ("consistentHash", Some(hash))
        }
    };
    let warmup = pool.warmup.as_ref().map(|warmup| WarmupView {
        duration_ms: u64::try_from(warmup.duration.as_millis()).unwrap_or(u64::MAX),
        minimum_percent: warmup.minimum_percent,
        aggression: warmup.aggression,
    });
    PolicyView { name: name.to_owned(), default: false, hash, warmup }
}

/// The field that says what is hashed, and its name.
fn hashed(key: &HashKey) -> (&'static str, String) {
    match key {
        HashKey::Header(name) => ("httpHeaderName", name.to_string()),
        HashKey::Cookie { name, .. } => ("httpCookie", name.clone()),
        HashKey::Query(name) => ("httpQueryParameterName", name.clone()),
        HashKey::SourceIp => ("useSourceIp", String::new()),
    }
}

fn instance(one: &InstanceBalance, pool: &PoolBalance, all: u64) -> InstanceView {
    let version = one.labels.iter().find(|(name, _)| name == "version");
    InstanceView {
        instance: one.instance.to_string(),
        version: version.map(|(_, version)| version.clone()),
        phase: match one.phase {
            Phase::Ready => InstancePhase::Ready,
            Phase::Paused => InstancePhase::Paused,
            Phase::Killed => InstancePhase::Killed,
        },
        ejected_until_us: one.ejected_until_us,
        in_pool: one.in_pool,
        warm: one.warm,
        configured: one.configured,
        observed: ratio(one.picked, all),
        picked: one.picked,
        active: one.active,
        leaving: one.leaving.as_ref().map(|leaving| leaving_view(leaving, pool)),
    }
}

fn leaving_view(leaving: &Leaving, pool: &PoolBalance) -> LeavingView {
    let names = pool.instances.iter().map(|instance| instance.instance.to_string());
    let to = names.zip(leaving.to.iter().copied()).filter(|(_, share)| *share > 0.0);
    LeavingView {
        moved: leaving.moved,
        own: leaving.own,
        needless: leaving.needless,
        to: to.collect(),
    }
}

fn arc(stretch: &Stretch) -> ArcView {
    ArcView {
        from: millionths(stretch.from),
        to: millionths(stretch.to),
        owner: usize::try_from(stretch.owner).unwrap_or_default(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 1 become 0 to a million"
)]
fn millionths(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(RING_LENGTH)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use base::{Clock, Supervisor};
    use mesh::BreakerParams;
    use storage::Durability;

    const RULE: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: catalog
spec:
  host: catalog
  trafficPolicy:
    loadBalancer:
      consistentHash:
        httpHeaderName: x-user-id
  subsets:
  - name: v1
    labels: {version: v1}
  - name: v2
    labels: {version: v2}
    trafficPolicy:
      loadBalancer:
        simple: RANDOM
";

    #[test]
    fn a_policy_is_found_in_its_subset_else_for_the_whole_host_else_in_another_rule() {
        let documents = documents::read(RULE).unwrap();
        let found = |own: &str, subset| lines(&documents, own, subset).map(|(_, lines)| lines);
        assert_eq!(found("catalog", None), Some((8, 10)));
        assert_eq!(found("catalog", Some("v1")), Some((8, 10)));
        assert_eq!(found("catalog", Some("v2")), Some((17, 18)));
        let (name, _) = lines(&documents, "other", Some("v2")).unwrap();
        assert_eq!(name, "catalog");
        let silent = documents::read("kind: DestinationRule\nspec: {host: catalog}\n").unwrap();
        assert!(lines(&silent, "catalog", None).is_none());
    }

    #[tokio::test]
    async fn the_tables_of_one_answer_are_gone_through_up_to_a_bound_and_it_says_what_is_not_told()
    {
        let (clock, folder) = (Clock::system(), tempfile::tempdir().unwrap());
        let mesh = Mesh::new(clock.clone(), BreakerParams::default());
        mesh.register("catalog", Router::new());
        let stores = storage::open(folder.path(), Durability::Process, &clock).await.unwrap();
        let (supervisor, _ends) = Supervisor::new();
        let (known, log) = (crate::instances::known(&mesh), stores.revisions.clone());
        let opened = Control::open(mesh.clone(), clock, known, log, RULE, &supervisor).await;
        let control = opened.unwrap();
        // A ring of 1,024 points for all instances, the same for v1, and each once without its
        // only one.
        for (slots, all, v1) in [
            (1_023, Some(Untold::Shares), Some(Untold::Shares)),
            (2_048, None, Some(Untold::Shares)),
            (3_072, None, Some(Untold::Leaving)),
            (4_096, None, None),
        ] {
            let hosts = within(&control, &mesh, slots);
            let catalog = hosts.iter().find(|host| host.host == "catalog").unwrap();
            let untold: Vec<_> = catalog.pools.iter().map(|pool| pool.untold).collect();
            assert_eq!(untold, [all, v1, None], "{slots}");
            assert_eq!(catalog.pools[1].instances[0].configured, 1.0);
        }
    }

    #[test]
    fn a_pool_for_some_callers_has_its_own_id_and_says_for_whom() {
        let mut pool = Pool { service: "a".into(), subset: Some("v1".into()), callers: None };
        assert_eq!(
            (id(&pool), label(&pool), name(&pool)),
            ("v1".into(), "v1".into(), "a v1".into())
        );
        pool.callers = Some([("app".to_owned(), "orders".to_owned())].into());
        assert_eq!((id(&pool), label(&pool)), ("v1~app=orders".into(), "v1 for app=orders".into()));
        pool.subset = None;
        let whole = ("*~app=orders".to_owned(), "all instances for app=orders".to_owned());
        assert_eq!((id(&pool), label(&pool)), whole);
    }
}
