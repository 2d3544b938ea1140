//! Releases, index documents, and the snapshot's bins.

use super::{
    Sqlite, commit, damaged, database, digest_of, json, market, millis, notify, package, parsed, record, time, to_json,
};
use crate::{
    database::{By, Document, Packages, Publication, Published, Result, SnapshotState, Stored},
    error::RegistryError,
    market::markdown::Html,
    status::Change,
};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use semver::Version;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{Digest, PluginName};
use windlass_package::{
    release::{Release, Status, index_line},
    signature::PublisherKey,
    snapshot::{BinId, bin_text},
};

#[async_trait]
impl Packages for Sqlite {
    async fn document(&self, name: &PluginName) -> Result<Option<Document>> {
        let row = sqlx::query(
            "SELECT body, etag, serial FROM documents JOIN packages ON packages.id = documents.package
             WHERE namespace = ? AND name = ?",
        )
        .bind(name.namespace())
        .bind(name.name())
        .fetch_optional(&self.reads)
        .await
        .map_err(database("read the index"))?;
        row.map(|row| {
            let body: String = row.try_get("body").map_err(database("read the index"))?;
            Ok(Document {
                body: Bytes::from(body),
                etag: row.try_get("etag").map_err(database("read the index"))?,
                serial: row.try_get::<i64, _>("serial").map_err(database("read the index"))?.cast_unsigned(),
            })
        })
        .transpose()
    }

    async fn documents(&self) -> Result<Vec<PluginName>> {
        names(
            sqlx::query(
                "SELECT namespace, name FROM packages JOIN documents ON packages.id = documents.package ORDER BY namespace, name",
            )
            .fetch_all(&self.reads)
            .await
            .map_err(database("list the index"))?,
        )
    }

    async fn release(&self, name: &PluginName, version: &Version) -> Result<Option<Stored>> {
        let row = sqlx::query(
            "SELECT line, descriptor FROM releases JOIN packages ON packages.id = releases.package
             WHERE namespace = ? AND name = ? AND version = ?",
        )
        .bind(name.namespace())
        .bind(name.name())
        .bind(version.to_string())
        .fetch_optional(&self.reads)
        .await
        .map_err(database("read a release"))?;
        row.as_ref().map(stored).transpose()
    }

    async fn releases(&self, name: &PluginName) -> Result<Vec<Stored>> {
        let rows = sqlx::query(
            "SELECT line, descriptor FROM releases JOIN packages ON packages.id = releases.package
             WHERE namespace = ? AND name = ? ORDER BY releases.id",
        )
        .bind(name.namespace())
        .bind(name.name())
        .fetch_all(&self.reads)
        .await
        .map_err(database("read the releases"))?;
        rows.iter().map(stored).collect()
    }

    async fn names(&self) -> Result<Vec<PluginName>> {
        names(
            sqlx::query("SELECT namespace, name FROM packages")
                .fetch_all(&self.reads)
                .await
                .map_err(database("list the packages"))?,
        )
    }

    async fn publish(&self, publication: &Publication, by: &By) -> Result<Published> {
        let release = &publication.release;
        let mut write = self.begin().await?;
        let Some(id) = package(&mut write, &release.name).await? else {
            return Err(RegistryError::Unknown(format!("nothing was pushed to {}", release.name)));
        };
        let existing: Option<(String, String)> =
            sqlx::query_as("SELECT manifest, line FROM releases WHERE package = ? AND version = ?")
                .bind(id)
                .bind(release.version.to_string())
                .fetch_optional(&mut *write)
                .await
                .map_err(database("look for the version"))?;
        if let Some((manifest, line)) = existing {
            return Ok(match manifest == release.manifest.to_string() {
                true => Published::Same(Box::new(json("read a release", &line)?)),
                false => Published::Other,
            });
        }
        // A tag that another tool pushed under this version: it is that content or none.
        if !tag_version(&mut write, id, release).await? {
            return Ok(Published::Other);
        }
        let keys = bound_keys(&mut write, release.name.namespace()).await?;
        match keys {
            // The first publication by somebody who owns the namespace binds its key.
            None => {
                sqlx::query("INSERT INTO publisher_keys (namespace, key, added_at_ms) VALUES (?, ?, ?)")
                    .bind(release.name.namespace())
                    .bind(publication.key.to_string())
                    .bind(millis(release.published))
                    .execute(&mut *write)
                    .await
                    .map_err(database("bind the publisher's key"))?;
            }
            Some(keys) if keys.contains(&publication.key) => {}
            Some(keys) => return Ok(Published::OtherKey(keys)),
        }
        let document = insert(&mut write, id, publication).await?;
        let subject = format!("{}@{}", release.name, release.version);
        record(&mut write, by, "publish", Some(release.name.namespace()), &subject, &release.digest.to_string())
            .await?;
        let words = format!("{subject} was published by {}", by.actor);
        notify(&mut write, release.name.namespace(), "publish", &subject, &words).await?;
        commit(write).await?;
        Ok(Published::New(document))
    }

