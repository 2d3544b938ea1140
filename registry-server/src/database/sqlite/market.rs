//! The market's tables: what is found and filtered by, and what pages add up.
//!
//! An entry is never changed: [`renew`] forgets it and writes it anew, in the transaction of whatever it follows from. So the
//! full-text index and the tables beside it cannot disagree, and the latest entry has the greatest id.

use super::{Sqlite, Write, commit, database, json, millis, packages::lines, parsed, record, time, to_json};
use crate::{
    accounts::Namespace,
    database::{By, Found, Market, Replaced, Result},
    error::RegistryError,
    market::{
        self,
        downloads::Pending,
        markdown,
        search::{self, Candidate, Features, MAX_CANDIDATES, Search, WEIGHTS},
    },
};
use async_trait::async_trait;
use jiff::Timestamp;
use semver::{Version, VersionReq};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::PluginName;
use windlass_package::{
    market::{Dependents, Downloads, Hit, NativeName, NativePage, PluginCard, Provider, Sort, StepConflict},
    release::{Release, newest},
};

/// Words that are compared with a mistyped one: those that begin alike.
const MAX_WORDS_COMPARED: i64 = 2_000;

/// Entries that are found by their name alone, beside the latest that have a word anywhere.
const NAMED: i64 = 50;

const SEARCH: &str = "search";

#[async_trait]
impl Market for Sqlite {
    async fn search(&self, search: &Search) -> Result<Found> {
        let mut candidates = self.candidates(search).await?;
        let more = candidates.len() > MAX_CANDIDATES;
        // What is over is the oldest: names stand first.
        candidates.truncate(MAX_CANDIDATES);
        let facets = search::count(candidates.iter().map(|candidate| candidate.facets.as_str()));
        let total = candidates.len() as u64;
        let (ids, next) = search.page(candidates);
        let hits = self.hits(&ids).await?;
        let did_you_mean = match (search.words.as_slice(), total) {
            ([.., last], 0) => self.nearest(last).await?,
            _ => None,
        };
        Ok(Found { hits, total, more, facets, next, did_you_mean })
    }

    async fn page(&self, name: &PluginName, version: &Version) -> Result<(Option<String>, BTreeMap<String, String>)> {
        let row: Option<(Option<String>, String)> = sqlx::query_as(
            "SELECT pages.readme, docs FROM pages JOIN releases ON releases.id = pages.release
             JOIN packages ON packages.id = releases.package WHERE namespace = ? AND name = ? AND version = ?",
        )
        .bind(name.namespace())
        .bind(name.name())
        .bind(version.to_string())
        .fetch_optional(&self.reads)
        .await
        .map_err(database("read a page"))?;
        match row {
            Some((readme, docs)) => Ok((readme, json("read a page", &docs)?)),
            None => Ok((None, BTreeMap::new())),
        }
    }

