//! The faults there are, in words: labels, defaults, presets, what is wrong with a command.

use super::{breaker::left, tries};
use contract::{
    resilience::{CrashPoint, FaultKind, FaultPlace, FaultView, InjectFault, TTL_MAX_S},
    service,
    traffic::MeshView,
};

/// What the panel writes beside a kind.
#[must_use]
pub const fn label(kind: FaultKind) -> (&'static str, &'static str) {
    match kind {
        FaultKind::Delay => ("Delay", "hold requests, then pass them on"),
        FaultKind::Abort => ("Abort", "answer with an error instead"),
        FaultKind::Hang => ("Hang", "never answer"),
        FaultKind::Jitter => ("Jitter", "hold requests for a varying time"),
        FaultKind::PartialBody => ("Partial body", "break off in the middle of an answer"),
        FaultKind::ConnectionReset => ("Connection reset", "close without an answer"),
        FaultKind::KillInstance => ("Kill instance", "stop one process, restart later"),
        FaultKind::PauseInstance => ("Pause instance", "freeze one process, go on later"),
        FaultKind::MessageLoss => ("Message loss", "drop deliveries on the bus"),
        FaultKind::MessageDuplication => ("Message duplication", "deliver twice"),
        FaultKind::MessageDelay => ("Message delay", "deliver late"),
    }
}

/// A row of the inject panel: a kind, or a use of one that has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A kind as it is.
    Kind(FaultKind),
    /// All messages from one service to another are lost, both ways of thinking of it: publishers
    /// and consumers are split.
    Partition,
    /// An instance of a bank is killed while payments are under way.
    CrashBank,
}

impl Choice {
    /// What is offered first.
    pub const FIRST: [Self; 5] = [
        Self::Kind(FaultKind::Delay),
        Self::Kind(FaultKind::Abort),
        Self::Kind(FaultKind::KillInstance),
        Self::Partition,
        Self::CrashBank,
    ];
    /// Every other kind.
    pub const MORE: [Self; 8] = [
        Self::Kind(FaultKind::Hang),
        Self::Kind(FaultKind::Jitter),
        Self::Kind(FaultKind::PartialBody),
        Self::Kind(FaultKind::ConnectionReset),
        Self::Kind(FaultKind::PauseInstance),
        Self::Kind(FaultKind::MessageLoss),
        Self::Kind(FaultKind::MessageDuplication),
        Self::Kind(FaultKind::MessageDelay),
    ];

    /// Every row, in their order.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::FIRST.into_iter().chain(Self::MORE)
    }

    /// The word of forms and addresses: `delay`, `partition`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.word(),
            Self::Partition => "partition",
            Self::CrashBank => "crash_2pc",
        }
    }

    /// Reads [`Choice::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::all().find(|choice| choice.word() == word)
    }

    /// Its name, and one line of help.
    #[must_use]
    pub const fn label(self) -> (&'static str, &'static str) {
        match self {
            Self::Kind(kind) => label(kind),
            Self::Partition => ("Partition the bus", "publishers and consumers split"),
            Self::CrashBank => ("Crash in two-phase commit", "a bank, at a point you choose"),
        }
    }

    /// What the button says.
    #[must_use]
    pub fn button(self) -> String {
        match self {
            Self::Kind(kind) => button(kind),
            Self::Partition => self.label().0.into(),
            Self::CrashBank => "Crash the bank".into(),
        }
    }

    /// A command of it with the panel's defaults.
    #[must_use]
    pub fn defaults(self) -> InjectFault {
        match self {
            Self::Kind(kind) => defaults(kind),
            Self::Partition => InjectFault {
                from: service::ORDERS.into(),
                to: service::PAYMENTS.into(),
                percent: 100.0,
                ttl_s: 30,
                ..defaults(FaultKind::MessageLoss)
            },
            Self::CrashBank => InjectFault {
                ttl_s: 30,
                crash_at: Some(CrashPoint::AfterVote),
                ..defaults(FaultKind::KillInstance)
            },
        }
    }

    /// The size in a few words, as the command has it.
    #[must_use]
    pub fn size(self, fault: &InjectFault) -> String {
        match self {
            Self::Partition => tries::seconds(u64::from(fault.ttl_s) * 1_000),
            Self::Kind(_) | Self::CrashBank => size(fault),
        }
    }

    /// What it cannot do, said where it is chosen.
    #[must_use]
    pub const fn limits(self) -> Option<&'static str> {
        match self {
            Self::CrashBank => Some(
                "It crashes once, by the first transaction that comes to this point, and is down \
                 from then until the fault ends. The coordinator cannot be chosen: all instances \
                 of payments share its log and go on with each other's transactions.",
            ),
            Self::Partition => {
                Some("Messages stay in the sender's outbox and arrive when it ends.")
            }
            Self::Kind(_) => None,
        }
    }

    /// Whether an instance of this service can be chosen.
    #[must_use]
    pub fn takes(self, service: &str) -> bool {
        let bank = [service::BANK_CUSTOMER, service::BANK_MERCHANT].contains(&service);
        self != Self::CrashBank || bank
    }
}

