//! Which field of a fault is for which kinds, said once: what a command is checked by, and what
//! `docs/control.md` says.
//!
//! A field that a kind does not have changes nothing; who sends it expects something else of it.

use contract::{
    FieldError,
    resilience::{FaultKind as Kind, FaultPlace},
};

/// Kinds of faults that have a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    All,
    Calls,
    CallsAndBus,
    Instances,
    These(&'static [Kind]),
}

/// Every field that a command may have.
const FIELDS: [(&str, Of); 17] = [
    ("kind", Of::All),
    ("ttl_s", Of::All),
    ("to", Of::All),
    ("from", Of::CallsAndBus),
    ("percent", Of::CallsAndBus),
    ("instance", Of::Instances),
    ("subset", Of::Calls),
    ("route", Of::Calls),
    ("terms", Of::Calls),
    ("delay_ms", Of::These(&[Kind::Delay, Kind::Jitter, Kind::MessageDelay])),
    ("jitter_ms", Of::These(&[Kind::Jitter])),
    ("status", Of::These(&[Kind::Abort])),
    ("grpc_status", Of::These(&[Kind::Abort])),
    ("after_bytes", Of::These(&[Kind::PartialBody])),
    ("crash_at", Of::These(&[Kind::KillInstance])),
    ("limit", Of::CallsAndBus),
    ("like_istio", Of::Calls),
];

impl Of {
    fn has(self, kind: Kind) -> bool {
        match self {
            Self::All => true,
            Self::Calls => kind.place() == FaultPlace::Edge,
            Self::CallsAndBus => kind.place() != FaultPlace::Instance,
            Self::Instances => kind.place() == FaultPlace::Instance,
            Self::These(kinds) => kinds.contains(&kind),
        }
    }

    /// As the documents say it: "calls", "delay, jitter, message_delay".
    #[cfg(test)]
    fn words(self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Calls => "calls".to_owned(),
            Self::CallsAndBus => "calls, bus".to_owned(),
            Self::Instances => "instances".to_owned(),
            Self::These(kinds) => listed(kinds),
        }
    }
}

fn listed(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
}

/// The names of all fields that may be sent.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|(name, _)| *name)
}

/// Why this field cannot be there beside this kind; none when it can.
pub(crate) fn foreign(kind: Kind, field: &str) -> Option<FieldError> {
    let (_, of) = FIELDS.iter().find(|(name, _)| *name == field)?;
    if of.has(kind) {
        return None;
    }
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| of.has(*kind)).collect();
    let reason = format!("is only for {}, not for {}", listed(&kinds), kind.word());
    Some(FieldError::new(field, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_say_which_kinds_have_a_field() {
        let text = include_str!("../../../../docs/control.md");
        let rows = text.lines().skip_while(|line| !line.starts_with("| Field |")).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let told: Vec<(String, String)> = rows
            .map(|row| {
                let mut cells = row.split('|').skip(1).map(|cell| cell.trim().replace('`', ""));
                let mut cell = || cells.next().unwrap();
                let (field, of) = (cell(), cell());
                let of = of.split([':', ';']).next().unwrap().replace(", must be there", "");
                (field, of)
            })
            .collect();
        let known: Vec<_> =
            FIELDS.iter().map(|(name, of)| ((*name).to_owned(), of.words())).collect();
        assert_eq!(told, known);
    }

    #[test]
    fn every_field_of_a_command_has_its_kinds() {
        let command = contract::resilience::InjectFault::default();
        let command = serde_json::to_value(command).unwrap();
        let mut fields: Vec<_> = command.as_object().unwrap().keys().map(String::as_str).collect();
        let mut known: Vec<_> = names().collect();
        fields.sort_unstable();
        known.sort_unstable();
        assert_eq!(fields, known);
    }

    #[test]
    fn a_field_of_other_kinds_is_told_whose_it_is() {
        let why = |kind, field| foreign(kind, field).map(|error| error.reason);
        let only = "is only for kill_instance, pause_instance, not for delay";
        assert_eq!(why(Kind::Delay, "instance").as_deref(), Some(only));
        let only = "is only for delay, jitter, message_delay, not for abort";
        assert_eq!(why(Kind::Abort, "delay_ms").as_deref(), Some(only));
        let only = "is only for abort, not for kill_instance";
        assert_eq!(why(Kind::KillInstance, "status").as_deref(), Some(only));
        assert_eq!(why(Kind::KillInstance, "to"), None, "its service");
        assert_eq!(why(Kind::MessageLoss, "limit"), None);
    }
}
