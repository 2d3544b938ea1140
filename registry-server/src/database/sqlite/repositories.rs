//! Manifests, tags and referrers.

use super::{Sqlite, Write, commit, database, digest_of, json, millis, package, parsed, record, to_json};
use crate::{
    accounts::Namespace,
    database::{By, Deleted, Put, Referrer, Repositories, Result, StoredManifest},
    storage::Tag,
};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use semver::Version;
use sqlx::{Row as _, SqliteConnection};
use windlass_contract::{Digest, PluginName};

#[async_trait]
impl Repositories for Sqlite {
    async fn has_repository(&self, name: &PluginName) -> Result<bool> {
        let mut connection = self.reads.acquire().await.map_err(database("read"))?;
        Ok(package(&mut connection, name).await?.is_some())
    }

    async fn manifest(&self, name: &PluginName, digest: &Digest) -> Result<Option<(String, Bytes)>> {
        let row: Option<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT media_type, body FROM manifests JOIN packages ON packages.id = manifests.package
             WHERE namespace = ? AND name = ? AND digest = ?",
        )
        .bind(name.namespace())
        .bind(name.name())
        .bind(digest.to_string())
        .fetch_optional(&self.reads)
        .await
        .map_err(database("read a manifest"))?;
        Ok(row.map(|(media_type, body)| (media_type, Bytes::from(body))))
    }

    async fn tag(&self, name: &PluginName, tag: &Tag) -> Result<Option<Digest>> {
        let text: Option<String> = sqlx::query_scalar(
            "SELECT manifest FROM tags JOIN packages ON packages.id = tags.package
             WHERE namespace = ? AND name = ? AND tag = ?",
        )
        .bind(name.namespace())
        .bind(name.name())
        .bind(tag.as_str())
        .fetch_optional(&self.reads)
        .await
        .map_err(database("read a tag"))?;
        text.map(|text| parsed("read a tag", &text)).transpose()
    }

    async fn put_manifest(
        &self,
        name: &PluginName,
        manifest: &StoredManifest,
        tag: Option<&Tag>,
        by: &By,
    ) -> Result<Put> {
        let now = millis(Timestamp::now());
        let mut write = self.begin().await?;
        let id = match package(&mut write, name).await? {
            Some(id) => id,
            None => make_package(&mut write, name, by, now).await?,
        };
        let added = add_manifest(&mut write, id, manifest, now).await?;
        let mut moved = false;
        if let Some(tag) = tag {
            let old: Option<String> = sqlx::query_scalar("SELECT manifest FROM tags WHERE package = ? AND tag = ?")
                .bind(id)
                .bind(tag.as_str())
                .fetch_optional(&mut *write)
                .await
                .map_err(database("read a tag"))?;
            let digest = manifest.digest.to_string();
            if old.as_ref().is_some_and(|old| *old != digest) && tag.as_str().parse::<Version>().is_ok() {
                return Ok(Put::VersionIsOther);
            }
            moved = old.as_ref() != Some(&digest);
            sqlx::query(
                "INSERT INTO tags (package, tag, manifest, updated_at_ms) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET manifest = excluded.manifest, updated_at_ms = excluded.updated_at_ms",
            )
            .bind(id)
            .bind(tag.as_str())
            .bind(digest)
            .bind(now)
            .execute(&mut *write)
            .await
            .map_err(database("write a tag"))?;
        }
        if added || moved {
            let subject = tag.map_or_else(|| name.to_string(), |tag| format!("{name}@{}", tag.as_str()));
            record(&mut write, by, "push", Some(name.namespace()), &subject, &manifest.digest.to_string()).await?;
        }
        commit(write).await?;
        Ok(Put::Done)
    }

    async fn tags(&self, name: &PluginName, last: Option<&str>, limit: usize) -> Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT tag FROM tags JOIN packages ON packages.id = tags.package
             WHERE namespace = ? AND name = ? AND tag > ? ORDER BY tag LIMIT ?",
        )
        .bind(name.namespace())
        .bind(name.name())
        .bind(last.unwrap_or_default())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reads)
        .await
        .map_err(database("list the tags"))
    }

    async fn referrers(
        &self,
        name: &PluginName,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Referrer>> {
        let rows = sqlx::query(
            "SELECT digest, length(body) AS size, media_type, artifact_type, annotations
             FROM manifests JOIN packages ON packages.id = manifests.package
             WHERE namespace = ?1 AND name = ?2 AND subject = ?3 AND digest > ?4 AND (?5 IS NULL OR artifact_type = ?5)
             ORDER BY digest LIMIT ?6",
        )
        .bind(name.namespace())
        .bind(name.name())
        .bind(subject.to_string())
        .bind(last.map(Digest::to_string).unwrap_or_default())
        .bind(artifact_type)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reads)
        .await
        .map_err(database("list the referrers"))?;
        let read = database("list the referrers");
        rows.iter()
            .map(|row| {
                Ok(Referrer {
                    digest: digest_of(row, "digest")?,
                    size: row.try_get::<i64, _>("size").map_err(&read)?.cast_unsigned(),
                    media_type: row.try_get("media_type").map_err(&read)?,
                    artifact_type: row.try_get("artifact_type").map_err(&read)?,
                    annotations: json("read annotations", &row.try_get::<String, _>("annotations").map_err(&read)?)?,
                })
            })
            .collect()
    }

    async fn delete_tag(&self, name: &PluginName, tag: &Tag, by: &By) -> Result<Deleted> {
        if tag.as_str().parse::<Version>().is_ok() {
            return Ok(match self.tag(name, tag).await? {
                Some(_) => Deleted::OfVersion,
                None => Deleted::Unknown,
            });
        }
        let mut write = self.begin().await?;
        let Some(id) = package(&mut write, name).await? else { return Ok(Deleted::Unknown) };
        let gone = sqlx::query("DELETE FROM tags WHERE package = ? AND tag = ?")
            .bind(id)
            .bind(tag.as_str())
            .execute(&mut *write)
            .await
            .map_err(database("delete a tag"))?;
        if gone.rows_affected() == 0 {
            return Ok(Deleted::Unknown);
        }
        record(&mut write, by, "delete", Some(name.namespace()), &format!("{name}@{}", tag.as_str()), "").await?;
        commit(write).await?;
        Ok(Deleted::Gone)
    }

    async fn delete_manifest(&self, name: &PluginName, digest: &Digest, by: &By) -> Result<Deleted> {
        let mut write = self.begin().await?;
        let Some(id) = package(&mut write, name).await? else { return Ok(Deleted::Unknown) };
        if let Some(held) = holder(&mut write, id, digest).await? {
            return Ok(held);
        }
        let delete = database("delete a manifest");
        for statement in [
            "DELETE FROM tags WHERE package = ? AND manifest = ?",
            "DELETE FROM manifests WHERE package = ? AND digest = ?",
        ] {
            let gone = sqlx::query(statement)
                .bind(id)
                .bind(digest.to_string())
                .execute(&mut *write)
                .await
                .map_err(&delete)?
                .rows_affected();
            if statement.contains("manifests") && gone == 0 {
                return Ok(Deleted::Unknown);
            }
        }
        record(&mut write, by, "delete", Some(name.namespace()), &name.to_string(), &digest.to_string()).await?;
        commit(write).await?;
        Ok(Deleted::Gone)
    }

    async fn is_needed(&self, blob: &Digest) -> Result<bool> {
        // What was removed goes, whoever else names it.
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM manifest_parts WHERE part = ?1) AND NOT (
                 EXISTS (SELECT 1 FROM releases WHERE digest = ?1 AND status = 'removed')
                 AND NOT EXISTS (SELECT 1 FROM releases WHERE digest = ?1 AND status <> 'removed'))",
        )
        .bind(blob.to_string())
        .fetch_one(&self.reads)
        .await
        .map_err(database("look who needs a blob"))
    }

    async fn note_push(&self, blob: &Digest, namespace: &Namespace) -> Result<()> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO pushes (blob, namespace, at_ms) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms",
        )
        .bind(blob.to_string())
        .bind(namespace.as_str())
        .bind(millis(Timestamp::now()))
        .execute(&mut *write)
        .await
        .map_err(database("note a push"))?;
        commit(write).await
    }

    async fn is_pushed_by_others(&self, blob: &Digest, namespace: &Namespace) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pushes WHERE blob = ? AND namespace <> ?)")
            .bind(blob.to_string())
            .bind(namespace.as_str())
            .fetch_one(&self.reads)
            .await
            .map_err(database("look who pushed a blob"))
    }

    async fn forget_pushes(&self, before: Timestamp) -> Result<()> {
        let mut write = self.begin().await?;
        sqlx::query("DELETE FROM pushes WHERE at_ms < ?")
            .bind(millis(before))
            .execute(&mut *write)
            .await
            .map_err(database("forget old pushes"))?;
        commit(write).await
    }
}