/// A point of a two-phase commit: its name, and what a participant that crashes there leaves.
#[must_use]
pub const fn point(point: CrashPoint) -> (&'static str, &'static str) {
    match point {
        CrashPoint::BeforePrepare => ("before prepare", "nothing is written"),
        CrashPoint::AfterPrepare => ("after prepare", "its vote is lost"),
        CrashPoint::AfterVote => ("after vote", "in doubt until it restarts"),
        CrashPoint::OnDecision => ("on decision", "before commit or abort"),
        CrashPoint::AfterDecision => ("after decision", "its acknowledgement is lost"),
    }
}

/// Whether a kind has a delay.
#[must_use]
pub const fn delays(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Delay | FaultKind::Jitter | FaultKind::MessageDelay)
}

/// A command of a kind with the panel's defaults, on `to`.
#[must_use]
pub fn defaults(kind: FaultKind) -> InjectFault {
    let (percent, ttl_s) = match kind {
        FaultKind::Abort => (5.0, 300),
        FaultKind::KillInstance => (100.0, 45),
        FaultKind::PauseInstance => (100.0, 30),
        _ => (10.0, 300),
    };
    InjectFault {
        kind,
        percent,
        delay_ms: 2_000,
        jitter_ms: if matches!(kind, FaultKind::Jitter) { 1_000 } else { 0 },
        status: 503,
        ttl_s,
        ..InjectFault::default()
    }
}

/// The size of a fault in a few words: "10%, 2 s", "5%, 503", "45 s".
#[must_use]
pub fn size(fault: &InjectFault) -> String {
    let share = percent(fault.percent);
    let delay = tries::seconds(fault.delay_ms.into());
    match fault.kind {
        FaultKind::Delay | FaultKind::MessageDelay => format!("{share}, {delay}"),
        FaultKind::Jitter => {
            format!("{share}, {delay} ± {}", tries::seconds(fault.jitter_ms.into()))
        }
        FaultKind::Abort => format!("{share}, {}", fault.status),
        FaultKind::KillInstance | FaultKind::PauseInstance => {
            tries::seconds(u64::from(fault.ttl_s) * 1_000)
        }
        _ => share,
    }
}

