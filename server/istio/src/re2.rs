//! RE2 expressions as expressions of the `regex` crate.
//!
//! The two are cousins. Where they differ, RE2 decides what an expression means: classes are ASCII,
//! a bracket within a class is a bracket, `\Q…\E` quotes. What only `regex` knows is refused.

/// Highest count of a repetition that RE2 takes.
const REPEAT_MAX: u32 = 1_000;

/// The same expression for the `regex` crate.
///
/// # Errors
/// Why RE2 would refuse it, where `regex` would not. What both refuse is left to `regex`.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let out = String::with_capacity(pattern.len());
    let mut translator = Translator { rest: pattern, out, open: 0 };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// Groups that are not closed yet.
    open: usize,
}

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.next() {
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                // What is put around the expression must not be what closes or opens it.
                ')' => {
                    self.open = self.open.checked_sub(1).ok_or("a ) closes nothing")?;
                    self.out.push(')');
                }
                '{' => self.repetition()?,
                c => self.out.push(c),
            }
        }
        Ok(())
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(c) = self.next() else {
            return Err("it ends with a backslash".to_owned());
        };
        match c {
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            's' => self.out.push_str(r"[\t\n\f\r ]"),
            'S' => self.out.push_str(r"[^\t\n\f\r ]"),
            'b' if !in_class && self.rest.starts_with('{') => {
                return Err(r"\b{ is not known to it".to_owned());
            }
            'b' if !in_class => self.out.push_str(r"(?-u:\b)"),
            'Q' => self.quotation(),
            'u' | 'U' | 'C' | '<' | '>' => return Err(format!("\\{c} is not known to it")),
            c => self.out.extend(['\\', c]),
        }
        Ok(())
    }

    /// What stands between `\Q` and `\E` stands for itself.
    fn quotation(&mut self) {
        let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
        self.out.push_str(&regex::escape(quoted));
        self.rest = rest;
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.out.push('^');
            self.rest = rest;
        }
        // A bracket right at the beginning is a member, not the end.
        if let Some(rest) = self.rest.strip_prefix(']') {
            self.out.push_str(r"\]");
            self.rest = rest;
        }
        while let Some(c) = self.next() {
            match c {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '\\' => self.escape(true)?,
                '[' if self.rest.starts_with(':') => match self.rest.split_once(":]") {
                    Some((name, rest)) => {
                        self.out.push_str(&format!("[{name}:]"));
                        self.rest = rest;
                    }
                    None => self.out.push_str(r"\["),
                },
                '[' => self.out.push_str(r"\["),
                '&' | '~' => self.out.extend(['\\', c]),
                '-' if self.rest.starts_with('-') => self.out.push_str(r"\-"),
                c => self.out.push(c),
            }
        }
        Err("a [ is not closed".to_owned())
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        self.open += 1;
        let Some(flags) = self.rest.strip_prefix('?') else {
            return Ok(());
        };
        let flags: String = flags.chars().take_while(|c| c.is_alphabetic() || *c == '-').collect();
        let named = self.rest.starts_with("?P") || self.rest.starts_with("?<");
        match flags.chars().find(|c| !"imsU-".contains(*c)) {
            Some(flag) if !named => Err(format!("the flag {flag} is not known to it")),
            _ => Ok(()),
        }
    }

    /// `{2}`, `{2,}` or `{2,3}`; any other brace stands for itself.
    fn repetition(&mut self) -> Result<(), String> {
        let counts = self.rest.split_once('}').map(|(counts, _)| counts);
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_repetition = counts.is_some_and(|counts| match counts.split_once(',') {
            None => digits(counts),
            Some((low, high)) => digits(low) && (high.is_empty() || digits(high)),
        });
        if !is_repetition {
            self.out.push_str(r"\{");
            return Ok(());
        }
        let over = |count: &str| count.parse::<u32>().map_or(true, |count| count > REPEAT_MAX);
        let counts = counts.unwrap_or_default();
        if counts.split(',').filter(|count| !count.is_empty()).any(over) {
            return Err(format!("it repeats at most {REPEAT_MAX} times"));
        }
        self.out.push('{');
        Ok(())
    }
}