    async fn change_status(&self, name: &PluginName, version: &Version, change: &Change, by: &By) -> Result<Document> {
        let subject = format!("{name}@{version}");
        let mut write = self.begin().await?;
        let row = sqlx::query(
            "SELECT releases.id AS id, package, line FROM releases JOIN packages ON packages.id = releases.package
             WHERE namespace = ? AND name = ? AND version = ?",
        )
        .bind(name.namespace())
        .bind(name.name())
        .bind(version.to_string())
        .fetch_optional(&mut *write)
        .await
        .map_err(database("read a release"))?
        .ok_or_else(|| RegistryError::Unknown(format!("there is no release {subject}")))?;
        let read = database("read a release");
        let (release_id, id): (i64, i64) = (row.try_get("id").map_err(&read)?, row.try_get("package").map_err(&read)?);
        let mut release: Release = json("read a release", &row.try_get::<String, _>("line").map_err(&read)?)?;
        let now = Timestamp::now();
        release.status =
            change.apply(&release.status, now).map_err(|why| RegistryError::Conflict(format!("{subject}: {why}")))?;
        sqlx::query("UPDATE releases SET line = ?, status = ? WHERE id = ?")
            .bind(to_json(&release))
            .bind(state(&release.status))
            .bind(release_id)
            .execute(&mut *write)
            .await
            .map_err(database("change a release"))?;
        if matches!(change, Change::Remove(_)) {
            // Nothing needs its bytes any more, unless something else does: the collection of what is not needed takes them.
            sqlx::query("DELETE FROM manifest_parts WHERE package = ? AND manifest = ?")
                .bind(id)
                .bind(release.manifest.to_string())
                .execute(&mut *write)
                .await
                .map_err(database("give up its bytes"))?;
        }
        let document = renew_document(&mut write, id, name, now).await?;
        market::renew(&mut write, id).await?;
        let reason = change.reason().unwrap_or_default();
        record(&mut write, by, change.action(), Some(name.namespace()), &subject, reason).await?;
        let why = change.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        let words = format!("{subject}: {} by {}{why}", change.action(), by.actor);
        notify(&mut write, name.namespace(), change.action(), &subject, &words).await?;
        commit(write).await?;
        Ok(document)
    }

