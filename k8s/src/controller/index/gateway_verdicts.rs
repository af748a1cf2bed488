//! What the statuses of gateways, and of what is attached to them, do not say yet.

use std::collections::{HashMap, HashSet};

use k8s_openapi::jiff::Timestamp;
use policy::gateway::{CONTROLLER_NAME, ObjectName as Named};
use policy::gateway_status::{
    Condition, ConditionKind, ConditionStatus, GatewayStatus, ListenerSetStatus,
    PolicyAncestorStatus, PolicyStatus, RouteParentStatus,
};
use policy::route::{ParentKind, ParentRef};
use serde_json::Value;

use super::gateway_runs::texts;
use super::guests::MOST_SETS;
use super::policies::PolicyRecord;
use super::references::{EdgeParent, edge_parent};
use super::{
    Index, KindRole, ObjectName, ParentCondition, ParentVerdict, PolicyKind, PolicyName,
    RouteVerdict,
};
use crate::controller::gateways::review::{Documents, GatewayReview};
use crate::controller::gateways::statuses::{self, Judged, MOST_ANCESTORS, StatusWrite};
use crate::controller::{parent_status, status};
use crate::inject::gateway::GatewayOptions;

impl Index {
    /// The statuses to be written of GatewayClasses, Gateways, ListenerSets and BackendTLSPolicies.
    #[must_use]
    pub fn gateway_statuses(&self, review: &GatewayReview, now: Timestamp) -> Vec<StatusWrite> {
        let mut writes = Vec::new();
        let statuses = &review.statuses;
        for (class, wanted) in &statuses.classes {
            let name = named(PolicyKind::GatewayClass, "", class);
            writes.extend(self.write(name, now, |judged, said, _| judged.class(wanted, said)));
        }
        for (gateway, wanted) in &statuses.gateways {
            let name = of(PolicyKind::Gateway, gateway);
            let addresses = self.gateway_addresses(&name.object);
            writes.extend(self.write(name, now, |judged, said, record| {
                judged.gateway(&self.corrected(wanted, record), &addresses, said)
            }));
        }
        for (set, wanted) in &statuses.listener_sets {
            let name = of(PolicyKind::ListenerSet, set);
            let closed = self.closed_by(&name);
            writes.extend(self.write(name, now, |judged, said, record| {
                let mut wanted = wanted.clone();
                if let Some(policy) = closed {
                    wanted.conditions = closed_because_of(policy).into();
                }
                refuse(&mut wanted.conditions, record.mistakes.as_deref());
                judged.listener_set(&wanted, said)
            }));
        }
        writes.extend(self.unread_sets(review, now));
        writes.extend(self.backend_tls_statuses(review, now));
        writes.extend(self.unread_statuses(review, now));
        writes
    }

    /// Of what has never been without a mistake, the mistakes are said.
    fn unread_statuses(&self, review: &GatewayReview, now: Timestamp) -> Vec<StatusWrite> {
        let known: HashSet<&Named> =
            review.statuses.gateways.iter().map(|(name, _)| name).collect();
        let unread = self.own_gateways().filter(|name| !known.contains(&as_named(&name.object)));
        let writes = unread.filter_map(|name| {
            self.write(name.clone(), now, |judged, said, record| {
                let mistakes = record.mistakes.as_deref().unwrap_or_default();
                let conditions = [ConditionKind::Accepted, ConditionKind::Programmed]
                    .map(|kind| Condition::fails(kind, "Invalid", mistakes));
                let status = GatewayStatus {
                    conditions: conditions.into(),
                    listeners: Vec::new(),
                    attached_listener_sets: 0,
                };
                judged.gateway(&status, &self.gateway_addresses(&name.object), said)
            })
        });
        writes.collect()
    }

    /// The policy because of which a guest's ListenerSet is closed.
    fn closed_by(&self, set: &PolicyName) -> Option<&PolicyName> {
        let parent = self.served(set)?.references.edge.first()?.name();
        let is_closed = self.is_closed(&parent.object, set);
        is_closed.then(|| self.withheld_by(set)).flatten()
    }

    /// The ListenerSets of our Gateways that were not judged: they were never without a mistake, or their Gateway is not, or
    /// has no room for them.
    fn unread_sets(&self, review: &GatewayReview, now: Timestamp) -> Vec<StatusWrite> {
        let judged: HashSet<&Named> =
            review.statuses.listener_sets.iter().map(|(name, _)| name).collect();
        let unread = self.of_kind(PolicyKind::ListenerSet, None).filter(|name| {
            let parent = self.served(name).and_then(|served| served.references.edge.first());
            !judged.contains(&as_named(&name.object)) && parent.is_some_and(|of| self.is_own(of))
        });
        let writes = unread.filter_map(|name| {
            let parent = self.served(name)?.references.edge.first()?.name();
            let gateways = &review.statuses.gateways;
            let is_judged = gateways.iter().any(|(of, _)| *of == as_named(&parent.object));
            self.write(name.clone(), now, |judged, said, record| {
                let conditions = not_judged(&parent.object, is_judged, record.mistakes.as_deref());
                let status =
                    ListenerSetStatus { conditions: conditions.into(), listeners: Vec::new() };
                judged.listener_set(&status, said)
            })
        });
        writes.collect()
    }

