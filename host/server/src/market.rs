//! What can be installed: every configured registry as one market, together with what is installed.
//!
//! **How.** A [`Lane`] for each registry gives that registry's hits in its own order; a page is taken from the heads of the lanes. The cursor
//! says of each lane how far it is, so no hit is given twice and none is passed over, whatever the size of the pages. What is installed from
//! a registry that does not answer is a lane of its own.
//!
//! **Invariants.**
//! - A registry speaks only for the namespaces that are mapped to it.
//! - One that is away costs [`PATIENCE`] once in [`AWAY_FOR`], and nothing else of a page.
//! - What registries send is shown and not trusted: HTML is made safe again, links lead to http or https.

use crate::{
    App, Problem,
    api::market::{MarketHit, MarketPage, MarketPlugin, MarketQuery, RegistryRow, UnreachableRegistry},
    aside::aside,
    installs, page,
    problem::Kind,
};
use moka::sync::Cache;
use semver::Version;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::Arc,
    time::Duration,
};
use windlass_contract::PluginName;
use windlass_package::{
    Home, Installed, Origin, PackageError, Source,
    client::Registry,
    home::RegistryUrl,
    install::verify,
    lock::{Lock, Locked},
    market::{
        Facets, Hit, MAX_CARD_STEPS, MAX_LIMIT, MAX_QUERY, PluginCard, PluginPage, SearchAnswer, SearchQuery, Sort,
    },
    update::{self, Standing},
};

/// How long a registry may take for an answer. People wait for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long one that did not answer is not asked again.
pub(crate) const AWAY_FOR: Duration = Duration::from_secs(10);
/// How long an answer is good for: whoever types a word asks the same again and again.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(60);
/// How many answers are kept. Each is a page of cards, some 50 KiB.
pub(crate) const MAX_KEPT: u64 = 256;
/// Hits that are asked for at once. Always as many, so that a place in a lane means the same whatever the size of a page.
const LANE_PAGE: u32 = 50;
/// Hits of a page unless asked otherwise.
const DEFAULT_LIMIT: u32 = 24;
/// The lane of what is installed from registries that do not answer; no registry has this address.
const HERE: &str = "";

/// What the registries have said lately.
pub(crate) struct Market {
    answers: Cache<(String, String), Arc<SearchAnswer>>,
    pages: Cache<PluginName, Arc<Seen>>,
    standings: Cache<(PluginName, Version), Arc<Standing>>,
    /// Why one does not answer.
    away: Cache<String, String>,
}

/// A plugin's page, and what this server makes of it.
struct Seen {
    page: PluginPage,
    registry: String,
    verification: (&'static str, String),
}

impl Market {
    pub(crate) fn new() -> Market {
        fn kept<K: std::hash::Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>(
            time: Duration,
        ) -> Cache<K, V> {
            Cache::builder().max_capacity(MAX_KEPT).time_to_live(time).build()
        }
        Market { answers: kept(FRESH_FOR), pages: kept(FRESH_FOR), standings: kept(FRESH_FOR), away: kept(AWAY_FOR) }
    }

    /// Asks a registry, unless it is known to be away.
    async fn ask<T>(
        &self,
        registry: &str,
        question: impl Future<Output = Result<T, PackageError>>,
    ) -> Result<T, PackageError> {
        let unreachable = |why: String| PackageError::Unreachable { registry: registry.to_owned(), why };
        if let Some(why) = self.away.get(registry) {
            return Err(unreachable(why));
        }
        let answer = tokio::time::timeout(PATIENCE, question)
            .await
            .unwrap_or_else(|_| Err(unreachable(format!("nothing came in {} seconds", PATIENCE.as_secs()))));
        if let Err(PackageError::Unreachable { why, .. }) = &answer {
            self.away.insert(registry.to_owned(), why.clone());
        }
        answer
    }