    async fn cards(&self, namespace: &Namespace, limit: usize) -> Result<Vec<PluginCard>> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT market.id FROM market JOIN packages ON packages.id = market.package WHERE namespace = ?
             ORDER BY packages.name LIMIT ?",
        )
        .bind(namespace.as_str())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reads)
        .await
        .map_err(database("list a namespace"))?;
        let plugin = |hit| match hit {
            Hit::Plugin(card) => Some(card),
            Hit::Native(_) => None,
        };
        Ok(self.hits(&ids).await?.into_iter().filter_map(plugin).collect())
    }

    async fn dependents(&self, name: &PluginName, last: Option<&PluginName>, limit: usize) -> Result<Dependents> {
        let read = || database("list who needs a plugin");
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM market_needs WHERE needed = ?")
            .bind(name.to_string())
            .fetch_one(&self.reads)
            .await
            .map_err(read())?;
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM market_needs JOIN market ON market.id = market_needs.entry
             WHERE needed = ? AND name > ? ORDER BY name LIMIT ?",
        )
        .bind(name.to_string())
        .bind(last.map(ToString::to_string).unwrap_or_default())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reads)
        .await
        .map_err(read())?;
        let plugins = names.iter().map(|name| parsed("read a name", name)).collect::<Result<_>>()?;
        Ok(Dependents { total: total.cast_unsigned(), plugins })
    }

    async fn verified(&self, namespace: &Namespace) -> Result<Option<Option<Timestamp>>> {
        let row: Option<(Option<i64>,)> = sqlx::query_as("SELECT verified_at_ms FROM namespaces WHERE name = ?")
            .bind(namespace.as_str())
            .fetch_optional(&self.reads)
            .await
            .map_err(database("read a namespace"))?;
        Ok(row.map(|(since,)| since.map(time)))
    }

    async fn verify(&self, namespace: &Namespace, verified: bool, by: &By) -> Result<()> {
        let what = || database("verify a namespace");
        let mut write = self.begin().await?;
        let since = verified.then(|| millis(Timestamp::now()));
        let changed = sqlx::query("UPDATE namespaces SET verified_at_ms = ? WHERE name = ?")
            .bind(since)
            .bind(namespace.as_str())
            .execute(&mut *write)
            .await
            .map_err(what())?;
        if changed.rows_affected() == 0 {
            return Err(RegistryError::Unknown(format!("there is no namespace {namespace}")));
        }
        let packages: Vec<i64> = sqlx::query_scalar("SELECT id FROM packages WHERE namespace = ?")
            .bind(namespace.as_str())
            .fetch_all(&mut *write)
            .await
            .map_err(what())?;
        for package in packages {
            renew(&mut write, package).await?;
        }
        let action = if verified { "namespace.verify" } else { "namespace.unverify" };
        record(&mut write, by, action, Some(namespace.as_str()), namespace.as_str(), "").await?;
        commit(write).await
    }

    async fn downloads(&self, name: &PluginName, since: i64) -> Result<Downloads> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT version, day, count FROM downloads JOIN releases ON releases.id = downloads.release
             JOIN packages ON packages.id = releases.package WHERE namespace = ? AND name = ?",
        )
        .bind(name.namespace())
        .bind(name.name())
        .fetch_all(&self.reads)
        .await
        .map_err(database("read downloads"))?;
        let mut downloads = Downloads::default();
        for (version, day, count) in rows {
            let count = count.cast_unsigned();
            downloads.total += count;
            *downloads.versions.entry(parsed("read a version", &version)?).or_default() += count;
            if day >= since {
                downloads.last_90_days += count;
                *downloads.days.entry(date(day)).or_default() += count;
            }
        }
        Ok(downloads)
    }

    async fn add_downloads(&self, pending: &Pending) -> Result<()> {
        let what = || database("count downloads");
        let mut write = self.begin().await?;
        for ((name, digest, day), count) in pending {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            // The same bytes may be two versions; the older one was first, and has it.
            let release: Option<(i64, i64)> = sqlx::query_as(
                "SELECT releases.id, package FROM packages JOIN releases ON packages.id = releases.package
                 WHERE namespace = ? AND name = ? AND digest = ? ORDER BY releases.id LIMIT 1",
            )
            .bind(name.namespace())
            .bind(name.name())
            .bind(digest.to_string())
            .fetch_optional(&mut *write)
            .await
            .map_err(what())?;
            let Some((release, package)) = release else { continue };
            sqlx::query(
                "INSERT INTO downloads (release, day, count) VALUES (?, ?, ?)
                 ON CONFLICT DO UPDATE SET count = count + excluded.count",
            )
            .bind(release)
            .bind(day)
            .bind(count)
            .execute(&mut *write)
            .await
            .map_err(what())?;
            sqlx::query("UPDATE market SET downloads = downloads + ? WHERE package = ?")
                .bind(count)
                .bind(package)
                .execute(&mut *write)
                .await
                .map_err(what())?;
        }
        commit(write).await
    }

    async fn providers(&self, step: &str) -> Result<Vec<Provider>> {
        let rows: Vec<(String, bool)> = sqlx::query_as(
            "SELECT name, native IS NOT NULL FROM market_steps JOIN market ON market.id = market_steps.entry
             WHERE step = ? ORDER BY native IS NOT NULL, name",
        )
        .bind(step)
        .fetch_all(&self.reads)
        .await
        .map_err(database("find a step type"))?;
        rows.into_iter().map(|(name, native)| provider(&name, native)).collect()
    }

    async fn conflicts(&self, steps: Option<&[String]>) -> Result<Vec<StepConflict>> {
        let of = match steps {
            Some(_) => "step IN (SELECT value FROM json_each(?))",
            None => "? IS NULL",
        };
        let rows: Vec<(String, String, bool)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT step, name, native IS NOT NULL FROM market_steps JOIN market ON market.id = market_steps.entry
             WHERE step IN (SELECT step FROM market_steps WHERE {of} GROUP BY step HAVING count(*) > 1)
             ORDER BY step, native IS NOT NULL, name"
        )))
        .bind(steps.map(|steps| to_json(&steps)))
        .fetch_all(&self.reads)
        .await
        .map_err(database("compare step types"))?;
        let mut conflicts = Vec::<StepConflict>::new();
        for (step, name, native) in rows {
            let provider = provider(&name, native)?;
            match conflicts.last_mut().filter(|last| last.step == step) {
                Some(last) => last.providers.push(provider),
                None => conflicts.push(StepConflict { step, providers: vec![provider] }),
            }
        }
        Ok(conflicts)
    }

    async fn native(&self, name: &NativeName) -> Result<Option<NativePage>> {
        let page: Option<String> =
            sqlx::query_scalar("SELECT native FROM market WHERE name = ? AND native IS NOT NULL")
                .bind(name.as_str())
                .fetch_optional(&self.reads)
                .await
                .map_err(database("read a native entry"))?;
        page.map(|page| json("read a native entry", &page)).transpose()
    }

    async fn replace_natives(
        &self,
        entries: &BTreeMap<NativeName, NativePage>,
        origin: &str,
        by: &By,
    ) -> Result<Replaced> {
        let mut write = self.begin().await?;
        let rows: Vec<(i64, String, String)> =
            sqlx::query_as("SELECT id, name, native FROM market WHERE native IS NOT NULL")
                .fetch_all(&mut *write)
                .await
                .map_err(database("read native entries"))?;
        let mut before: BTreeMap<String, (i64, String)> =
            rows.into_iter().map(|(id, name, page)| (name, (id, page))).collect();
        let mut replaced = Replaced::default();
        for (name, page) in entries {
            let text = to_json(page);
            match before.remove(name.as_str()) {
                Some((_, known)) if known == text => continue,
                Some((id, _)) => {
                    forget(&mut write, id).await?;
                    replaced.changed += 1;
                }
                None => replaced.added += 1,
            }
            write_native(&mut write, page, &text).await?;
        }
        for (id, _) in before.into_values() {
            forget(&mut write, id).await?;
            replaced.removed += 1;
        }
        let detail = format!("{} added, {} changed, {} removed", replaced.added, replaced.changed, replaced.removed);
        record(&mut write, by, "native.import", None, origin, &detail).await?;
        commit(write).await?;
        Ok(replaced)
    }
}

