//! Writes a message while reading it, if its fields are in the order of the descriptor and none but
//! repeated ones occurs twice.

use super::{Writer, is_packable};
use crate::error::ResponseError;
use crate::shape::{Field, Kind, Label, Message};
use crate::wire::{Malformed, Raw, Reader};

/// Reads the known fields of a message, one ahead.
struct Fields<'m, 'w> {
    message: &'m Message,
    reader: Reader<'w>,
    /// The index of the next field, and its value.
    next: Option<(usize, Raw<'w>)>,
}

impl<'m, 'w> Fields<'m, 'w> {
    fn new(message: &'m Message, bytes: &'w [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields { message, reader: Reader::new(bytes), next: None };
        fields.advance()?;
        Ok(fields)
    }

    fn advance(&mut self) -> Result<(), Malformed> {
        self.next = loop {
            let Some((number, raw)) = self.reader.field()? else { break None };
            if let Some(index) = self.message.field_index(number) {
                break Some((index, raw));
            }
        };
        Ok(())
    }

    /// The next value, if it is one of this field.
    fn take(&mut self, field: usize) -> Result<Option<Raw<'w>>, Malformed> {
        match self.next {
            Some((index, raw)) if index == field => {
                self.advance()?;
                Ok(Some(raw))
            }
            _ => Ok(None),
        }
    }

    fn is_next(&self, field: usize) -> bool {
        self.next.is_some_and(|(index, _)| index == field)
    }
}

impl Writer<'_> {
    /// Returns false if the message must be indexed; then the output is incomplete.
    pub(super) fn object_in_order(
        &mut self,
        message: &Message,
        bytes: &[u8],
        open: u8,
    ) -> Result<bool, ResponseError> {
        let mut fields = Fields::new(message, bytes)?;
        let mut separator = open;
        // The oneofs that have a value.
        let mut oneofs = 0_u64;
        for (index, field) in message.fields.iter().enumerate() {
            let value = fields.take(index)?;
            if let (Some(oneof), Some(_)) = (field.oneof, value) {
                let bit = 1_u64.checked_shl(oneof as u32).unwrap_or(u64::MAX);
                if oneofs & bit != 0 {
                    return Ok(false);
                }
                oneofs |= bit;
            }
            if self.omits(field, value.map(|raw| (index, raw)).as_slice()) {
                continue;
            }
            self.out.push(separator);
            separator = b',';
            self.out.extend_from_slice(field.key.as_bytes());
            self.field_in_order(field, index, value, &mut fields)?;
            if fields.is_next(index) {
                return Ok(false);
            }
        }
        if separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        Ok(fields.next.is_none())
    }

    fn field_in_order(
        &mut self,
        field: &Field,
        index: usize,
        value: Option<Raw<'_>>,
        fields: &mut Fields<'_, '_>,
    ) -> Result<(), ResponseError> {
        match (field.label, value) {
            (_, None) => self.field_value(field, &[])?,
            (Label::Implicit | Label::Explicit, Some(raw)) => match (field.kind, raw) {
                (Kind::Message(id), Raw::Bytes(bytes)) => self.message(id, bytes)?,
                (kind, raw) => self.scalar(kind, raw)?,
            },
            (Label::Repeated { .. }, Some(raw)) if !is_packable(field.kind) => {
                let mut separator = b'[';
                self.element(field.kind, raw, &mut separator)?;
                while let Some(raw) = fields.take(index)? {
                    self.element(field.kind, raw, &mut separator)?;
                }
                self.out.push(b']');
            }
            (Label::Repeated { .. } | Label::Map, Some(raw)) => {
                let mut values = vec![(index, raw)];
                while let Some(raw) = fields.take(index)? {
                    values.push((index, raw));
                }
                self.field_value(field, &values)?;
            }
        }
        Ok(())
    }
}
