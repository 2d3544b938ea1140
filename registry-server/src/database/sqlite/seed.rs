//! Fills a database with plugins that nobody published, for measurements.
//!
//! All in one transaction, with everything that publishing writes but the bytes: index documents, bins, the market.

use super::{Sqlite, commit, database, market, millis, packages, to_json};
use crate::{database::Result, market::markdown};
use jiff::{SignedDuration, Timestamp};
use semver::Version;
use sqlx::SqliteConnection;
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{Descriptor, Digest, EffectClass, Interface, Permissions, PluginKind, StepType};
use windlass_package::{
    release::{LINE_FORMAT, Release, Status, index_line},
    snapshot::BinId,
};

const VERBS: [&str; 20] = [
    "build",
    "deploy",
    "scan",
    "notify",
    "publish",
    "sign",
    "test",
    "lint",
    "cache",
    "approve",
    "provision",
    "migrate",
    "backup",
    "restore",
    "rotate",
    "mirror",
    "promote",
    "verify",
    "trace",
    "report",
];
const THINGS: [&str; 25] = [
    "image",
    "cluster",
    "bucket",
    "queue",
    "database",
    "chart",
    "ticket",
    "channel",
    "secret",
    "function",
    "module",
    "package",
    "release",
    "branch",
    "tenant",
    "network",
    "volume",
    "certificate",
    "dashboard",
    "alert",
    "artifact",
    "pipeline",
    "gateway",
    "schema",
    "report",
];
const LICENCES: [&str; 4] = ["Apache-2.0", "MIT", "BSD-3-Clause", "MPL-2.0"];
/// How many namespaces there are: a thousand plugins each at the largest measurement.
const NAMESPACES: usize = 100;

impl Sqlite {
    /// Adds `count` plugins with one release each. Does nothing to those that are there from an earlier call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn seed(&self, count: usize) -> Result<()> {
        let mut write = self.begin().await?;
        let now = Timestamp::now();
        let mut bins = BTreeSet::new();
        for number in 0..count {
            let release = release(number, now);
            if add(&mut write, number, &release).await? {
                bins.insert(BinId::of(&release.name));
            }
        }
        packages::next_serial(&mut write, now).await?;
        for bin in bins {
            packages::renew_bin(&mut write, bin, now).await?;
        }
        commit(write).await
    }
}

fn release(number: usize, now: Timestamp) -> Release {
    let (verb, thing) = (VERBS[number % VERBS.len()], THINGS[number / VERBS.len() % THINGS.len()]);
    let name = format!("bench-{}:{verb}-{thing}-{number}", letters(number % NAMESPACES));
    let component = Digest::of(name.as_bytes());
    Release {
        v: LINE_FORMAT,
        // Letters, digits and hyphens: always a name.
        name: name.parse().unwrap_or_else(|error| unreachable!("{name}: {error}")),
        version: Version::new(1, (number % 7) as u64, 0),
        digest: component,
        size: 100_000 + number as u64,
        manifest: Digest::of(format!("manifest of {name}").as_bytes()),
        kinds: BTreeSet::from([if number.is_multiple_of(9) { PluginKind::Scanner } else { PluginKind::Step }]),
        steps: vec![format!("step.{verb}_{thing}_{number}")],
        provider: None,
        contract: Version::new(0, 1, 0),
        imports: BTreeSet::from([Interface::Log, Interface::ALL[3 + number % 6]]),
        permissions: Permissions::default(),
        dependencies: BTreeMap::new(),
        engine: None,
        summary: format!("Can {verb} a {thing} in place {number}, and tell what came of it"),
        keywords: BTreeSet::from([verb.to_owned(), thing.to_owned()]),
        licence: LICENCES[number % LICENCES.len()].to_owned(),
        source: None,
        published: now - SignedDuration::from_secs(number as i64),
        signature: None,
        status: Status::Ok,
    }
}

/// A number as letters, so that namespaces look like names.
fn letters(number: usize) -> String {
    let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap_or_default());
    [letter(number / 26), letter(number)].into_iter().collect()
}

async fn add(write: &mut SqliteConnection, number: usize, release: &Release) -> Result<bool> {
    let what = || database("add a plugin for measurements");
    let published = millis(release.published);
    sqlx::query("INSERT INTO namespaces (name, created_at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(release.name.namespace())
        .bind(published)
        .execute(&mut *write)
        .await
        .map_err(what())?;
    let package: Option<i64> = sqlx::query_scalar(
        "INSERT INTO packages (namespace, name, created_at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(release.name.namespace())
    .bind(release.name.name())
    .bind(published)
    .fetch_optional(&mut *write)
    .await
    .map_err(what())?;
    let Some(package) = package else { return Ok(false) };
    sqlx::query(
        "INSERT INTO manifests (package, digest, media_type, annotations, body, pushed_at_ms) VALUES (?, ?, ?, '{}', x'', ?)",
    )
    .bind(package)
    .bind(release.manifest.to_string())
    .bind(windlass_package::oci::IMAGE_MANIFEST)
    .bind(published)
    .execute(&mut *write)
    .await
    .map_err(what())?;
    let descriptor =
        Descriptor { steps: release.steps.iter().map(|name| step(name)).collect(), ..Descriptor::default() };
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO releases (package, version, manifest, digest, size, kinds, status, published_at_ms, line, descriptor)
         VALUES (?, ?, ?, ?, ?, ?, 'ok', ?, ?, ?) RETURNING id",
    )
    .bind(package)
    .bind(release.version.to_string())
    .bind(release.manifest.to_string())
    .bind(release.digest.to_string())
    .bind(release.size.cast_signed())
    .bind(to_json(&release.kinds))
    .bind(published)
    .bind(to_json(release))
    .bind(to_json(&descriptor))
    .fetch_one(&mut *write)
    .await
    .map_err(what())?;
    let text = format!("# {}\n\n{}.\n\nSet it up, run it, and read what it says.\n", release.name, release.summary);
    sqlx::query("INSERT INTO pages (release, readme, docs) VALUES (?, ?, '{}')")
        .bind(id)
        .bind(markdown::render(&text, None).ok().map(String::from))
        .execute(&mut *write)
        .await
        .map_err(what())?;
    sqlx::query("INSERT INTO downloads (release, day, count) VALUES (?, ?, ?)")
        .bind(id)
        .bind(published / 86_400_000)
        .bind(i64::try_from(number * 7_919 % 10_007).unwrap_or_default())
        .execute(&mut *write)
        .await
        .map_err(what())?;
    let body = index_line(release);
    let digest = Digest::of(body.as_bytes());
    sqlx::query("INSERT INTO documents (package, body, etag, digest, bin, serial) VALUES (?, ?, ?, ?, ?, 1)")
        .bind(package)
        .bind(&body)
        .bind(format!("\"{}\"", digest.short()))
        .bind(digest.to_string())
        .bind(BinId::of(&release.name).to_string())
        .execute(&mut *write)
        .await
        .map_err(what())?;
    market::renew(write, package).await?;
    Ok(true)
}

fn step(name: &str) -> StepType {
    StepType {
        name: name.to_owned(),
        summary: "Does what its name says".to_owned(),
        docs: String::new(),
        effect: EffectClass::Idempotent,
        config_schema: serde_json::json!({"type": "object"}),
        output_schema: serde_json::Value::Null,
    }
}