impl Sqlite {
    /// One more than are looked at, if there are more.
    async fn candidates(&self, search: &Search) -> Result<Vec<Candidate>> {
        let limit = i64::try_from(MAX_CANDIDATES + 1).unwrap_or(i64::MAX);
        let Some(expression) = &search.expression else {
            let order = match search.sort {
                Sort::Relevance | Sort::Downloads => "downloads DESC, name",
                Sort::New => "published_at_ms DESC, name",
                Sort::Name => "name",
            };
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT id, name, 0.0 AS bm25, downloads, published_at_ms, facets FROM market ORDER BY {order} LIMIT ?"
            )))
            .bind(limit)
            .fetch_all(&self.reads)
            .await
            .map_err(database(SEARCH))?;
            return rows.iter().map(candidate).collect();
        };
        let mut candidates = self.matching(expression, limit).await?;
        if let Some(named) = search.named.as_ref().filter(|_| candidates.len() > MAX_CANDIDATES) {
            // A name is found even where thousands of later entries have the word somewhere.
            let known: BTreeSet<i64> = candidates.iter().map(|candidate| candidate.id).collect();
            let others = self.matching(named, NAMED).await?;
            candidates.splice(0..0, others.into_iter().filter(|candidate| !known.contains(&candidate.id)));
        }
        Ok(candidates)
    }

    /// The latest entries that match.
    async fn matching(&self, expression: &str, limit: i64) -> Result<Vec<Candidate>> {
        let [name, steps, keywords, summary, readme, facets] = WEIGHTS;
        let rows = sqlx::query(
            "WITH hits AS MATERIALIZED (
                SELECT rowid AS id, bm25(market_search, ?3, ?4, ?5, ?6, ?7, ?8) AS bm25
                FROM market_search WHERE market_search MATCH ?1 ORDER BY rowid DESC LIMIT ?2)
             SELECT hits.id, name, bm25, downloads, published_at_ms, facets FROM hits JOIN market ON market.id = hits.id",
        )
        .bind(expression)
        .bind(limit)
        .bind(name)
        .bind(steps)
        .bind(keywords)
        .bind(summary)
        .bind(readme)
        .bind(facets)
        .fetch_all(&self.reads)
        .await
        .map_err(database(SEARCH))?;
        rows.iter().map(candidate).collect()
    }

    /// The hits with these ids, in their order.
    async fn hits(&self, ids: &[i64]) -> Result<Vec<Hit>> {
        let rows = sqlx::query(
            "SELECT market.id AS id, native, downloads, line, verified_at_ms IS NOT NULL AS verified FROM market
             LEFT JOIN releases ON releases.id = market.release
             LEFT JOIN packages ON packages.id = market.package
             LEFT JOIN namespaces ON namespaces.name = packages.namespace
             WHERE market.id IN (SELECT value FROM json_each(?))",
        )
        .bind(to_json(&ids))
        .fetch_all(&self.reads)
        .await
        .map_err(database(SEARCH))?;
        let mut hits = rows.iter().map(hit).collect::<Result<BTreeMap<i64, Hit>>>()?;
        Ok(ids.iter().filter_map(|id| hits.remove(id)).collect())
    }

    /// The word that was probably meant.
    async fn nearest(&self, word: &str) -> Result<Option<String>> {
        // What people mistype is rarely the first letter.
        let Some(first) = word.chars().next().map(|first| first.to_lowercase().to_string()) else { return Ok(None) };
        let words: Vec<String> = sqlx::query_scalar(
            "SELECT term FROM market_words WHERE term >= ?1 AND term < ?1 || char(1114111) LIMIT ?2",
        )
        .bind(first)
        .bind(MAX_WORDS_COMPARED)
        .fetch_all(&self.reads)
        .await
        .map_err(database(SEARCH))?;
        Ok(search::nearest(word, words.iter().map(String::as_str)).map(str::to_owned))
    }
}