    /// One page of one registry.
    async fn search(
        &self,
        home: &Home,
        url: &RegistryUrl,
        query: &SearchQuery,
    ) -> Result<Arc<SearchAnswer>, PackageError> {
        // Texts and numbers: cannot fail.
        let key = (url.to_string(), serde_json::to_string(query).unwrap_or_default());
        if let Some(answer) = self.answers.get(&key) {
            return Ok(answer);
        }
        let registry = Registry::new(home, url.clone(), None)?;
        let answer = Arc::new(self.ask(&key.0, registry.search(query)).await?);
        self.answers.insert(key, Arc::clone(&answer));
        Ok(answer)
    }

    /// What has become of a locked plugin; `None` where its registry does not tell.
    pub(crate) async fn standing(&self, home: &Home, locked: &Locked) -> Option<Arc<Standing>> {
        let key = (locked.name.clone(), locked.version.clone());
        if let Some(standing) = self.standings.get(&key) {
            return Some(standing);
        }
        let standing = self.ask(&locked.registry, update::standing(home, locked)).await.ok()?;
        let standing = Arc::new(standing);
        self.standings.insert(key, Arc::clone(&standing));
        Some(standing)
    }

    async fn page(&self, home: &Home, name: &PluginName) -> Result<Arc<Seen>, PackageError> {
        if let Some(seen) = self.pages.get(name) {
            return Ok(seen);
        }
        let registry = Registry::of(home, name)?;
        let url = registry.url().to_string();
        let source = Source::of(home, name)?;
        let questions = async { futures::try_join!(registry.page(name), source.releases(name)) };
        let (page, releases) = self.ask(&url, questions).await?;
        let release = releases.iter().find(|release| release.version == page.release.version);
        let verification = match release {
            Some(release) => installs::verified(&verify(release, home.publisher(name.namespace())?)),
            None => ("bad", "the page shows a version that the signed index does not have".to_owned()),
        };
        let seen = Arc::new(Seen { page: made_safe(page), registry: url, verification });
        self.pages.insert(name.clone(), Arc::clone(&seen));
        Ok(seen)
    }
}

/// What is looked for, as it was sent.
pub(crate) type Look = MarketQuery;

/// A page of the market.
pub(crate) async fn search(app: &App, look: Look) -> Result<MarketPage, Problem> {
    let query = read(&look)?;
    let limit = match look.limit {
        None => DEFAULT_LIMIT,
        Some(limit @ 1..=MAX_LIMIT) => limit,
        Some(_) => return Err(Problem::field("?limit", format!("limit is 1 to {MAX_LIMIT}"))),
    };
    let places: Option<Vec<Place>> = page::Paging { cursor: look.cursor, limit: None }.after()?;
    let app = app.clone();
    aside(move || async move { one_page(&app, query, look.registry, places, limit as usize).await }).await?
}

/// Reads what is looked for.
fn read(look: &Look) -> Result<SearchQuery, Problem> {
    fn word<T: DeserializeOwned>(pointer: &str, text: &Option<String>, rule: &str) -> Result<Option<T>, Problem> {
        let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let read = serde_json::from_value(text.into());
        read.map(Some).map_err(|_| Problem::field(pointer, format!("{rule}, not {text:?}")))
    }
    if look.q.as_ref().is_some_and(|q| q.chars().count() > MAX_QUERY) {
        return Err(Problem::field("?q", format!("a query has at most {MAX_QUERY} characters")));
    }
    Ok(SearchQuery {
        q: look.q.clone().unwrap_or_default(),
        kind: word("?kind", &look.kind, "a kind is step, provider or scanner")?,
        capability: word("?capability", &look.capability, "a capability is one such as containers or http")?,
        verified: look.verified,
        licence: look.licence.clone().filter(|licence| !licence.is_empty()),
        sort: word("?sort", &look.sort, "sort is relevance, downloads, new or name")?.unwrap_or_default(),
        limit: LANE_PAGE,
        ..SearchQuery::default()
    })
}

/// How far a lane is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// The registry's address, or [`HERE`].
    registry: String,
    /// Its own cursor of the page that is being given.
    page: Option<String>,
    /// How many hits of that page are given already.
    taken: usize,
    /// How many hits of the lane are given already.
    rank: u64,
}