    /// What was judged is the version in force; of one with mistakes it is said that it is not the newest.
    fn corrected(&self, status: &GatewayStatus, record: &PolicyRecord) -> GatewayStatus {
        let mut status = status.clone();
        let annotations = texts(&record.object.document, "/spec/infrastructure/annotations");
        if let Err(mistakes) = GatewayOptions::read(&annotations) {
            let accepted = ConditionKind::Accepted;
            let message = mistakes.join(" | ");
            statuses::set(
                &mut status.conditions,
                Condition::fails(accepted, "InvalidParameters", message),
            );
        }
        let class = record.class().filter(|class| self.has_parameters(class));
        let parameters = class.map(|class| format!("GatewayClass {class} is not accepted"));
        refuse(&mut status.conditions, parameters.as_deref());
        refuse(&mut status.conditions, record.mistakes.as_deref());
        status
    }

    /// A policy that no route leads to any more is answered nowhere: its entries of ours go.
    fn backend_tls_statuses(&self, review: &GatewayReview, now: Timestamp) -> Vec<StatusWrite> {
        let wanted: HashMap<&Named, &PolicyStatus> = review
            .statuses
            .backend_tls_policies
            .iter()
            .map(|(name, status)| (name, status))
            .collect();
        let names: Vec<PolicyName> =
            self.of_kind(PolicyKind::BackendTLSPolicy, None).cloned().collect();
        let has_unread = names.iter().any(|name| !self.is_accepted(name));
        let documents = match has_unread {
            true => self.documents_of_gateways(),
            false => Default::default(),
        };
        let writes = names.into_iter().filter_map(|name| {
            let found = wanted.get(&as_named(&name.object)).copied().cloned();
            let documents = if self.is_accepted(&name) { &[][..] } else { &documents };
            let wanted = found.unwrap_or_else(|| unread_policy(&name, documents));
            self.write(name, now, |judged, said, record| {
                let mut wanted = wanted;
                for ancestor in &mut wanted.ancestors {
                    refuse(&mut ancestor.conditions, record.mistakes.as_deref());
                }
                match wanted.ancestors.is_empty() && said["ancestors"].is_null() {
                    true => Value::Null,
                    false => judged.policy(&wanted, said),
                }
            })
        });
        writes.collect()
    }

    /// What belongs to each Gateway, by the names of the documents.
    fn documents_of_gateways(&self) -> Vec<(Named, Documents)> {
        let documents =
            |name: &PolicyName| (as_named(&name.object), self.documents_to_review(name));
        self.own_gateways().map(documents).collect()
    }

    /// The write of an object's status, unless that is as it is to be.
    fn write(
        &self,
        name: PolicyName,
        now: Timestamp,
        wanted: impl FnOnce(Judged, &Value, &PolicyRecord) -> Value,
    ) -> Option<StatusWrite> {
        let record = self.policies.get(&name)?;
        let object = &record.object;
        let judged = Judged { generation: object.generation, now };
        let wanted = wanted(judged, &object.status, record);
        (!statuses::says(&object.status, &wanted)).then(|| StatusWrite {
            api_version: object.document["apiVersion"].as_str().unwrap_or_default().to_owned(),
            resource_version: object.resource_version.clone(),
            status: wanted,
            name,
        })
    }

    /// The routes whose status does not say yet what is to be said at gateways.
    #[must_use]
    pub fn gateway_routes(&self, review: &GatewayReview) -> Vec<RouteVerdict> {
        let found = review.statuses.routes.iter().map(|(route, status)| {
            ((route.kind.as_str(), &*route.namespace, &*route.name), &status.parents)
        });
        let found: HashMap<(&str, &str, &str), &Vec<RouteParentStatus>> = found.collect();
        let routes = self.policies.iter().filter(|(name, _)| name.kind.role() == KindRole::Route);
        let verdicts = routes.filter_map(|(name, record)| {
            let key = (name.kind.as_str(), &*name.object.namespace, &*name.object.name);
            let parents = found.get(&key).map(|parents| parents.as_slice()).unwrap_or_default();
            self.verdict_at_gateways(name, record, parents)
        });
        verdicts.filter(|verdict| !parent_status::says(verdict)).collect()
    }