/// `10%`, `0.5%`: a number of percent as it is typed.
#[must_use]
pub fn percent(value: f64) -> String {
    let text = format!("{value:.4}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// "Inject delay".
#[must_use]
pub fn button(kind: FaultKind) -> String {
    let words = label(kind).0.to_lowercase();
    if kind.place() == FaultPlace::Instance {
        label(kind).0.into()
    } else {
        format!("Inject {words}")
    }
}

/// Who calls: somebody outside, the load generator, and every service; the bus delivers.
pub fn callers() -> impl Iterator<Item = &'static str> {
    let services = service::SERVICES.iter().map(|known| known.name);
    [service::BROWSER, service::LOAD].into_iter().chain(services)
}

/// Who can be called: every service with instances, also those that resources brought along; those
/// of the shop first.
#[must_use]
pub fn destinations(mesh: &MeshView) -> Vec<String> {
    let place = |name: &str| {
        service::SERVICES.iter().position(|own| own.name == name).unwrap_or(usize::MAX)
    };
    let mut all: Vec<&String> = mesh.endpoints.iter().map(|line| &line.service).collect();
    all.sort_by_key(|name| (place(name), name.as_str()));
    all.dedup();
    all.into_iter().cloned().collect()
}

/// A command that is worth a try, under a name.
#[must_use]
pub fn presets() -> [(&'static str, InjectFault); 5] {
    let on = |from: &str, to: &str, fault: InjectFault| InjectFault {
        from: from.into(),
        to: to.into(),
        ..fault
    };
    let abort = defaults(FaultKind::Abort);
    [
        ("Payments fail", on("", "payments", InjectFault { percent: 50.0, ..abort })),
        ("Slow bank", on("payments", "bank-customer", defaults(FaultKind::Delay))),
        (
            "Recommendations hang",
            on(
                "gateway",
                "recommendations",
                InjectFault { percent: 100.0, ttl_s: 60, ..defaults(FaultKind::Hang) },
            ),
        ),
        ("Lossy bus", on("", "", defaults(FaultKind::MessageLoss))),
        (
            "Everything twice",
            on("", "", InjectFault { percent: 100.0, ..defaults(FaultKind::MessageDuplication) }),
        ),
    ]
}

/// Reads a number as it is typed into a field of the panel, and puts it into the command.
///
/// # Errors
/// What the field takes: the text is no number, or none that it takes. The command is as it was.
pub fn read(fault: &mut InjectFault, field: &str, text: &str) -> Result<(), &'static str> {
    const DELAY: &str = "A delay is 0.001 to 86400 seconds.";
    const JITTER: &str = "It is 0 to 86400 seconds.";
    const SHARE: &str = "A share is 0.0001 to 100%.";
    const STATUS: &str = "A status is 200 to 599.";
    const LIMIT: &str = "At least 1, or empty for all.";
    const TTL: &str = "It must end by itself, within an hour.";
    const POINT: &str = "Choose a point of the two-phase commit.";
    let text = text.trim();
    let ms = || tries::parse_seconds(text).and_then(|ms| u32::try_from(ms).ok());
    match field {
        "delay_s" => fault.delay_ms = ms().filter(|ms| *ms > 0).ok_or(DELAY)?,
        "jitter_s" => fault.jitter_ms = ms().ok_or(JITTER)?,
        "percent" => {
            let share = text.parse().ok().filter(|share| (0.0001..=100.0).contains(share));
            fault.percent = share.ok_or(SHARE)?;
        }
        "status" => {
            let status = text.parse().ok().filter(|status| (200..=599).contains(status));
            fault.status = status.ok_or(STATUS)?;
        }
        "limit" if text.is_empty() => fault.limit = None,
        "limit" => {
            let limit = text.parse().ok().filter(|limit| *limit > 0);
            fault.limit = Some(limit.ok_or(LIMIT)?);
        }
        "crash_at" if text.is_empty() => fault.crash_at = None,
        "crash_at" => fault.crash_at = Some(CrashPoint::parse(text).ok_or(POINT)?),
        "ttl_s" => {
            let ttl = text.parse().ok().filter(|ttl| (1..=TTL_MAX_S).contains(ttl));
            fault.ttl_s = ttl.ok_or(TTL)?;
        }
        _ => {}
    }
    Ok(())
}

/// What is wrong with a command, by field; empty when it can be sent.
#[must_use]
pub fn mistakes(fault: &InjectFault) -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    match fault.kind.place() {
        FaultPlace::Edge if fault.to.is_empty() => out.push(("to", "Say which service.")),
        FaultPlace::Instance if fault.instance.is_empty() => {
            out.push(("instance", "Say which instance."));
        }
        _ => {}
    }
    if fault.kind.place() != FaultPlace::Instance && !(0.0001..=100.0).contains(&fault.percent) {
        out.push(("percent", "A share is 0.0001 to 100%."));
    }
    if delays(fault.kind) && fault.delay_ms == 0 {
        out.push(("delay_s", "A delay of nothing is none."));
    }
    if fault.kind == FaultKind::Abort && !(200..=599).contains(&fault.status) {
        out.push(("status", "A status is 200 to 599."));
    }
    if fault.limit == Some(0) {
        out.push(("limit", "At least 1, or empty for all."));
    }
    if !(1..=TTL_MAX_S).contains(&fault.ttl_s) {
        out.push(("ttl_s", "It must end by itself, within an hour."));
    }
    out
}

/// When a fault ends: "restarts in 27 s", "until removed", "ended".
#[must_use]
pub fn ends(fault: &FaultView, now_us: i64, disconnected: bool) -> String {
    match (fault.ended_us, fault.until_us) {
        (Some(_), _) => "ended".into(),
        // What happens while nothing is heard is not known.
        (None, Some(at)) if disconnected => {
            format!("{} in at least {}", fault.then, left(at, now_us))
        }
        (None, Some(at)) => format!("{} in {}", fault.then, left(at, now_us)),
        (None, None) => "until removed".into(),
    }
}

