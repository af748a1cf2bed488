//! Path items and their operations.

use http::Method;
use serde_json::Value;

use super::{content, parameters};
use crate::body::Content;
use crate::operation::{Answer, OperationParts, RequestBody, SecurityRequirement, Statuses};
use crate::parameter::{Parameter, Place};
use crate::paths::Template;
use crate::reader::{Part, Reader};
use crate::schema::{Direction, Schemas};

/// The methods that a path item has fields for.
const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("head", Method::HEAD),
    ("patch", Method::PATCH),
    ("trace", Method::TRACE),
];
const FIELDS: [&str; 12] = [
    "tags",
    "summary",
    "description",
    "externalDocs",
    "operationId",
    "parameters",
    "requestBody",
    "responses",
    "callbacks",
    "deprecated",
    "security",
    "servers",
];

/// The most parameters of one list.
const MAX_PARAMETERS: usize = 200;

/// The reading of one path.
pub(super) struct PathReader<'t, 'a, 's> {
    pub(super) reader: &'t mut Reader<'a>,
    pub(super) schemas: &'s mut Schemas,
    pub(super) root: &'t Part<'a>,
}

impl<'a> PathReader<'_, 'a, '_> {
    /// The operations of a path.
    pub(super) fn read(
        &mut self,
        path: &str,
        template: &Template,
        item: &Part<'a>,
    ) -> Vec<OperationParts> {
        let mut known = vec!["summary", "description", "servers", "parameters"];
        known.extend(METHODS.iter().map(|(name, _)| *name));
        self.reader.fields(item, &known);
        let shared = self.parameters(item);
        let mut operations = Vec::new();
        for (name, method) in METHODS {
            if let Some(part) = item.field(name) {
                operations.extend(self.operation(path, template, method, &part, &shared));
            }
        }
        operations
    }

    fn operation(
        &mut self,
        path: &str,
        template: &Template,
        method: Method,
        part: &Part<'a>,
        shared: &[Parameter],
    ) -> Option<OperationParts> {
        self.reader.fields(part, &FIELDS)?;
        if part.field("servers").is_some() {
            let message = "servers of one operation; write them at its path";
            self.reader.problem(&part.below("servers"), message);
        }
        let mut parameters = self.parameters(part);
        for parameter in shared {
            if !parameters
                .iter()
                .any(|own| own.name == parameter.name && own.place == parameter.place)
            {
                parameters.push(parameter.clone());
            }
        }
        self.check_path_parameters(part, template, &parameters);
        let (security, keys_in_query) = self.security(part);
        Some(OperationParts {
            method,
            path: path.to_owned(),
            id: self.reader.text(part, "operationId").map(str::to_owned),
            tags: texts(part.field("tags")),
            security,
            parameters,
            keys_in_query,
            body: self.body(part),
            answers: self.answers(part),
        })
    }

    fn parameters(&mut self, part: &Part<'a>) -> Vec<Parameter> {
        let mut parameters: Vec<Parameter> = Vec::new();
        let items = part.field("parameters").map(|all| all.items()).unwrap_or_default();
        if items.len() > MAX_PARAMETERS {
            let message = format!("more than {MAX_PARAMETERS} parameters");
            self.reader.problem(&part.below("parameters"), message);
            return parameters;
        }
        for item in items {
            let Some(item) = self.reader.resolve(item) else {
                continue;
            };
            let Some(parameter) = parameters::parameter(self.reader, self.schemas, &item) else {
                continue;
            };
            if parameters
                .iter()
                .any(|other| other.name == parameter.name && other.place == parameter.place)
            {
                self.reader
                    .problem(&item.pointer, format!("the parameter `{}` twice", parameter.name));
            }
            parameters.push(parameter);
        }
        parameters
    }

    fn check_path_parameters(
        &mut self,
        part: &Part<'a>,
        template: &Template,
        parameters: &[Parameter],
    ) {
        for name in template.parameters() {
            if !parameters.iter().any(|known| known.place == Place::Path && *known.name == *name) {
                let message = format!("the parameter `{name}` of the path is not described");
                self.reader.problem(&part.pointer, message);
            }
        }
        for parameter in parameters.iter().filter(|parameter| parameter.place == Place::Path) {
            if !template.parameters().any(|name| *name == *parameter.name) {
                let message =
                    format!("the parameter `{}`, which the path does not have", parameter.name);
                self.reader.problem(&part.pointer, message);
            }
        }
    }

