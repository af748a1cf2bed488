//! What rules can look at of a request: named values, taken apart once.

mod arguments;
mod body;
mod json;
mod multipart;
mod xml;

use std::borrow::Cow;

use zentinel_modsec::parser::VariableName;

use crate::inspection::NotRead;
use crate::request::InspectedRequest;

/// A document is taken apart into so many values at most; what lies beyond is looked at as one text.
const MOST_VALUES: usize = 2048;

/// One value of the request.
#[derive(Debug)]
pub(crate) struct Fact<'a> {
    /// Which variable it is of.
    pub(crate) variable: VariableName,
    /// Its name within a collection; empty for a variable that is one value.
    pub(crate) key: Cow<'a, [u8]>,
    /// The value itself.
    pub(crate) value: Cow<'a, [u8]>,
}

/// All of them, those of one variable in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) all: Vec<Fact<'a>>,
    /// How the body was taken apart: `URLENCODED`, `MULTIPART`, `JSON`, `XML`; empty where it was not.
    processor: &'static str,
    /// What of the body could not be taken apart.
    body_error: Option<&'static str>,
    multipart_error: bool,
    /// Why an application may see what is not among these.
    pub(crate) not_read: Option<NotRead>,
}

impl<'a> Facts<'a> {
    /// What is known before the body: phase 1.
    pub(crate) fn of_head(request: &InspectedRequest<'a>) -> Self {
        let mut facts = Self::default();
        facts.add_line(request);
        facts.add_headers(request);
        facts.add_query(request);
        facts
    }

    /// Adds what the body says: phase 2. `forced` is the way that a rule chose for it.
    pub(crate) fn add_body(&mut self, request: &InspectedRequest<'a>, forced: Option<&str>) {
        body::add(self, request, forced);
        self.add_counts();
    }

    fn add(
        &mut self,
        variable: VariableName,
        key: impl Into<Cow<'a, [u8]>>,
        value: impl Into<Cow<'a, [u8]>>,
    ) {
        self.all.push(Fact { variable, key: key.into(), value: value.into() });
    }

    fn add_one(&mut self, variable: VariableName, value: impl Into<Cow<'a, [u8]>>) {
        self.add(variable, &b""[..], value);
    }

    fn leave_out(&mut self, why: NotRead) {
        self.not_read.get_or_insert(why);
    }

