//! The bundled `windlass:agent` against a server that speaks OpenAI's chat completions: what it is sent, what becomes of its answers,
//! and where the key is not.

use serde_json::{Value, json};
use windlass_tests::{Agents, Output, Project, WebServer, files_with};

const KEY: &str = "sk-the-key-of-the-model-4711";

/// An answer in which the model wants a tool.
fn wants(tool: &str, arguments: &Value) -> (u16, String) {
    let call =
        json!({"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments.to_string()}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    (200, json!({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).to_string())
}

/// The model's last answer.
fn says(text: &str) -> (u16, String) {
    let message = json!({"role": "assistant", "content": text});
    (200, json!({"choices": [{"message": message, "finish_reason": "stop"}]}).to_string())
}

/// A project whose agents are models, and their key, bound to this server.
fn project(server: &WebServer) -> Project {
    let mut project = Project::with(Agents::Model);
    project.set_env("WINDLASS_EGRESS_OPEN", "127.0.0.0/8");
    project.secret("llm/key", KEY, &[server.host()]);
    project
}

/// One step, tried again twice.
fn step(project: &Project, server: &WebServer) -> Output {
    let host = server.host();
    project.run(&format!(
        "name: ask
steps:
  - name: ask
    type: step.agent
    retry: {{ max_attempts: 3, backoff: 1ms }}
    config:
      agent: coder
      input: hello
      profile: {{ base_url: 'http://{host}/v1', model: m-1, api_key: secret:llm/key }}
"
    ))
}

#[test]
fn a_model_works_on_the_files_and_judges() {
    let verdict = "It works.\n```json\n{\"score\": 0.9, \"reason\": \"all is well\"}\n```\n";
    let write = wants("write_file", &json!({"path": "out/hello.txt", "content": "hello from the model\n"}));
    let server = WebServer::scripted(vec![wants("read_file", &json!({"path": "task.txt"})), write, says(verdict)]);
    let project = project(&server);
    project.file("task.txt", "say hello\n");
    let host = server.host();
    let output = project
        .run(&format!(
            "apiVersion: 100monkeys.ai/v1
kind: Workflow
metadata: {{ name: model }}
spec:
  initial_state: CODE
  agents:
    coder: {{ base_url: 'http://{host}/v1', model: m-1, api_key: secret:llm/key, system: You are brief., temperature: 0.2 }}
  states:
    CODE:
      kind: Agent
      agent: coder
      input: Do what task.txt says.
      volumes: [{{ name: workspace, mount_path: /workspace }}]
      transitions:
        - {{ condition: score_above, threshold: 0.8, target: SHOW }}
        - {{ condition: always, target: FAILED }}
    SHOW:
      kind: ContainerRun
      image: IMAGE
      command: [cat, out/hello.txt]
      workdir: /workspace
      volumes: [{{ name: workspace, mount_path: /workspace }}]
      transitions: []
    FAILED: {{ kind: System, image: IMAGE, command: 'false', outcome: failed, transitions: [] }}
"
        ))
        .ok();
    assert_eq!(project.outcomes("last"), "CODE succeeded > SHOW succeeded = succeeded");
    assert!(output.stdout.contains("│ hello from the model"), "{}", output.stdout);
    assert!(output.stdout.contains("CODE → SHOW  score is 0.9"), "{}", output.stdout);

    let received = server.received();
    assert_eq!(received.len(), 3);
    let documents: Vec<Value> = received.iter().map(|each| serde_json::from_slice(&each.body).expect("JSON")).collect();
    for each in &received {
        assert_eq!(each.line, "POST /v1/chat/completions");
        assert_eq!(
            each.header("authorization"),
            Some(format!("Bearer {KEY}").as_str()),
            "the server sees the real key"
        );
    }
    assert_eq!(documents[0]["model"], "m-1");
    assert_eq!(documents[0]["temperature"], 0.2);
    assert_eq!(documents[0]["messages"][0]["content"], "You are brief.");
    assert_eq!(documents[1]["messages"][3]["content"], "say hello\n", "what the tool has read: {:#}", documents[1]);
    // And nobody else: not the screen, not the events, not the log, not the model.
    assert!(!output.all().contains(KEY));
    assert!(!documents.iter().any(|document| document.to_string().contains(KEY)));
    assert_eq!(files_with(project.home(), KEY), [""; 0]);
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let busy = (429, json!({"error": {"message": "Rate limit reached"}}).to_string());
    let server = WebServer::scripted(vec![busy.clone(), busy, says("done")]);
    let project = project(&server);
    let output = step(&project, &server).ok();
    assert_eq!((project.outcomes("last").as_str(), server.received().len()), ("ask succeeded = succeeded", 3));
    assert!(output.stdout.contains("the server answered 429: Rate limit reached"), "{}", output.stdout);
}

/// A model on this machine is out of reach until the operator says otherwise, and the refusal says how.
#[test]
fn a_model_on_the_host_is_opened_by_the_operator() {
    let server = WebServer::scripted(vec![says("done")]);
    let mut project = project(&server);
    project.set_env("WINDLASS_EGRESS_OPEN", "10.0.0.0/8");
    let output = step(&project, &server).expect(6);
    assert!(output.stdout.contains("WINDLASS_EGRESS_OPEN"), "{}", output.stdout);
    assert_eq!(server.received().len(), 0);
}

/// The answer, how the run goes and exits, what is told, and how often the server was asked.
#[test]
fn what_trying_again_does_not_mend() {
    let check = |answer: (u16, String), code: i32, outcome: &str, words: &str, asked: usize| {
        let server = WebServer::scripted(vec![answer]);
        let project = project(&server);
        let output = step(&project, &server);
        assert_eq!(
            (output.code, project.outcomes("last").as_str(), server.received().len()),
            (code, outcome, asked),
            "{words}: {}",
            output.all()
        );
        assert!(output.stdout.contains(words), "{words}: {}", output.stdout);
        assert!(!output.all().contains(KEY));
    };
    let denied = json!({"error": {"message": "Incorrect API key provided"}}).to_string();
    check((401, denied), 6, "ask error = error", "401 (check the profile's api_key): Incorrect API key provided", 1);
    check((404, "{\"error\": \"no such model\"}".to_owned()), 6, "ask error = error", "404 (check base_url, model", 1);
    check((200, "<html>".to_owned()), 6, "ask error = error", "the server's answer is no chat completion", 1);
    check(says("{\"score\": 7}"), 0, "ask succeeded = succeeded", "score", 1);
}