    fn body(&mut self, part: &Part<'a>) -> Option<RequestBody> {
        let body = self.reader.resolve(part.field("requestBody")?)?;
        self.reader.fields(&body, &["description", "content", "required"])?;
        let required = self.reader.truth(&body, "required", false);
        Some(RequestBody { required, content: self.content(&body, Direction::Request) })
    }

    fn content(&mut self, part: &Part<'a>, direction: Direction) -> Content {
        match part.field("content") {
            Some(all) => content::content(self.reader, self.schemas, &all, direction),
            None => Content::default(),
        }
    }

    fn answers(&mut self, part: &Part<'a>) -> Vec<(Statuses, Answer)> {
        let Some(responses) = part.field("responses") else {
            self.reader.problem(&part.pointer, "no `responses`");
            return Vec::new();
        };
        let mut answers = Vec::new();
        for (name, answer) in responses.entries() {
            if name.starts_with("x-") {
                continue;
            }
            let Some(statuses) = statuses(name) else {
                self.reader.problem(&answer.pointer, "neither a status, nor `2XX`, nor `default`");
                continue;
            };
            answers.extend(self.answer(answer).map(|answer| (statuses, answer)));
        }
        answers
    }

    fn answer(&mut self, part: Part<'a>) -> Option<Answer> {
        let answer = self.reader.resolve(part)?;
        self.reader.fields(&answer, &["description", "headers", "content", "links"])?;
        let mut headers = Vec::new();
        for (name, header) in answer.field("headers").map(|all| all.entries()).unwrap_or_default() {
            if let Some(header) = self.reader.resolve(header) {
                headers.extend(parameters::header(self.reader, self.schemas, name, &header));
            }
        }
        Some(Answer { headers, content: self.content(&answer, Direction::Answer) })
    }

    /// The ways to prove oneself, and the fields of the query that belong to them.
    fn security(&mut self, part: &Part<'a>) -> (Vec<SecurityRequirement>, Vec<String>) {
        let Some(security) = part.field("security").or_else(|| self.root.field("security")) else {
            return (Vec::new(), Vec::new());
        };
        let (mut requirements, mut keys) = (Vec::new(), Vec::new());
        for requirement in security.items() {
            let mut schemes = Vec::new();
            for (name, scopes) in requirement.entries() {
                keys.extend(self.key_in_query(&scopes.pointer, name));
                schemes.push((name.to_owned(), texts(Some(scopes))));
            }
            requirements.push(SecurityRequirement { schemes });
        }
        (requirements, keys)
    }

    fn key_in_query(&mut self, pointer: &str, name: &str) -> Option<String> {
        let schemes = self.root.field("components").and_then(|all| all.field("securitySchemes"));
        let Some(scheme) = schemes.and_then(|schemes| schemes.field(name)) else {
            self.reader
                .problem(pointer, format!("`{name}`, which is none of the security schemes"));
            return None;
        };
        let scheme = self.reader.resolve(scheme)?;
        let is = |field: &str, value: &str| {
            scheme.value.get(field).and_then(Value::as_str) == Some(value)
        };
        if is("type", "apiKey") && is("in", "query") {
            return self.reader.text(&scheme, "name").map(str::to_owned);
        }
        None
    }
}

fn statuses(name: &str) -> Option<Statuses> {
    if name == "default" {
        return Some(Statuses::Default);
    }
    if name.len() != 3 {
        return None;
    }
    if let Some(class) = name.strip_suffix("XX") {
        return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Statuses::Class);
    }
    name.parse().ok().filter(|status| (100..600).contains(status)).map(Statuses::One)
}

fn texts(part: Option<Part<'_>>) -> Vec<String> {
    let items = part.map(|part| part.items()).unwrap_or_default();
    items.iter().filter_map(|item| item.value.as_str()).map(str::to_owned).collect()
}
