//! Functions of bytes: those that strings have too, over binary values; encodings and digests.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveArray};
use arrow::datatypes::{DataType as ArrowType, Int32Type, Int64Type};
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use memchr::memmem;
use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::charset::{self, Charset};
use super::strings::{LARGEST, too_large};
use super::value::{Arg, Bytes, Value, build, build_boolean, build_bytes, build_strings, extent, wrap};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::ScalarFunction;
use crate::runtime::hyper_log_log;
use crate::runtime::string::window;

/// As Java decodes MIME: spare bits are ignored.
const fn mime(padding: DecodePaddingMode) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(padding).with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&ALPHABET, config)
}
const PADDED: GeneralPurpose = mime(DecodePaddingMode::RequireCanonical);
const UNPADDED: GeneralPurpose = mime(DecodePaddingMode::RequireNone);

/// Whether [`evaluate`] has the function although [`super::strings`] has it as well: by the type of the first argument.
pub(super) fn overloaded(function: ScalarFunction, first: Option<&Value>) -> bool {
    use ScalarFunction::*;
    let binary = first.is_some_and(|v| v.inner().data_type() == &ArrowType::BinaryView);
    binary
        && matches!(
            function,
            Substring | Left | LPad | RPad | Reverse | Concat | Length | OctetLength | BitLength | StartsWith | EndsWith | Contains
        )
}

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    if function == Hex && args[0].inner().data_type() == &ArrowType::Int64 {
        let v = Arg::<PrimitiveArray<Int64Type>>::primitive(&args[0])?;
        return Ok(wrap(build_strings(&refs, n, |i, out| Ok(write!(out, "{:X}", v.at(i)).is_ok()))?, scalar));
    }
    let bytes = Bytes::new(&args[0])?;
    let int = |i: usize| Arg::<PrimitiveArray<Int32Type>>::primitive(&args[i]);
    let lengths =
        |unit: i32| -> Result<ArrayRef> { Ok(Arc::new(build::<Int32Type>(&refs, n, |i| Ok(Some(bytes.at(i).len() as i32 * unit)))?)) };
    let digest = |f: fn(&[u8]) -> Vec<u8>| build_strings(&refs, n, |i, out| Ok(write_hex(&f(bytes.at(i)), out, false)));
    let array: ArrayRef = match function {
        Substring | Left => {
            let position = if function == Left { None } else { Some(int(1)?) };
            let last = args.len() - 1;
            let count = if function == Left || last > 1 { Some(int(last)?) } else { None };
            build_bytes(&refs, n, |i, out| {
                let b = bytes.at(i);
                let place =
                    window(position.as_ref().map_or(1, |p| p.at(i)).into(), count.as_ref().map_or(i32::MAX, |c| c.at(i)).into(), || {
                        b.len()
                    });
                out.extend_from_slice(b.get(place.start..place.end.min(b.len())).unwrap_or_default());
                Ok(true)
            })?
        }
        LPad | RPad => {
            let size = int(1)?;
            let fill = args.get(2).map(Bytes::new).transpose()?;
            build_bytes(&refs, n, |i, out| {
                let (b, size) = (bytes.at(i), size.at(i).max(0) as usize);
                if size > LARGEST {
                    return Err(too_large(function.name()));
                }
                let fill = fill.as_ref().map_or(&[0][..], |f| f.at(i));
                let missing = if fill.is_empty() { 0 } else { size.saturating_sub(b.len()) };
                let padding = fill.iter().copied().cycle().take(missing);
                if function == LPad {
                    out.extend(padding);
                    out.extend_from_slice(&b[..b.len().min(size)]);
                } else {
                    out.extend_from_slice(&b[..b.len().min(size)]);
                    out.extend(padding);
                }
                Ok(true)
            })?
        }
        Reverse => build_bytes(&refs, n, |i, out| {
            out.extend(bytes.at(i).iter().rev());
            Ok(true)
        })?,
        Concat => {
            let parts = args.iter().map(Bytes::new).collect::<Result<Vec<_>>>()?;
            build_bytes(&refs, n, |i, out| {
                parts.iter().for_each(|p| out.extend_from_slice(p.at(i)));
                Ok(true)
            })?
        }
        Length | OctetLength => lengths(1)?,
        BitLength => lengths(8)?,
        StartsWith | EndsWith | Contains => {
            let part = Bytes::new(&args[1])?;
            Arc::new(build_boolean(&refs, n, |i| match function {
                StartsWith => bytes.at(i).starts_with(part.at(i)),
                EndsWith => bytes.at(i).ends_with(part.at(i)),
                _ => memmem::find(bytes.at(i), part.at(i)).is_some(),
            }))
        }
        Hex => build_strings(&refs, n, |i, out| Ok(write_hex(bytes.at(i), out, true)))?,
        Unhex => build_bytes(&refs, n, |i, out| Ok(unhex(bytes.at(i), out)))?,
        Base64 => build_strings(&refs, n, |i, out| {
            STANDARD.encode_string(bytes.at(i), out);
            Ok(true)
        })?,
        UnBase64 => build_bytes(&refs, n, |i, out| {
            // Line ends and all else that is no digit is skipped.
            let digits: Vec<u8> = bytes.at(i).iter().copied().filter(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b)).collect();
            let engine = if digits.contains(&b'=') { PADDED } else { UNPADDED };
            engine.decode_vec(digits, out).map_err(|e| Error::new(ErrorClass::InvalidParameter, format!("Invalid base64: {e}.")))?;
            Ok(true)
        })?,
        Md5 => digest(|b| md5::Md5::digest(b).to_vec())?,
        Sha1Digest => digest(|b| Sha1::digest(b).to_vec())?,
        Sha2Digest => {
            let bits = int(1)?;
            build_strings(&refs, n, |i, out| {
                let b = bytes.at(i);
                let hash = match bits.at(i) {
                    224 => Sha224::digest(b).to_vec(),
                    0 | 256 => Sha256::digest(b).to_vec(),
                    384 => Sha384::digest(b).to_vec(),
                    512 => Sha512::digest(b).to_vec(),
                    _ => return Ok(false),
                };
                Ok(write_hex(&hash, out, false))
            })?
        }
        Crc32 => Arc::new(build::<Int64Type>(&refs, n, |i| Ok(Some(i64::from(crc32(bytes.at(i))))))?),
        IsValidUtf8 => Arc::new(build_boolean(&refs, n, |i| std::str::from_utf8(bytes.at(i)).is_ok())),
        MakeValidUtf8 => build_strings(&refs, n, |i, out| {
            out.push_str(&String::from_utf8_lossy(bytes.at(i)));
            Ok(true)
        })?,
        ValidateUtf8 | TryValidateUtf8 => build_strings(&refs, n, |i, out| match std::str::from_utf8(bytes.at(i)) {
            Ok(text) => {
                out.push_str(text);
                Ok(true)
            }
            Err(_) if function == TryValidateUtf8 => Ok(false),
            Err(_) => Err(Error::new(ErrorClass::InvalidParameter, "The string is not valid UTF-8.")),
        })?,
        BitmapCount => {
            let ones = |b: &[u8]| b.iter().map(|b| i64::from(b.count_ones())).sum();
            Arc::new(build::<Int64Type>(&refs, n, |i| Ok(Some(ones(bytes.at(i)))))?)
        }
        EstimateDistinct => Arc::new(build::<Int64Type>(&refs, n, |i| Ok(Some(hyper_log_log::estimate(bytes.at(i)))))?),
        Encode => {
            let charsets = Arg::string(&args[1])?;
            build_bytes(&refs, n, |i, out| {
                let text = std::str::from_utf8(bytes.at(i)).map_err(|e| Error::internal(e.to_string()))?;
                charset::encode(text, Charset::named(charsets.at(i))?, out)?;
                Ok(true)
            })?
        }
        Decode => {
            let charsets = Arg::string(&args[1])?;
            build_strings(&refs, n, |i, out| {
                charset::decode(bytes.at(i), Charset::named(charsets.at(i))?, out)?;
                Ok(true)
            })?
        }
        other => return Err(Error::internal(format!("`{}` is no function of bytes", other.name()))),
    };
    Ok(wrap(array, scalar))
}

/// Appends the digits of bytes; true.
fn write_hex(bytes: &[u8], out: &mut String, upper: bool) -> bool {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    out.extend(bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(digits[usize::from(d)])));
    true
}

/// Appends the bytes that hexadecimal digits stand for, an odd first one being a byte of its own; false for other characters.
fn unhex(digits: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(values) = digits.iter().map(|d| char::from(*d).to_digit(16).map(|v| v as u8)).collect::<Option<Vec<u8>>>() else {
        return false;
    };
    let (odd, pairs) = values.split_at(values.len() % 2);
    out.extend_from_slice(odd);
    out.extend(pairs.chunks(2).map(|p| p[0] << 4 | p[1]));
    true
}

/// The CRC-32 of zip and Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, b| (0..8).fold(crc ^ u32::from(*b), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_digits() {
        assert_eq!(crc32(b"Spark"), 1_557_323_817);
        let mut out = vec![];
        assert!(unhex(b"ABC", &mut out));
        assert_eq!(out, [0x0A, 0xBC]);
        assert!(!unhex(b"GG", &mut out));
    }
}