/// The hits of one registry, from where the last page has ended.
struct Lane {
    place: Place,
    hits: VecDeque<Hit>,
    next: Option<String>,
}

impl Lane {
    fn new(place: Place, answer: &SearchAnswer) -> Lane {
        let hits = answer.hits.iter().skip(place.taken).cloned().collect();
        Lane { hits, next: answer.next.clone(), place }
    }

    /// Takes the first hit.
    fn take(&mut self) -> Option<Hit> {
        let hit = self.hits.pop_front()?;
        // A cursor may say anything.
        self.place.taken = self.place.taken.saturating_add(1);
        self.place.rank = self.place.rank.saturating_add(1);
        Some(hit)
    }

    /// The place of its next page, when this one is used up and there is one.
    fn turn(&self) -> Option<Place> {
        let next = self.next.clone().filter(|_| self.hits.is_empty())?;
        Some(Place { page: Some(next), taken: 0, ..self.place.clone() })
    }

    /// Where it goes on; `None` where it has ended.
    fn rest(&self) -> Option<Place> {
        if self.hits.is_empty() { self.turn() } else { Some(self.place.clone()) }
    }
}

/// What decides which lane's head is the next hit.
fn order(sort: Sort, lane: &Lane) -> Option<(Reverse<u64>, Option<String>, u64)> {
    let hit = lane.hits.front()?;
    let (mut most, mut name) = (0, None);
    match (sort, hit) {
        // Registries do not know each other's scores: the first of each, then the second of each.
        (Sort::Relevance, _) => {}
        (Sort::Downloads, Hit::Plugin(card)) => most = card.downloads,
        (Sort::New, Hit::Plugin(card)) => most = card.published.as_millisecond().unsigned_abs(),
        (Sort::Downloads | Sort::New, Hit::Native(_)) => {}
        (Sort::Name, Hit::Plugin(card)) => name = Some(card.name.to_string()),
        (Sort::Name, Hit::Native(card)) => name = Some(card.name.to_string()),
    }
    let rank = if sort == Sort::Relevance { lane.place.rank } else { 0 };
    Some((Reverse(most), name, rank))
}

async fn one_page(
    app: &App,
    query: SearchQuery,
    only: Option<String>,
    places: Option<Vec<Place>>,
    limit: usize,
) -> Result<MarketPage, Problem> {
    let (market, home) = (app.plugins().market(), app.plugins().home());
    let lock = Lock::load(app.plugins().project())?;
    let registries = match home.registries() {
        // Then there is what is installed.
        Err(PackageError::NoRegistry { .. }) => Vec::new(),
        other => other?,
    };
    let is_meant = |address: &str| only.as_deref().is_none_or(|only| only.is_empty() || only == address);
    let registries: Vec<_> = registries.into_iter().filter(|url| is_meant(&url.to_string())).collect();

    let mut whole = Whole::default();
    let mut lanes = Vec::new();
    let first = futures::future::join_all(registries.iter().map(|url| market.search(home, url, &query))).await;
    for (url, answer) in registries.iter().zip(first) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let unreachable = UnreachableRegistry { registry: url.to_string(), reason: error.to_string() };
                whole.unreachable.push(unreachable);
                continue;
            }
        };
        whole.add(&answer);
        let begin = Place { registry: url.to_string(), page: None, taken: 0, rank: 0 };
        lanes.extend(lane(market, home, &query, begin, places.as_deref(), &answer).await);
    }
    let is_silent = |registry: &str| !registries.iter().any(|url| url.to_string() == registry);
    let is_away = |registry: &str| whole.unreachable.iter().any(|away| away.registry == registry);
    let left: Vec<_> = lock.plugins.values().filter(|it| is_meant(&it.registry)).collect();
    let left: Vec<_> = left.into_iter().filter(|it| is_silent(&it.registry) || is_away(&it.registry)).collect();
    if !left.is_empty() {
        let hits = installed_hits(&app.plugins().installed()?, &left, &query);
        let answer = SearchAnswer {
            total: hits.len() as u64,
            hits,
            more: false,
            facets: Facets::default(),
            next: None,
            did_you_mean: None,
        };
        whole.add(&answer);
        let begin = Place { registry: HERE.to_owned(), page: None, taken: 0, rank: 0 };
        lanes.extend(lane(market, home, &query, begin, places.as_deref(), &answer).await);
    }

    let mut items = Vec::new();
    while items.len() < limit {
        for lane in &mut lanes {
            if let Some(place) = lane.turn() {
                turn(market, home, &query, lane, place, &mut whole.unreachable).await;
            }
        }
        let best = (0..lanes.len()).filter_map(|at| Some((order(query.sort, &lanes[at])?, at))).min();
        let Some((_, at)) = best else { break };
        let registry = lanes[at].place.registry.clone();
        let Some(hit) = lanes[at].take() else { break };
        if speaks_for(home, &registry, &hit) {
            items.push(as_item(hit, registry, &lock));
        }
    }
    let rest: Vec<Place> = lanes.iter().filter_map(Lane::rest).collect();
    let did_you_mean = whole.did_you_mean.filter(|_| items.is_empty());
    Ok(MarketPage {
        items,
        total: whole.total,
        facets: whole.facets,
        next_cursor: (!rest.is_empty()).then(|| page::cursor(&rest)),
        did_you_mean,
        unreachable: whole.unreachable,
    })
}

