//! Lists in pages, by cursor.
//!
//! A cursor is opaque: the place of the last entry that was given. What is added or taken away meanwhile neither repeats an entry nor
//! skips one.

use crate::Problem;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

/// How many entries a page has when it is not said.
pub(crate) const DEFAULT_PAGE: u32 = 50;
/// The most that a page has: what a screen shows and a phone can take.
pub(crate) const MAX_PAGE: u32 = 200;

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Which page.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// How many entries, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

impl Paging {
    /// How many entries.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        match self.limit {
            None => Ok(DEFAULT_PAGE),
            Some(limit @ 1..=MAX_PAGE) => Ok(limit),
            Some(_) => Err(Problem::field("?limit", format!("limit is 1 to {MAX_PAGE}"))),
        }
    }

    /// The place after which the page begins.
    pub(crate) fn after<P: DeserializeOwned>(&self) -> Result<Option<P>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let place = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        place.map(Some).ok_or_else(|| Problem::field("?cursor", "this is no cursor of this list"))
    }
}

impl<T> Page<T> {
    /// A page of what was read with one entry more than `limit`, which tells whether there is another page.
    pub(crate) fn of<P: Serialize>(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> P) -> Page<T> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|last| cursor(&place(last)));
        Page { items, next_cursor }
    }
}

/// The cursor of a place.
pub(crate) fn cursor(place: &impl Serialize) -> String {
    // Places are numbers and texts: cannot fail.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}
