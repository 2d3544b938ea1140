//! For programs: one JSON document a line.
//!
//! ```json
//! {"run":"r1","seq":3,"part":0,"at_ms":1000,"type":"step-started","step":"build","state":"main","attempt":1,…}
//! ```
//!
//! The first five keys are the same everywhere and come first; the rest is what [`Item`](crate::Item) has for the type, where what
//! each means is said. Keys are added, never renamed or taken away, and every document has all of its type's; what is not there is
//! `null`. A reader passes over types and keys that it does not know.
//!
//! | `type` | keys |
//! |---|---|
//! | `run-started` | `name` `file` `inputs` `by` `parent` `rerun_of` `warnings` |
//! | `run-queued` | `group` `limit` `behind` |
//! | `state-entered` | `state` `visit` `from` `because` `feedback` |
//! | `step-started` | `step` `state` `attempt` `step_type` `plugin` |
//! | `step-ended` | `step` `attempt` `outcome` `reason` `retry_ms` `took_ms` `allowed` |
//! | `step-skipped` | `step` `state` `skip` `sentence` |
//! | `step-carried` | `step` `state` `outcome` `from` |
//! | `gate-opened` | `step` `state` `attempt` `gate` `prompt` `approvers` `not_by` `quorum` `opens_ms` `expires_ms` `otherwise` `commands` |
//! | `gate-voted` | `step` `attempt` `by` `vote` `comment` `missing` |
//! | `gate-decided` | `step` `attempt` `outcome` `reason` `by` `answer` `took_ms` `allowed` |
//! | `sub-run-started` | `step` `state` `attempt` `workflow` `sub_run` `wait` |
//! | `sub-run-ended` | `step` `attempt` `sub_run` `outcome` `reason` `retry_ms` `took_ms` `allowed` |
//! | `container-created` | `step` `attempt` `index` `name` |
//! | `step-undecided` | `step` `attempt` `commands` |
//! | `step-decided` | `step` `attempt` `decision` `by` |
//! | `cancelling` | `reason` `forced` |
//! | `log` | `step` `attempt` `line` `stream` `text` |
//! | `run-ended` | `outcome` `reason` `took_ms` `counts` |

use crate::Told;

/// The document, without the end of the line. There is no line break in it.
pub fn line(told: &Told) -> String {
    // It cannot fail: every key in it is text, and JSON's numbers are finite.
    serde_json::to_string(told).unwrap_or_default()
}
