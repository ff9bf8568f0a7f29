//! Reading of JSON texts.

use super::Json;

/// Deepest nesting, Jackson's.
const DEEPEST: usize = 1000;

/// The first value of a text; `None` where it is broken.
pub(super) fn parse(text: &str) -> Option<Json> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.value()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn accept(&mut self, c: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Option<Json> {
        self.skip_space();
        match self.peek()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' | b'\'' => self.string().map(Json::String),
            b'-' | b'+' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Json>) -> Option<Json> {
        self.at += 1;
        self.depth += 1;
        let value = if self.depth > DEEPEST { None } else { stacker::maybe_grow(64 * 1024, 1024 * 1024, || read(self)) };
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Option<Json> {
        let mut fields = vec![];
        if self.accept(b'}') {
            return Some(Json::Object(fields));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            if !self.accept(b':') {
                return None;
            }
            fields.push((name, self.value()?));
            if self.accept(b'}') {
                return Some(Json::Object(fields));
            }
            if !self.accept(b',') {
                return None;
            }
        }
    }

    fn array(&mut self) -> Option<Json> {
        let mut items = vec![];
        if self.accept(b']') {
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.accept(b']') {
                return Some(Json::Array(items));
            }
            if !self.accept(b',') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.peek().filter(|c| matches!(c, b'"' | b'\''))?;
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let end = rest.find(|c: char| c == quote as char || c == '\\' || c < ' ')?;
            out.push_str(&rest[..end]);
            self.at += end + 1;
            match rest.as_bytes()[end] {
                c if c == quote => return Some(out),
                b'\\' => out.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(match c {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' | b'\'' | b'\\' | b'/' => c as char,
            b'u' => {
                let first = self.hex()?;
                if (0xD800..0xDC00).contains(&first) && self.text.get(self.at..)?.starts_with("\\u") {
                    self.at += 2;
                    let second = self.hex()?;
                    let code = 0x10000 + ((first - 0xD800) << 10) + second.wrapping_sub(0xDC00);
                    return Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        if digits.bytes().all(|c| c.is_ascii_hexdigit()) { u32::from_str_radix(digits, 16).ok() } else { None }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        let signed = self.peek().is_some_and(|c| matches!(c, b'-' | b'+'));
        if signed {
            self.at += 1;
        }
        let whole = self.at;
        if self.digits() == 0 {
            self.at = start;
            return self.word();
        }
        if self.text.as_bytes()[start] == b'+' || (self.text.as_bytes()[whole] == b'0' && self.at - whole > 1) {
            return None;
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            integer = false;
            if self.digits() == 0 {
                return None;
            }
        }
        if self.peek().is_some_and(|c| matches!(c, b'e' | b'E')) {
            self.at += 1;
            integer = false;
            if self.peek().is_some_and(|c| matches!(c, b'-' | b'+')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        self.ends_here()?;
        let text = &self.text[start..self.at];
        if integer { Some(Json::Integer(text.to_string())) } else { text.parse().ok().map(Json::Number) }
    }

    /// Words and numbers end where something else begins.
    fn ends_here(&self) -> Option<()> {
        let more = self.text[self.at..].chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'));
        (!more).then_some(())
    }

    fn word(&mut self) -> Option<Json> {
        const WORDS: [(&str, Json); 10] = [
            ("null", Json::Null),
            ("true", Json::Boolean(true)),
            ("false", Json::Boolean(false)),
            ("NaN", Json::Number(f64::NAN)),
            ("Infinity", Json::Number(f64::INFINITY)),
            ("INF", Json::Number(f64::INFINITY)),
            ("+INF", Json::Number(f64::INFINITY)),
            ("+Infinity", Json::Number(f64::INFINITY)),
            ("-INF", Json::Number(f64::NEG_INFINITY)),
            ("-Infinity", Json::Number(f64::NEG_INFINITY)),
        ];
        let rest = &self.text[self.at..];
        let (word, value) = WORDS.into_iter().find(|(word, _)| rest.starts_with(word))?;
        self.at += word.len();
        self.ends_here()?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_jackson_reads_for_spark() {
        let written = |text: &str| {
            let mut out = String::new();
            parse(text)?.write(&mut out);
            Some(out)
        };
        assert_eq!(written("{'a' : [1, 2.50, -1e3], \"b\":null} x").as_deref(), Some(r#"{"a":[1,2.5,-1000.0],"b":null}"#));
        assert_eq!(written(r#""é\u00e9\ud83d\ude00\n""#).as_deref(), Some("\"éé😀\\n\""));
        for broken in ["", "{", "{a:1}", "{\"a\":1,}", "[1 2]", "01", "1.", "'a", "\"a\nb\"", "nul", "tru", "-"] {
            assert_eq!(written(broken), None, "{broken}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }
}