fn candidate(row: &SqliteRow) -> Result<Candidate> {
    let read = database(SEARCH);
    Ok(Candidate {
        id: row.try_get("id").map_err(&read)?,
        name: row.try_get("name").map_err(&read)?,
        bm25: row.try_get("bm25").map_err(&read)?,
        downloads: row.try_get("downloads").map_err(&read)?,
        published: row.try_get("published_at_ms").map_err(&read)?,
        facets: row.try_get("facets").map_err(&read)?,
    })
}

fn hit(row: &SqliteRow) -> Result<(i64, Hit)> {
    let read = database(SEARCH);
    let hit = match row.try_get::<Option<String>, _>("native").map_err(&read)? {
        Some(page) => Hit::Native(market::native_card(json("read a native entry", &page)?)),
        None => {
            let release: Release = json("read a release", &row.try_get::<String, _>("line").map_err(&read)?)?;
            let downloads: i64 = row.try_get("downloads").map_err(&read)?;
            let verified = row.try_get("verified").map_err(&read)?;
            Hit::Plugin(market::card(&release, verified, downloads.cast_unsigned()))
        }
    };
    Ok((row.try_get("id").map_err(&read)?, hit))
}

fn provider(name: &str, native: bool) -> Result<Provider> {
    Ok(match native {
        true => Provider::Native(parsed("read a name", name)?),
        false => Provider::Plugin(parsed("read a name", name)?),
    })
}

/// `2026-11-20` of a day that counts from 1970-01-01.
fn date(day: i64) -> String {
    time(day.saturating_mul(86_400_000)).strftime("%Y-%m-%d").to_string()
}

