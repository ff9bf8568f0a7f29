//! URLs: their parts as `java.net.URI` finds them, and percent-encoding.

use super::value::{Arg, Value, build_strings, extent, wrap};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::ScalarFunction;

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    let text = Arg::string(&args[0])?;
    let array = match function {
        UrlEncode => build_strings(&refs, n, |i, out| {
            encode(text.at(i), out);
            Ok(true)
        })?,
        UrlDecode | TryUrlDecode => build_strings(&refs, n, |i, out| match decode(text.at(i)) {
            Some(bytes) => {
                out.push_str(&String::from_utf8_lossy(&bytes));
                Ok(true)
            }
            None if function == TryUrlDecode => Ok(false),
            None => {
                Err(Error::new(ErrorClass::InvalidParameter, format!("The URL cannot be decoded: {} (CANNOT_DECODE_URL).", text.at(i))))
            }
        })?,
        _ => {
            let part = Arg::string(&args[1])?;
            let key = args.get(2).map(Arg::string).transpose()?;
            build_strings(&refs, n, |i, out| {
                let Some(url) = Url::parse(text.at(i)) else {
                    if function == TryParseUrl {
                        return Ok(false);
                    }
                    let hint = "Use `try_parse_url` to tolerate invalid URL and return NULL instead.";
                    return Err(Error::new(
                        ErrorClass::InvalidParameter,
                        format!("The url is invalid: {} (INVALID_URL). {hint}", text.at(i)),
                    ));
                };
                let found = match &key {
                    None => url.part(part.at(i)),
                    Some(key) => url.query.filter(|_| part.at(i) == "QUERY").and_then(|q| parameter(q, key.at(i))).map(String::from),
                };
                found.iter().for_each(|f| out.push_str(f));
                Ok(found.is_some())
            })?
        }
    };
    Ok(wrap(array, scalar))
}

/// As an HTML form encodes a text.
fn encode(text: &str, out: &mut String) {
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(char::from(b)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
}

/// `None` where a `%` is not followed by two digits.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b => b,
        });
    }
    Some(out)
}

/// The value of a parameter of a query, as it stands.
fn parameter<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

struct Url<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    /// `None` for an opaque URI such as `mailto:x`.
    path: Option<&'a str>,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// `None` for what `java.net.URI` rejects.
    fn parse(text: &'a str) -> Option<Self> {
        if !text.bytes().enumerate().all(|(i, b)| legal(text, i, b)) {
            return None;
        }
        let (rest, fragment) = cut(text, '#');
        let (scheme, rest) = match rest.find([':', '/', '?']).filter(|at| rest[*at..].starts_with(':')) {
            Some(at) => {
                let (scheme, rest) = (&rest[..at], &rest[at + 1..]);
                let fits = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
                if rest.is_empty() || !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(fits) {
                    return None;
                }
                (Some(scheme), rest)
            }
            None => (None, rest),
        };
        if scheme.is_some() && !rest.starts_with('/') {
            return Some(Url { scheme, authority: None, path: None, query: None, fragment });
        }
        let (rest, query) = cut(rest, '?');
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                if authority.is_empty() && path.is_empty() && query.is_none() && fragment.is_none() {
                    return None;
                }
                (Some(authority).filter(|a| !a.is_empty()), path)
            }
            None => (None, rest),
        };
        // Brackets are for IPv6 addresses.
        if path.contains(['[', ']']) || authority.is_some_and(|a| a.contains('[') && server(a).is_none()) {
            return None;
        }
        Some(Url { scheme, authority, path: Some(path), query, fragment })
    }

    /// The part of that name; `None` when the URL has none, or there is no such name.
    fn part(&self, name: &str) -> Option<String> {
        let part = match name {
            "HOST" => server(self.authority?)?.1,
            "PATH" => self.path?,
            "QUERY" => self.query?,
            "REF" => self.fragment?,
            "PROTOCOL" => self.scheme?,
            "FILE" => return Some(self.query.map_or(self.path?.into(), |q| format!("{}?{q}", self.path.unwrap_or_default()))),
            "AUTHORITY" => self.authority?,
            "USERINFO" => server(self.authority?)?.0?,
            _ => return None,
        };
        Some(part.into())
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Whether a URI may have the byte there.
fn legal(text: &str, at: usize, byte: u8) -> bool {
    match byte {
        b'%' => text.as_bytes().get(at + 1..at + 3).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)),
        b'#' => !text[..at].contains('#'),
        0..=b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7F => false,
        _ => true,
    }
}

/// User and host of an authority that names a server; `None` for others.
fn server(authority: &str) -> Option<(Option<&str>, &str)> {
    let (user, rest) = authority.rsplit_once('@').map_or((None, authority), |(user, rest)| (Some(user), rest));
    let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        Some((address, port)) => {
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (&rest[..address.len() + 2], port.strip_prefix(':').unwrap_or(port))
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    let label =
        |l: &str| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-') && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = name.rsplit('.').next()?.starts_with(|c: char| c.is_ascii_digit());
    let fits = host.starts_with('[') || if numeric { host.parse::<std::net::Ipv4Addr>().is_ok() } else { name.split('.').all(label) };
    (fits && port.bytes().all(|b| b.is_ascii_digit())).then_some((user, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("http://u:p@h.com:80/p/q?x=1&y=2#r").unwrap();
        for (name, expected) in [
            ("HOST", Some("h.com")),
            ("PATH", Some("/p/q")),
            ("QUERY", Some("x=1&y=2")),
            ("REF", Some("r")),
            ("PROTOCOL", Some("http")),
            ("FILE", Some("/p/q?x=1&y=2")),
            ("AUTHORITY", Some("u:p@h.com:80")),
            ("USERINFO", Some("u:p")),
            ("query", None),
        ] {
            assert_eq!(url.part(name).as_deref(), expected, "{name}");
        }
        assert_eq!(parameter("x=1&y=2", "y"), Some("2"));
        assert!(Url::parse("http://a b.com").is_none());
        assert_eq!(Url::parse("http://h_x.com/a").unwrap().part("HOST"), None);
        assert_eq!(Url::parse("http://h.com").unwrap().part("PATH").as_deref(), Some(""));
        assert_eq!(decode("a%zz"), None);
    }
}
