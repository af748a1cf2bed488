//! Parameters: in the path, the query, headers and cookies.

mod style;

use std::collections::HashMap;

use http::HeaderMap;
use http::header::COOKIE;
use serde_json::Value;

use crate::limits::JsonLimits;
use crate::percent;
use crate::refusal::SchemaRefusal;
use crate::schema::shape::{Shape, Types};
use crate::schema::{CompiledSchemas, SchemaId};
use style::coerce;
pub(crate) use style::{Style, object};

/// The most fields of a query or a form.
pub(crate) const MAX_FIELDS: usize = 1_000;

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

impl Place {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "path" => Some(Self::Path),
            "query" => Some(Self::Query),
            "header" => Some(Self::Header),
            "cookie" => Some(Self::Cookie),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

/// How a parameter's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In a style of OpenAPI.
    Style { style: Style, explode: bool },
    /// As JSON.
    Json,
    /// As something else, which is not looked into.
    Other,
}

/// A parameter.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    /// As the description writes it; headers in lower case.
    pub(crate) name: Box<str>,
    pub(crate) place: Place,
    pub(crate) required: bool,
    pub(crate) allow_empty: bool,
    pub(crate) form: Form,
    pub(crate) schema: Option<SchemaId>,
    pub(crate) shape: Shape,
}

type Checked = Result<(), SchemaRefusal>;

/// Fields of a query or a form: each name and value, still escaped.
pub(crate) struct Fields<'a> {
    fields: Vec<(String, &'a str, bool)>,
}

impl<'a> Fields<'a> {
    /// Reads `a=1&b=2`; an error where a name's escapes are broken or there are too many fields.
    pub(crate) fn read(text: &'a str, place: &str) -> Result<Self, SchemaRefusal> {
        let mut fields = Vec::new();
        for field in text.split('&').filter(|field| !field.is_empty()) {
            if fields.len() >= MAX_FIELDS {
                return Err(SchemaRefusal::mismatch(place, "maxFields"));
            }
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let name = percent::decode_form(name)
                .ok_or_else(|| SchemaRefusal::mismatch(place, "encoding"))?;
            fields.push((name, value, false));
        }
        Ok(Self { fields })
    }

    /// Takes the values of all fields of a name.
    pub(crate) fn take(&mut self, name: &str) -> Vec<&'a str> {
        self.take_all(|known| known == name).into_iter().map(|(_, value)| value).collect()
    }

    /// Takes the fields whose names are chosen.
    pub(crate) fn take_all(&mut self, chosen: impl Fn(&str) -> bool) -> Vec<(String, &'a str)> {
        let mut found = Vec::new();
        for (name, value, taken) in &mut self.fields {
            if !*taken && chosen(name) {
                *taken = true;
                found.push((name.clone(), *value));
            }
        }
        found
    }

    /// Whether a field is left that nobody took.
    pub(crate) fn is_left(&self) -> bool {
        self.fields.iter().any(|(.., taken)| !taken)
    }
}

impl Parameter {
    fn word(&self) -> String {
        format!("{}.{}", self.place.word(), self.name)
    }

    fn refusal(&self, keyword: &str) -> SchemaRefusal {
        SchemaRefusal::mismatch(self.word(), keyword)
    }

    /// Looks at a parameter of the path.
    pub(crate) fn check_path(&self, schemas: &CompiledSchemas, values: &[(&str, &str)]) -> Checked {
        let found = values.iter().find(|(name, _)| **name == *self.name);
        let (_, value) = found.ok_or_else(|| self.refusal("required"))?;
        let value = percent::decode(value).ok_or_else(|| self.refusal("encoding"))?;
        self.check_text(schemas, &value)
    }

    /// Looks at a parameter of the query, and takes its fields.
    pub(crate) fn check_query(
        &self,
        schemas: &CompiledSchemas,
        fields: &mut Fields<'_>,
    ) -> Checked {
        if let Form::Style { style, explode } = self.form {
            if style == Style::DeepObject {
                return self.check_deep(schemas, fields);
            }
            if explode && self.shape.types.has(Types::OBJECT) && !self.shape.properties.is_empty() {
                return self.check_spread(schemas, fields);
            }
            if explode && self.shape.types.has(Types::ARRAY) {
                return self.check_repeated(schemas, fields);
            }
        }
        let values = fields.take(&self.name);
        match values.as_slice() {
            [] => self.absent(),
            [""] if self.allow_empty => Ok(()),
            [value] => {
                let value = percent::decode_form(value).ok_or_else(|| self.refusal("encoding"))?;
                self.check_text(schemas, &value)
            }
            _ => Err(self.refusal("repeated")),
        }
    }

    fn absent(&self) -> Checked {
        if self.required { Err(self.refusal("required")) } else { Ok(()) }
    }