    fn verdict_at_gateways(
        &self,
        name: &PolicyName,
        record: &PolicyRecord,
        found: &[RouteParentStatus],
    ) -> Option<RouteVerdict> {
        let object = &record.object;
        let written = object.document.pointer("/spec/parentRefs").and_then(Value::as_array);
        let mut parents: Vec<ParentVerdict> = Vec::new();
        for reference in written.into_iter().flatten() {
            let edge = edge_parent(reference, &name.object.namespace);
            let Some(edge) = edge.filter(|edge| self.is_own(edge)) else { continue };
            let parent = parent_ref(reference, &edge);
            let judged = found.iter().find(|status| status.parent_ref == parent);
            let verdict = verdict(reference, judged, record.mistakes.as_deref());
            if let Some(verdict) = verdict
                && !parents.iter().any(|known| known.parent == *reference)
            {
                parents.push(verdict);
            }
        }
        let is_ours = |entry: &Value| entry["controllerName"] == CONTROLLER_NAME;
        (!parents.is_empty() || object.parents.iter().any(is_ours)).then(|| RouteVerdict {
            controller: CONTROLLER_NAME,
            name: name.clone(),
            api_version: object.document["apiVersion"].as_str().unwrap_or_default().to_owned(),
            generation: object.generation,
            resource_version: object.resource_version.clone(),
            said: object.parents.clone(),
            parents,
        })
    }
}

fn named(kind: PolicyKind, namespace: &str, name: &str) -> PolicyName {
    PolicyName { kind, object: ObjectName::new(namespace, name) }
}

fn as_named(name: &ObjectName) -> Named {
    Named::new(name.namespace.clone(), name.name.clone())
}

fn of(kind: PolicyKind, name: &Named) -> PolicyName {
    let Named { namespace, name } = name.clone();
    PolicyName { kind, object: ObjectName { namespace, name } }
}

/// A parent as the policy crate has it.
fn parent_ref(written: &Value, edge: &EdgeParent) -> ParentRef {
    let (kind, object) = match edge {
        EdgeParent::Gateway(object) => (ParentKind::Gateway, object),
        EdgeParent::ListenerSet(object) => (ParentKind::ListenerSet, object),
    };
    let port = written.get("port").and_then(Value::as_u64);
    ParentRef {
        kind,
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        port: port.and_then(|port| u16::try_from(port).ok()),
        section: written.get("sectionName").and_then(Value::as_str).map(Into::into),
    }
}

/// A policy that was never without a mistake, at the Gateways whose routes lead to its Services.
fn unread_policy(name: &PolicyName, documents: &[(Named, Documents)]) -> PolicyStatus {
    let key = name.to_string();
    let gateways = documents.iter().filter(|(_, documents)| documents.contains_key(&key));
    let ancestors = gateways.take(MOST_ANCESTORS).map(|(gateway, _)| PolicyAncestorStatus {
        ancestor_ref: gateway.clone(),
        conditions: Vec::new(),
    });
    PolicyStatus { ancestors: ancestors.collect() }
}

/// What is said of a route at one parent; a route with mistakes is answered without the reader.
fn verdict(
    written: &Value,
    judged: Option<&RouteParentStatus>,
    mistakes: Option<&str>,
) -> Option<ParentVerdict> {
    let condition = |kind| {
        let of = judged?.conditions.iter().find(|condition: &&Condition| condition.kind == kind)?;
        let Condition { status, reason, message, .. } = of;
        let holds = *status == ConditionStatus::True;
        Some(ParentCondition { holds, reason, message: message.clone() })
    };
    let refused = mistakes.map(|mistakes| ParentCondition {
        holds: false,
        reason: "UnsupportedValue",
        message: status::message(Some(mistakes)),
    });
    let has_mistakes = refused.is_some();
    Some(ParentVerdict {
        parent: written.clone(),
        accepted: refused.or_else(|| condition(ConditionKind::Accepted))?,
        resolved_refs: condition(ConditionKind::ResolvedRefs).filter(|_| !has_mistakes),
    })
}

/// What is said of a ListenerSet of a Gateway that was not judged.
fn not_judged(
    gateway: &ObjectName,
    is_gateway_judged: bool,
    mistakes: Option<&str>,
) -> [Condition; 2] {
    let (accepted, programmed) = (ConditionKind::Accepted, ConditionKind::Programmed);
    let (reasons, message) = match (mistakes, is_gateway_judged) {
        (Some(mistakes), _) => (("Invalid", "Invalid"), mistakes.to_owned()),
        (None, true) => (
            ("NotAllowed", "NotAllowed"),
            format!("Gateway {gateway} has {MOST_SETS} older ListenerSets, and no room for more"),
        ),
        (None, false) => (
            ("ParentNotAccepted", "ParentNotProgrammed"),
            format!("Gateway {gateway} is not accepted"),
        ),
    };
    [
        Condition::fails(accepted, reasons.0, &*message),
        Condition::fails(programmed, reasons.1, &*message),
    ]
}

fn closed_because_of(policy: &PolicyName) -> [Condition; 2] {
    let message = format!("{policy}, which is about it, has a mistake: it lets nobody in");
    [ConditionKind::Accepted, ConditionKind::Programmed]
        .map(|kind| Condition::fails(kind, "Invalid", &*message))
}

fn refuse(conditions: &mut Vec<Condition>, mistakes: Option<&str>) {
    if let Some(mistakes) = mistakes {
        statuses::set(conditions, Condition::fails(ConditionKind::Accepted, "Invalid", mistakes));
    }
}
