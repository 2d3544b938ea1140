//! Search: from what somebody typed to an expression of the full-text index, and from its candidates to a page.
//!
//! What is typed becomes quoted terms, never syntax. Filters are terms of a column of their own that no typed word can reach,
//! so one expression finds and filters. The index gives at most [`MAX_CANDIDATES`], the latest publications first; those are
//! scored here, counted for the facets, and at most [`MAX_RANKED`] of them are paged through.
//!
//! A page begins after the place that its cursor names: a sort key and a name. What is published or withdrawn meanwhile
//! neither repeats nor hides a hit that did not itself move.
//!
//! Pure: the database asks and answers around it.

use base64::Engine as _;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};
use windlass_contract::{Digest, Interface, PluginKind};
use windlass_package::{
    market::{Category, Count, Facets, MAX_LIMIT, MAX_QUERY, MAX_RANKED, NativePage, SearchQuery, Sort},
    release::Release,
};

/// Most entries that one search looks at: twice what is ranked, so that filters by eye still leave some.
pub const MAX_CANDIDATES: usize = 2_000;
/// Most words of a query that are looked for.
pub const MAX_WORDS: usize = 8;
/// Most licences that are counted.
pub const MAX_LICENCES: usize = 20;
/// What a match in the name, the step types, the keywords, the summary and the README is worth; a filter is worth nothing.
pub const WEIGHTS: [f64; 6] = [10.0, 8.0, 6.0, 4.0, 1.0, 0.0];

/// Why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// The query is too long.
    #[error("a query has at most {MAX_QUERY} characters")]
    Long,
    /// The limit.
    #[error("limit is 1 to {MAX_LIMIT}")]
    Limit,
    /// The cursor.
    #[error("this is not a cursor of a search in this order; begin without one")]
    Cursor,
}

/// A query that can be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The words, without what has no letter or digit.
    pub words: Vec<String>,
    /// The expression of the full-text index; none: everything.
    pub expression: Option<String>,
    /// The expression that looks at names only; none without words.
    pub named: Option<String>,
    /// The order. Without words, relevance is downloads.
    pub sort: Sort,
    /// Hits of a page.
    pub limit: usize,
    after: Option<Place>,
}

/// A place in an order: descending by key, then ascending by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: Reverse<i64>,
    name: String,
}

impl Search {
    /// Reads a query.
    ///
    /// # Errors
    /// When it is over a limit, or the cursor is of no such search.
    pub fn of(query: &SearchQuery) -> Result<Self, BadQuery> {
        if query.q.chars().count() > MAX_QUERY {
            return Err(BadQuery::Long);
        }
        let limit = usize::try_from(query.limit).unwrap_or_default();
        if limit == 0 || query.limit > MAX_LIMIT {
            return Err(BadQuery::Limit);
        }
        let words: Vec<String> = query
            .q
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| word.chars().any(char::is_alphanumeric))
            .take(MAX_WORDS)
            .map(str::to_owned)
            .collect();
        let sort = match query.sort {
            Sort::Relevance if words.is_empty() => Sort::Downloads,
            sort => sort,
        };
        let after = query.cursor.as_deref().map(|text| Place::read(text, sort)).transpose()?;
        let expression = expression("name steps keywords summary readme", query, &words);
        let named = (!words.is_empty()).then(|| self::expression("name", query, &words)).flatten();
        Ok(Search { expression, named, words, sort, limit, after })
    }

    /// The page that begins at the cursor, and the cursor of the next one.
    pub fn page(&self, candidates: Vec<Candidate>) -> (Vec<i64>, Option<String>) {
        let mut ranked: Vec<(Place, i64)> = candidates
            .into_iter()
            .map(|candidate| (Place { key: Reverse(self.key(&candidate)), name: candidate.name }, candidate.id))
            .collect();
        ranked.sort();
        ranked.truncate(MAX_RANKED);
        let from = self.after.as_ref().map_or(0, |after| ranked.partition_point(|(place, _)| place <= after));
        let to = ranked.len().min(from + self.limit);
        let next = (to < ranked.len() && to > from).then(|| ranked[to - 1].0.write(self.sort));
        (ranked[from..to].iter().map(|(_, id)| *id).collect(), next)
    }

    fn key(&self, candidate: &Candidate) -> i64 {
        match self.sort {
            // Millionths, so that a key can be written into a cursor and read back the same.
            #[allow(clippy::cast_possible_truncation, reason = "a score is some hundreds at most")]
            Sort::Relevance => (self.score(candidate) * 1e6) as i64,
            Sort::Downloads => candidate.downloads,
            Sort::New => candidate.published,
            Sort::Name => 0,
        }
    }

    /// What the full-text index says, and what it cannot know: that the name is exactly the one that was typed, that people
    /// use it, that somebody vouches for its namespace.
    fn score(&self, candidate: &Candidate) -> f64 {
        const EXACT: f64 = 40.0;
        const VERIFIED: f64 = 1.0;
        const TENFOLD: f64 = 0.5;
        let typed = self.words.join(" ").to_lowercase();
        let exact = candidate.name == typed || candidate.name.rsplit(':').next() == Some(typed.as_str());
        #[allow(clippy::cast_precision_loss, reason = "a count of downloads, for its size")]
        let downloads = (candidate.downloads.max(0) as f64 + 1.0).log10() * TENFOLD;
        let verified = candidate.facets.lines().any(|facet| facet == "verified=true");
        // bm25 is the better the lower it is.
        -candidate.bm25 + f64::from(u8::from(exact)) * EXACT + downloads + f64::from(u8::from(verified)) * VERIFIED
    }
}

