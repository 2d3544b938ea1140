//! States of containers: `ContainerRun`, `ParallelContainerRun`, `System`. Each container is a step of `step.container_run`,
//! whose schema says what the values may be; here is only where they were written.
//!
//! Shell text among the arguments is freed of its templates ([`crate::shell`]): the variables that hold their values come into
//! the container's `env`.

use super::{
    Body, Workflow,
    draft::{Draft, Provider, StateKind},
    mounts::{self, required_text},
};
use crate::{
    codes,
    configure::{Given, ask},
    diagnostic::Report,
    fields::{choice, duration, flag, known_keys, mapping, text, wrong_type},
    pieces::{cut, spans},
    plan::{Completion, DEFAULT_TIMEOUT_MS, OnFailure, ResultShape, Retry, Step, Work},
    shell::{Hoisted, READ_TWICE, Script, Template, VARIABLE, hoist, script},
    steps::{MAX_STEPS, retry},
    text::{place, report_fault},
    yaml::{Entry, Kind, Node},
};
use std::ops::Range;

/// The keys of a container.
pub(crate) const KEYS: &[&str] = &[
    "image",
    "command",
    "shell",
    "workdir",
    "env",
    "resources",
    "registry_credentials",
    "image_pull_policy",
    "retry",
    "network_mode",
    "run_as_user",
    "read_only_root_filesystem",
];
/// Those that become keys of the configuration as they are.
const PASSED: &[&str] = &[
    "image",
    "workdir",
    "registry_credentials",
    "image_pull_policy",
    "network_mode",
    "run_as_user",
    "read_only_root_filesystem",
];
/// What a System state runs in where it does not say: small, and with a shell.
const SYSTEM_IMAGE: &str = "alpine:3.19";

/// The steps of a state of containers.
pub(super) fn body(
    draft: &Draft<'_>,
    kind: StateKind,
    workflow: &mut Workflow<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Body> {
    let node = &draft.entry.value;
    let state_volumes = draft.volumes;
    if kind != StateKind::ParallelContainerRun {
        let what = kind.one();
        let span = draft.entry.key_span.clone();
        let container = container(node, kind, &what, state_volumes.cloned(), span.clone(), workflow, report);
        let timeout = node.get("timeout").filter(|_| container.as_ref().is_some_and(|own| own.timeout.is_some()));
        if let Some(timeout) = timeout {
            let message = "the container's own timeout, under `resources`, is what counts";
            report.warning(
                codes::TWO_TIMEOUTS,
                timeout.key_span.clone(),
                message,
                Some("keep one of the two".to_owned()),
            );
        }
        let name = draft.name.as_ref().and_then(|name| workflow.claim(name.as_str(), &span, report));
        let step = step(draft, name?, container?, workflow, report)?;
        return Some(Body { steps: vec![step], completion: Completion::AllSucceed, result: ResultShape::Single });
    }
    let completions = [
        ("all_succeed", Completion::AllSucceed),
        ("any_succeed", Completion::AnySucceed),
        ("best_effort", Completion::BestEffort),
    ];
    let completion = node
        .get("completion")
        .map_or(Some(Completion::AllSucceed), |entry| choice(&entry.value, "completion", &completions, report));
    let Some(entry) = node.get("steps") else {
        let help = Some("add `steps:`, a list of containers".to_owned());
        report.error(codes::MISSING_KEY, draft.entry.key_span.clone(), "this state has no `steps`", help);
        return None;
    };
    let Kind::List(items) = &entry.value.kind else {
        wrong_type(&entry.value, "steps", "a list of containers", report);
        return None;
    };
    if items.is_empty() {
        report.error(codes::BAD_VALUE, entry.value.span.clone(), "there must be at least one step", None);
    }
    if !workflow.takes(items.len()) {
        let message = format!("the workflow has more than {MAX_STEPS} steps");
        report.error(codes::TOO_LARGE, entry.key_span.clone(), message, None);
        return None;
    }
    let mut steps = Vec::with_capacity(items.len());
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        if mapping(item, "a step", report).is_none() {
            continue;
        }
        let known: Vec<&str> = KEYS.iter().copied().chain(["name", "volumes"]).collect();
        known_keys(item, &known, "a step of a ParallelContainerRun state", report);
        let short = required_text(item, "name", "this step", report);
        let span = item.get("name").map_or(item.span.clone(), |entry| entry.value.span.clone());
        let own = item.get("volumes").filter(|own| mounts::check(&own.value, workflow.volumes, report));
        let volumes = mounts::joined(own, state_volumes);
        let container = container(item, kind, "a step", volumes, span.clone(), workflow, report);
        let name = match (&draft.name, &short) {
            (Some(state), Some(short)) => workflow.claim_within(state, short, &span, report),
            _ => None,
        };
        if let (Some(name), Some(short), Some(container)) = (name, short, container) {
            steps.extend(step(draft, name, container, workflow, report));
            names.push(short);
        }
    }
    // A step that is not sound is reported, and no plan comes of it.
    Some(Body { steps, completion: completion?, result: ResultShape::ByStep(names) })
}