/// Makes a package found by its newest release that may be used; one without such is not found.
pub(super) async fn renew(write: &mut SqliteConnection, package: i64) -> Result<()> {
    let what = || database("make it findable");
    let known: Option<i64> = sqlx::query_scalar("SELECT id FROM market WHERE package = ?")
        .bind(package)
        .fetch_optional(&mut *write)
        .await
        .map_err(what())?;
    if let Some(id) = known {
        forget(write, id).await?;
    }
    let all = lines(write, package).await?;
    let releases: Vec<Release> = all.iter().map(|(_, release)| release.clone()).collect();
    let chosen = newest(&releases, &VersionReq::STAR)
        // Where there are only pre-releases, the last of them.
        .or_else(|| releases.iter().rev().find(|release| release.status.is_ok()));
    let chosen = chosen.and_then(|chosen| all.iter().find(|(_, release)| release.version == chosen.version));
    let Some((id, release)) = chosen else { return Ok(()) };
    let (readme, verified, downloads): (Option<String>, bool, i64) = sqlx::query_as(
        "SELECT (SELECT readme FROM pages WHERE release = ?1), verified_at_ms IS NOT NULL,
             (SELECT coalesce(sum(count), 0) FROM downloads JOIN releases ON releases.id = downloads.release WHERE package = ?2)
         FROM packages JOIN namespaces ON namespaces.name = packages.namespace WHERE packages.id = ?2",
    )
    .bind(id)
    .bind(package)
    .fetch_one(&mut *write)
    .await
    .map_err(what())?;
    let features = Features::of_plugin(release, verified);
    let keywords: Vec<&str> = release.keywords.iter().map(String::as_str).collect();
    let entry = Entry {
        name: release.name.to_string(),
        plugin: Some((package, *id)),
        native: None,
        facets: features.lines(),
        downloads,
        published: millis(release.published),
        words: [
            release.name.to_string(),
            release.steps.join(" "),
            keywords.join(" "),
            release.summary.clone(),
            readme.map(|html| markdown::words(&html)).unwrap_or_default(),
            features.terms(),
        ],
        steps: &release.steps,
        needs: release.dependencies.keys().map(ToString::to_string).collect(),
    };
    entry.write(write).await
}

async fn write_native(write: &mut Write, page: &NativePage, text: &str) -> Result<()> {
    let features = Features::of_native(page);
    let kinds = [page.category.word(), page.tier.word(), page.kind.word()].join(" ");
    let entry = Entry {
        name: page.name.to_string(),
        plugin: None,
        native: Some(text),
        facets: features.lines(),
        downloads: 0,
        // Its index does not say when it was published.
        published: 0,
        words: [
            format!("{} {}", page.name, page.manifest_name),
            page.steps.join(" "),
            format!("{} {kinds}", page.keywords.join(" ")),
            page.summary.clone(),
            format!("{} {} {}", page.author, page.modules.join(" "), page.triggers.join(" ")),
            features.terms(),
        ],
        steps: &page.steps,
        needs: Vec::new(),
    };
    entry.write(write).await
}

/// All that is written of an entry.
struct Entry<'a> {
    name: String,
    plugin: Option<(i64, i64)>,
    native: Option<&'a str>,
    facets: String,
    downloads: i64,
    published: i64,
    /// By column of the full-text index.
    words: [String; 6],
    steps: &'a [String],
    needs: Vec<String>,
}

impl Entry<'_> {
    async fn write(self, write: &mut SqliteConnection) -> Result<()> {
        let what = || database("make it findable");
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO market (name, package, release, native, facets, downloads, published_at_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(self.name)
        .bind(self.plugin.map(|(package, _)| package))
        .bind(self.plugin.map(|(_, release)| release))
        .bind(self.native)
        .bind(self.facets)
        .bind(self.downloads)
        .bind(self.published)
        .fetch_one(&mut *write)
        .await
        .map_err(what())?;
        let [name, steps, keywords, summary, readme, facets] = self.words;
        sqlx::query(
            "INSERT INTO market_search (rowid, name, steps, keywords, summary, readme, facets) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(name)
        .bind(steps)
        .bind(keywords)
        .bind(summary)
        .bind(readme)
        .bind(facets)
        .execute(&mut *write)
        .await
        .map_err(what())?;
        for step in self.steps {
            sqlx::query("INSERT INTO market_steps (step, entry) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(step)
                .bind(id)
                .execute(&mut *write)
                .await
                .map_err(what())?;
        }
        for needed in self.needs {
            sqlx::query("INSERT INTO market_needs (needed, entry) VALUES (?, ?)")
                .bind(needed)
                .bind(id)
                .execute(&mut *write)
                .await
                .map_err(what())?;
        }
        Ok(())
    }
}

/// Takes an entry out of the market; what hangs on it goes with it.
async fn forget(write: &mut SqliteConnection, id: i64) -> Result<()> {
    for statement in ["DELETE FROM market_search WHERE rowid = ?", "DELETE FROM market WHERE id = ?"] {
        sqlx::query(statement).bind(id).execute(&mut *write).await.map_err(database("make it findable"))?;
    }
    Ok(())
}