/// The lane that goes on where the page before has ended; `None` where it had ended then.
async fn lane(
    market: &Market,
    home: &Home,
    query: &SearchQuery,
    begin: Place,
    places: Option<&[Place]>,
    first: &SearchAnswer,
) -> Option<Lane> {
    let Some(places) = places else { return Some(Lane::new(begin, first)) };
    let place = places.iter().find(|place| place.registry == begin.registry)?.clone();
    if place.page.is_none() {
        return Some(Lane::new(place, first));
    }
    let url = place.registry.parse().ok()?;
    let query = SearchQuery { cursor: place.page.clone(), ..query.clone() };
    let answer = market.search(home, &url, &query).await.ok()?;
    Some(Lane::new(place, &answer))
}

/// Turns a lane to its next page; where that does not come, the lane ends here.
async fn turn(
    market: &Market,
    home: &Home,
    query: &SearchQuery,
    lane: &mut Lane,
    place: Place,
    unreachable: &mut Vec<UnreachableRegistry>,
) {
    lane.next = None;
    let Ok(url) = place.registry.parse::<RegistryUrl>() else { return };
    let query = SearchQuery { cursor: place.page.clone(), ..query.clone() };
    match market.search(home, &url, &query).await {
        Ok(answer) => *lane = Lane::new(place, &answer),
        Err(error) => {
            unreachable.push(UnreachableRegistry { registry: place.registry, reason: error.to_string() });
        }
    }
}

/// What is said of all pages.
#[derive(Default)]
struct Whole {
    total: u64,
    facets: Facets,
    did_you_mean: Option<String>,
    unreachable: Vec<UnreachableRegistry>,
}

impl Whole {
    fn add(&mut self, answer: &SearchAnswer) {
        self.total += answer.total;
        self.did_you_mean = self.did_you_mean.take().or_else(|| answer.did_you_mean.clone());
        merge(&mut self.facets, &answer.facets);
    }
}

/// Adds up what each filter would leave.
fn merge(all: &mut Facets, one: &Facets) {
    let pairs = [
        (&mut all.kind, &one.kind),
        (&mut all.capability, &one.capability),
        (&mut all.licence, &one.licence),
        (&mut all.category, &one.category),
        (&mut all.verified, &one.verified),
        (&mut all.native, &one.native),
    ];
    for (all, one) in pairs {
        for count in one {
            match all.iter_mut().find(|known| known.value == count.value) {
                Some(known) => known.count += count.count,
                None => all.push(count.clone()),
            }
        }
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    }
}

