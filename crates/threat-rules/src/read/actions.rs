//! What a rule does when it matches.

use std::ops::RangeInclusive;

use zentinel_modsec::parser::{
    Action, ControlAction, DataAction, DisruptiveAction, FlowAction, MetadataAction, SetVarSpec,
    SetVarValue,
};

use super::{groups, targets};
use crate::inspection::Severity;
use crate::pipeline::{Node, Pipelines};
use crate::rule::{About, Change, Control, Effect};
use crate::template::Template;

/// The actions of a rule, sorted.
pub(super) struct Actions {
    pub(super) id: Option<u32>,
    pub(super) phase: u8,
    pub(super) tags: Vec<String>,
    pub(super) stages: Vec<Node>,
    pub(super) captures: bool,
    pub(super) effects: Vec<Effect>,
    pub(super) controls: Vec<Control>,
    pub(super) chained: bool,
    pub(super) allows: bool,
    pub(super) skip: Option<usize>,
    pub(super) skip_after: Option<String>,
    pub(super) about: About,
}

/// Actions that would reach beyond the request, or that nothing here remembers.
const UNSUPPORTED: [&str; 9] =
    ["exec", "proxy", "pause", "prepend", "append", "setuid", "setsid", "setrsc", "expirevar"];

/// Reads the actions; `text` is what stands in the file, because the grammar passes over some names.
pub(super) fn read(
    actions: &[Action],
    text: &str,
    pipelines: &mut Pipelines,
) -> Result<Actions, String> {
    if let Some(name) = names(text).find(|name| UNSUPPORTED.contains(&name.as_str())) {
        return Err(format!("the action {name} is not supported"));
    }
    let (mut multi, mut severity, mut refuses) = (false, None, false);
    let mut nodes = vec![Pipelines::NONE];
    let mut read = Actions {
        id: None,
        phase: 2,
        tags: Vec::new(),
        stages: Vec::new(),
        captures: false,
        effects: Vec::new(),
        controls: Vec::new(),
        chained: false,
        allows: false,
        skip: None,
        skip_after: None,
        about: About {
            group: groups::of_tags(std::iter::empty()),
            severity: Severity::Critical,
            refuses: false,
        },
    };
    for action in actions {
        match action {
            Action::Metadata(MetadataAction::Id(id)) => read.id = Some(rule_id(*id)?),
            Action::Metadata(MetadataAction::Phase(phase)) => read.phase = *phase,
            Action::Metadata(MetadataAction::Severity(number)) => {
                severity = Some(severity_of(*number))
            }
            Action::Metadata(MetadataAction::Tag(tag)) => read.tags.push(tag.clone()),
            Action::Transformation(name) if name.eq_ignore_ascii_case("none") => nodes.truncate(1),
            Action::Transformation(name) => {
                let parent = nodes.last().copied().unwrap_or(Pipelines::NONE);
                nodes.push(pipelines.step(parent, name)?);
            }
            Action::Data(DataAction::Capture) => read.captures = true,
            Action::Data(DataAction::SetVar(spec)) => read.effects.push(effect(spec)?),
            Action::Control(control) => read.controls.extend(controls(control)?),
            Action::Flow(FlowAction::Chain) => read.chained = true,
            Action::Flow(FlowAction::MultiMatch) => multi = true,
            Action::Flow(FlowAction::Skip(many)) => {
                read.skip = Some(usize::try_from(*many).unwrap_or(usize::MAX))
            }
            Action::Flow(FlowAction::SkipAfter(marker)) => {
                read.skip_after = Some(unquoted(marker).to_owned())
            }
            Action::Disruptive(action) => {
                refuses = !matches!(action, DisruptiveAction::Pass) && !allows(action);
                read.allows = allows(action);
            }
            Action::Data(_) | Action::Logging(_) | Action::Metadata(_) => {}
        }
    }
    read.stages = if multi { nodes } else { nodes.split_off(nodes.len() - 1) };
    let group = groups::of_tags(read.tags.iter().map(String::as_str));
    read.about = About { group, severity: severity.unwrap_or(Severity::Critical), refuses };
    Ok(read)
}