async fn make_package(write: &mut Write, name: &PluginName, by: &By, now: i64) -> Result<i64> {
    let id = sqlx::query_scalar("INSERT INTO packages (namespace, name, created_at_ms) VALUES (?, ?, ?) RETURNING id")
        .bind(name.namespace())
        .bind(name.name())
        .bind(now)
        .fetch_one(&mut **write)
        .await
        .map_err(database("make a package"))?;
    record(write, by, "create", Some(name.namespace()), &name.to_string(), "").await?;
    Ok(id)
}

/// Keeps a manifest with what it needs. `false`: it was there.
async fn add_manifest(write: &mut SqliteConnection, package: i64, manifest: &StoredManifest, now: i64) -> Result<bool> {
    let keep = database("keep a manifest");
    let added = sqlx::query(
        "INSERT INTO manifests (package, digest, media_type, artifact_type, subject, annotations, body, pushed_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(package)
    .bind(manifest.digest.to_string())
    .bind(&manifest.media_type)
    .bind(&manifest.artifact_type)
    .bind(manifest.subject.map(|digest| digest.to_string()))
    .bind(to_json(&manifest.annotations))
    .bind(manifest.body.as_ref())
    .bind(now)
    .execute(&mut *write)
    .await
    .map_err(&keep)?;
    if added.rows_affected() == 0 {
        return Ok(false);
    }
    for part in &manifest.parts {
        sqlx::query("INSERT INTO manifest_parts (package, manifest, part) VALUES (?, ?, ?)")
            .bind(package)
            .bind(manifest.digest.to_string())
            .bind(part.to_string())
            .execute(&mut *write)
            .await
            .map_err(&keep)?;
    }
    Ok(true)
}

/// Who needs a manifest: a version, what refers to a version, or an index.
async fn holder(write: &mut SqliteConnection, package: i64, digest: &Digest) -> Result<Option<Deleted>> {
    let look = database("look who needs a manifest");
    let digest = digest.to_string();
    let released: bool = sqlx::query_scalar(
        // The plugin.yaml, the README and the signature of a version are its referrers.
        "SELECT EXISTS (SELECT 1 FROM releases WHERE package = ?1 AND manifest = ?2)
             OR EXISTS (SELECT 1 FROM manifests JOIN releases
                        ON releases.package = manifests.package AND releases.manifest = manifests.subject
                        WHERE manifests.package = ?1 AND manifests.digest = ?2
                          AND manifests.artifact_type LIKE 'application/vnd.windlass.%')",
    )
    .bind(package)
    .bind(&digest)
    .fetch_one(&mut *write)
    .await
    .map_err(&look)?;
    let tags: Vec<String> = sqlx::query_scalar("SELECT tag FROM tags WHERE package = ? AND manifest = ?")
        .bind(package)
        .bind(&digest)
        .fetch_all(&mut *write)
        .await
        .map_err(&look)?;
    if released || tags.iter().any(|tag| tag.parse::<Version>().is_ok()) {
        return Ok(Some(Deleted::OfVersion));
    }
    let needed: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM manifest_parts WHERE package = ? AND part = ?)")
            .bind(package)
            .bind(&digest)
            .fetch_one(write)
            .await
            .map_err(&look)?;
    Ok(needed.then_some(Deleted::Needed))
}
