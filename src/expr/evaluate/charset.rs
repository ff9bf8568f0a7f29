//! The character sets of `encode` and `decode`: those that Spark 4 knows.

use crate::base::{Error, ErrorClass, Result};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Ascii,
    Latin1,
    Utf8,
    /// With or without a byte-order mark when read; with one, big-endian, when written.
    Utf16,
    Utf16Be,
    Utf16Le,
    Utf32,
}

impl Charset {
    /// # Errors
    /// `InvalidParameter` for other names.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_uppercase().as_str() {
            "US-ASCII" => Charset::Ascii,
            "ISO-8859-1" => Charset::Latin1,
            "UTF-8" => Charset::Utf8,
            "UTF-16" => Charset::Utf16,
            "UTF-16BE" => Charset::Utf16Be,
            "UTF-16LE" => Charset::Utf16Le,
            "UTF-32" => Charset::Utf32,
            _ => {
                let known = "US-ASCII, ISO-8859-1, UTF-8, UTF-16, UTF-16BE, UTF-16LE or UTF-32";
                return Err(Error::new(ErrorClass::InvalidParameter, format!("The charset '{name}' is none of {known}.")));
            }
        })
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorClass::InvalidParameter, format!("Invalid value found when performing `{what}` (MALFORMED_CHARACTER_CODING)."))
}

/// Appends the text's bytes.
///
/// # Errors
/// `InvalidParameter` for a character that the set does not have.
pub(super) fn encode(text: &str, charset: Charset, out: &mut Vec<u8>) -> Result<()> {
    match charset {
        Charset::Utf8 => out.extend_from_slice(text.as_bytes()),
        Charset::Ascii | Charset::Latin1 => {
            let most = if charset == Charset::Ascii { 0x7F } else { 0xFF };
            for c in text.chars() {
                let code = u8::try_from(u32::from(c)).ok().filter(|c| *c <= most);
                out.push(code.ok_or_else(|| malformed("encode"))?);
            }
        }
        Charset::Utf16 | Charset::Utf16Be => {
            if charset == Charset::Utf16 && !text.is_empty() {
                out.extend([0xFE, 0xFF]);
            }
            out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
        }
        Charset::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        Charset::Utf32 => out.extend(text.chars().flat_map(|c| u32::from(c).to_be_bytes())),
    }
    Ok(())
}

/// Appends the text that the bytes are in a character set.
///
/// # Errors
/// `InvalidParameter` for bytes that are none.
pub(super) fn decode(bytes: &[u8], charset: Charset, out: &mut String) -> Result<()> {
    let broken = || malformed("decode");
    let wide = |bytes: &[u8], read: fn([u8; 2]) -> u16| -> Result<String> {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|p| read([p[0], p[1]])).collect();
        let text = String::from_utf16(&units).ok().filter(|_| bytes.len().is_multiple_of(2));
        text.ok_or_else(broken)
    };
    match charset {
        Charset::Utf8 => out.push_str(std::str::from_utf8(bytes).map_err(|_| broken())?),
        Charset::Ascii if !bytes.is_ascii() => return Err(broken()),
        Charset::Ascii | Charset::Latin1 => out.extend(bytes.iter().map(|b| char::from(*b))),
        Charset::Utf16 => match bytes {
            [0xFF, 0xFE, rest @ ..] => out.push_str(&wide(rest, u16::from_le_bytes)?),
            [0xFE, 0xFF, rest @ ..] => out.push_str(&wide(rest, u16::from_be_bytes)?),
            rest => out.push_str(&wide(rest, u16::from_be_bytes)?),
        },
        Charset::Utf16Be => out.push_str(&wide(bytes, u16::from_be_bytes)?),
        Charset::Utf16Le => out.push_str(&wide(bytes, u16::from_le_bytes)?),
        Charset::Utf32 => {
            for code in bytes.chunks(4) {
                let code = <[u8; 4]>::try_from(code).ok().and_then(|c| char::from_u32(u32::from_be_bytes(c)));
                out.push(code.ok_or_else(broken)?);
            }
        }
    }
    Ok(())
}
