//! The documents of OpenAI's chat completions: what is asked, and what an answer or a refusal means. Pure.
//!
//! Only what is needed is read, so that the many servers that speak almost the same are all understood. Messages that the model
//! wrote go back as they came.

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_plugin::StepError;

/// Characters of a server's own words that are shown.
const MESSAGE_CHARS: usize = 500;

/// What a model may be asked with.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which model.
    pub model: String,
    /// How free it is in its choice of words.
    pub temperature: Option<f64>,
    /// How many tokens an answer may have.
    pub max_tokens: Option<u32>,
}

/// The URL that is asked.
pub fn url(base_url: &str) -> String {
    format!("{}/chat/completions", base_url.trim_end_matches('/'))
}

/// The request's document. Its keys stand in a fixed order: the same conversation is the same bytes.
pub fn request(settings: &Settings, messages: &[Value], tools: &Value) -> Value {
    let mut document = json!({"model": settings.model, "messages": messages});
    if tools.as_array().is_some_and(|tools| !tools.is_empty()) {
        document["tools"] = tools.clone();
    }
    if let Some(temperature) = settings.temperature {
        document["temperature"] = json!(temperature);
    }
    if let Some(max_tokens) = settings.max_tokens {
        document["max_tokens"] = json!(max_tokens);
    }
    document
}

/// A call of a tool that the model asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// What the result is to be called.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// Its arguments, a JSON document in a text.
    pub arguments: String,
}

/// What the model does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// It wants tools; `message` is what it said, to be sent back with their results.
    Tools {
        /// Its message.
        message: Value,
        /// The calls in it, at least one.
        calls: Vec<ToolCall>,
    },
    /// It has finished, with this text.
    Final(String),
    /// It was cut off before its end, for this reason.
    Cut(String),
}

/// Tokens that were used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct Usage {
    /// Of what was asked.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Of what was answered.
    #[serde(default)]
    pub completion_tokens: u64,
    /// Both.
    #[serde(default)]
    pub total_tokens: u64,
}

impl Usage {
    /// Adds those of another request.
    pub fn add(&mut self, other: Usage) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.total_tokens = self.total_tokens.saturating_add(other.total_tokens);
    }
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Value,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<WantedCall>>,
}

#[derive(Deserialize)]
struct WantedCall {
    id: String,
    function: WantedFunction,
}

#[derive(Deserialize)]
struct WantedFunction {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// What the body of an answer with status 200 says.
///
/// # Errors
/// [`StepError::Other`] when it is no completion.
pub fn answer(body: &[u8]) -> Result<(Turn, Usage), StepError> {
    let refuse = |why: String| StepError::Other(format!("the server's answer is no chat completion: {why}"));
    let completion: Completion = serde_json::from_slice(body).map_err(|error| refuse(error.to_string()))?;
    let usage = completion.usage.unwrap_or_default();
    let choice = completion.choices.into_iter().next().ok_or_else(|| refuse("it has no choice".to_owned()))?;
    let message = Message::deserialize(&choice.message).map_err(|error| refuse(error.to_string()))?;
    let calls = message.tool_calls.unwrap_or_default().into_iter().map(|call| ToolCall {
        id: call.id,
        name: call.function.name,
        arguments: call.function.arguments,
    });
    let calls: Vec<_> = calls.collect();
    let turn = match (calls.is_empty(), choice.finish_reason.as_deref()) {
        (_, Some("length")) => Turn::Cut("it reached its limit of tokens; raise max_tokens in the profile".to_owned()),
        (_, Some("content_filter")) => Turn::Cut("the server's filter withheld it".to_owned()),
        (false, _) => Turn::Tools { message: choice.message, calls },
        (true, _) => match (message.refusal, message.content) {
            (Some(refusal), _) => Turn::Cut(format!("the model refused: {}", short(&refusal))),
            (None, Some(content)) => Turn::Final(content),
            (None, None) => Turn::Cut("it is empty".to_owned()),
        },
    };
    Ok((turn, usage))
}

/// What an answer with another status means, and so whether trying again can help.
pub fn refusal(status: u16, body: &[u8]) -> StepError {
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.as_ref().and_then(|said| {
        let error = said.get("error")?;
        error.get("message").and_then(Value::as_str).or_else(|| error.as_str())
    });
    let said = said.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let said = if said.trim().is_empty() { "it says nothing more".to_owned() } else { short(said.trim()) };
    let words = |hint: &str| format!("the server answered {status}{hint}: {said}");
    match status {
        401 | 403 => StepError::Denied(words(" (check the profile's api_key)")),
        408 | 425 | 429 | 500..=599 => StepError::Unavailable(words("")),
        300..=399 => {
            StepError::InvalidConfig(words(" (redirects are not followed; write the address it leads to as base_url)"))
        }
        400..=499 => StepError::InvalidConfig(words(" (check base_url, model and the other settings of the profile)")),
        _ => StepError::Other(words("")),
    }
}

/// The message of a role.
pub fn message(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// The message that gives a tool's result back.
pub fn tool_result(call: &ToolCall, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": call.id, "content": content})
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As servers send it, with all that is not needed.
    const FINAL: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1741569952,"model":"m-2025","choices":[{"index":0,
        "message":{"role":"assistant","content":"Hello!","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],
        "usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0}},
        "service_tier":"default"}"#;
    const TOOLS: &str = r#"{"id":"chatcmpl-2","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[
        {"id":"call_a","type":"function","function":{"name":"read_file","arguments":"{\"path\":\"a\"}"}},
        {"id":"call_b","type":"function","function":{"name":"list_files","arguments":"{}"}}]},"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":82,"completion_tokens":17,"total_tokens":99}}"#;