    fn add_line(&mut self, request: &InspectedRequest<'a>) {
        let (method, target) = (request.method.as_bytes(), request.target.as_bytes());
        let protocol = format!("{:?}", request.version).into_bytes();
        let origin = origin_form(target);
        let (path, query) = split_once(origin, b'?');
        // As the field has it: decoded once, and what is encoded still was encoded twice.
        let path = crate::transform::decoded_path(path).map_or(Cow::Borrowed(path), Cow::Owned);
        let line = [method, target, protocol.as_slice()].join(&b' ');
        let last = |path: &[u8]| {
            path.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |slash| slash + 1)
        };
        let basename = path.get(last(&path)..).unwrap_or_default().to_vec();
        self.add_one(VariableName::RequestLine, line);
        self.add_one(VariableName::RequestMethod, method);
        self.add_one(VariableName::RequestProtocol, protocol);
        self.add_one(VariableName::RequestUriRaw, target);
        self.add_one(VariableName::RequestUri, origin);
        self.add_one(VariableName::RequestFilename, path);
        self.add_one(VariableName::RequestBasename, basename);
        self.add_one(VariableName::QueryString, query.unwrap_or_default());
        self.add_one(VariableName::RemoteAddr, request.client.to_string().into_bytes());
    }

    fn add_headers(&mut self, request: &InspectedRequest<'a>) {
        for (name, value) in request.headers {
            self.add(VariableName::RequestHeaders, name.as_str().as_bytes(), value.as_bytes());
            self.add(
                VariableName::RequestHeadersNames,
                name.as_str().as_bytes(),
                name.as_str().as_bytes(),
            );
            if name == http::header::COOKIE {
                self.add_cookies(value.as_bytes());
            }
        }
        if let Some(host) = request.headers.get(http::header::HOST) {
            let host = split_once(host.as_bytes(), b':').0;
            self.add_one(VariableName::ServerName, host);
        }
    }

    fn add_cookies(&mut self, header: &'a [u8]) {
        let mut pairs = header
            .split(|byte| *byte == b';')
            .map(<[u8]>::trim_ascii)
            .filter(|pair| !pair.is_empty() && *pair != b"=");
        for pair in pairs.by_ref().take(MOST_VALUES) {
            let (name, value) = split_once(pair, b'=');
            let (name, value) = (name.trim_ascii(), value.unwrap_or_default().trim_ascii());
            self.add(VariableName::RequestCookies, name, value);
            self.add(VariableName::RequestCookiesNames, name, name);
        }
        let rest: Vec<_> = pairs.collect();
        if !rest.is_empty() {
            self.leave_out(NotRead::TooMany);
            self.add(VariableName::RequestCookies, &b""[..], rest.join(&b';'));
        }
    }

    fn add_query(&mut self, request: &InspectedRequest<'a>) {
        let query = split_once(origin_form(request.target.as_bytes()), b'?').1.unwrap_or_default();
        let all = arguments::of_form(query, |name, value| {
            self.add(VariableName::ArgsGetNames, name.clone(), name.clone());
            self.add(VariableName::ArgsGet, name, value);
        });
        if !all {
            self.leave_out(NotRead::TooMany);
        }
    }

    fn add_argument(&mut self, name: Cow<'a, [u8]>, value: Cow<'a, [u8]>) {
        self.add(VariableName::ArgsPostNames, name.clone(), name.clone());
        self.add(VariableName::ArgsPost, name, value);
    }

    fn add_counts(&mut self) {
        let of_arguments = |fact: &&Fact<'_>| {
            matches!(fact.variable, VariableName::ArgsGet | VariableName::ArgsPost)
        };
        let size: usize = self
            .all
            .iter()
            .filter(of_arguments)
            .map(|fact| fact.key.len() + fact.value.len())
            .sum();
        self.add_one(VariableName::ArgsCombinedSize, size.to_string().into_bytes());
        let flag = |is: bool| if is { &b"1"[..] } else { &b"0"[..] };
        self.add_one(VariableName::MultipartStrictCheck, flag(self.multipart_error));
        if !self.processor.is_empty() {
            self.add_one(VariableName::ReqBodyProcessor, self.processor.as_bytes());
        }
        for variable in [VariableName::ReqBodyError, VariableName::ReqBodyProcessorError] {
            self.add_one(variable, flag(self.body_error.is_some()));
        }
        if let Some(message) = self.body_error {
            self.add_one(VariableName::ReqBodyErrorMsg, message.as_bytes());
            self.add_one(VariableName::ReqBodyProcessorErrorMsg, message.as_bytes());
        }
    }
}

/// A variable that rules may name, in whatever phase; the others are refused when a rule set is read.
pub(crate) fn is_known(variable: VariableName) -> bool {
    use VariableName as V;
    matches!(
        variable,
        V::Args
            | V::ArgsGet
            | V::ArgsPost
            | V::ArgsNames
            | V::ArgsGetNames
            | V::ArgsPostNames
            | V::ArgsCombinedSize
            | V::RequestUri
            | V::RequestUriRaw
            | V::RequestFilename
            | V::RequestBasename
            | V::RequestLine
            | V::RequestMethod
            | V::RequestProtocol
            | V::RequestHeaders
            | V::RequestHeadersNames
            | V::RequestCookies
            | V::RequestCookiesNames
            | V::RequestBody
            | V::RequestBodyLength
            | V::QueryString
            | V::RemoteAddr
            | V::ServerName
            | V::Tx
            | V::MatchedVar
            | V::MatchedVars
            | V::MatchedVarName
            | V::MatchedVarsNames
            | V::Files
            | V::FilesNames
            | V::FilesSizes
            | V::FilesCombinedSize
            | V::MultipartPartHeaders
            | V::MultipartStrictCheck
            | V::Xml
            | V::ReqBodyProcessor
            | V::ReqBodyError
            | V::ReqBodyErrorMsg
            | V::ReqBodyProcessorError
            | V::ReqBodyProcessorErrorMsg
    )
}

/// The target without the scheme and host of the absolute form (RFC 9112, section 3.2.2).
fn origin_form(target: &[u8]) -> &[u8] {
    if target.first() == Some(&b'/') {
        return target;
    }
    let Some(scheme) = target.windows(3).position(|window| window == b"://") else { return target };
    let after = target.get(scheme + 3..).unwrap_or_default();
    match after.iter().position(|byte| *byte == b'/') {
        Some(slash) => after.get(slash..).unwrap_or_default(),
        None => b"/",
    }
}

pub(crate) fn split_once(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == at) {
        Some(place) => (text.get(..place).unwrap_or_default(), text.get(place + 1..)),
        None => (text, None),
    }
}
