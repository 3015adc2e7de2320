//! Scalar values and their text form.
//!
//! The text is a JSON string, a path segment, a query parameter or the text of a JSON number, so
//! that all of these accept the same values.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::number;
use crate::shape::{Enum, Kind};
use crate::wire::{self, Raw, WireType};

/// An encoded scalar or message without its tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Vec<u8>),
}

impl Payload {
    /// Whether the value is the default of its kind.
    pub fn is_default(&self) -> bool {
        match self {
            Payload::Varint(value) | Payload::Fixed64(value) => *value == 0,
            Payload::Fixed32(value) => *value == 0,
            Payload::Bytes(bytes) => bytes.is_empty(),
        }
    }

    /// Appends the value with its tag.
    pub fn put(&self, out: &mut Vec<u8>, number: u32) {
        wire::put_tag(out, number, self.wire_type());
        self.put_bare(out);
    }

    /// The value with its tag, wrapped in its parent messages.
    pub fn field(&self, numbers: &[u32]) -> Vec<u8> {
        let Some((last, parents)) = numbers.split_last() else { return Vec::new() };
        let mut field = Vec::new();
        self.put(&mut field, *last);
        wire::nest(parents, field)
    }

    /// Appends the value as an element of a packed list.
    pub fn put_bare(&self, out: &mut Vec<u8>) {
        match self {
            Payload::Varint(value) => wire::put_varint(out, *value),
            Payload::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
            Payload::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
            Payload::Bytes(bytes) => {
                wire::put_varint(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
        }
    }

    /// The value as the wire reader returns it.
    pub fn raw(&self) -> Raw<'_> {
        match self {
            Payload::Varint(value) => Raw::Varint(*value),
            Payload::Fixed64(value) => Raw::Fixed64(*value),
            Payload::Fixed32(value) => Raw::Fixed32(*value),
            Payload::Bytes(bytes) => Raw::Bytes(bytes),
        }
    }

    fn wire_type(&self) -> WireType {
        match self {
            Payload::Varint(_) => WireType::Varint,
            Payload::Fixed64(_) => WireType::Fixed64,
            Payload::Fixed32(_) => WireType::Fixed32,
            Payload::Bytes(_) => WireType::Length,
        }
    }
}

/// Reads a number; floating-point kinds also accept `NaN`, `Infinity` and `-Infinity`.
pub fn number(kind: Kind, text: &str) -> Result<Payload, &'static str> {
    Ok(match kind {
        Kind::Double => Payload::Fixed64(double(text)?.to_bits()),
        Kind::Float => Payload::Fixed32(float(text)?.to_bits()),
        Kind::Int32 => Payload::Varint(i64::from(int::<i32>(text)?) as u64),
        Kind::Int64 => Payload::Varint(int::<i64>(text)? as u64),
        Kind::Uint32 => Payload::Varint(u64::from(int::<u32>(text)?)),
        Kind::Uint64 => Payload::Varint(int::<u64>(text)?),
        Kind::Sint32 => Payload::Varint(zigzag(i64::from(int::<i32>(text)?))),
        Kind::Sint64 => Payload::Varint(zigzag(int::<i64>(text)?)),
        Kind::Fixed32 => Payload::Fixed32(int::<u32>(text)?),
        Kind::Fixed64 => Payload::Fixed64(int::<u64>(text)?),
        Kind::Sfixed32 => Payload::Fixed32(int::<i32>(text)? as u32),
        Kind::Sfixed64 => Payload::Fixed64(int::<i64>(text)? as u64),
        Kind::Bool | Kind::String | Kind::Bytes | Kind::Enum(_) | Kind::Message(_) => {
            return Err("is not a number field");
        }
    })
}

pub fn boolean(text: &str) -> Result<Payload, &'static str> {
    match text {
        "true" => Ok(Payload::Varint(1)),
        "false" => Ok(Payload::Varint(0)),
        _ => Err("must be true or false"),
    }
}

/// Reads base64 in the standard or URL-safe alphabet, with or without padding.
pub fn bytes(text: &str) -> Result<Payload, &'static str> {
    // The protobuf conformance tests need trailing bits to be accepted, as in `-_`.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let decoded = if text.contains(['-', '_']) {
        LENIENT.decode(text.replace('-', "+").replace('_', "/"))
    } else {
        LENIENT.decode(text)
    };
    decoded.map(Payload::Bytes).map_err(|_| "must be base64")
}

pub fn enum_name(of: &Enum, text: &str) -> Result<Payload, &'static str> {
    let number = of.number(text).ok_or("must be a value of the enum")?;
    Ok(Payload::Varint(i64::from(number) as u64))
}

/// Reads an enum number; unknown numbers are allowed, because proto3 enums are open.
pub fn enum_number(text: &str) -> Result<Payload, &'static str> {
    number(Kind::Int32, text).map_err(|_| "must be a value of the enum")
}

pub fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

pub fn unzigzag(bits: u64) -> i64 {
    (bits >> 1) as i64 ^ -((bits & 1) as i64)
}

fn int<T: TryFrom<i128>>(text: &str) -> Result<T, &'static str> {
    let value = number::integer(text);
    if value.is_none() && !number::is_json_number(text) {
        return Err("must be an integer");
    }
    value.and_then(|value| T::try_from(value).ok()).ok_or("must be an integer in the field's range")
}

fn double(text: &str) -> Result<f64, &'static str> {
    match special(text) {
        Some(value) => Ok(value),
        None => finite(text, f64::is_finite),
    }
}

fn float(text: &str) -> Result<f32, &'static str> {
    match special(text) {
        Some(value) => Ok(value as f32),
        None => finite(text, f32::is_finite),
    }
}

fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn finite<T: std::str::FromStr + Copy>(
    text: &str,
    is_finite: fn(T) -> bool,
) -> Result<T, &'static str> {
    let parsed = if number::is_json_number(text) { text.parse().ok() } else { None };
    let value: T = parsed.ok_or("must be a number")?;
    if is_finite(value) { Ok(value) } else { Err("must be a number in the field's range") }
}
