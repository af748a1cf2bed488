//! A record of a message: fields looked up by name, by walking over those before it.

use std::ops::Range;

use crate::schema::{Field, Form, Kind};
use crate::wire::{Read, Reader, Unreadable};

/// One record, and where it stands in its frame.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    frame: &'a [u8],
    /// From its first field to its last, tags included.
    span: Range<usize>,
    fields: &'static [Field],
    form: Form,
    /// How many items its arrays have, and the arrays of these.
    things: usize,
}

const UNKNOWN: Unreadable = Unreadable::Wrong("a field that is in no table");
const NULL: Unreadable = Unreadable::Wrong("null where something is needed");

impl<'a> Record<'a> {
    /// Reads a record that begins here: all of it is walked over, so that what is looked up later is there.
    pub(crate) fn read(
        frame: &'a [u8],
        start: usize,
        fields: &'static [Field],
        form: Form,
    ) -> Read<Self> {
        Self::read_tagged(frame, start, fields, form, form.flexible)
    }

    fn read_tagged(
        frame: &'a [u8],
        start: usize,
        fields: &'static [Field],
        form: Form,
        tagged: bool,
    ) -> Read<Self> {
        let mut reader = Reader::at(frame, start);
        pass_fields(&mut reader, fields, form)?;
        if tagged {
            reader.tags()?;
        }
        let (span, things) = (start..reader.position(), reader.items());
        Ok(Self { frame, span, fields, form, things })
    }

    /// Where it stands in its frame.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// How many items its arrays have, and the arrays of these.
    pub(crate) const fn things(&self) -> usize {
        self.things
    }

    /// How it is written.
    pub(crate) const fn form(&self) -> Form {
        self.form
    }

    /// A number, or its default where this version does not have it.
    pub(crate) fn number(&self, name: &str) -> Read<i64> {
        match self.find(name)? {
            (field, None) => Ok(field.default),
            (Field { kind: Kind::Number(width), .. }, Some(span)) => {
                Reader::at(self.frame, span.start).number(*width)
            }
            _ => Err(UNKNOWN),
        }
    }

    /// Text that may be null; null where this version does not have it.
    pub(crate) fn nullable(&self, name: &str) -> Read<Option<&'a str>> {
        let (_, Some(span)) = self.find(name)? else { return Ok(None) };
        let text = Reader::at(self.frame, span.start).text(self.form.flexible)?;
        let Some(bytes) = text.and_then(|text| self.frame.get(text)) else { return Ok(None) };
        str::from_utf8(bytes).map(Some).map_err(|_| Unreadable::Wrong("a name that is not UTF-8"))
    }

    /// Text.
    pub(crate) fn text(&self, name: &str) -> Read<&'a str> {
        self.nullable(name)?.ok_or(NULL)
    }

    /// An id of 16 bytes, zeros where this version does not have it.
    pub(crate) fn id(&self, name: &str) -> Read<[u8; 16]> {
        let (_, Some(span)) = self.find(name)? else { return Ok([0; 16]) };
        self.frame.get(span).and_then(|id| id.first_chunk()).copied().ok_or(UNKNOWN)
    }

    /// A field as it is written; nothing where this version does not have it.
    pub(crate) fn raw(&self, name: &str) -> Read<&'a [u8]> {
        let (_, Some(span)) = self.find(name)? else { return Ok(&[]) };
        self.frame.get(span).ok_or(UNKNOWN)
    }

    /// The records of an array: none where it is null or this version does not have it.
    pub(crate) fn items(&self, name: &str) -> Read<Items<'a>> {
        let (field, span) = self.find(name)?;
        let (fields, tagged): (&'static [Field], bool) = match &field.kind {
            Kind::Array { fields, .. } => (fields, self.form.flexible),
            Kind::Values { element } => (*element, false),
            _ => return Err(UNKNOWN),
        };
        let span = span.unwrap_or(self.span.end..self.span.end);
        let mut reader = Reader::at(self.frame, span.start);
        let count = if span.is_empty() { None } else { reader.length(4, self.form.flexible)? };
        Ok(Items {
            frame: self.frame,
            count,
            count_span: span.start..reader.position(),
            next: reader.position(),
            left: count.unwrap_or(0),
            fields,
            form: self.form,
            tagged,
        })
    }

    /// Where its tagged fields stand, in a flexible version.
    pub(crate) fn tags(&self) -> Read<Range<usize>> {
        let mut reader = Reader::at(self.frame, self.span.start);
        pass_fields(&mut reader, self.fields, self.form)?;
        Ok(reader.position()..self.span.end)
    }

    /// Where a field stands; nowhere where this version does not have it.
    pub(crate) fn find(&self, name: &str) -> Read<(&'static Field, Option<Range<usize>>)> {
        let mut reader = Reader::at(self.frame, self.span.start);
        for field in self.fields {
            let start = reader.position();
            let present = field.is_in(self.form.version);
            if present {
                pass(&mut reader, field, self.form)?;
            }
            if field.name == name {
                return Ok((field, present.then(|| start..reader.position())));
            }
        }
        Err(UNKNOWN)
    }
}