/// The names of a parallel state's steps, quietly.
pub(super) fn step_names(state: &Node) -> Option<Vec<String>> {
    let Kind::List(items) = &state.get("steps")?.value.kind else { return None };
    items
        .iter()
        .map(|item| match &item.get("name")?.value.kind {
            Kind::String(name) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

/// A container as it is written.
struct Container {
    config: Entry,
    timeout: Option<u64>,
    retry: Retry,
    span: Range<usize>,
}

fn step(
    draft: &Draft<'_>,
    name: windlass_contract::StepName,
    container: Container,
    workflow: &mut Workflow<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Step> {
    let Provider::Installed(installed) = draft.provider else { return None };
    let given = Given { config: Some(&container.config), span: container.span, has_timeout: true };
    let view = workflow.view(draft, false)?;
    let known = workflow.known(&view, report);
    let asked = ask(installed, &given, &known, &mut workflow.shared, report)?;
    Some(Step {
        name,
        work: Work::Plugin(asked.work),
        needs: Vec::new(),
        condition: None,
        timeout_ms: container.timeout.or(draft.timeout).unwrap_or(DEFAULT_TIMEOUT_MS),
        retry: container.retry,
        on_failure: OnFailure::Stop,
    })
}

/// Reads a container. `None` where the plugin's schema would only say again what is reported here.
fn container(
    node: &Node,
    kind: StateKind,
    what: &str,
    volumes: Option<Entry>,
    span: Range<usize>,
    workflow: &Workflow<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Container> {
    let mut entries: Vec<Entry> = PASSED.iter().filter_map(|key| node.get(key)).cloned().collect();
    if node.get("image").is_none() && kind == StateKind::System {
        entries.push(written("image", Kind::String(SYSTEM_IMAGE.to_owned()), span.clone(), span.clone()));
    }
    let image = kind == StateKind::System || required(node, "image", what, &span, report);
    let shell = node.get("shell").and_then(|entry| flag(&entry.value, "shell", report)).unwrap_or_default();
    let command = match node.get("command") {
        Some(entry) => argv(entry, kind, report).and_then(|argv| prepared(entry, argv, shell, workflow.source, report)),
        None => {
            required(node, "command", what, &span, report);
            None
        }
    };
    entries.extend(volumes);
    let mut timeout = None;
    if let Some(resources) = node.get("resources")
        && mapping(&resources.value, "resources", report).is_some()
    {
        known_keys(&resources.value, &["cpu", "memory", "timeout"], "`resources`", report);
        entries.extend(["cpu", "memory"].iter().filter_map(|key| resources.value.get(key)).cloned());
        timeout = resources.value.get("timeout").and_then(|entry| duration(&entry.value, "timeout", report));
    }
    let retry = node.get("retry").map(|entry| retry(entry, report)).unwrap_or_default();
    own_variables(node.get("env"), report);
    let command = command.filter(|_| image)?;
    entries.push(written("command", Kind::List(command.argv), command.key_span, command.span.clone()));
    let mut env = node.get("env").cloned();
    if !command.variables.is_empty() {
        let env = env
            .get_or_insert_with(|| written("env", Kind::Map(Vec::new()), command.span.clone(), command.span.clone()));
        if let Kind::Map(own) = &mut env.value.kind {
            own.extend(command.variables);
        }
    }
    entries.extend(env);
    let config = written("config", Kind::Map(entries), span.clone(), node.span.clone());
    Some(Container { config, timeout, retry, span })
}

fn written(key: &str, kind: Kind, key_span: Range<usize>, span: Range<usize>) -> Entry {
    Entry { key: key.to_owned(), key_span, value: Node { kind, span } }
}

fn required(node: &Node, key: &str, what: &str, span: &Range<usize>, report: &mut Report<'_>) -> bool {
    let there = node.get(key).is_some();
    if !there {
        let help = Some(format!("add `{key}:`"));
        report.error(codes::MISSING_KEY, span.clone(), format!("{what} needs `{key}`"), help);
    }
    there
}

/// Names of variables that are ours.
pub(super) fn own_variables(env: Option<&Entry>, report: &mut Report<'_>) {
    let Some(Kind::Map(entries)) = env.map(|entry| &entry.value.kind) else { return };
    for entry in entries {
        let number = entry.key.strip_prefix(VARIABLE).unwrap_or_default();
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!("`{}` is a name for the values of templates in shell text", entry.key);
            report.error(codes::BAD_NAME, entry.key_span.clone(), message, Some("give it another name".to_owned()));
        }
    }
}

/// The words of a command, each with where it stands.
fn argv<'n>(entry: &'n Entry, kind: StateKind, report: &mut Report<'_>) -> Option<Vec<(String, &'n Node)>> {
    let node = &entry.value;
    if kind == StateKind::System {
        let text = text(node, "command", report)?;
        if text.trim().is_empty() {
            report.error(codes::BAD_VALUE, node.span.clone(), "`command` is empty", None);
            return None;
        }
        return Some(vec![("sh".to_owned(), node), ("-c".to_owned(), node), (text, node)]);
    }
    let Kind::List(items) = &node.kind else {
        wrong_type(node, "command", "a list of its words", report);
        return None;
    };
    if items.is_empty() {
        let help = Some("write the program and its arguments".to_owned());
        report.error(codes::BAD_VALUE, node.span.clone(), "`command` has no words", help);
        return None;
    }
    let words: Vec<_> =
        items.iter().filter_map(|item| Some((text(item, "a word of the command", report)?, item))).collect();
    (words.len() == items.len()).then_some(words)
}

/// A command without templates in shell text.
struct Command {
    argv: Vec<Node>,
    key_span: Range<usize>,
    span: Range<usize>,
    /// Those that stand for the templates.
    variables: Vec<Entry>,
}

fn prepared(
    entry: &Entry,
    words: Vec<(String, &Node)>,
    shell: bool,
    source: &str,
    report: &mut Report<'_>,
) -> Option<Command> {
    let mut words: Vec<(String, &Node)> = words;
    let argv: Vec<String> = words.iter().map(|(word, _)| word.clone()).collect();
    let at = match (script(&argv), shell) {
        (Script::At(at), _) => Some(at),
        // Faults are told where they stand, before the words become one text.
        (_, true) if !sound(&words, source, report) => return None,
        (_, true) => {
            let node = &entry.value;
            words = vec![("sh".to_owned(), node), ("-c".to_owned(), node), (argv.join(" "), node)];
            Some(2)
        }
        (Script::None, false) => None,
        (Script::Behind(at), false) => {
            let (text, node) = &words[at];
            if let Some(span) = spans(text).first() {
                unsure(
                    text,
                    node,
                    span.clone(),
                    "text for a shell that another command starts, or for zsh or ksh",
                    source,
                    report,
                );
                return None;
            }
            None
        }
    };
    let mut variables = Vec::new();
    if let Some(at) = at {
        let (text, node) = words[at].clone();
        if !sound(&words[at..=at], source, report) {
            return None;
        }
        let spans = spans(&text);
        let templates: Vec<Template<'_>> = spans.into_iter().map(|span| Template::at(&text, span)).collect();
        match hoist(&text, &templates, &mut Vec::new()) {
            Ok(Hoisted { text: hoisted, numbers }) => {
                for (template, number) in templates.iter().zip(numbers) {
                    // In the order of their first use: the next new one has the next number.
                    if number == variables.len() + 1 {
                        let value = Kind::String(text[template.span.clone()].to_owned());
                        variables.push(written(
                            &format!("{VARIABLE}{number}"),
                            value,
                            node.span.clone(),
                            node.span.clone(),
                        ));
                    }
                }
                if let Some(first) = templates.first() {
                    let message = format!(
                        "a template stands in shell text: its value is passed as ${VARIABLE}1, and the shell never reads it as commands"
                    );
                    let help = Some("to give the variable a name, write it into `env` and read \"$NAME\"".to_owned());
                    report.warning(
                        codes::TEMPLATE_IN_SHELL,
                        place(source, node, &text, first.span.clone()),
                        message,
                        help,
                    );
                }
                words[at].0 = hoisted;
            }
            Err(fault) => {
                unsure(&text, node, fault.span, fault.within, source, report);
                return None;
            }
        }
    }
    let argv =
        words.into_iter().map(|(word, node)| Node { kind: Kind::String(word), span: node.span.clone() }).collect();
    Some(Command { argv, key_span: entry.key_span.clone(), span: entry.value.span.clone(), variables })
}

/// Whether the templates can be read at all.
fn sound(words: &[(String, &Node)], source: &str, report: &mut Report<'_>) -> bool {
    let mut sound = true;
    for (word, node) in words {
        for fault in cut(word).1 {
            sound = false;
            report_fault(fault, source, node, word, report);
        }
    }
    sound
}

fn unsure(text: &str, node: &Node, span: Range<usize>, within: &str, source: &str, report: &mut Report<'_>) {
    let template = text.get(span.clone()).unwrap_or_default();
    let message = format!("a template stands in {within}: it is not known how a shell would read its value there");
    let mut help = format!("write env: {{ VALUE: \"{template}\" }} and read \"$VALUE\" there");
    if within == READ_TWICE {
        help.push_str(", in single quotes, so that only the second shell reads it");
    }
    report.error(codes::UNSURE_SHELL, place(source, node, text, span), message, Some(help));
}
