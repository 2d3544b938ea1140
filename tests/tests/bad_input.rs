//! A pipeline that is wrong is refused before anything happens, with the place and what to write instead.
//!
//! The loader's own tests (`host/manifest`) hold a snapshot of every kind of mistake; these show that `windlass run` is held
//! back by them.

use std::fmt::Write as _;
use windlass_tests::Project;

const BROKEN: &[(&str, &str)] = &[
    (
        "unknown key",
        "name: a
steps:
  - name: build
    type: step.shell_exec
    timeuot: 5m
    config: { image: IMAGE, comands: [make] }
",
    ),
    (
        "unknown step type",
        "name: a
steps:
  - { name: build, type: step.shell_exek, config: { image: IMAGE, commands: ['true'] } }
",
    ),
    (
        "plugin that is not installed",
        "name: a
plugins: { 'acme:slack': '^1' }
steps:
  - { name: tell, type: acme:slack/step.notify, config: {} }
",
    ),
    (
        "cycle",
        "name: a
steps:
  - { name: a, needs: [b], type: step.greet_c, config: { name: Ada } }
  - { name: b, needs: [a], type: step.greet_c, config: { name: Ada } }
",
    ),
    (
        "what only the plugin knows",
        "name: a
steps:
  - name: build
    type: step.shell_exec
    config:
      image: IMAGE
      commands: ['true']
      artifacts_out: [{ key: x, path: a }, { key: x, path: b }]
",
    ),
    (
        "a template in a command",
        "name: a
inputs: { version: { type: string, default: '1' } }
steps:
  - { name: build, type: step.shell_exec, config: { image: IMAGE, commands: ['echo {{ inputs.version }}'] } }
",
    ),
    ("syntax", "name: a\nsteps: [\n"),
    ("empty", ""),
];

#[test]
fn a_broken_pipeline_is_refused_before_anything_happens() {
    let project = Project::new();
    let mut told = String::new();
    for (what, yaml) in BROKEN {
        let output = project.run(yaml);
        assert_eq!(output.code, 2, "{what}: {}", output.all());
        assert_eq!(output.stdout, "", "{what}");
        writeln!(told, "== {what}\n{}", output.stderr.replace(&format!("{}/", project.folder().display()), ""))
            .unwrap();
    }
    assert!(project.runs().is_empty(), "no run was begun");
    assert_eq!((project.containers(), project.volumes()), (vec![], vec![]));
    insta::assert_snapshot!(told, @r#"
    == unknown key
    error[WL0010]: a step has no key `timeuot`
     --> windlass.yaml:5:5
      |
    5 |     timeuot: 5m
      |     ^^^^^^^
      |
      = help: did you mean `timeout`?

    error[WL0012]: `step.shell_exec` needs `commands` in its configuration
     --> windlass.yaml:6:5
      |
    6 |     config: { image: windlass-test/busybox:1, comands: [make] }
      |     ^^^^^^
      |
      = help: add `commands:` under `config:`

    error[WL0010]: `step.shell_exec` takes no key `comands`
     --> windlass.yaml:6:47
      |
    6 |     config: { image: windlass-test/busybox:1, comands: [make] }
      |                                               ^^^^^^^
      |
      = help: did you mean `commands`?

    windlass.yaml: 3 errors

    == unknown step type
    error[WL0020]: no plugin provides `step.shell_exek`
     --> windlass.yaml:3:26
      |
    3 |   - { name: build, type: step.shell_exek, config: { image: windlass-test/busybox:1, commands: ['true'] } }
      |                          ^^^^^^^^^^^^^^^
      |
      = help: did you mean `step.shell_exec`?

    windlass.yaml: 1 error

    == plugin that is not installed
    error[WL0021]: the plugin acme:slack is not installed
     --> windlass.yaml:2:26
      |
    2 | plugins: { 'acme:slack': '^1' }
      |                          ^^^^
      |
      = help: run `windlass plugin install acme:slack`

    error[WL0021]: `acme:slack/step.notify` needs the plugin acme:slack, which is not installed
     --> windlass.yaml:4:25
      |
    4 |   - { name: tell, type: acme:slack/step.notify, config: {} }
      |                         ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: run `windlass plugin install acme:slack`

    windlass.yaml: 2 errors

    == cycle
    error[WL0031]: these steps wait for each other: a → b → a
     --> windlass.yaml:3:24
      |
    3 |   - { name: a, needs: [b], type: step.greet_c, config: { name: Ada } }
      |                        ^
      |
      = help: take one of these needs out

    windlass.yaml: 1 error

    == what only the plugin knows
    error[WL0050]: the key x is there twice, and the later one would win (windlass:shell@0.1.0)
     --> windlass.yaml:8:51
      |
    8 |       artifacts_out: [{ key: x, path: a }, { key: x, path: b }]
      |                                                   ^
      |
      = help: give each artifact a key of its own

    windlass.yaml: 1 error

    == a template in a command
    error[WL0103]: no template may stand here: a value is never spliced into shell text
     --> windlass.yaml:4:102
      |
    4 | ...e: windlass-test/busybox:1, commands: ['echo {{ inputs.version }}'] } }
      |                                                 ^^^^^^^^^^^^^^^^^^^^
      |
      = help: pass the value through `env` and write "$NAME"

    windlass.yaml: 1 error

    == syntax
    error[WL0001]: this is not YAML: unclosed bracket '['
     --> windlass.yaml:2:8
      |
    2 | steps: [
      |        ^

    windlass.yaml: 1 error

    == empty
    error[WL0003]: the file holds no pipeline
     --> windlass.yaml:1:1
      |
    1 |
      | ^
      |
      = help: a pipeline begins with `name:` and `steps:`

    windlass.yaml: 1 error
    "#);
}