/// The records of an array, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Items<'a> {
    frame: &'a [u8],
    count: Option<usize>,
    count_span: Range<usize>,
    next: usize,
    left: usize,
    fields: &'static [Field],
    form: Form,
    tagged: bool,
}

impl Items<'_> {
    /// Whether there is no array, which many requests mean everything by.
    pub(crate) const fn is_null(&self) -> bool {
        self.count.is_none()
    }

    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.count.unwrap_or(0)
    }

    /// Where the count stands.
    pub(crate) fn count_span(&self) -> Range<usize> {
        self.count_span.clone()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Read<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let record =
            Record::read_tagged(self.frame, self.next, self.fields, self.form, self.tagged);
        match &record {
            Ok(record) => self.next = record.span.end,
            Err(_) => self.left = 0,
        }
        Some(record)
    }
}

/// Where the count of an array of the outermost record stands, in an answer of which only the beginning has arrived.
pub(crate) fn count_of(
    frame: &[u8],
    start: usize,
    fields: &'static [Field],
    form: Form,
    name: &str,
) -> Read<(Option<usize>, Range<usize>)> {
    let mut reader = Reader::at(frame, start);
    for field in fields.iter().filter(|field| field.is_in(form.version)) {
        if field.name == name {
            let start = reader.position();
            let count = reader.length(4, form.flexible)?;
            return Ok((count, start..reader.position()));
        }
        pass(&mut reader, field, form)?;
    }
    Err(UNKNOWN)
}

fn pass_fields(reader: &mut Reader<'_>, fields: &'static [Field], form: Form) -> Read<()> {
    fields
        .iter()
        .filter(|field| field.is_in(form.version))
        .try_for_each(|field| pass(reader, field, form))
}

fn pass_record(reader: &mut Reader<'_>, fields: &'static [Field], form: Form) -> Read<()> {
    pass_fields(reader, fields, form)?;
    if form.flexible { reader.tags() } else { Ok(()) }
}

/// Walks over one field.
fn pass(reader: &mut Reader<'_>, field: &'static Field, form: Form) -> Read<()> {
    match &field.kind {
        Kind::Number(width) => reader.take(*width).map(drop),
        Kind::Id => reader.take(16).map(drop),
        Kind::Text { nullable } => {
            let text = reader.text(form.flexible)?;
            if text.is_none() && !nullable { Err(NULL) } else { Ok(()) }
        }
        Kind::Bytes => {
            let length = reader.length(4, form.flexible)?;
            reader.take(length.unwrap_or(0)).map(drop)
        }
        Kind::Array { fields, nullable } => {
            let count = reader.length(4, form.flexible)?;
            if count.is_none() && !nullable {
                return Err(NULL);
            }
            (0..count.unwrap_or(0)).try_for_each(|_| {
                reader.pass_item();
                pass_record(reader, fields, form)
            })
        }
        Kind::Values { element } => {
            let count = reader.length(4, form.flexible)?;
            (0..count.unwrap_or(0)).try_for_each(|_| {
                reader.pass_item();
                pass_fields(reader, *element, form)
            })
        }
        Kind::Optional(fields) => match reader.number(1)? {
            -1 => Ok(()),
            1 => pass_record(reader, fields, form),
            _ => Err(Unreadable::Wrong("neither a record nor none")),
        },
        Kind::Record(fields) => pass_record(reader, fields, form),
    }
}