impl Place {
    fn write(&self, sort: Sort) -> String {
        let text = format!("{}\n{}\n{}", letter(sort), self.key.0, self.name);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    }

    fn read(text: &str, sort: Sort) -> Result<Self, BadQuery> {
        let read = || {
            let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let mut parts = text.splitn(3, '\n');
            parts.next().filter(|part| *part == letter(sort))?;
            Some(Place { key: Reverse(parts.next()?.parse().ok()?), name: parts.next()?.to_owned() })
        };
        (text.len() <= 400).then(read).flatten().ok_or(BadQuery::Cursor)
    }
}

fn letter(sort: Sort) -> &'static str {
    match sort {
        Sort::Relevance => "r",
        Sort::Downloads => "d",
        Sort::New => "p",
        Sort::Name => "n",
    }
}

/// An entry that matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its row.
    pub id: i64,
    /// Its name as it is shown.
    pub name: String,
    /// The index's score; the lower the better.
    pub bm25: f64,
    /// Downloads.
    pub downloads: i64,
    /// Milliseconds since 1970.
    pub published: i64,
    /// Its [`Features`], as [`Features::lines`] writes them.
    pub facets: String,
}

/// What an entry is filtered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature<'a> {
    /// What it is for.
    Kind(PluginKind),
    /// What it imports.
    Capability(Interface),
    /// Its licence.
    Licence(&'a str),
    /// Its category.
    Category(Category),
    /// Whether its namespace is verified.
    Verified(bool),
    /// Whether it is native.
    Native(bool),
}

impl Feature<'_> {
    fn facet(&self) -> &'static str {
        match self {
            Feature::Kind(_) => "kind",
            Feature::Capability(_) => "capability",
            Feature::Licence(_) => "licence",
            Feature::Category(_) => "category",
            Feature::Verified(_) => "verified",
            Feature::Native(_) => "native",
        }
    }

    fn value(&self) -> String {
        match self {
            Feature::Kind(kind) => kind_word(*kind).to_owned(),
            Feature::Capability(interface) => interface.name().to_owned(),
            Feature::Licence(licence) => (*licence).to_owned(),
            Feature::Category(category) => category.word().to_owned(),
            Feature::Verified(is) | Feature::Native(is) => is.to_string(),
        }
    }

    /// One word of letters and digits, whatever the value holds.
    fn term(&self) -> String {
        let digest = Digest::of(format!("{}={}", self.facet(), self.value().to_lowercase()).as_bytes());
        format!("f{}", digest.short())
    }
}

