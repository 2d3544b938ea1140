//! Each field of `step.shell_exec` has its effect in a real container.

use serde_json::json;
use windlass_tests::Project;

#[test]
fn every_field_has_its_effect() {
    let project = Project::new();
    project.file("src/hello.txt", "hello from the project\n");
    project
        .run(
            "name: fields
inputs:
  version: { type: string, default: '1.2.3' }
env: { LEVEL: pipeline }
steps:
  - name: one-shell
    type: step.shell_exec
    needs: []
    config:
      image: IMAGE
      commands:
        - cd /tmp && PLACE=here
        - echo \"$PWD $PLACE\"
        - cat /workspace/src/hello.txt
  - name: env
    type: step.shell_exec
    needs: []
    config:
      image: IMAGE
      env: { VERSION: 'v{{.version}}', HOSTILE: '$(id) `id` {{ inputs.version }}' }
      commands: ['echo \"$LEVEL $VERSION $HOSTILE\"']
  - name: work-dir
    type: step.shell_exec
    needs: []
    config: { image: IMAGE, work_dir: /usr, commands: [pwd] }
  - name: user
    type: step.shell_exec
    needs: []
    config: { image: IMAGE, user: '65534:65534', commands: ['id -u'] }
  - name: no-network
    type: step.shell_exec
    needs: []
    config: { image: IMAGE, network: false, commands: ['ls /sys/class/net'] }
  - name: network
    type: step.shell_exec
    needs: []
    config: { image: IMAGE, commands: ['ls /sys/class/net'] }
  - name: read-only
    type: step.shell_exec
    needs: []
    config: { image: IMAGE, read_only: true, commands: ['touch /etc/x && echo written || echo refused', 'touch /tmp/x /workspace/x && echo written'] }
  - name: limits
    type: step.shell_exec
    needs: []
    config:
      image: IMAGE
      memory: 64Mi
      cpu: 500m
      commands:
        - cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes
        - cat /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us
  - name: shell
    type: step.shell_exec
    needs: []
    config: { image: IMAGE, shell: /bin/ash, image_pull_policy: Never, commands: ['echo a; echo b >&2'] }
",
        )
        .ok();
    let shown = project.shown("last");
    let stdout = |step: &str| {
        let steps = shown["steps"].as_array().unwrap();
        let step = steps.iter().find(|each| each["name"] == step).unwrap();
        step["outputs"]["stdout"].as_str().unwrap().to_owned()
    };
    assert_eq!(stdout("one-shell"), "/tmp here\nhello from the project");
    assert_eq!(stdout("env"), "pipeline v1.2.3 $(id) `id` 1.2.3");
    assert_eq!(stdout("work-dir"), "/usr");
    assert_eq!(stdout("user"), "65534");
    assert_eq!(stdout("no-network"), "lo");
    assert_eq!(stdout("network"), "eth0\nlo");
    assert_eq!(stdout("read-only"), "refused\nwritten");
    let limits = stdout("limits");
    let (memory, cpu) = limits.split_once('\n').unwrap();
    assert_eq!((memory, cpu.split(' ').next()), ("67108864", Some("50000")));
    let shell = project.step("last", "shell");
    assert_eq!((&shell["outputs"]["stdout"], &shell["outputs"]["stderr"]), (&json!("a"), &json!("b")));
}

