//! One AdmissionReview: bytes in, an answer out, no clock, no socket, no panic
//! (`admission.k8s.io/v1`,
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>).
//!
//! Only the creation of a pod is changed. Every other operation is allowed as it is, so that a rule
//! that sends too much does no harm; but an ephemeral container that would run as one of our users is
//! refused, unless it is a pod's own proxy in a newer version. A dry run is answered like any other request, because answering has no effect.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{InjectionOutcome, InjectionSettings, NamespaceFacts};

/// The deepest nesting of a review (SECURITY-CASES S-33); a pod needs about 15.
const MAX_DEPTH: usize = 100;
/// Longest uid that is answered; the API server's has 36.
const MAX_UID: usize = 256;

/// A review that was read.
#[derive(Debug)]
pub struct AdmissionReview {
    request: AdmissionRequest,
}

#[derive(Debug, Deserialize)]
struct ReviewEnvelope {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    request: Option<AdmissionRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionRequest {
    uid: String,
    kind: GroupKind,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    operation: String,
    #[serde(default)]
    object: Value,
}

#[derive(Debug, Deserialize)]
struct GroupKind {
    group: String,
    kind: String,
}

/// What became of a review, for the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewVerdict {
    /// A patch was made.
    Injected,
    /// Allowed without one.
    Unchanged,
    /// Refused.
    Refused,
}

impl ReviewVerdict {
    /// As the counter says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// The answer to a review.
#[derive(Debug)]
pub struct ReviewAnswer {
    /// What became of it.
    pub verdict: ReviewVerdict,
    /// The AdmissionReview to send back.
    pub body: Value,
}

impl AdmissionReview {
    /// Reads a review.
    ///
    /// # Errors
    /// What is wrong, for the body of a 400: there is no uid to answer to.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        if depth(body) > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        let envelope: ReviewEnvelope =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if envelope.api_version != "admission.k8s.io/v1" || envelope.kind != "AdmissionReview" {
            return Err("not an AdmissionReview of admission.k8s.io/v1".to_owned());
        }
        let request = envelope.request.ok_or("the review has no request")?;
        if request.uid.is_empty() || request.uid.len() > MAX_UID {
            return Err("the review's uid is empty or too long".to_owned());
        }
        Ok(Self { request })
    }

    /// The namespace whose annotations matter, when a pod is to be injected.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.request.namespace.as_deref().filter(|_| self.creates_pod())
    }

    /// Answers.
    #[must_use]
    pub fn answer(
        &self,
        namespace: &NamespaceFacts,
        settings: &InjectionSettings,
        secret: &str,
    ) -> ReviewAnswer {
        let request = &self.request;
        if self.adds_ephemeral_container() {
            return match crate::inject::check_users(&request.object, settings) {
                Ok(()) => self.allow(None),
                Err(refusal) => self.refuse(&refusal.to_string()),
            };
        }
        if !self.creates_pod() || self.is_control_plane(settings) {
            return self.allow(None);
        }
        match crate::inject::inject(&request.object, namespace, settings, secret) {
            Ok(InjectionOutcome::Unchanged(_)) => self.allow(None),
            Ok(InjectionOutcome::Changed(pod)) => self.allow(Some(&pod)),
            Err(refusal) => self.refuse(&refusal.to_string()),
        }
    }

    fn is_pod(&self) -> bool {
        self.request.kind.group.is_empty() && self.request.kind.kind == "Pod"
    }

    fn sub_resource(&self) -> &str {
        self.request.sub_resource.as_deref().unwrap_or_default()
    }

    fn creates_pod(&self) -> bool {
        self.is_pod() && self.request.operation == "CREATE" && self.sub_resource().is_empty()
    }

    fn adds_ephemeral_container(&self) -> bool {
        self.is_pod()
            && self.sub_resource() == "ephemeralcontainers"
            && self.request.operation == "UPDATE"
    }

    fn is_control_plane(&self, settings: &InjectionSettings) -> bool {
        crate::inject::is_control_plane(
            self.request.namespace.as_deref().unwrap_or_default(),
            settings,
        )
    }

    fn allow(&self, changed: Option<&Value>) -> ReviewAnswer {
        let mut response = json!({ "uid": self.request.uid, "allowed": true });
        let verdict = match changed {
            None => ReviewVerdict::Unchanged,
            Some(pod) => {
                let patch = json!(json_patch::diff(&self.request.object, pod)).to_string();
                response["patchType"] = json!("JSONPatch");
                response["patch"] = json!(STANDARD.encode(patch));
                ReviewVerdict::Injected
            }
        };
        ReviewAnswer { verdict, body: envelope(response) }
    }

    fn refuse(&self, why: &str) -> ReviewAnswer {
        let message = format!("postern: {why}");
        let response = json!({
            "uid": self.request.uid,
            "allowed": false,
            "status": { "code": 403, "reason": "Forbidden", "message": message },
        });
        ReviewAnswer { verdict: ReviewVerdict::Refused, body: envelope(response) }
    }
}

fn envelope(response: Value) -> Value {
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })
}

/// How deep brackets nest, strings left aside; found out before anything is built of it.
fn depth(body: &[u8]) -> usize {
    let (mut now, mut most) = (0usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !in_string => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}