/// A registry may only speak for the namespaces that are mapped to it; a native entry has none, and is installed from nowhere.
fn speaks_for(home: &Home, registry: &str, hit: &Hit) -> bool {
    match hit {
        Hit::Plugin(_) if registry == HERE => true,
        Hit::Plugin(card) => home.registry_of(card.name.namespace()).is_ok_and(|url| url.to_string() == registry),
        Hit::Native(_) => true,
    }
}

fn as_item(hit: Hit, registry: String, lock: &Lock) -> MarketHit {
    let locked = match &hit {
        Hit::Plugin(card) => lock.plugins.get(&card.name).map(|locked| (locked, card.version.clone())),
        Hit::Native(_) => None,
    };
    let registry = match &locked {
        Some((locked, _)) if registry == HERE => locked.registry.clone(),
        _ => registry,
    };
    MarketHit {
        installed: locked.as_ref().map(|(locked, _)| locked.version.to_string()),
        outdated: locked.is_some_and(|(locked, newest)| newest.cmp_precedence(&locked.version).is_gt()),
        registry,
        hit,
    }
}

/// What is installed of `left`, as far as it matches. When it was published and how often it was downloaded, only its registry knows.
fn installed_hits(installed: &[Installed], left: &[&Locked], query: &SearchQuery) -> Vec<Hit> {
    let words: Vec<String> = query.q.split_whitespace().map(str::to_lowercase).collect();
    let is_left = |each: &&Installed| left.iter().any(|locked| locked.name == each.plugin.name);
    let card = |each: &Installed| {
        let steps: Vec<String> = each.descriptor.steps.iter().map(|step| step.name.clone()).collect();
        let provider = each.descriptor.provider.as_ref();
        let kind = |word: &str| serde_json::from_value(word.into()).ok();
        let kinds = [(!steps.is_empty(), "step"), (provider.is_some(), "provider")];
        let mut summaries = each.descriptor.steps.iter().map(|step| step.summary.clone());
        PluginCard {
            name: each.plugin.name.clone(),
            version: each.plugin.version.clone(),
            summary: summaries.next().or_else(|| provider.map(|it| it.title.clone())).unwrap_or_default(),
            kinds: kinds.into_iter().filter(|(is, _)| *is).filter_map(|(_, word)| kind(word)).collect(),
            more_steps: steps.len().saturating_sub(MAX_CARD_STEPS),
            steps: steps.into_iter().take(MAX_CARD_STEPS).collect(),
            capabilities: each.asked.interfaces(),
            licence: String::new(),
            keywords: Default::default(),
            published: jiff::Timestamp::UNIX_EPOCH,
            verified: false,
            downloads: 0,
        }
    };
    let matches = |card: &PluginCard| {
        let text = format!("{} {} {}", card.name, card.summary, card.steps.join(" ")).to_lowercase();
        words.iter().all(|word| text.contains(word))
            && query.kind.is_none_or(|kind| card.kinds.contains(&kind))
            && query.capability.is_none_or(|capability| card.capabilities.contains(&capability))
            && query.licence.is_none()
            && query.verified != Some(true)
            && query.native != Some(true)
    };
    installed.iter().filter(is_left).map(card).filter(matches).map(Hit::Plugin).collect()
}

/// A plugin's page.
pub(crate) async fn plugin(app: &App, name: PluginName) -> Result<MarketPlugin, Problem> {
    let asked = (app.clone(), name.clone());
    let seen = aside(move || async move {
        let (app, name) = asked;
        app.plugins().market().page(app.plugins().home(), &name).await
    })
    .await??;
    let installed = installs::rows(app, Some(&name)).await?.pop();
    let (verification, verification_words) = seen.verification.clone();
    Ok(MarketPlugin {
        page: seen.page.clone(),
        registry: seen.registry.clone(),
        installed,
        verification: verification.to_owned(),
        verification_words,
    })
}