    async fn withheld(&self) -> Result<BTreeSet<Digest>> {
        // A component that is also in a release which may be used is handed out for that one.
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT digest, manifest FROM releases AS held WHERE status IN ('quarantined', 'removed') AND NOT EXISTS
             (SELECT 1 FROM releases WHERE digest = held.digest AND status IN ('ok', 'yanked'))",
        )
        .fetch_all(&self.reads)
        .await
        .map_err(database("list what is withheld"))?;
        rows.into_iter()
            .flat_map(|(component, manifest)| [component, manifest])
            .map(|text| parsed("read a digest", &text))
            .collect()
    }

    async fn serial(&self) -> Result<u64> {
        let serial: i64 = sqlx::query_scalar("SELECT serial FROM snapshot")
            .fetch_one(&self.reads)
            .await
            .map_err(database("read the snapshot"))?;
        Ok(serial.cast_unsigned())
    }

    async fn snapshot(&self) -> Result<SnapshotState> {
        let read = database("read the snapshot");
        // One statement, so that serial and bins are of one moment.
        let rows: Vec<(i64, i64, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT serial, created_at_ms, bin, digest FROM snapshot LEFT JOIN bins ON retired_at_ms IS NULL",
        )
        .fetch_all(&self.reads)
        .await
        .map_err(read)?;
        let Some((serial, created, ..)) = rows.first() else {
            return Err(damaged("read the snapshot")("it is not there".to_owned()));
        };
        let bins = rows.iter().filter_map(|(_, _, bin, digest)| Some((bin.as_ref()?, digest.as_ref()?)));
        Ok(SnapshotState {
            serial: serial.cast_unsigned(),
            created: time(*created),
            bins: bins
                .map(|(bin, digest)| Ok((parsed("read a bin", bin)?, parsed("read a bin", digest)?)))
                .collect::<Result<_>>()?,
        })
    }

    async fn bin(&self, digest: &Digest) -> Result<Option<String>> {
        sqlx::query_scalar("SELECT body FROM bins WHERE digest = ?")
            .bind(digest.to_string())
            .fetch_optional(&self.reads)
            .await
            .map_err(database("read a bin"))
    }

    async fn renew_snapshot(&self, now: Timestamp) -> Result<()> {
        let mut write = self.begin().await?;
        next_serial(&mut write, now).await?;
        commit(write).await
    }

    async fn forget_bins(&self, before: Timestamp) -> Result<()> {
        let mut write = self.begin().await?;
        sqlx::query("DELETE FROM bins WHERE retired_at_ms < ?")
            .bind(millis(before))
            .execute(&mut *write)
            .await
            .map_err(database("forget old bins"))?;
        commit(write).await
    }
}

fn state(status: &Status) -> &'static str {
    status.notice().map_or("ok", |(state, _)| state)
}

fn stored(row: &SqliteRow) -> Result<Stored> {
    let read = database("read a release");
    Ok(Stored {
        release: json("read a release", &row.try_get::<String, _>("line").map_err(&read)?)?,
        descriptor: json("read a descriptor", &row.try_get::<String, _>("descriptor").map_err(&read)?)?,
    })
}

fn names(rows: Vec<SqliteRow>) -> Result<Vec<PluginName>> {
    let read = database("read a name");
    rows.iter()
        .map(|row| {
            let (namespace, name): (String, String) =
                (row.try_get("namespace").map_err(&read)?, row.try_get("name").map_err(&read)?);
            parsed("read a name", &format!("{namespace}:{name}"))
        })
        .collect()
}

