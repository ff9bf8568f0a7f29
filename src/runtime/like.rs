//! LIKE: patterns compiled once, matched over bytes.

use super::search::Finder;
use crate::base::{Error, ErrorClass, Result};

/// A compiled LIKE pattern.
#[derive(Debug, Clone)]
pub struct LikePattern {
    form: Form,
    /// Patterns of ILIKE; text and pattern are lowered before matching.
    case_insensitive: bool,
}

#[derive(Debug, Clone)]
enum Form {
    /// No wildcard.
    Exact(Vec<u8>),
    /// `text%`
    Prefix(Vec<u8>),
    /// `%text`
    Suffix(Vec<u8>),
    /// `%text%`
    Contains(Box<Finder>),
    /// `%a%b%…` without `_`: each part found after the one before; the first and last may be anchored.
    Parts { prefix: Vec<u8>, middle: Vec<Finder>, suffix: Vec<u8> },
    /// Anything else.
    General(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `_`
    One,
    /// `%`
    Any,
}

impl LikePattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// `InvalidParameter` (Spark's INVALID_FORMAT) when the escape character stands before anything but `%`, `_` or itself, or at the end.
    pub fn new(pattern: &str, escape: char, case_insensitive: bool) -> Result<Self> {
        let lowered;
        let pattern = if case_insensitive {
            lowered = pattern.to_lowercase();
            lowered.as_str()
        } else {
            pattern
        };
        let mut tokens = vec![];
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                c if c == escape => match chars.next() {
                    Some(next) if next == '%' || next == '_' || next == escape => Token::Literal(next),
                    Some(_) => return Err(invalid(pattern, "the escape character is not allowed to precede that character")),
                    None => return Err(invalid(pattern, "the escape character is not allowed to end with")),
                },
                '%' if tokens.last() == Some(&Token::Any) => continue,
                '%' => Token::Any,
                '_' => Token::One,
                c => Token::Literal(c),
            });
        }
        Ok(Self { form: Form::of(tokens), case_insensitive })
    }

    /// Matches texts that begin with `text`.
    pub fn starts_with(text: &str) -> Self {
        Self { form: Form::Prefix(text.into()), case_insensitive: false }
    }

    /// Matches texts that end with `text`.
    pub fn ends_with(text: &str) -> Self {
        Self { form: Form::Suffix(text.into()), case_insensitive: false }
    }

    /// Matches texts that have `text` somewhere.
    pub fn contains(text: &str) -> Self {
        Self { form: Form::Contains(Box::new(Finder::new(text.as_bytes()))), case_insensitive: false }
    }

    /// The text that the pattern asks for at the beginning, and nothing else, if that is what it does.
    pub fn as_prefix(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Prefix(text) if !self.case_insensitive => Some(text),
            _ => None,
        }
    }

    /// The text that the pattern asks for at the end, and nothing else, if that is what it does.
    pub fn as_suffix(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Suffix(text) if !self.case_insensitive => Some(text),
            _ => None,
        }
    }

    /// Whether a UTF-8 text matches as a whole.
    #[inline]
    pub fn matches(&self, text: &[u8]) -> bool {
        if self.case_insensitive {
            return self.form.matches(String::from_utf8_lossy(text).to_lowercase().as_bytes());
        }
        self.form.matches(text)
    }
}

fn invalid(pattern: &str, what: &str) -> Error {
    Error::new(ErrorClass::InvalidParameter, format!("The pattern '{pattern}' is invalid: {what}."))
}

impl Form {
    fn of(tokens: Vec<Token>) -> Self {
        if tokens.contains(&Token::One) {
            return Form::General(tokens);
        }
        let mut parts = vec![String::new()];
        for t in &tokens {
            match t {
                Token::Literal(c) => parts.last_mut().map(|p| p.push(*c)).unwrap_or_default(),
                Token::One | Token::Any => parts.push(String::new()),
            }
        }
        let finder = |s: &String| Finder::new(s.as_bytes());
        match parts.as_slice() {
            [text] => Form::Exact(text.clone().into_bytes()),
            [prefix, suffix] if suffix.is_empty() => Form::Prefix(prefix.clone().into_bytes()),
            [prefix, suffix] if prefix.is_empty() => Form::Suffix(suffix.clone().into_bytes()),
            [prefix, middle, suffix] if prefix.is_empty() && suffix.is_empty() => Form::Contains(Box::new(finder(middle))),
            [prefix, middle @ .., suffix] => Form::Parts {
                prefix: prefix.clone().into_bytes(),
                middle: middle.iter().map(finder).collect(),
                suffix: suffix.clone().into_bytes(),
            },
            [] => Form::Exact(vec![]),
        }
    }