    /// `ids=1&ids=2`.
    fn check_repeated(&self, schemas: &CompiledSchemas, fields: &mut Fields<'_>) -> Checked {
        let values = fields.take(&self.name);
        if values.is_empty() {
            return self.absent();
        }
        if self.allow_empty && values == [""] {
            return Ok(());
        }
        let mut items = Vec::new();
        for value in &values {
            items.push(percent::decode_form(value).ok_or_else(|| self.refusal("encoding"))?);
        }
        let lists = [false, true].map(|as_text| {
            Value::Array(items.iter().map(|item| coerce(item, self.shape.items, as_text)).collect())
        });
        let mut candidates: Vec<Value> = lists.into();
        if let [item] = items.as_slice() {
            candidates.extend([false, true].map(|as_text| coerce(item, self.shape.types, as_text)));
        }
        self.check_any(schemas, candidates)
    }

    /// `filter[state]=open&filter[owner]=ann`.
    fn check_deep(&self, schemas: &CompiledSchemas, fields: &mut Fields<'_>) -> Checked {
        let inner = |name: &str| {
            let inner = name.strip_prefix(&*self.name)?.strip_prefix('[')?.strip_suffix(']')?;
            (!inner.contains(['[', ']'])).then(|| inner.to_owned())
        };
        let found = fields.take_all(|name| inner(name).is_some());
        let named =
            found.into_iter().filter_map(|(name, value)| Some((inner(&name)?, value))).collect();
        self.check_object(schemas, named)
    }

    /// `state=open&owner=ann`: an object whose properties are fields of their own.
    fn check_spread(&self, schemas: &CompiledSchemas, fields: &mut Fields<'_>) -> Checked {
        let found = fields.take_all(|name| self.shape.property(name).is_some());
        self.check_object(schemas, found)
    }

    fn check_object(&self, schemas: &CompiledSchemas, found: Vec<(String, &str)>) -> Checked {
        if found.is_empty() {
            return self.absent();
        }
        let mut decoded: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in found {
            let value = percent::decode_form(value).ok_or_else(|| self.refusal("encoding"))?;
            decoded.entry(name).or_default().push(value);
        }
        let candidates = [false, true].map(|as_text| style::object(&decoded, &self.shape, as_text));
        let candidates = candidates.into_iter().collect::<Option<Vec<_>>>();
        self.check_any(schemas, candidates.ok_or_else(|| self.refusal("repeated"))?)
    }

    /// Looks at a header.
    pub(crate) fn check_header(&self, schemas: &CompiledSchemas, headers: &HeaderMap) -> Checked {
        let mut lines = Vec::new();
        for value in headers.get_all(&*self.name) {
            lines
                .push(std::str::from_utf8(value.as_bytes()).map_err(|_| self.refusal("encoding"))?);
        }
        match lines.as_slice() {
            [] => self.absent(),
            [value] => self.check_text(schemas, value),
            // Lines of a list are one list (RFC 9110, section 5.3).
            _ if self.shape.types.has(Types::ARRAY) => self.check_text(schemas, &lines.join(",")),
            _ => Err(self.refusal("repeated")),
        }
    }

    /// Looks at a cookie.
    pub(crate) fn check_cookie(&self, schemas: &CompiledSchemas, headers: &HeaderMap) -> Checked {
        let mut values = Vec::new();
        for line in headers.get_all(COOKIE) {
            let line =
                std::str::from_utf8(line.as_bytes()).map_err(|_| self.refusal("encoding"))?;
            for pair in line.split(';') {
                if let Some((name, value)) = pair.trim().split_once('=')
                    && *name.trim_end() == *self.name
                {
                    // Some apps take quotes off, and others do not.
                    if value.contains('"') {
                        return Err(self.refusal("encoding"));
                    }
                    values.push(value.trim_start());
                }
            }
        }
        match values.as_slice() {
            [] => self.absent(),
            [value] => {
                let value = percent::decode(value).ok_or_else(|| self.refusal("encoding"))?;
                self.check_text(schemas, &value)
            }
            _ => Err(self.refusal("repeated")),
        }
    }

    /// Looks at a value that is written as one text, its escapes undone.
    fn check_text(&self, schemas: &CompiledSchemas, text: &str) -> Checked {
        match self.form {
            Form::Other => Ok(()),
            Form::Json => {
                let value = JsonLimits::default().read(text.as_bytes());
                let value = value.map_err(|refusal| self.refusal(&refusal.keyword))?;
                self.check_any(schemas, vec![value])
            }
            Form::Style { style, explode } => {
                let candidates = style::read(text, style, explode, &self.name, &self.shape);
                self.check_any(schemas, candidates)
            }
        }
    }

    /// Looks whether any reading is as the schema says; what is wrong is told of the first one.
    fn check_any(&self, schemas: &CompiledSchemas, candidates: Vec<Value>) -> Checked {
        let Some(schema) = self.schema else {
            return Ok(());
        };
        let mut told = Err(self.refusal("style"));
        for (index, candidate) in candidates.iter().enumerate() {
            match schemas.check(schema, candidate, &self.word()) {
                Ok(()) => return Ok(()),
                refused if index == 0 => told = refused,
                Err(_) => {}
            }
        }
        told
    }
}