/// Points the version's tag at its manifest. `false`: it points elsewhere.
async fn tag_version(write: &mut SqliteConnection, package: i64, release: &Release) -> Result<bool> {
    sqlx::query("INSERT INTO tags (package, tag, manifest, updated_at_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(package)
        .bind(release.version.to_string())
        .bind(release.manifest.to_string())
        .bind(millis(release.published))
        .execute(&mut *write)
        .await
        .map_err(database("tag the version"))?;
    let points_at: String = sqlx::query_scalar("SELECT manifest FROM tags WHERE package = ? AND tag = ?")
        .bind(package)
        .bind(release.version.to_string())
        .fetch_one(write)
        .await
        .map_err(database("tag the version"))?;
    Ok(points_at == release.manifest.to_string())
}

/// The keys of a namespace that hold; `None` where it never had one.
async fn bound_keys(write: &mut SqliteConnection, namespace: &str) -> Result<Option<Vec<PublisherKey>>> {
    let rows: Vec<(String, Option<i64>)> =
        sqlx::query_as("SELECT key, revoked_at_ms FROM publisher_keys WHERE namespace = ?")
            .bind(namespace)
            .fetch_all(write)
            .await
            .map_err(database("read the publisher's keys"))?;
    if rows.is_empty() {
        return Ok(None);
    }
    let holding = rows.iter().filter(|(_, revoked)| revoked.is_none());
    holding.map(|(key, _)| parsed("read the publisher's keys", key)).collect::<Result<_>>().map(Some)
}

/// Writes a release and all that follows from it.
async fn insert(write: &mut SqliteConnection, package: i64, publication: &Publication) -> Result<Document> {
    let release = &publication.release;
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO releases (package, version, manifest, digest, size, kinds, status, published_at_ms, line, descriptor, readme)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(package)
    .bind(release.version.to_string())
    .bind(release.manifest.to_string())
    .bind(release.digest.to_string())
    .bind(release.size.cast_signed())
    .bind(to_json(&release.kinds))
    .bind(state(&release.status))
    .bind(millis(release.published))
    .bind(to_json(release))
    .bind(to_json(&publication.descriptor))
    .bind(publication.readme.map(|digest| digest.to_string()))
    .fetch_one(&mut *write)
    .await
    .map_err(database("write a release"))?;
    let rendered = &publication.rendered;
    let docs: BTreeMap<_, _> = rendered.docs.iter().map(|(step, html)| (step, html.as_str())).collect();
    sqlx::query("INSERT INTO pages (release, readme, docs) VALUES (?, ?, ?)")
        .bind(id)
        .bind(rendered.readme.as_ref().map(Html::as_str))
        .bind(to_json(&docs))
        .execute(&mut *write)
        .await
        .map_err(database("write its page"))?;
    let document = renew_document(write, package, &release.name, release.published).await?;
    market::renew(write, package).await?;
    Ok(document)
}

pub(super) async fn lines(write: &mut SqliteConnection, package: i64) -> Result<Vec<(i64, Release)>> {
    let rows: Vec<(i64, String)> = sqlx::query_as("SELECT id, line FROM releases WHERE package = ? ORDER BY id")
        .bind(package)
        .fetch_all(write)
        .await
        .map_err(database("read the releases"))?;
    rows.iter().map(|(id, line)| Ok((*id, json("read a release", line)?))).collect()
}

/// Makes a plugin's index document from its lines, and with it its bin, under the next serial.
async fn renew_document(
    write: &mut SqliteConnection,
    package: i64,
    name: &PluginName,
    now: Timestamp,
) -> Result<Document> {
    let serial = next_serial(write, now).await?;
    let body: String = lines(write, package).await?.iter().map(|(_, release)| index_line(release)).collect();
    let digest = Digest::of(body.as_bytes());
    let (etag, bin) = (format!("\"{}\"", digest.short()), BinId::of(name));
    sqlx::query(
        "INSERT INTO documents (package, body, etag, digest, bin, serial) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET body = excluded.body, etag = excluded.etag, digest = excluded.digest, serial = excluded.serial",
    )
    .bind(package)
    .bind(&body)
    .bind(&etag)
    .bind(digest.to_string())
    .bind(bin.to_string())
    .bind(serial.cast_signed())
    .execute(&mut *write)
    .await
    .map_err(database("write the index"))?;
    renew_bin(write, bin, now).await?;
    Ok(Document { body: Bytes::from(body), etag, serial })
}

pub(super) async fn next_serial(write: &mut SqliteConnection, now: Timestamp) -> Result<u64> {
    let serial: i64 = sqlx::query_scalar("UPDATE snapshot SET serial = serial + 1, created_at_ms = ? RETURNING serial")
        .bind(millis(now))
        .fetch_one(write)
        .await
        .map_err(database("renew the snapshot"))?;
    Ok(serial.cast_unsigned())
}

pub(super) async fn renew_bin(write: &mut SqliteConnection, bin: BinId, now: Timestamp) -> Result<()> {
    let rows = sqlx::query(
        "SELECT namespace, name, digest FROM documents JOIN packages ON packages.id = documents.package WHERE bin = ?",
    )
    .bind(bin.to_string())
    .fetch_all(&mut *write)
    .await
    .map_err(database("read a bin"))?;
    let digests: Vec<Digest> = rows.iter().map(|row| digest_of(row, "digest")).collect::<Result<_>>()?;
    let documents: BTreeMap<PluginName, Digest> = names(rows)?.into_iter().zip(digests).collect();
    let body = bin_text(&documents);
    sqlx::query("UPDATE bins SET retired_at_ms = ? WHERE bin = ? AND retired_at_ms IS NULL")
        .bind(millis(now))
        .bind(bin.to_string())
        .execute(&mut *write)
        .await
        .map_err(database("retire a bin"))?;
    // It may be what it was before: yanked, and that taken back.
    sqlx::query("INSERT INTO bins (digest, bin, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET retired_at_ms = NULL")
        .bind(Digest::of(body.as_bytes()).to_string())
        .bind(bin.to_string())
        .bind(body)
        .execute(write)
        .await
        .map_err(database("write a bin"))?;
    Ok(())
}