fn allows(action: &DisruptiveAction) -> bool {
    use DisruptiveAction as D;
    matches!(action, D::Allow | D::AllowPhase | D::AllowRequest)
}

/// The names of the actions of a list, in lower case.
fn names(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut quoted = false;
    let parts = text.split(move |letter| {
        quoted ^= letter == '\'';
        letter == ',' && !quoted
    });
    parts.map(|action| action.split(':').next().unwrap_or_default().trim().to_ascii_lowercase())
}

pub(super) fn rule_id(id: u64) -> Result<u32, String> {
    u32::try_from(id).map_err(|_| format!("the id {id} is larger than {}", u32::MAX))
}

fn severity_of(number: u8) -> Severity {
    match number {
        0..=2 => Severity::Critical,
        3 => Severity::Error,
        4 => Severity::Warning,
        _ => Severity::Notice,
    }
}

fn effect(spec: &SetVarSpec) -> Result<Effect, String> {
    if !spec.collection.eq_ignore_ascii_case("tx") {
        return Err(format!(
            "the collection {} is not supported: nothing is kept between requests",
            spec.collection
        ));
    }
    let number = |number: &i64| Template::read(&number.to_string());
    let change = match &spec.value {
        SetVarValue::String(text) => Change::Set(Template::read(text)?),
        SetVarValue::Int(value) => Change::Set(number(value)?),
        SetVarValue::Increment(value) => Change::Add(number(value)?),
        SetVarValue::Decrement(value) => Change::Subtract(number(value)?),
        SetVarValue::Delete => Change::Delete,
        SetVarValue::Macro(text) => match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(text), _) => Change::Add(Template::read(text)?),
            (_, Some(text)) => Change::Subtract(Template::read(text)?),
            _ => Change::Set(Template::read(text)?),
        },
    };
    Ok(Effect { name: Template::read(&spec.key)?, change })
}

fn controls(control: &ControlAction) -> Result<Option<Control>, String> {
    let (name, value) =
        (control.directive.trim().to_ascii_lowercase(), unquoted(control.value.trim()));
    let pair = || value.split_once(';').ok_or_else(|| format!("ctl:{name} takes RULES;TARGET"));
    Ok(Some(match name.as_str() {
        "ruleengine" if value.eq_ignore_ascii_case("off") => Control::Stop,
        // Whether a match refuses the request is the policy's to say.
        "ruleengine" => return Ok(None),
        "ruleremovebyid" => Control::RemoveRules(ids(value)?),
        "ruleremovebytag" => Control::RemoveTagged(value.to_owned()),
        "ruleremovetargetbyid" => {
            let (rules, target) = pair()?;
            Control::RemoveTarget { rules: ids(rules)?, target: targets::left_out(target)? }
        }
        "ruleremovetargetbytag" => {
            let (tag, target) = pair()?;
            Control::RemoveTargetTagged { tag: tag.to_owned(), target: targets::left_out(target)? }
        }
        "requestbodyprocessor" => Control::BodyAs(value.to_owned()),
        "requestbodyaccess" if value.eq_ignore_ascii_case("off") => Control::NoBody,
        "requestbodyaccess"
        | "forcerequestbodyvariable"
        | "responsebodyaccess"
        | "auditengine"
        | "auditlogparts" => {
            return Ok(None);
        }
        _ => return Err(format!("ctl:{} is not supported", control.directive)),
    }))
}

/// `942100` or `942100-942199`
pub(super) fn ids(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (first, last) = text.trim().split_once('-').unwrap_or((text.trim(), text.trim()));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => Ok(first..=last),
        _ => Err(format!("{text} is no id of a rule")),
    }
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(text)
}