#[test]
fn artifacts_are_kept_and_come_back() {
    let project = Project::new();
    let yaml = "name: artifacts
inputs:
  content: { type: string, default: first }
  previous: { type: boolean, default: false }
steps:
  - name: before
    if: inputs.previous
    type: step.artifact_pull
    config: { source: previous_execution, key: out/file, dest: before.txt }
  - name: make
    type: step.shell_exec
    config:
      image: IMAGE
      work_dir: /tmp
      env: { CONTENT: '{{ inputs.content }}' }
      commands:
        - cat /workspace/before.txt 2>/dev/null || true
        - mkdir folder && echo inside > folder/x && printf %s \"$CONTENT\" > file
      artifacts_out:
        - { key: out/file, path: file }
        - { key: folder, path: /tmp/folder }
  - name: pull
    type: step.artifact_pull
    config: { source: current_execution, key: folder, dest: /workspace/again }
  - name: push
    type: step.artifact_push
    config: { source_path: again/x, key: '{{ inputs.content }}-x' }
  - name: use
    type: step.shell_exec
    config:
      image: IMAGE
      env: { DIGEST: '{{ steps.push.outputs.digest }}' }
      commands: ['cat again/x', 'echo \"$DIGEST\"', 'sha256sum again/x | cut -c1-64']
";
    project.run(yaml).ok();
    assert_eq!(project.step("last", "before")["outcome"], "skipped");
    let used = project.step("last", "use")["outputs"]["stdout"].as_str().unwrap().to_owned();
    let lines: Vec<&str> = used.lines().collect();
    assert_eq!((lines[0], lines[1].trim_start_matches("sha256:")), ("inside", lines[2]));
    assert_eq!(project.windlass(["artifact", "get", "last", "out/file"]).ok().stdout, "first");

    project.windlass(["run", "windlass.yaml", "-i", "content=second", "--input", "previous=true"]).ok();
    assert_eq!(project.step("last", "make")["outputs"]["stdout"], "first", "what the run before had kept");
    assert_eq!(project.windlass(["artifact", "get", "last", "out/file"]).ok().stdout, "second");
    let listed = project.windlass(["artifact", "list", "last", "--json"]).ok().json();
    let keys: Vec<_> = listed.as_array().unwrap().iter().map(|each| each["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["folder", "out/file", "second-x"]);
}

/// How a step fails, in the words that a person reads.
#[test]
fn failures_say_what_happened() {
    let project = Project::new();
    let check = |config: &str, code: i32, kind: &str, words: &str| {
        let yaml = format!("name: fails\nsteps:\n  - {{ name: it, type: step.shell_exec, config: {config} }}\n");
        let output = project.run(&yaml);
        assert_eq!(output.code, code, "{config}\n{}", output.all());
        let reason = &project.step("last", "it")["reason"];
        let found = reason["kind"].as_str().or_else(|| reason["kind"].as_object()?.keys().next().map(String::as_str));
        assert_eq!(found, Some(kind), "{config}: {reason}");
        assert!(output.all().contains(words), "{config}: no {words:?} in\n{}", output.all());
    };
    check(
        "{ image: IMAGE, commands: ['true', 'exit 7', 'echo never'] }",
        1,
        "non-zero-exit",
        "command 2 of 3 exited 7",
    );
    check("{ image: IMAGE, commands: [nosuchtool] }", 1, "non-zero-exit", "what it calls is not in the image");
    check("{ image: IMAGE, memory: 16, commands: ['tail /dev/zero'] }", 1, "out-of-memory", "ran out of memory");
    check("{ image: IMAGE, timeout: 1s, commands: ['sleep 60'] }", 4, "timeout-expired", "1 s");
    check(
        "{ image: 'windlass-test/none:1', image_pull_policy: Never, commands: ['true'] }",
        6,
        "image-pull-failed",
        "windlass-test/none:1",
    );
    // The address of nobody: nothing outside this machine is asked.
    check("{ image: '127.0.0.1:1/none:1', commands: ['true'] }", 6, "image-pull-failed", "127.0.0.1:1/none:1");
    check(
        "{ image: IMAGE, commands: ['true'], artifacts_out: [{ key: a, path: nothing/here }] }",
        1,
        "other",
        "artifacts_out cannot be kept: there is no /workspace/nothing/here",
    );
    project.nothing_left();
}

/// What does not fit into a step's results is left out of their middle, and all of it is an artifact that later steps can have.
#[test]
fn a_long_log_is_an_artifact() {
    const LINES: usize = 30_000;
    let project = Project::new();
    project
        .run(&format!(
            "name: long
steps:
  - name: short
    type: step.shell_exec
    config: {{ image: IMAGE, commands: [echo short] }}
  - name: talk
    type: step.shell_exec
    config: {{ image: IMAGE, commands: ['yes this line has forty-two characters, and no more | head -n {LINES}'] }}
  - name: fetch
    type: step.artifact_pull
    config: {{ source: current_execution, key: windlass/log/talk/1, dest: log.txt }}
  - name: count
    type: step.shell_exec
    config: {{ image: IMAGE, commands: ['grep -c ^this log.txt'] }}
"
        ))
        .ok();
    let shown = project.shown("last");
    let stdout = |step: &str| {
        let steps = shown["steps"].as_array().unwrap();
        steps.iter().find(|each| each["name"] == step).unwrap()["outputs"]["stdout"].as_str().unwrap().to_owned()
    };
    assert_eq!(stdout("count"), LINES.to_string());
    assert!(stdout("talk").len() < 1_100_000 && stdout("talk").contains(" bytes left out; the log has them …]"));
    let kept = project.windlass(["artifact", "get", "last", "windlass/log/talk/1"]).ok().stdout;
    assert_eq!(kept, project.windlass(["logs", "last", "talk", "--raw"]).ok().stdout);
    assert_eq!(kept.matches("\nthis line has").count(), LINES);
    let list = project.windlass(["artifact", "list", "last"]).ok().stdout;
    assert!(list.contains("windlass/log/talk/1") && !list.contains("windlass/log/short"), "{list}");
}
