//! Values and real shells: what a template in shell text stands for arrives exactly, and is never read as commands. The
//! workflow is loaded, its configuration rendered, and the shells of this machine run what came of it.

use crate::{catalogue, plan, source, work};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::{fmt::Write, path::Path, process::Command};
use windlass_manifest::{
    load,
    template::{Context, render_config},
};

/// Values that end words, quotes and commands, expand, match and break lines.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "plain",
    "two  words",
    "; : > CANARY",
    "' ; : > CANARY ; '",
    "\" ; : > CANARY ; \"",
    "$(: > CANARY)",
    "`: > CANARY`",
    "$HOME ${PATH} $1 $$ $((1/0))",
    "* ? [a-z] ~ {a,b}",
    "line\nbreak\n: > CANARY\n",
    "\\ \\\\ \\n \\' \\\"",
    "-n -e --help",
    "\r\t\u{7f} é 👍 ' \" ` $ \\",
    "}} {{ '}' #{x} #",
    "& | || && > CANARY < /dev/null",
];

/// Every shell of this machine, as an argv that a script follows. `sh` and `bash` are on any machine that builds this.
fn shells() -> Vec<Vec<&'static str>> {
    let all: [Vec<&str>; 5] =
        [vec!["sh", "-c"], vec!["dash", "-c"], vec!["bash", "-c"], vec!["busybox", "sh", "-c"], vec!["ksh", "-c"]];
    let there = |argv: &Vec<&str>| {
        Command::new(argv[0]).args(&argv[1..]).arg(":").output().is_ok_and(|out| out.status.success())
    };
    let found: Vec<_> = all.into_iter().filter(there).collect();
    assert!(found.len() >= 2, "sh and bash are needed, and here is only {found:?}");
    found
}

/// A workflow of one System state, with a block as its command.
fn workflow(script: &str) -> String {
    let block = script.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "        {line}");
        text
    });
    format!(
        "apiVersion: 100monkeys.ai/v1\nkind: Workflow\nmetadata: {{ name: s }}\nspec:\n  initial_state: S\n  states:\n    S:\n      kind: System\n      transitions: []\n      command: |-\n{block}"
    )
}

