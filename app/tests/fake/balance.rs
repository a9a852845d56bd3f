//! The balancing of payments: a ring over three instances of v1, of which one is killed; v2 has one
//! instance and no policy of its own, users nothing.

use contract::{
    ApiError,
    balance::{
        ArcView, AskBalance, BalanceView, HashView, InstancePhase, InstanceView, KeyView,
        LeavingView, LeftView, PolicyView, PoolTab, PoolView, RuleView, WHOLE,
    },
};

fn instance(name: &str, configured: f64, picked: u64) -> InstanceView {
    #[expect(clippy::cast_precision_loss, reason = "picks of a minute")]
    let observed = Some(picked as f64 / 200.0);
    let leaving = LeavingView {
        moved: configured + 0.01,
        own: configured,
        needless: 0.01,
        to: vec![("payments-v1-2".into(), configured + 0.01)],
    };
    InstanceView {
        instance: name.into(),
        version: Some("v1".into()),
        in_pool: true,
        warm: 1.0,
        configured,
        observed,
        picked,
        active: 2,
        leaving: Some(leaving),
        ..InstanceView::default()
    }
}

fn ring() -> PoolView {
    let hash = HashView {
        field: "httpHeaderName".into(),
        name: "x-user-id".into(),
        table: "RING_HASH".into(),
        size_field: "minimumRingSize".into(),
        size: 1_024,
        positions: 1_536,
    };
    let policy =
        PolicyView { name: "consistentHash".into(), hash: Some(hash), ..PolicyView::default() };
    let killed =
        InstanceView { phase: InstancePhase::Killed, ..instance("payments-v1-3", 0.2, 30) };
    PoolView {
        id: "v1".into(),
        label: "v1".into(),
        policy,
        rule: Some(RuleView { name: "payments".into(), lines: Some((37, 40)) }),
        picked: 200,
        instances: vec![
            instance("payments-v1-1", 0.5, 110),
            instance("payments-v1-2", 0.3, 60),
            killed,
        ],
        ..PoolView::default()
    }
}

/// Two pools without a written policy: of one instance, and of several without traffic.
fn unwritten(id: &str, label: &str, names: &[&str]) -> PoolView {
    let name = "LEAST_REQUEST".to_owned();
    #[expect(clippy::cast_precision_loss, reason = "a few instances")]
    let each = 1.0 / names.len() as f64;
    let idle =
        |name: &&str| InstanceView { observed: None, leaving: None, ..instance(name, each, 0) };
    PoolView {
        id: id.into(),
        label: label.into(),
        policy: PolicyView { name, default: true, ..PolicyView::default() },
        instances: names.iter().map(idle).collect(),
        ..PoolView::default()
    }
}

/// What is told of a host.
pub fn told(host: &str, asked: AskBalance) -> Result<BalanceView, ApiError> {
    let pools = match host {
        "payments" => vec![ring(), unwritten("v2", "v2", &["payments-v2-1"])],
        _ => vec![unwritten(WHOLE, "all instances", &["users-v1-1", "users-v1-2"])],
    };
    let tab = |pool: &PoolView| PoolTab {
        id: pool.id.clone(),
        label: pool.label.clone(),
        picked: pool.picked,
    };
    let tabs = pools.iter().map(tab).collect();
    let wanted = asked.pool.as_deref();
    let mut pools = pools.into_iter();
    let shown = pools.find(|pool| wanted.is_none_or(|wanted| pool.id == wanted));
    let what = format!("pool {} of {host}", wanted.unwrap_or_default());
    let shown = shown.ok_or(ApiError::NotFound { what })?;
    let arc = |from, to, owner| ArcView { from, to, owner };
    let arcs = match shown.policy.hash {
        Some(_) => vec![arc(0, 500_000, 0), arc(500_000, 800_000, 1), arc(800_000, 1_000_000, 2)],
        None => Vec::new(),
    };
    let key = asked.key.map(|key| KeyView {
        key,
        hash: "44bc2cf5ad770999".into(),
        at: 610_000,
        instance: Some("payments-v1-2".into()),
        due: Some("payments-v1-2".into()),
        after: asked.left.as_ref().map(|_| "payments-v1-1".into()),
    });
    let left = asked.left.map(|instance| LeftView { instance, arcs: vec![arc(0, 500_000, 1)] });
    Ok(BalanceView { host: host.into(), pools: tabs, shown, arcs, key, left })
}
