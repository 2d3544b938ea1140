//! Pipelines that were deployed, and their versions.

use super::{Change, Records};
use crate::StoreError;
use sqlx::{Row as _, sqlite::SqliteRow};

/// A deployed pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRecord {
    /// Its name.
    pub name: String,
    /// Its newest version.
    pub version: u32,
    /// In which dialect that is written.
    pub dialect: String,
    /// When it was first deployed, in milliseconds since 1970 (UTC).
    pub created_at_ms: u64,
    /// When its newest version was.
    pub updated_at_ms: u64,
    /// Who deployed that.
    pub updated_by: String,
}

/// A version in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// Its number, from 1.
    pub version: u32,
    /// sha256 of its text.
    pub digest: String,
    /// Who deployed it.
    pub created_by: String,
    /// When, in milliseconds since 1970 (UTC).
    pub created_at_ms: u64,
    /// What had changed.
    pub message: Option<String>,
}

/// What a version says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionText {
    /// Its number.
    pub version: u32,
    /// The text.
    pub yaml: String,
    /// Which pipeline of it.
    pub pipeline: Option<String>,
}

/// A version to be deployed.
#[derive(Debug, Clone)]
pub struct NewVersion<'a> {
    /// The pipeline's name.
    pub name: &'a str,
    /// In which dialect it is written.
    pub dialect: &'a str,
    /// sha256 of the text.
    pub digest: &'a str,
    /// The text.
    pub yaml: &'a str,
    /// Which pipeline of it.
    pub pipeline: Option<&'a str>,
    /// The newest version that whoever deploys has seen.
    pub base: Option<u32>,
    /// What has changed.
    pub message: Option<&'a str>,
    /// Who deploys.
    pub by: &'a str,
    /// Now, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
}

/// What came of deploying a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// It is this new version.
    New(u32),
    /// The newest version says the same: this one.
    Same(u32),
    /// There is a newer version than the one that was seen: this one; 0 where there is none at all.
    Stale(u32),
}

fn stored(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn time(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(i64::unsigned_abs)
}

fn workflow(row: &SqliteRow) -> Result<WorkflowRecord, sqlx::Error> {
    Ok(WorkflowRecord {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        dialect: row.try_get("dialect")?,
        created_at_ms: time(row, "created_at_ms")?,
        updated_at_ms: time(row, "updated_at_ms")?,
        updated_by: row.try_get("updated_by")?,
    })
}

impl Records {
    /// Pipelines by name, those after `after`, whose name has `part` in it, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn workflows(
        &self,
        part: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<WorkflowRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM workflows WHERE (?1 IS NULL OR name > ?1) AND (?2 IS NULL OR instr(lower(name), lower(?2)) > 0)
             ORDER BY name LIMIT ?3",
        )
        .bind(after)
        .bind(part)
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("list the pipelines"))?;
        rows.iter().map(workflow).collect::<Result<_, _>>().map_err(StoreError::database("read a pipeline"))
    }

    /// One pipeline.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn workflow(&self, name: &str) -> Result<Option<WorkflowRecord>, StoreError> {
        let row = sqlx::query("SELECT * FROM workflows WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.reads)
            .await
            .map_err(StoreError::database("look for a pipeline"))?;
        row.as_ref().map(workflow).transpose().map_err(StoreError::database("read a pipeline"))
    }

    /// What a version of a pipeline says; the newest where none is named.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn workflow_text(&self, name: &str, version: Option<u32>) -> Result<Option<VersionText>, StoreError> {
        let row = sqlx::query(
            "SELECT version, yaml, pipeline FROM workflow_versions
             WHERE name = ?1 AND version = coalesce(?2, (SELECT version FROM workflows WHERE name = ?1))",
        )
        .bind(name)
        .bind(version)
        .fetch_optional(&self.reads)
        .await
        .map_err(StoreError::database("look for a version"))?;
        row.map(|row| {
            Ok(VersionText {
                version: row.try_get("version")?,
                yaml: row.try_get("yaml")?,
                pipeline: row.try_get("pipeline")?,
            })
        })
        .transpose()
        .map_err(StoreError::database("read a version"))
    }

    /// The versions of a pipeline, the newest first: those before `before`, or the one that is `only`, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn workflow_versions(
        &self,
        name: &str,
        only: Option<u32>,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<VersionRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT version, digest, created_by, created_at_ms, message FROM workflow_versions
             WHERE name = ?1 AND (?2 IS NULL OR version = ?2) AND (?3 IS NULL OR version < ?3)
             ORDER BY version DESC LIMIT ?4",
        )
        .bind(name)
        .bind(only)
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("list versions"))?;
        let version = |row: &SqliteRow| {
            Ok(VersionRecord {
                version: row.try_get("version")?,
                digest: row.try_get("digest")?,
                created_by: row.try_get("created_by")?,
                created_at_ms: time(row, "created_at_ms")?,
                message: row.try_get("message")?,
            })
        };
        rows.iter().map(version).collect::<Result<_, _>>().map_err(StoreError::database("read a version"))
    }
}

