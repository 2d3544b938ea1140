//! The conversation with a model: ask, carry out what tools it wants, ask again, until it has finished. Pure, but for what it is
//! given: whoever asks the server, and the files.

use crate::{
    chat::{self, Settings, Turn, Usage},
    tools::{self, Files},
};
use serde_json::Value;
use windlass_plugin::{StepError, files::Mounts};

/// Bytes of a request at most: 8 MiB, more than any model reads, and half of what one call of the host takes.
pub const MAX_REQUEST_BYTES: usize = 8 << 20;

/// What a conversation needs of the world.
pub trait World: Files {
    /// Sends a request's document; the status and the body of the answer.
    ///
    /// # Errors
    /// When nobody answers, or the host refuses.
    fn ask(&self, document: &[u8]) -> Result<(u16, Vec<u8>), StepError>;
    /// A line for the log.
    fn say(&self, line: &str);
    /// Whether the step is to stop.
    fn is_cancelled(&self) -> bool;
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With this text.
    Final(String),
    /// Without one, for this reason.
    Failed(String),
}

/// What a conversation has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// How often the model was asked.
    pub iterations: u32,
    /// Tokens, in all.
    pub usage: Usage,
}

/// Holds a conversation that begins with `messages`. `spent` counts on, so that it is known also when this fails.
///
/// # Errors
/// When the server or the host cannot; the model's own failure is an [`End`].
pub fn hold(
    settings: &Settings,
    mut messages: Vec<Value>,
    max_iterations: u32,
    mounts: &Mounts,
    world: &impl World,
    spent: &mut Spent,
) -> Result<End, StepError> {
    let tools = tools::described(mounts);
    while spent.iterations < max_iterations {
        if world.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        let document = chat::request(settings, &messages, &tools).to_string();
        if document.len() > MAX_REQUEST_BYTES {
            return Ok(End::Failed(format!("the conversation has grown over {MAX_REQUEST_BYTES} bytes")));
        }
        let (status, body) = world.ask(document.as_bytes())?;
        spent.iterations += 1;
        if status != 200 {
            return Err(chat::refusal(status, &body));
        }
        let (turn, usage) = chat::answer(&body)?;
        spent.usage.add(usage);
        match turn {
            Turn::Final(text) => return Ok(End::Final(text)),
            Turn::Cut(why) => return Ok(End::Failed(format!("the agent's answer was cut off: {why}"))),
            Turn::Tools { message, calls } => {
                messages.push(message);
                for call in &calls {
                    let outcome = tools::call(call, mounts, world)?;
                    world.say(&format!("{}: {}", spent.iterations, outcome.line));
                    messages.push(chat::tool_result(call, &outcome.result));
                }
            }
        }
    }
    Ok(End::Failed(format!(
        "the agent did not finish within {max_iterations} iterations; raise max_iterations, or ask for less"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Found;
    use serde_json::json;
    use std::cell::RefCell;
    use windlass_plugin::files::Place;

    /// A server that answers from a list, and one file at most.
    #[derive(Default)]
    struct Scripted {
        answers: RefCell<Vec<(u16, Value)>>,
        asked: RefCell<Vec<Value>>,
        said: RefCell<Vec<String>>,
        file: RefCell<Option<Vec<u8>>>,
        cancelled: bool,
    }

    impl Files for Scripted {
        fn open(&self, _: &Place) -> Result<Found, StepError> {
            let file = self.file.borrow().clone();
            Ok(file.map_or(Found::Nothing, |bytes| Found::File(Box::new(std::io::Cursor::new(bytes)))))
        }
        fn write(&self, _: &Place, bytes: &[u8]) -> Result<Result<(), String>, StepError> {
            *self.file.borrow_mut() = Some(bytes.to_vec());
            Ok(Ok(()))
        }
    }

    impl World for Scripted {
        fn ask(&self, document: &[u8]) -> Result<(u16, Vec<u8>), StepError> {
            self.asked.borrow_mut().push(serde_json::from_slice(document).expect("it is JSON"));
            let (status, answer) = self.answers.borrow_mut().remove(0);
            Ok((status, answer.to_string().into_bytes()))
        }
        fn say(&self, line: &str) {
            self.said.borrow_mut().push(line.to_owned());
        }
        fn is_cancelled(&self) -> bool {
            self.cancelled
        }
    }

    fn wants(name: &str, arguments: Value) -> (u16, Value) {
        let call =
            json!({"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
        (
            200,
            json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": [call]}, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}),
        )
    }

    fn says(text: &str) -> (u16, Value) {
        (
            200,
            json!({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}),
        )
    }

    fn hold_with(answers: &[(u16, Value)], max_iterations: u32) -> (Result<End, StepError>, Spent, Scripted) {
        let world = Scripted { answers: RefCell::new(answers.to_vec()), ..Scripted::default() };
        let settings = Settings { model: "m".to_owned(), temperature: None, max_tokens: None };
        let mut spent = Spent::default();
        let opening = vec![chat::message("user", "mend it")];
        let end = hold(&settings, opening, max_iterations, &Mounts::default(), &world, &mut spent);
        (end, spent, world)
    }

    #[test]
    fn a_file_is_read_mended_and_reported() {
        let write = wants("write_file", json!({"path": "a", "content": "mended"}));
        let (end, spent, world) = hold_with(&[wants("read_file", json!({"path": "a"})), write, says("done")], 10);
        assert_eq!(end.ok(), Some(End::Final("done".to_owned())));
        assert_eq!((spent.iterations, spent.usage.total_tokens), (3, 24));
        assert_eq!(world.file.borrow().as_deref(), Some(b"mended".as_slice()));
        assert_eq!(
            *world.said.borrow(),
            ["1: read_file: there is no /workspace/a", "2: write_file /workspace/a (6 bytes)"]
        );
        let asked = world.asked.borrow();
        let roles = asked[2]["messages"].as_array().expect("a list").iter().map(|message| message["role"].clone());
        assert_eq!(roles.collect::<Vec<_>>(), ["user", "assistant", "tool", "assistant", "tool"]);
        assert_eq!(
            asked[1]["messages"][2],
            json!({"role": "tool", "tool_call_id": "call_1", "content": "error: there is no /workspace/a"})
        );
        assert_eq!(asked[0]["tools"][0]["function"]["name"], "read_file");
    }

    #[test]
    fn how_else_it_can_end() {
        let list = || wants("list_files", json!({}));
        let failed = |answers: &[(u16, Value)], max| match hold_with(answers, max) {
            (Ok(End::Failed(why)), spent, _) => (why, spent.iterations),
            (other, ..) => panic!("{other:?}"),
        };
        let (why, asked) = failed(&[list(), list()], 2);
        assert_eq!(
            (why.as_str(), asked),
            ("the agent did not finish within 2 iterations; raise max_iterations, or ask for less", 2)
        );
        let cut = (200, json!({"choices": [{"message": {"content": "h"}, "finish_reason": "length"}]}));
        assert!(failed(&[cut], 2).0.contains("raise max_tokens"));
        let long = wants("write_file", json!({"path": "a", "content": "x".repeat(MAX_REQUEST_BYTES)}));
        assert!(failed(&[long, says("done")], 5).0.contains("has grown over 8388608 bytes"));
        let (end, spent, _) = hold_with(&[list(), (429, json!({"error": {"message": "slow down"}}))], 5);
        assert!(matches!(end, Err(StepError::Unavailable(words)) if words.contains("slow down")));
        assert_eq!((spent.iterations, spent.usage.total_tokens), (2, 7), "what was spent is known also then");
        let world = Scripted { cancelled: true, ..Scripted::default() };
        let settings = Settings { model: "m".to_owned(), temperature: None, max_tokens: None };
        let end = hold(&settings, vec![], 1, &Mounts::default(), &world, &mut Spent::default());
        assert!(matches!(end, Err(StepError::Cancelled)));
    }
}