/// The elements and addresses that a registry's HTML may have. The registry has made it safe already; this is for one that has not.
fn safe(html: &str) -> String {
    let mut builder = ammonia::Builder::default();
    builder
        .url_schemes(["http", "https", "mailto"].into())
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("nofollow noopener noreferrer ugc"))
        .rm_tags(["map", "area"])
        .id_prefix(Some("readme-"));
    builder.clean(html).to_string()
}

fn made_safe(mut page: PluginPage) -> PluginPage {
    page.readme = page.readme.map(|html| safe(&html));
    for step in &mut page.release.steps {
        step.docs = safe(&step.docs);
    }
    if let Some(provider) = &mut page.release.provider {
        provider.docs = safe(&provider.docs);
    }
    let leads_out = |link: &String| link.starts_with("https://") || link.starts_with("http://");
    page.release.source = page.release.source.filter(leads_out);
    page
}

/// The registries, each with whether it answers.
pub(crate) async fn registries(app: &App) -> Result<Vec<RegistryRow>, Problem> {
    let app = app.clone();
    aside(move || async move {
        let (market, home) = (app.plugins().market(), app.plugins().home());
        let mut rows: BTreeMap<String, (Origin, Vec<String>, bool)> = BTreeMap::new();
        let config = home.config()?.registries;
        let default = config.default.iter().map(|address| Ok((address.parse().map(Origin::Registry)?, None)));
        let mapped =
            config.namespaces.keys().map(|namespace| Ok((home.origin_of(namespace)?, Some(namespace.clone()))));
        for origin in default.chain(mapped) {
            let (origin, namespace): (Origin, Option<String>) =
                origin.map_err(|error: PackageError| Problem::from(error))?;
            let row = rows.entry(origin.to_string()).or_insert_with(|| (origin, Vec::new(), false));
            row.2 |= namespace.is_none();
            row.1.extend(namespace);
        }
        let rows = rows.into_iter().map(|(url, (origin, namespaces, default))| async move {
            let reason = match &origin {
                Origin::Registry(address) => {
                    let query = SearchQuery { limit: 1, ..SearchQuery::default() };
                    market.search(home, address, &query).await.err().map(|error| error.to_string())
                }
                Origin::Oci { .. } => {
                    Some("a plain OCI registry is asked only for what is installed from it".to_owned())
                }
            };
            RegistryRow { url, namespaces, default, reachable: reason.is_none(), reason }
        });
        let mut rows = futures::future::join_all(rows).await;
        rows.sort_by_key(|row| !row.default);
        Ok(rows)
    })
    .await?
}

