//! Answers of the session's own, written along the table of the answer: what is not said has its default.

use crate::record::Items;
use crate::schema::{Field, Form, Kind};
use crate::wire::Writer;

/// What an answer says of a field.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    /// A number or a truth.
    Number(i64),
    /// Text.
    Text(&'a str),
    /// An id of 16 bytes.
    Id([u8; 16]),
    /// Records, or values of one field.
    Items(Vec<Said<'a>>),
    /// A record for each partition of a request, with this error. A request may name millions, so that they are read where
    /// they stand while the answer is written.
    Partitions {
        /// The partitions of the request.
        of: Items<'a>,
        /// Where a partition has its number, in the request and in the answer.
        index: (&'static str, &'static str),
        error: i64,
    },
    /// What stands in the request, which is written in the same way.
    Repeated(&'a [u8]),
}

/// What an answer says of a record, by the names of its fields. What this version does not have is left out.
pub(crate) type Said<'a> = Vec<(&'static str, Value<'a>)>;

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Vec<Said<'a>>> for Value<'a> {
    fn from(items: Vec<Said<'a>>) -> Self {
        Self::Items(items)
    }
}

impl From<[u8; 16]> for Value<'_> {
    fn from(id: [u8; 16]) -> Self {
        Self::Id(id)
    }
}

/// Writes a record, tags included.
pub(crate) fn write(
    writer: &mut Writer,
    fields: &'static [Field],
    form: Form,
    said: &[(&'static str, Value<'_>)],
) {
    write_fields(writer, fields, form, said);
    if form.flexible {
        writer.varint(0);
    }
}

fn write_fields(
    writer: &mut Writer,
    fields: &'static [Field],
    form: Form,
    said: &[(&'static str, Value<'_>)],
) {
    debug_assert!(
        said.iter().all(|(name, _)| fields.iter().any(|field| field.name == *name)),
        "a name that is in no table: {said:?}"
    );
    for field in fields.iter().filter(|field| field.is_in(form.version)) {
        let value = said.iter().find(|(name, _)| *name == field.name).map(|(_, value)| value);
        write_field(writer, field, form, value);
    }
}

fn write_field(writer: &mut Writer, field: &'static Field, form: Form, value: Option<&Value<'_>>) {
    match (&field.kind, value) {
        (Kind::Number(width), Some(Value::Number(number))) => writer.number(*number, *width),
        (Kind::Number(width), _) => writer.number(field.default, *width),
        (Kind::Id, Some(Value::Id(id))) => writer.raw(id),
        (Kind::Id, _) => writer.raw(&[0; 16]),
        (Kind::Text { .. }, Some(Value::Text(text))) => writer.text(Some(text), form.flexible),
        (Kind::Text { nullable }, _) => {
            writer.text((!nullable).then_some(""), form.flexible);
        }
        (_, Some(Value::Repeated(bytes))) => writer.raw(bytes),
        (Kind::Array { fields, .. }, Some(Value::Partitions { of, index, error })) => {
            writer.length(Some(of.total()), 4, form.flexible);
            for partition in of.clone().flatten() {
                let number = partition.number(index.0).unwrap_or_default();
                let said = [(index.1, number.into()), ("error_code", (*error).into())];
                write(writer, fields, form, &said);
            }
        }
        (Kind::Array { fields, .. }, value) => {
            let items = items(value);
            writer.length(Some(items.len()), 4, form.flexible);
            items.iter().for_each(|item| write(writer, fields, form, item));
        }
        (Kind::Values { element }, value) => {
            let items = items(value);
            writer.length(Some(items.len()), 4, form.flexible);
            items.iter().for_each(|item| write_fields(writer, *element, form, item));
        }
        (Kind::Bytes, _) => writer.length(Some(0), 4, form.flexible),
        (Kind::Optional(_), _) => writer.number(-1, 1),
        (Kind::Record(fields), _) => write(writer, fields, form, &[]),
    }
}

fn items<'v, 'a>(value: Option<&'v Value<'a>>) -> &'v [Said<'a>] {
    match value {
        Some(Value::Items(items)) => items,
        _ => &[],
    }
}
