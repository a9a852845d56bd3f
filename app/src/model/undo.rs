//! Undo and redo of a text.

/// Steps that can be undone: more than anybody remembers.
const STEPS_MAX: usize = 100;

/// Texts before and after the present one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    past: Vec<String>,
    future: Vec<String>,
}

impl History {
    /// The text changes: remembers what it was and forgets what was undone.
    pub fn record(&mut self, before: String) {
        if self.past.last() == Some(&before) {
            return;
        }
        self.past.push(before);
        let excess = self.past.len().saturating_sub(STEPS_MAX);
        self.past.drain(..excess);
        self.future.clear();
    }

    /// The text before, if there is one.
    pub fn undo(&mut self, now: String) -> Option<String> {
        let before = self.past.pop()?;
        self.future.push(now);
        Some(before)
    }

    /// The text that was undone last, if nothing was changed since.
    pub fn redo(&mut self, now: String) -> Option<String> {
        let after = self.future.pop()?;
        self.past.push(now);
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_undone_can_be_redone_until_something_changes() {
        let mut history = History::default();
        history.record("a".into());
        history.record("b".into());
        assert_eq!(history.undo("c".into()).as_deref(), Some("b"));
        assert_eq!(history.redo("b".into()).as_deref(), Some("c"));
        assert_eq!(history.undo("c".into()).as_deref(), Some("b"));
        history.record("b".into());
        assert_eq!(history.redo("x".into()), None);
        assert_eq!(history.undo("x".into()).as_deref(), Some("b"));
    }

    #[test]
    fn only_so_many_steps_are_kept() {
        let mut history = History::default();
        (0..500).for_each(|i| history.record(i.to_string()));
        let mut steps = 0;
        let mut now = "500".to_owned();
        while let Some(before) = history.undo(now.clone()) {
            now = before;
            steps += 1;
        }
        assert_eq!((steps, now.as_str()), (STEPS_MAX, "400"));
    }
}