/// The word of a kind, as the index and the filter write it.
pub fn kind_word(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Step => "step",
        PluginKind::Provider => "provider",
        PluginKind::Scanner => "scanner",
    }
}

/// All features of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features<'a>(BTreeSet<Feature<'a>>);

impl<'a> Features<'a> {
    /// Of a plugin, by the release that it is shown with.
    pub fn of_plugin(release: &'a Release, verified: bool) -> Self {
        let capabilities = release.imports.iter().filter(|interface| !interface.always_granted());
        let mut features: BTreeSet<_> = capabilities.map(|interface| Feature::Capability(*interface)).collect();
        features.extend(release.kinds.iter().map(|kind| Feature::Kind(*kind)));
        features.extend([Feature::Licence(&release.licence), Feature::Verified(verified), Feature::Native(false)]);
        Features(features)
    }

    /// Of a native entry. Nobody here vouches for it.
    pub fn of_native(page: &'a NativePage) -> Self {
        Features(BTreeSet::from([
            Feature::Licence(&page.licence),
            Feature::Category(page.category),
            Feature::Verified(false),
            Feature::Native(true),
        ]))
    }

    /// One line each, `facet=value`: what is counted.
    pub fn lines(&self) -> String {
        let lines: Vec<_> = self.0.iter().map(|feature| format!("{}={}", feature.facet(), feature.value())).collect();
        lines.join("\n")
    }

    /// What is indexed.
    pub fn terms(&self) -> String {
        self.0.iter().map(Feature::term).collect::<Vec<_>>().join(" ")
    }
}

/// `{name steps keywords summary readme} : ("aws" AND "depl" *) AND facets : "f1a2b3c4d5e6"`.
fn expression(columns: &str, query: &SearchQuery, words: &[String]) -> Option<String> {
    let mut parts = Vec::new();
    if let Some((last, others)) = words.split_last() {
        let quoted = |word: &str| format!("\"{}\"", word.replace('"', "\"\""));
        let mut terms = String::new();
        for word in others {
            let _ = write!(terms, "{} AND ", quoted(word));
        }
        parts.push(format!("{{{columns}}} : ({terms}{} *)", quoted(last)));
    }
    let licence = query.licence.as_deref().map(Feature::Licence);
    let filters = [
        query.kind.map(Feature::Kind),
        query.capability.map(Feature::Capability),
        licence,
        query.category.map(Feature::Category),
        query.verified.map(Feature::Verified),
        query.native.map(Feature::Native),
    ];
    parts.extend(filters.into_iter().flatten().map(|feature| format!("facets : \"{}\"", feature.term())));
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

/// Counts the features of all candidates.
pub fn count<'a>(facets: impl IntoIterator<Item = &'a str>) -> Facets {
    let mut counts = BTreeMap::<&str, BTreeMap<&str, u64>>::new();
    for line in facets.into_iter().flat_map(str::lines) {
        if let Some((facet, value)) = line.split_once('=') {
            *counts.entry(facet).or_default().entry(value).or_default() += 1;
        }
    }
    let mut take = |facet: &str| {
        let values = counts.remove(facet).unwrap_or_default();
        let mut list: Vec<_> =
            values.into_iter().map(|(value, count)| Count { value: value.to_owned(), count }).collect();
        list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        list
    };
    let mut licence = take("licence");
    licence.truncate(MAX_LICENCES);
    Facets {
        kind: take("kind"),
        capability: take("capability"),
        licence,
        category: take("category"),
        verified: take("verified"),
        native: take("native"),
    }
}

/// Of the words that there are, the one that was probably meant: one slip away, or two in a long word.
pub fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let slips = match word.chars().count() {
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    };
    let near = words.into_iter().map(|other| (strsim::osa_distance(&word, other), other));
    near.filter(|(distance, _)| (1..=slips).contains(distance)).min().map(|(_, other)| other)
}

#[cfg(test)]
mod tests;