/// The name of a plugin in an address.
pub(crate) fn name(namespace: &str, name: &str) -> Result<PluginName, Problem> {
    let text = format!("{namespace}:{name}");
    text.parse().map_err(|_| Problem::new(Kind::NotFound, format!("there is no plugin {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_package::market::Count;

    fn hit(name: &str, downloads: u64) -> Hit {
        let card = serde_json::json!({
            "entry": "plugin", "name": name, "version": "1.0.0", "summary": "s", "kinds": ["step"], "steps": [],
            "capabilities": [], "licence": "MIT", "published": "2026-01-01T00:00:00Z", "verified": false, "downloads": downloads,
        });
        serde_json::from_value(card).unwrap()
    }

    fn answer(hits: Vec<Hit>, next: Option<&str>) -> SearchAnswer {
        let total = hits.len() as u64;
        let next = next.map(str::to_owned);
        SearchAnswer { hits, total, more: false, facets: Facets::default(), next, did_you_mean: None }
    }

    fn place(registry: &str) -> Place {
        Place { registry: registry.to_owned(), page: None, taken: 0, rank: 0 }
    }

    #[test]
    fn the_best_head_is_next() {
        let taken = |sort: Sort| {
            let mut lanes = [
                Lane::new(place("a"), &answer(vec![hit("a:x", 9), hit("a:z", 1)], None)),
                Lane::new(place("b"), &answer(vec![hit("b:y", 5), hit("b:w", 4)], None)),
            ];
            let mut names = Vec::new();
            while let Some((_, at)) = (0..lanes.len()).filter_map(|at| Some((order(sort, &lanes[at])?, at))).min() {
                if let Some(Hit::Plugin(card)) = lanes[at].take() {
                    names.push(card.name.to_string());
                }
            }
            names.join(" ")
        };
        assert_eq!(taken(Sort::Relevance), "a:x b:y a:z b:w");
        assert_eq!(taken(Sort::Downloads), "a:x b:y b:w a:z");
        assert_eq!(taken(Sort::Name), "a:x a:z b:y b:w");
        assert_eq!(taken(Sort::New), "a:x a:z b:y b:w");
    }

    #[test]
    fn a_lane_goes_on_where_it_was() {
        let first = answer(vec![hit("a:x", 0), hit("a:y", 0), hit("a:z", 0)], Some("p2"));
        let mut lane = Lane::new(place("a"), &first);
        lane.take();
        let rest = lane.rest().unwrap();
        assert_eq!((rest.taken, rest.rank, rest.page.clone()), (1, 1, None));
        let mut lane = Lane::new(rest, &first);
        assert!(matches!(lane.take(), Some(Hit::Plugin(card)) if card.name.name() == "y"));
        assert!(lane.turn().is_none(), "there is one left");
        lane.take();
        let rest = lane.rest().unwrap();
        assert_eq!((rest.taken, rest.rank, rest.page.as_deref()), (0, 3, Some("p2")));
        let mut last = Lane::new(rest, &answer(vec![hit("a:w", 0)], None));
        last.take();
        assert_eq!(last.rest(), None);
    }

    #[test]
    fn facets_are_added_up() {
        let facets = |counts: &[(&str, u64)]| Facets {
            kind: counts.iter().map(|(value, count)| Count { value: (*value).to_owned(), count: *count }).collect(),
            ..Facets::default()
        };
        let mut all = facets(&[("step", 3), ("scanner", 1)]);
        merge(&mut all, &facets(&[("provider", 5), ("step", 4)]));
        assert_eq!(all, facets(&[("step", 7), ("provider", 5), ("scanner", 1)]));
    }

    #[test]
    fn html_of_a_registry_is_made_safe_again() {
        let check = |html: &str, expect: &str| assert_eq!(safe(html), expect, "{html}");
        check("<p>a <b>b</b></p>", "<p>a <b>b</b></p>");
        check("<script>alert(1)</script>x", "x");
        check("<p onclick=alert(1) style='x'>x</p>", "<p>x</p>");
        check("<a href='javascript:alert(1)'>x</a>", "<a rel=\"nofollow noopener noreferrer ugc\">x</a>");
        check("<a href='/api/v1/secrets'>x</a>", "<a rel=\"nofollow noopener noreferrer ugc\">x</a>");
        check("<img src=x onerror=alert(1)>", "<img>");
        check("<svg><script>1</script></svg><iframe src='https://a.test'></iframe>", "");
        check("<form action='https://a.test'><input name=key></form>", "");
    }

    #[test]
    fn what_cannot_be_looked_for() {
        let pointer = |look: Look| read(&look).err().map(|problem| problem.errors[0].pointer.clone());
        assert_eq!(
            pointer(Look { sort: Some("name".to_owned()), kind: Some("step".to_owned()), ..Look::default() }),
            None
        );
        assert_eq!(pointer(Look { sort: Some("size".to_owned()), ..Look::default() }).as_deref(), Some("?sort"));
        assert_eq!(pointer(Look { kind: Some("thing".to_owned()), ..Look::default() }).as_deref(), Some("?kind"));
        assert_eq!(
            pointer(Look { capability: Some("x".to_owned()), ..Look::default() }).as_deref(),
            Some("?capability")
        );
        assert_eq!(pointer(Look { q: Some("x".repeat(MAX_QUERY)), ..Look::default() }), None);
        assert_eq!(pointer(Look { q: Some("x".repeat(MAX_QUERY + 1)), ..Look::default() }).as_deref(), Some("?q"));
    }
}