/// What happens when a fault ends by itself, and when: "restarts in ", "27 s".
#[must_use]
pub fn countdown(fault: &FaultView, now_us: i64, disconnected: bool) -> Option<(String, String)> {
    let at = fault.until_us.filter(|_| fault.ended_us.is_none())?;
    let least = if disconnected { "at least " } else { "" };
    Some((format!("{} in ", fault.then), format!("{least}{}", left(at, now_us))))
}

/// "19 of 187 calls", "1 instance".
#[must_use]
pub fn hits(fault: &FaultView) -> String {
    let count = super::format::count;
    if fault.kind.place() == FaultPlace::Instance {
        return format!("{} {}", count(fault.injected), fault.unit);
    }
    format!("{} of {} {}", count(fault.injected), count(fault.matched), fault.unit)
}

/// "168 spared": the calls that a fault was for and left alone. Nothing where it takes each.
#[must_use]
pub fn spared(fault: &FaultView) -> String {
    match fault.spared {
        0 => String::new(),
        spared => format!("{} spared", super::format::count(spared)),
    }
}

/// Who asked for a fault; nothing when nobody said.
#[must_use]
pub fn asked_by(fault: &FaultView) -> String {
    match fault.by.as_str() {
        "" => String::new(),
        "page" => "from the page".to_owned(),
        other => format!("by {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::resilience::{EndpointLine, EndpointState};

    fn view(kind: FaultKind, until_us: Option<i64>) -> FaultView {
        FaultView {
            id: "F-21".into(),
            kind,
            what: "Delay 2 s on 10%".into(),
            from: None,
            to: "payments".into(),
            place: "payments".into(),
            since_us: 0,
            until_us,
            then: "ends".into(),
            ended_us: None,
            matched: 2_215,
            injected: 112,
            spared: 2_103,
            unit: "calls".into(),
            trace_id: None,
            stands_for: "VirtualService".into(),
            object: None,
            by: "page".into(),
            again: None,
        }
    }

    #[test]
    fn a_fault_says_who_asked_for_it() {
        let by = |by: &str| asked_by(&FaultView { by: by.into(), ..view(FaultKind::Delay, None) });
        assert_eq!(by("page"), "from the page");
        assert_eq!(by("marie@pc"), "by marie@pc");
        assert_eq!(by(""), "");
    }

    #[test]
    fn every_kind_has_a_label_and_defaults_that_can_be_sent_once_they_have_a_place() {
        for kind in FaultKind::ALL {
            let (word, hint) = label(kind);
            assert!(!word.is_empty() && !hint.is_empty());
            let placed = InjectFault { to: "a".into(), instance: "a-0".into(), ..defaults(kind) };
            assert_eq!(mistakes(&placed), [], "{word}");
            assert_eq!(FaultKind::parse(kind.word()), Some(kind));
        }
    }

    #[test]
    fn every_row_of_the_panel_is_found_by_its_word_and_offers_each_kind_once() {
        for choice in Choice::all() {
            assert_eq!(Choice::parse(choice.word()), Some(choice));
            let usual = choice.defaults();
            assert!(!choice.label().1.is_empty() && !choice.size(&usual).is_empty());
            let placed = InjectFault { to: "a".into(), instance: "a-1".into(), ..usual };
            assert_eq!(mistakes(&placed), [], "{}", choice.word());
        }
        let kinds = Choice::all().filter(|choice| matches!(choice, Choice::Kind(_))).count();
        assert_eq!(kinds, FaultKind::ALL.len());
        assert_eq!(Choice::Partition.button(), "Partition the bus");
        assert!(Choice::CrashBank.takes("bank-customer") && !Choice::CrashBank.takes("users"));
        assert!(Choice::Kind(FaultKind::KillInstance).takes("users"));
    }

    #[test]
    fn a_crash_in_two_phase_commit_is_at_a_point_that_has_a_name_of_the_protocol() {
        assert_eq!(Choice::CrashBank.defaults().crash_at, Some(CrashPoint::AfterVote));
        let mut fault = Choice::CrashBank.defaults();
        for at in CrashPoint::ALL {
            assert_eq!(read(&mut fault, "crash_at", at.word()), Ok(()));
            assert_eq!(fault.crash_at, Some(at));
            let name = at.word().replace('_', " ");
            assert_eq!(point(at).0, name);
        }
        assert_eq!(defaults(FaultKind::KillInstance).crash_at, None, "which kills at once");
    }

    #[test]
    fn presets_can_be_sent_as_they_are() {
        for (name, fault) in presets() {
            assert_eq!(mistakes(&fault), [], "{name}");
        }
    }

    #[test]
    fn sizes_are_written_as_the_panel_lists_them() {
        let of = |kind| size(&defaults(kind));
        assert_eq!(of(FaultKind::Delay), "10%, 2 s");
        assert_eq!(of(FaultKind::Abort), "5%, 503");
        assert_eq!(of(FaultKind::KillInstance), "45 s");
        assert_eq!(of(FaultKind::Jitter), "10%, 2 s ± 1 s");
        assert_eq!((percent(0.5), percent(10.0)), ("0.5%".into(), "10%".into()));
        assert_eq!(button(FaultKind::Delay), "Inject delay");
        assert_eq!(button(FaultKind::KillInstance), "Kill instance");
    }

    #[test]
    fn a_number_that_a_field_does_not_take_is_refused_with_the_reason_and_changes_nothing() {
        let usual = defaults(FaultKind::Jitter);
        for (field, texts) in [
            ("delay_s", &["-4", "0", "abc", "", "1e9", "NaN"][..]),
            ("jitter_s", &["-1", "abc", ""]),
            ("percent", &["250", "0", "-1", "abc", "", "NaN", "inf"]),
            ("status", &["199", "600", "-1", "abc", ""]),
            ("limit", &["0", "-1", "abc", "1.5"]),
            ("ttl_s", &["0", "3601", "abc", ""]),
            ("crash_at", &["abc", "after vote"]),
        ] {
            for text in texts {
                let mut fault = usual.clone();
                assert!(read(&mut fault, field, text).is_err(), "{field} {text}");
                assert_eq!(fault, usual, "{field} {text}");
            }
        }
        let mut fault = usual;
        let typed = [("delay_s", " 0.5 "), ("percent", "0.5"), ("status", "429"), ("limit", "3")];
        assert!(typed.iter().all(|(field, text)| read(&mut fault, field, text).is_ok()));
        assert_eq!((fault.delay_ms, fault.status, fault.limit), (500, 429, Some(3)));
        assert_eq!((read(&mut fault, "limit", " "), fault.limit), (Ok(()), None));
    }

    #[test]
    fn whoever_has_an_instance_can_be_called_also_what_resources_brought_along() {
        let line = |service: &str| EndpointLine {
            instance: format!("{service}-1"),
            service: service.into(),
            subset: None,
            state: EndpointState::Ready,
            ejected_until_us: None,
        };
        let services = ["stripe", "users", "echo.internal", "users", "gateway"];
        let mesh = MeshView { endpoints: services.map(line).into(), ..MeshView::default() };
        assert_eq!(destinations(&mesh), ["gateway", "users", "echo.internal", "stripe"]);
        let callers: Vec<_> = callers().collect();
        for caller in ["browser", "load", "gateway", "bus", "bank-merchant"] {
            assert!(callers.contains(&caller), "{caller}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let wrong =
            InjectFault { percent: 0.0, ttl_s: 0, delay_ms: 0, ..defaults(FaultKind::Delay) };
        let fields: Vec<_> = mistakes(&wrong).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["to", "percent", "delay_s", "ttl_s"]);
    }

    #[test]
    fn the_end_of_a_fault_is_counted_down_and_is_at_least_so_far_when_nothing_is_heard() {
        let fault = view(FaultKind::Delay, Some(27_000_000));
        assert_eq!(ends(&fault, 0, false), "ends in 27 s");
        assert_eq!(ends(&fault, 0, true), "ends in at least 27 s");
        assert_eq!(ends(&view(FaultKind::Delay, None), 0, false), "until removed");
    }

    #[test]
    fn a_fault_says_of_how_many_calls_it_touched_which_and_how_many_it_left_alone() {
        let fault = view(FaultKind::Delay, None);
        assert_eq!(hits(&fault), "112 of 2\u{202f}215 calls");
        assert_eq!(spared(&fault), "2\u{202f}103 spared");
        let all = FaultView { injected: 2_215, spared: 0, ..fault };
        assert_eq!(spared(&all), "");
    }
}
