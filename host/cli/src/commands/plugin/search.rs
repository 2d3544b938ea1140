//! `windlass plugin search`.

use super::super::{print_json, secret::header};
use crate::{
    app::App,
    exit::{Exit, coded},
    style,
};
use windlass_package::{
    installed,
    market::{Hit, MAX_LIMIT, NATIVE_NOTE, SearchQuery},
};

pub(super) async fn search(app: &App, words: &str, json: bool) -> anyhow::Result<Exit> {
    let query = SearchQuery { q: words.to_owned(), limit: MAX_LIMIT, ..SearchQuery::default() };
    let found = installed::search(&app.home, &query).await.map_err(coded)?;
    if json {
        return print_json(&found.hits);
    }
    if found.hits.is_empty() {
        eprintln!("nothing matches {words:?}");
        if !found.did_you_mean.is_empty() {
            eprintln!("did you mean {}?", found.did_you_mean.join(" or "));
        }
        return Ok(Exit::Success);
    }
    let mut rows = vec![header(&["PLUGIN", "VERSION", "STEP TYPES", ""])];
    let mut native = false;
    for hit in found.hits {
        rows.push(match hit {
            Hit::Plugin(card) => {
                let steps = few(&card.steps, card.more_steps);
                [card.name.to_string(), card.version.to_string(), steps, card.summary].into()
            }
            Hit::Native(card) => {
                native = true;
                let steps = few(&card.steps, card.more_steps);
                [format!("{} (native)", card.name), card.version, steps, card.summary].into()
            }
        });
    }
    anstream::print!("{}", style::table(&rows));
    if native {
        eprintln!("(native) is {NATIVE_NOTE}");
    }
    if found.more {
        eprintln!("there are more; give more words to see fewer");
    }
    Ok(Exit::Success)
}

/// Step types for a row of a table: the first of them, and how many more there are.
fn few(steps: &[String], more: usize) -> String {
    const SHOWN: usize = 4;
    let more = more + steps.len().saturating_sub(SHOWN);
    let shown = steps[..steps.len().min(SHOWN)].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