    #[inline]
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Form::Exact(t) => text == t.as_slice(),
            Form::Prefix(p) => text.starts_with(p),
            Form::Suffix(s) => text.ends_with(s),
            Form::Contains(f) => f.find(text).is_some(),
            Form::Parts { prefix, middle, suffix } => {
                // Comparing with an empty needle costs a hundred times what a test for it does: its pointer dangles, and a masked
                // vector load from there takes the processor's slow path.
                let starts = |p: &[u8]| p.is_empty() || text.starts_with(p);
                let ends = |s: &[u8]| s.is_empty() || text.ends_with(s);
                if text.len() < prefix.len() + suffix.len() || !starts(prefix) || !ends(suffix) {
                    return false;
                }
                let mut rest = &text[prefix.len()..text.len() - suffix.len()];
                for f in middle {
                    match f.find(rest) {
                        Some(at) => rest = &rest[at + f.needle().len()..],
                        None => return false,
                    }
                }
                true
            }
            Form::General(tokens) => general(tokens, text),
        }
    }
}

/// Greedy matching with one point to come back to: the last `%` (linear but for repeated tries after it).
fn general(tokens: &[Token], text: &[u8]) -> bool {
    let (mut t, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let advanced = match tokens.get(t) {
            None if at == text.len() => return true,
            None => false,
            Some(Token::Any) => {
                retry = Some((t + 1, at));
                t += 1;
                continue;
            }
            Some(Token::One) if at < text.len() => {
                at += char_len(text[at]);
                true
            }
            Some(Token::Literal(c)) => {
                let mut buffer = [0; 4];
                let bytes = c.encode_utf8(&mut buffer).as_bytes();
                let hit = text[at.min(text.len())..].starts_with(bytes);
                if hit {
                    at += bytes.len();
                }
                hit
            }
            Some(Token::One) => false,
        };
        if advanced {
            t += 1;
            continue;
        }
        match retry {
            Some((token, from)) if from < text.len() => {
                at = from + char_len(text[from]);
                t = token;
                retry = Some((token, at));
            }
            _ => return false,
        }
    }
}

/// Bytes of the UTF-8 character that starts with this byte.
fn char_len(first: u8) -> usize {
    match first {
        0..=0xBF => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let like = |text: &str, pattern: &str| LikePattern::new(pattern, '\\', false).unwrap().matches(text.as_bytes());
        for (text, pattern, expected) in [
            ("abc", "abc", true),
            ("abc", "ab", false),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "%x%", false),
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("special packages requests", "%special%requests%", true),
            ("requests special", "%special%requests%", false),
            ("aXbXc", "a%b%c", true),
            ("ab", "ab%ab", false),
            ("abab", "ab%ab", true),
            ("日本語", "日_語", true),
            ("日本語", "__語", true),
            ("日本語", "_語", false),
            ("aaab", "%a_b", true),
            ("abcabd", "%ab_", true),
            ("50%", "50\\%", true),
            ("50x", "50\\%", false),
            ("a_b", "a\\_b", true),
            ("ab", "a%%%b", true),
            ("mississippi", "m%iss%ip_i", true),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} LIKE {pattern}");
        }
        assert!(LikePattern::new("ABC%", '\\', true).unwrap().matches("abcd".as_bytes()));
        assert!(LikePattern::new("a\\x", '\\', false).is_err());
        assert!(LikePattern::new("a\\", '\\', false).is_err());
        assert!(LikePattern::new("a!%", '!', false).unwrap().matches(b"a%"));
    }
}
