//! One directive as a rule. The grammar is the engine's; what it would pass over in silence is refused here.

use zentinel_modsec::parser::{
    Directive as Parsed, OperatorName, OperatorSpec, Parser, VariableSpec,
};

use super::{Directive, actions, operators, targets};
use crate::pipeline::Pipelines;
use crate::rule::{Rule, Then};

/// A rule, and what decides where it stands.
pub(super) struct Placed {
    pub(super) rule: Rule,
    pub(super) phase: u8,
    pub(super) skip_after: Option<String>,
}

/// Reads a `SecRule` or `SecAction` with the grammar of `parser`, which knows the `SecDefaultAction` before it.
pub(super) fn read(
    directive: &Directive,
    parser: &mut Parser,
    pipelines: &mut Pipelines,
    chain_phase: Option<u8>,
) -> Result<Placed, String> {
    match parse(directive, parser)? {
        Parsed::SecRule(rule) => {
            let text = directive.words.get(2).map_or("", String::as_str);
            let mut actions = actions::read(&rule.actions, text, pipelines)?;
            actions.phase = chain_phase.unwrap_or(actions.phase);
            if actions.phase > 2 {
                return placed(directive, &[], &never(), actions);
            }
            placed(directive, &rule.variables, &rule.operator, actions)
        }
        Parsed::SecAction(action) => {
            let text = directive.words.first().map_or("", String::as_str);
            let actions = actions::read(&action.actions, text, pipelines)?;
            placed(
                directive,
                &[],
                &OperatorSpec { name: OperatorName::UnconditionalMatch, ..never() },
                actions,
            )
        }
        _ => Err("this is no rule".to_owned()),
    }
}

/// The operator of rules that look at answers, which never run.
fn never() -> OperatorSpec {
    OperatorSpec { negated: false, name: OperatorName::NoMatch, argument: String::new() }
}

/// Hands one directive to the engine's grammar. Its words are quoted anew, because the grammar and the field do not
/// agree on what a backslash within quotes means.
pub(super) fn parse(directive: &Directive, parser: &mut Parser) -> Result<Parsed, String> {
    let quote = |word: &String| format!(" \"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""));
    let words: String = directive.words.iter().map(quote).collect();
    let before = parser.directives().len();
    parser
        .parse(&format!("{}{words}\n", directive.name))
        .map_err(|error| without_place(&error.to_string()))?;
    match parser.directives().get(before..) {
        Some([parsed]) => Ok(parsed.clone()),
        _ => Err("this is more than one directive".to_owned()),
    }
}

/// A message without the grammar's own line and column, which are always those of the first line.
fn without_place(message: &str) -> String {
    let place = message.strip_prefix("parse error at ").and_then(|after| after.split_once(": "));
    place.map_or_else(|| message.to_owned(), |(_, message)| message.to_owned())
}

fn placed(
    directive: &Directive,
    variables: &[VariableSpec],
    operator: &OperatorSpec,
    actions: actions::Actions,
) -> Result<Placed, String> {
    let exceptions = variables.first().map_or(&[][..], |first| first.exclusions.as_slice());
    let then = match (actions.allows, actions.skip) {
        (true, _) => Then::End,
        (_, Some(many)) => Then::Skip(many),
        _ => Then::Next,
    };
    let rule = Rule {
        id: actions.id,
        tags: actions.tags,
        targets: variables.iter().map(targets::of_rule).collect::<Result<_, _>>()?,
        exceptions: exceptions
            .iter()
            .map(|text| targets::left_out(text))
            .collect::<Result<_, _>>()?,
        operator: operators::of_rule(operator, &directive.file)?,
        negated: operator.negated,
        stages: actions.stages,
        captures: actions.captures,
        effects: actions.effects,
        controls: actions.controls,
        chained: actions.chained,
        then,
        about: actions.about,
    };
    Ok(Placed { rule, phase: actions.phase, skip_after: actions.skip_after })
}