/// What a shell prints that runs a rendered configuration; `None` where it made a file of its own.
fn run(shell: &[&str], config: &Value, folder: &Path) -> Option<String> {
    let script = config["command"][2].as_str().expect("a script");
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(script).current_dir(folder);
    for (name, value) in config["env"].as_object().into_iter().flatten() {
        command.env(name, value.as_str().expect("text"));
    }
    let out = command.output().expect("the shell runs");
    (!folder.join("CANARY").exists()).then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn a_value_arrives_exactly() {
    // Each script prints its value between two marks, whatever else it does.
    let scripts = [
        "printf '<%s>' {{ input.v }}",
        "printf '<%s>' \"{{ input.v }}\"",
        "printf '<{{ input.v }}>' | sed -n p >/dev/null; printf '%s' '<{{ input.v }}>'",
        "x={{ input.v }}; printf '<%s>' \"$x\"",
        "printf '<%s>' \"$(printf '%s.' {{ input.v }} | cat)\" | sed 's/\\.>$/>/'",
        "f() { printf '<%s>' \"$1\"; }; f {{ input.v }}",
        "for x in {{ input.v }}; do printf '<%s>' \"$x\"; done",
        "case {{ input.v }} in *) printf '<%s>' {{ input.v }} ;; esac",
        "# it's {{ input.v }}\nprintf '<%s>' {{ input.v }}",
        "( printf '<%s>' {{input.v}} )",
        "printf '<%s>' ''{{ input.v }}\"\"",
        "set -u; printf '<%s>' \\\n  {{ input.v }}",
    ];
    let folder = folder("exact");
    let shells = shells();
    let mut ran = 0;
    for script in scripts {
        let (plan, _) = plan(&workflow(script));
        for value in HOSTILE {
            let inputs: Map<String, Value> = [("v".to_owned(), json!(value))].into_iter().collect();
            let context = Context { inputs, ..Context::default() };
            let (config, _) = render_config(work(&plan.states[0].steps[0]), &plan, &context).expect("a configuration");
            for shell in &shells {
                let printed = run(shell, &config, &folder);
                assert_eq!(printed, Some(format!("<{value}>")), "{shell:?} {script:?} {value:?}");
                ran += 1;
            }
        }
    }
    println!("{ran} runs of {} shells", shells.len());
    let _ = std::fs::remove_dir_all(&folder);
}

/// Pieces of shell text, of all that means something to a shell.
fn fragments() -> impl Strategy<Value = Vec<&'static str>> {
    let pieces = vec![
        "{{ input.v }}",
        "'",
        "\"",
        "\\",
        "$",
        "$(",
        ")",
        "(",
        "((",
        "))",
        "${",
        "}",
        "`",
        "#",
        " ",
        "\n",
        ";",
        "|",
        "&",
        "<<E",
        "<<<",
        "<",
        "echo",
        "eval ",
        "case ",
        "in ",
        "esac",
        "a",
        "=",
        "sh -c ",
        "x:-",
        "$((",
        "1",
        "*",
        "$'",
        "trap ",
        " EXIT",
        "[[ ",
        " ]]",
        "{ ",
        "! ",
        "if ",
        "then ",
        "fi",
        "#'",
        "%",
        "bash ",
        "-c ",
        "E",
        "[[ 1 -eq ",
        " -lt 2 ]]",
        "let ",
        "declare ",
        "-n ",
        "printf ",
        "-v",
        "wait -n -p ",
        "-i ",
        "read ",
        "-v ",
        "x[",
        "]=1",
        "\\\n",
        "''",
        "\"\"",
        "\"$(",
        ")\"",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Whatever the text around it is: either a template is refused, or its value is never read as commands.
    #[test]
    fn no_text_makes_a_value_commands(before in fragments(), after in fragments()) {
        let text = format!("{}{{{{ input.v }}}}{}", before.concat(), after.concat());
        let script = format!("x\n{text}");
        let loaded = load(&source(&workflow(&script)), &catalogue());
        let Some(plan) = loaded.plan else { return Ok(()) };
        let folder = folder("any");
        for value in [
            "; : > CANARY ;", "'; : > CANARY; '", "\"; : > CANARY; \"", "$(: > CANARY)", "`: > CANARY`", "\n: > CANARY\n", ") ; : > CANARY; (",
            "a[$(: > CANARY)]", "${x:-$(: > CANARY)}", "}; : > CANARY; {", ")); : > CANARY; ((", "\nE\n: > CANARY\n",
        ] {
            let inputs: Map<String, Value> = [("v".to_owned(), json!(value))].into_iter().collect();
            let context = Context { inputs, ..Context::default() };
            let (config, _) = render_config(work(&plan.states[0].steps[0]), &plan, &context).expect("a configuration");
            for shell in [["sh", "-c"], ["bash", "-c"]] {
                prop_assert!(run(&shell, &config, &folder).is_some(), "{:?} {:?} {:?}", shell, config["command"][2], value);
            }
        }
        let _ = std::fs::remove_dir_all(&folder);
    }
}

/// Outside of states a template in shell text is refused, in whatever step type and list it stands.
#[test]
fn steps_refuse_templates_in_shell_text() {
    let check = |command: &str, expect: Option<&str>| {
        let text = format!(
            "name: x\ninputs: {{ v: {{ type: string, default: a }} }}\nsteps:\n  - name: a\n    type: step.container_run\n    config: \
             {{ image: 'busybox:1.37', command: {command} }}\n"
        );
        let found = load(&source(&text), &catalogue()).diagnostics;
        let code = found.iter().map(|found| found.code.to_string()).next();
        assert_eq!(code.as_deref(), expect, "{command}: {found:?}");
    };
    check("[sh, -c, 'echo {{ inputs.v }}']", Some("WL0103"));
    check("[/bin/bash, -euo, pipefail, -c, 'x={{ inputs.v }}', b]", Some("WL0103"));
    check("[sudo, sh, -c, 'echo {{ inputs.v }}']", Some("WL0103"));
    check("[sh, -c, 'echo \"$1\"', sh, '{{ inputs.v }}']", None);
    check("[echo, '{{ inputs.v }}']", None);
}