    #[test]
    fn recorded_answers() {
        let (turn, usage) = answer(FINAL.as_bytes()).expect("an answer");
        assert_eq!(turn, Turn::Final("Hello!".to_owned()));
        assert_eq!(usage, Usage { prompt_tokens: 19, completion_tokens: 10, total_tokens: 29 });
        let (turn, mut sum) = answer(TOOLS.as_bytes()).expect("an answer");
        let Turn::Tools { message, calls } = turn else { panic!("{turn:?}") };
        assert_eq!(message["tool_calls"][1]["function"]["name"], "list_files");
        let call = |id: &str, name: &str, arguments: &str| ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        assert_eq!(calls, [call("call_a", "read_file", "{\"path\":\"a\"}"), call("call_b", "list_files", "{}")]);
        sum.add(usage);
        assert_eq!(sum.total_tokens, 128);
    }

    #[test]
    fn answers_that_are_cut_or_bare() {
        let check = |choice: Value, expect: Turn| {
            let body = json!({"choices": [choice]}).to_string();
            assert_eq!(answer(body.as_bytes()).expect("an answer").0, expect);
        };
        let cut = |words: &str| Turn::Cut(words.to_owned());
        check(json!({"message": {"content": "x"}}), Turn::Final("x".to_owned()));
        check(json!({"message": {"content": "x"}, "finish_reason": "tool_calls"}), Turn::Final("x".to_owned()));
        check(
            json!({"message": {"content": "half"}, "finish_reason": "length"}),
            cut("it reached its limit of tokens; raise max_tokens in the profile"),
        );
        check(json!({"message": {}, "finish_reason": "content_filter"}), cut("the server's filter withheld it"));
        check(json!({"message": {"refusal": "No."}}), cut("the model refused: No."));
        check(json!({"message": {"content": null, "tool_calls": []}}), cut("it is empty"));
        for body in ["", "[]", "{}", "{\"choices\": []}", "{\"choices\": [{\"message\": 1}]}", "<html>"] {
            assert!(matches!(answer(body.as_bytes()), Err(StepError::Other(_))), "{body}");
        }
    }

    #[test]
    fn what_is_asked() {
        let settings = Settings { model: "m".to_owned(), temperature: Some(0.5), max_tokens: Some(100) };
        let messages = [message("system", "be brief"), message("user", "hello")];
        let document = request(&settings, &messages, &json!([]));
        let expect = json!({"model": "m", "temperature": 0.5, "max_tokens": 100, "messages": [
            {"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]});
        assert_eq!(document, expect);
        let bare = Settings { temperature: None, max_tokens: None, ..settings };
        let document = request(&bare, &[], &json!([{"type": "function"}]));
        assert_eq!(document, json!({"model": "m", "messages": [], "tools": [{"type": "function"}]}));
        for base in ["https://a.test/v1", "https://a.test/v1/"] {
            assert_eq!(url(base), "https://a.test/v1/chat/completions");
        }
    }

    #[test]
    fn whether_trying_again_can_help() {
        let check = |status: u16, body: &str, expect: &str| {
            let found = match refusal(status, body.as_bytes()) {
                StepError::Denied(words) => format!("denied: {words}"),
                StepError::Unavailable(words) => format!("unavailable: {words}"),
                StepError::InvalidConfig(words) => format!("invalid: {words}"),
                other => format!("{other:?}"),
            };
            assert!(found.starts_with(expect), "{found}, not {expect}");
        };
        let openai = r#"{"error": {"message": "Rate limit reached", "type": "requests", "param": null, "code": "rate_limit_exceeded"}}"#;
        check(429, openai, "unavailable: the server answered 429: Rate limit reached");
        check(500, "", "unavailable: the server answered 500: it says nothing more");
        check(503, "<html>busy</html>", "unavailable: the server answered 503: <html>busy</html>");
        check(408, "", "unavailable: ");
        check(401, "{\"error\": \"no key\"}", "denied: the server answered 401 (check the profile's api_key): no key");
        check(403, "", "denied: ");
        check(404, "{\"error\": {\"message\": \"no such model\"}}", "invalid: the server answered 404 (check base_url");
        check(400, "", "invalid: ");
        check(302, "", "invalid: the server answered 302 (redirects");
        check(204, "", "StepError::Other");
        let long = refusal(500, "é".repeat(10_000).as_bytes());
        assert!(matches!(long, StepError::Unavailable(words) if words.chars().count() < 600));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(body in "\\PC{0,80}", status in 0u16..1000) {
            let _ = answer(body.as_bytes());
            let _ = refusal(status, body.as_bytes());
        }
    }
}