impl Change {
    /// Makes a new version, unless the newest says the same or is not the one that was seen.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn deploy(&mut self, new: &NewVersion<'_>) -> Result<Deployment, StoreError> {
        let failed = || StoreError::database("deploy a pipeline");
        let write = self.write();
        let newest: Option<(u32, String, Option<String>)> = sqlx::query_as(
            "SELECT version, digest, pipeline FROM workflow_versions
             WHERE name = ?1 AND version = (SELECT version FROM workflows WHERE name = ?1)",
        )
        .bind(new.name)
        .fetch_optional(&mut *write)
        .await
        .map_err(failed())?;
        if let Some((version, digest, pipeline)) = &newest
            && digest == new.digest
            && pipeline.as_deref() == new.pipeline
        {
            return Ok(Deployment::Same(*version));
        }
        let seen = newest.map_or(0, |(version, ..)| version);
        if new.base.is_some_and(|base| base != seen) {
            return Ok(Deployment::Stale(seen));
        }
        let version: u32 = sqlx::query_scalar(
            "INSERT INTO workflow_numbers (name, last) VALUES (?, 1)
             ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last",
        )
        .bind(new.name)
        .fetch_one(&mut *write)
        .await
        .map_err(failed())?;
        sqlx::query(
            "INSERT INTO workflows (name, version, dialect, created_at_ms, updated_at_ms, updated_by)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET version = ?2, dialect = ?3, updated_at_ms = ?4, updated_by = ?5",
        )
        .bind(new.name)
        .bind(version)
        .bind(new.dialect)
        .bind(stored(new.at_ms))
        .bind(new.by)
        .execute(&mut *write)
        .await
        .map_err(failed())?;
        sqlx::query(
            "INSERT INTO workflow_versions (name, version, digest, yaml, pipeline, created_by, created_at_ms, message)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(new.name)
        .bind(version)
        .bind(new.digest)
        .bind(new.yaml)
        .bind(new.pipeline)
        .bind(new.by)
        .bind(stored(new.at_ms))
        .bind(new.message)
        .execute(&mut *write)
        .await
        .map_err(failed())?;
        Ok(Deployment::New(version))
    }

    /// Deletes a pipeline with its versions; whether there was one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_workflow(&mut self, name: &str) -> Result<bool, StoreError> {
        let failed = || StoreError::database("delete a pipeline");
        let write = self.write();
        let deleted = sqlx::query("DELETE FROM workflows WHERE name = ?")
            .bind(name)
            .execute(&mut *write)
            .await
            .map_err(failed())?
            .rows_affected();
        Ok(deleted > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new<'a>(yaml: &'a str, base: Option<u32>) -> NewVersion<'a> {
        // The text stands for its digest here.
        NewVersion {
            name: "ci",
            dialect: "steps",
            digest: yaml,
            yaml,
            pipeline: None,
            base,
            message: None,
            by: "ada",
            at_ms: 7,
        }
    }

    #[tokio::test]
    async fn versions_are_counted_and_no_number_comes_twice() {
        let dir = tempfile::tempdir().expect("a folder");
        let records = Records::open(dir.path()).await.expect("records");
        let table = [
            ("a", Some(3), Deployment::Stale(0)),
            ("a", None, Deployment::New(1)),
            ("a", None, Deployment::Same(1)),
            // What is there already is no conflict, whatever was seen.
            ("a", Some(9), Deployment::Same(1)),
            ("b", Some(0), Deployment::Stale(1)),
            ("b", Some(1), Deployment::New(2)),
            ("a", Some(2), Deployment::New(3)),
        ];
        for (yaml, base, expect) in table {
            let deployed = records.changed(async |change| change.deploy(&new(yaml, base)).await).await;
            assert_eq!(deployed, expect, "{yaml} {base:?}");
        }
        let listed = records.workflow_versions("ci", None, Some(3), 10).await.expect("versions");
        assert_eq!(listed.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
        let text = records.workflow_text("ci", None).await.expect("a text").expect("one");
        assert_eq!((text.version, text.yaml.as_str()), (3, "a"));

        assert!(records.changed(async |change| change.delete_workflow("ci").await).await);
        assert!(!records.changed(async |change| change.delete_workflow("ci").await).await);
        assert_eq!(records.workflow_text("ci", Some(1)).await.expect("read"), None);
        // A run tells that it was of version 1: no other text may be that.
        let again = records.changed(async |change| change.deploy(&new("c", None)).await).await;
        assert_eq!(again, Deployment::New(4));
    }

    #[tokio::test]
    async fn pages_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let records = Records::open(dir.path()).await.expect("records");
        for name in ["build", "Deploy", "a%b", "test"] {
            let version = NewVersion { name, ..new("x", None) };
            records.changed(async |change| change.deploy(&version).await).await;
        }
        let names = async |part, after| {
            let found = records.workflows(part, after, 10).await.expect("a list");
            found.into_iter().map(|each| each.name).collect::<Vec<_>>()
        };
        assert_eq!(names(None, None).await, ["Deploy", "a%b", "build", "test"]);
        assert_eq!(names(None, Some("a%b")).await, ["build", "test"]);
        assert_eq!(names(Some("DEP"), None).await, ["Deploy"]);
        // Nothing in it means anything to SQL.
        assert_eq!(names(Some("%"), None).await, ["a%b"]);
    }
}
