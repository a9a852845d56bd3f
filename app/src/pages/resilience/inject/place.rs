//! Where a fault takes effect: an edge, the bus, an instance, and at which point a bank crashes.

use super::{Panel, make};
use crate::{
    live::use_live,
    model::fault::{self, Choice},
    widget::{Field, ServiceCode, field},
};
use contract::{
    resilience::{CrashPoint, FaultPlace, InjectFault},
    service::{CONSUMERS, PRODUCERS},
};
use leptos::prelude::*;

/// Names to choose from, after a word for none of them.
fn options(none: &str, names: impl IntoIterator<Item = impl Into<String>>) -> field::Options {
    let names = names.into_iter().map(Into::into);
    let all = names.map(|name: String| (name.clone(), name));
    std::iter::once((String::new(), none.to_owned())).chain(all).collect()
}

/// Both ends of an edge: whoever calls, and whatever can be called now.
fn edge(panel: Panel) -> AnyView {
    let mesh = use_live().mesh();
    let called = Memo::new(move |_| {
        mesh.with(|mesh| options("choose a service", fault::destinations(mesh)))
    });
    ends(panel, options("any caller", fault::callers()), called.into(), true)
}

/// Both ends of a message.
fn bus(panel: Panel) -> AnyView {
    let consumers = Signal::stored(options("any consumer", CONSUMERS));
    ends(panel, options("any producer", PRODUCERS), consumers, false)
}

/// The fields of the place that the chosen kind has.
pub(super) fn fields(panel: Panel) -> AnyView {
    let place = Memo::new(move |_| panel.command.with(|now| now.kind.place() as u8));
    (move || {
        // Read, not only tracked: a memo that nobody reads knows nothing of its sources.
        let _ = place.get();
        match panel.command.with_untracked(|now| now.kind.place()) {
            FaultPlace::Instance => instance(panel),
            FaultPlace::Edge => edge(panel),
            FaultPlace::Bus => bus(panel),
        }
    })
    .into_any()
}

/// The code of a service beside its field; nothing for any.
fn code(name: Memo<String>) -> AnyView {
    (move || {
        let name = name.get();
        (!name.is_empty()).then(|| view! { <ServiceCode service=name/> })
    })
    .into_any()
}

fn ends(panel: Panel, from: field::Options, to: Signal<field::Options>, subsets: bool) -> AnyView {
    let mesh = use_live().mesh();
    let versions = Memo::new(move |_| {
        let to = panel.command.with(|now| now.to.clone());
        let known = mesh.with(|mesh| {
            // Where no route names versions nothing is sent to one by its name.
            let host = mesh.hosts.iter().find(|host| host.service == to && !host.pooled)?;
            Some(host.lanes.iter().map(|lane| lane.subset.clone()).collect::<Vec<_>>())
        });
        known.unwrap_or_default()
    });
    let options = Signal::derive(move || {
        let all = versions.get().into_iter().map(|v| (v.clone(), v));
        std::iter::once((String::new(), "all versions".to_owned())).chain(all).collect::<Vec<_>>()
    });
    let caller = make(panel, "Caller", "from", |f| f.from.clone(), |f, t| f.from = t.into());
    let callee = make(
        panel,
        "Destination",
        "to",
        |f| f.to.clone(),
        |f, t| {
            f.to = t.into();
            f.subset.clear();
        },
    );
    let caller_name = Memo::new(move |_| panel.command.with(|now| now.from.clone()));
    let callee_name = Memo::new(move |_| panel.command.with(|now| now.to.clone()));
    let version =
        make(panel, "Version", "subset", |f| f.subset.clone(), |f, t| f.subset = t.into());
    view! {
        <div class="inject-row">
            <span class="policy-label">"Where"</span>
            {code(caller_name)}
            {field::select(caller, Signal::stored(from))}
            <span class="hint">"›"</span>
            {code(callee_name)}
            {field::select(callee, to)}
        </div>
        <div class="inject-row" class:gone=move || !subsets || versions.with(Vec::is_empty)>
            <span class="policy-label">"Version"</span>
            {field::select(version, options)}
        </div>
    }
    .into_any()
}

fn instance(panel: Panel) -> AnyView {
    let mesh = use_live().mesh();
    let options = Signal::derive(move || {
        let choice = panel.choice.get();
        let all = mesh.with(|mesh| {
            mesh.endpoints
                .iter()
                .filter(|e| choice.takes(&e.service))
                .map(|e| (e.instance.clone(), e.instance.clone()))
                .collect::<Vec<_>>()
        });
        std::iter::once((String::new(), "choose an instance".to_owned()))
            .chain(all)
            .collect::<Vec<_>>()
    });
    let set = Callback::new(move |name: String| {
        let service = mesh.with_untracked(|mesh| {
            let found = mesh.endpoints.iter().find(|e| e.instance == name);
            found.map(|e| e.service.clone()).unwrap_or_default()
        });
        panel.edit(&|now| {
            now.instance.clone_from(&name);
            now.to.clone_from(&service);
        });
    });
    let made = make(panel, "Instance", "instance", |f| f.instance.clone(), |_, _| {});
    let crashes = move || (panel.choice.get() == Choice::CrashBank).then(|| point(panel));
    view! {
        <div class="inject-row">
            <span class="policy-label">"Where"</span>
            {field::select(Field { on: set, ..made }, options)}
        </div>
        {crashes}
    }
    .into_any()
}

/// At which point of a transaction it crashes.
fn point(panel: Panel) -> AnyView {
    let word = |f: &InjectFault| f.crash_at.map(CrashPoint::word).unwrap_or_default().to_owned();
    let made = make(panel, "Point of the two-phase commit", "crash_at", word, |now, text| {
        let _ = fault::read(now, "crash_at", text);
    });
    let options = CrashPoint::ALL.map(|at| {
        let (name, leaves) = fault::point(at);
        (at.word().to_owned(), format!("{name}: {leaves}"))
    });
    view! {
        <div class="inject-row">
            <span class="policy-label">"Crashes"</span>
            {field::select(made, Signal::stored(options.to_vec()))}
        </div>
    }
    .into_any()
}
