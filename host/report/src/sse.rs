//! For browsers: server-sent events.
//!
//! A frame has the item's name as `event`, its JSON document as `data`, and the text of its [`EventId`](crate::EventId) as `id`,
//! `RUN:SEQ.PART`. A browser that was cut off says the last one as `Last-Event-ID`; the server parses it, reads the events from that
//! number on, and sends the items whose id is greater. Lines of logs have no `id`, so that they do not move that place: they are sent
//! again from the beginning of their attempt, and the reader knows by their numbers which it has.

use crate::{Told, json_lines};

/// A comment that keeps a connection open through proxies that close silent ones.
pub const HEARTBEAT: &str = ": still here\n\n";

/// An item as a frame, with the empty line that ends it.
pub fn frame(told: &Told) -> String {
    let mut out = String::new();
    if let Some(id) = told.id() {
        field(&mut out, "id", &id.to_string());
    }
    field(&mut out, "event", told.item.name());
    field(&mut out, "data", &json_lines::line(told));
    out.push('\n');
    out
}

/// A field of a frame: one line for each line of the text, whichever way it ends, so that no text can end the frame.
fn field(out: &mut String, name: &str, text: &str) {
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        out.push_str(name);
        out.push_str(": ");
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_a_frame() {
        let mut out = String::new();
        field(&mut out, "data", "a\n\nevent: b\r\rc\r\nd");
        assert_eq!(out, "data: a\ndata: \ndata: event: b\ndata: \ndata: c\ndata: d\n");
    }
}
