//! The seven tones a state can have. A tone is a CSS class; the word beside it says the state.

/// The tone of a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Nothing to say.
    #[default]
    Neutral,
    /// Healthy, done.
    Ok,
    /// Slow, or an injected fault.
    Warn,
    /// Failed.
    Error,
    /// Breaker open, endpoint ejected.
    Open,
    /// Breaker half-open, participant prepared or in doubt.
    Half,
    /// Compensated, aborted, undone.
    Comp,
    /// Draft, note, yours.
    Info,
}

impl Tone {
    /// The word used in class names and in the contract: `ok`, `warn`, `error` …
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Open => "open",
            Self::Half => "half",
            Self::Comp => "comp",
            Self::Info => "info",
        }
    }

    /// Class that sets the text colour and `--tone`: `tone-ok`.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Neutral => "tone-neutral",
            Self::Ok => "tone-ok",
            Self::Warn => "tone-warn",
            Self::Error => "tone-error",
            Self::Open => "tone-open",
            Self::Half => "tone-half",
            Self::Comp => "tone-comp",
            Self::Info => "tone-info",
        }
    }

    /// Reads the word of the contract; anything else is neutral.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        [Self::Ok, Self::Warn, Self::Error, Self::Open, Self::Half, Self::Comp, Self::Info]
            .into_iter()
            .find(|tone| tone.word() == word)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tone_is_found_by_its_word_and_an_unknown_word_is_neutral() {
        for tone in
            [Tone::Ok, Tone::Warn, Tone::Error, Tone::Open, Tone::Half, Tone::Comp, Tone::Info]
        {
            assert_eq!(Tone::from_word(tone.word()), tone);
        }
        assert_eq!(Tone::from_word("purple"), Tone::Neutral);
    }
}
