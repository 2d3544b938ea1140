//! Environments, and what was deployed to them.

use super::{Change, Records, stored};
use crate::{
    StoreError,
    failpoints::{BEFORE_SETTLE, crash_point},
};
use sqlx::{Row as _, sqlite::SqliteRow};

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What the provider knows it by.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The pipeline that it belongs to; empty: all.
    pub workflow_id: String,
    /// Its provider's name.
    pub provider: String,
    /// The region; empty where there is none.
    pub region: String,
    /// How the provider reaches it, as JSON.
    pub config: String,
    /// How it stands.
    pub status: String,
    /// What came of the last test, as JSON.
    pub last_test: Option<String>,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_at_ms: u64,
    /// When it was last changed.
    pub updated_at_ms: u64,
}

/// What changes of an environment; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patch<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// The pipeline that it belongs to.
    pub workflow_id: Option<&'a str>,
    /// Its provider's name.
    pub provider: Option<&'a str>,
    /// The region.
    pub region: Option<&'a str>,
    /// How the provider reaches it, as JSON.
    pub config: Option<&'a str>,
    /// How it stands.
    pub status: Option<&'a str>,
}

/// Which environments; all where nothing is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Of this pipeline.
    pub workflow_id: Option<&'a str>,
    /// Of this provider.
    pub provider: Option<&'a str>,
    /// That stand so.
    pub status: Option<&'a str>,
}

/// Something that was deployed, or that was gone back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its number.
    pub id: i64,
    /// The environment.
    pub environment: String,
    /// `deploy` or `rollback`.
    pub kind: String,
    /// What the provider calls it; none until it has answered.
    pub deploy_id: Option<String>,
    /// The image.
    pub image: String,
    /// How it stands.
    pub status: String,
    /// What the provider said.
    pub message: String,
    /// Where it can be reached.
    pub endpoint: Option<String>,
    /// Who.
    pub actor: String,
    /// By which run.
    pub run: Option<String>,
    /// When it began, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// When it came to its end.
    pub ended_at_ms: Option<u64>,
}

/// A deployment that is about to begin.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// The environment.
    pub environment: &'a str,
    /// `deploy` or `rollback`.
    pub kind: &'a str,
    /// The image.
    pub image: &'a str,
    /// Who.
    pub actor: &'a str,
    /// By which run.
    pub run: Option<&'a str>,
    /// Now.
    pub at_ms: u64,
}

/// What has become of a deployment.
#[derive(Debug, Clone, Copy)]
pub struct Became<'a> {
    /// What the provider calls it.
    pub deploy_id: Option<&'a str>,
    /// The image, where it is known only now.
    pub image: Option<&'a str>,
    /// How it stands.
    pub status: &'a str,
    /// What the provider said.
    pub message: &'a str,
    /// Where it can be reached.
    pub endpoint: Option<&'a str>,
    /// Now, where that is its end.
    pub ended_at_ms: Option<u64>,
    /// The deployment whose place it has taken back.
    pub rolls_back: Option<i64>,
}

impl Records {
    /// The environments, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn environments(&self, filter: Filter<'_>) -> Result<Vec<Environment>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM environments
             WHERE (?1 IS NULL OR workflow_id = ?1) AND (?2 IS NULL OR provider = ?2) AND (?3 IS NULL OR status = ?3)
             ORDER BY name COLLATE NOCASE",
        )
        .bind(filter.workflow_id)
        .bind(filter.provider)
        .bind(filter.status)
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("read the environments"))?;
        rows.iter().map(environment).collect::<Result<_, _>>().map_err(StoreError::database("read the environments"))
    }

    /// One environment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn environment(&self, id: &str) -> Result<Option<Environment>, StoreError> {
        let row = sqlx::query("SELECT * FROM environments WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.reads)
            .await
            .map_err(StoreError::database("read an environment"))?;
        row.as_ref().map(environment).transpose().map_err(StoreError::database("read an environment"))
    }

    /// Writes down what has become of a deployment, and of the one that it has rolled back, at once.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn settle_deployment(&self, id: i64, became: Became<'_>) -> Result<(), StoreError> {
        crash_point(BEFORE_SETTLE);
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE deployments SET deploy_id = COALESCE(?2, deploy_id), image = COALESCE(?3, image), status = ?4, message = ?5,
               endpoint = COALESCE(?6, endpoint), ended_at_ms = ?7 WHERE id = ?1",
        )
        .bind(id)
        .bind(became.deploy_id)
        .bind(became.image)
        .bind(became.status)
        .bind(became.message)
        .bind(became.endpoint)
        .bind(became.ended_at_ms.map(stored))
        .execute(&mut *write)
        .await
        .map_err(StoreError::database("end a deployment"))?;
        if let Some(before) = became.rolls_back {
            sqlx::query("UPDATE deployments SET status = 'rolled_back' WHERE id = ?")
                .bind(before)
                .execute(&mut *write)
                .await
                .map_err(StoreError::database("end a deployment"))?;
        }
        write.commit().await.map_err(StoreError::database("end a deployment"))
    }

    /// At most `limit` deployments of an environment, the newest first: those that stand so, with a smaller number than `before`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn deployments(
        &self,
        environment: &str,
        status: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Deployment>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM deployments
             WHERE environment = ?1 AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4",
        )
        .bind(environment)
        .bind(status)
        .bind(before)
        .bind(limit)
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("read the deployments"))?;
        rows.iter().map(deployment).collect::<Result<_, _>>().map_err(StoreError::database("read the deployments"))
    }

    /// What is in place of each environment: the newest deployment that succeeded.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn in_place(&self) -> Result<Vec<Deployment>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM deployments WHERE id IN (SELECT MAX(id) FROM deployments WHERE status = 'succeeded' GROUP BY environment)",
        )
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("read the deployments"))?;
        rows.iter().map(deployment).collect::<Result<_, _>>().map_err(StoreError::database("read the deployments"))
    }
}

impl Change {
    /// Makes an environment, unless there is one of that name; whether it did.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn make_environment(&mut self, new: &Environment) -> Result<bool, StoreError> {
        let write = self.write();
        let done = sqlx::query(
            "INSERT INTO environments (id, name, workflow_id, provider, region, config, status, created_at_ms, updated_at_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
        )
        .bind(&new.id)
        .bind(&new.name)
        .bind(&new.workflow_id)
        .bind(&new.provider)
        .bind(&new.region)
        .bind(&new.config)
        .bind(&new.status)
        .bind(stored(new.created_at_ms))
        .bind(stored(new.updated_at_ms))
        .execute(&mut *write)
        .await
        .map_err(StoreError::database("make an environment"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Changes an environment, unless another one has the name; whether it did.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn change_environment(&mut self, id: &str, patch: Patch<'_>, now_ms: u64) -> Result<bool, StoreError> {
        let write = self.write();
        let done = sqlx::query(
            "UPDATE OR IGNORE environments SET
               name = COALESCE(?2, name), workflow_id = COALESCE(?3, workflow_id), provider = COALESCE(?4, provider),
               region = COALESCE(?5, region), config = COALESCE(?6, config), status = COALESCE(?7, status), updated_at_ms = ?8
             WHERE id = ?1",
        )
        .bind(id)
        .bind(patch.name)
        .bind(patch.workflow_id)
        .bind(patch.provider)
        .bind(patch.region)
        .bind(patch.config)
        .bind(patch.status)
        .bind(stored(now_ms))
        .execute(&mut *write)
        .await
        .map_err(StoreError::database("change an environment"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Notes what came of a test, and how the environment stands since. One that is out of use stays so.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn tested_environment(&mut self, id: &str, test: &str, status: &str) -> Result<(), StoreError> {
        let write = self.write();
        sqlx::query(
            "UPDATE environments SET last_test = ?2, status = IIF(status = 'decommissioned', status, ?3) WHERE id = ?1",
        )
        .bind(id)
        .bind(test)
        .bind(status)
        .execute(&mut *write)
        .await
        .map_err(StoreError::database("note a test"))?;
        Ok(())
    }

    /// Deletes an environment with what is known of its deployments; whether there was one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_environment(&mut self, id: &str) -> Result<bool, StoreError> {
        let write = self.write();
        let done = sqlx::query("DELETE FROM environments WHERE id = ?")
            .bind(id)
            .execute(&mut *write)
            .await
            .map_err(StoreError::database("delete an environment"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes down that a deployment begins, as one that is in progress. It is durable when this returns; gives its number.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_deployment(&mut self, begun: Begun<'_>) -> Result<i64, StoreError> {
        let write = self.write();
        let id = sqlx::query_scalar(
            "INSERT INTO deployments (environment, kind, image, status, message, actor, run, at_ms)
             VALUES (?, ?, ?, 'in_progress', '', ?, ?, ?) RETURNING id",
        )
        .bind(begun.environment)
        .bind(begun.kind)
        .bind(begun.image)
        .bind(begun.actor)
        .bind(begun.run)
        .bind(stored(begun.at_ms))
        .fetch_one(&mut *write)
        .await
        .map_err(StoreError::database("begin a deployment"))?;
        Ok(id)
    }
}

fn environment(row: &SqliteRow) -> Result<Environment, sqlx::Error> {
    Ok(Environment {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        workflow_id: row.try_get("workflow_id")?,
        provider: row.try_get("provider")?,
        region: row.try_get("region")?,
        config: row.try_get("config")?,
        status: row.try_get("status")?,
        last_test: row.try_get("last_test")?,
        created_at_ms: row.try_get::<i64, _>("created_at_ms")?.unsigned_abs(),
        updated_at_ms: row.try_get::<i64, _>("updated_at_ms")?.unsigned_abs(),
    })
}

fn deployment(row: &SqliteRow) -> Result<Deployment, sqlx::Error> {
    Ok(Deployment {
        id: row.try_get("id")?,
        environment: row.try_get("environment")?,
        kind: row.try_get("kind")?,
        deploy_id: row.try_get("deploy_id")?,
        image: row.try_get("image")?,
        status: row.try_get("status")?,
        message: row.try_get("message")?,
        endpoint: row.try_get("endpoint")?,
        actor: row.try_get("actor")?,
        run: row.try_get("run")?,
        at_ms: row.try_get::<i64, _>("at_ms")?.unsigned_abs(),
        ended_at_ms: row.try_get::<Option<i64>, _>("ended_at_ms")?.map(i64::unsigned_abs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn records(dir: &tempfile::TempDir) -> Records {
        let records = Records::open(dir.path()).await.unwrap();
        let new = Environment {
            id: "env-1".to_owned(),
            name: "Staging".to_owned(),
            workflow_id: String::new(),
            provider: "local".to_owned(),
            region: String::new(),
            config: "{}".to_owned(),
            status: "provisioning".to_owned(),
            last_test: None,
            created_at_ms: 1,
            updated_at_ms: 1,
        };
        assert!(records.changed(async |change| change.make_environment(&new).await).await);
        let other = Environment { id: "env-2".to_owned(), name: "staging".to_owned(), ..new.clone() };
        assert!(
            !records.changed(async |change| change.make_environment(&other).await).await,
            "names are told apart by more than their case"
        );
        assert!(
            records
                .changed(async |change| change
                    .make_environment(&Environment { name: "production".to_owned(), ..other })
                    .await)
                .await
        );
        records
    }

    #[tokio::test]
    async fn a_patch_changes_what_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(&dir).await;
        let region = Patch { region: Some("eu"), ..Patch::default() };
        assert!(records.changed(async |change| change.change_environment("env-1", region, 2).await).await);
        let taken = Patch { name: Some("Production"), ..Patch::default() };
        assert!(
            !records.changed(async |change| change.change_environment("env-1", taken, 3).await).await,
            "the name is another one's"
        );
        let own = Patch { name: Some("staging"), ..Patch::default() };
        assert!(
            records.changed(async |change| change.change_environment("env-1", own, 4).await).await,
            "another case of its own name"
        );
        assert!(!records.changed(async |change| change.change_environment("env-9", region, 4).await).await);
        let found = records.environment("env-1").await.unwrap().unwrap();
        assert_eq!((found.region.as_str(), found.name.as_str(), found.updated_at_ms), ("eu", "staging", 4));
        let names = |found: Vec<Environment>| found.into_iter().map(|each| each.name).collect::<Vec<_>>();
        assert_eq!(names(records.environments(Filter::default()).await.unwrap()), ["production", "staging"]);
        let active = Filter { status: Some("active"), ..Filter::default() };
        assert!(records.environments(active).await.unwrap().is_empty());
        records.changed(async |change| change.tested_environment("env-1", "{}", "active").await).await;
        assert_eq!(names(records.environments(active).await.unwrap()), ["staging"]);
    }

    #[tokio::test]
    async fn what_is_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(&dir).await;
        let begin = async |kind: &str, image: &str| {
            let begun = Begun { environment: "env-1", kind, image, actor: "ann", run: None, at_ms: 5 };
            records.changed(async |change| change.begin_deployment(begun).await).await
        };
        let settle = async |id: i64, status: &str, deploy_id: &str, rolls_back: Option<i64>| {
            let became = Became {
                deploy_id: Some(deploy_id),
                image: None,
                status,
                message: "",
                endpoint: None,
                ended_at_ms: Some(6),
                rolls_back,
            };
            records.settle_deployment(id, became).await.unwrap();
        };
        let in_place = async || {
            let found = records.in_place().await.unwrap();
            found.into_iter().map(|each| each.image).collect::<Vec<_>>()
        };
        let first = begin("deploy", "app:1").await;
        assert!(in_place().await.is_empty(), "it is only about to be");
        settle(first, "succeeded", "d1", None).await;
        let second = begin("deploy", "app:2").await;
        assert_eq!(in_place().await, ["app:1"]);
        settle(second, "succeeded", "d2", None).await;
        let third = begin("deploy", "app:3").await;
        settle(third, "failed", "d3", None).await;
        assert_eq!(in_place().await, ["app:2"]);
        let back = begin("rollback", "app:1").await;
        settle(back, "succeeded", "d1", Some(second)).await;
        assert_eq!(in_place().await, ["app:1"]);
        let all = records.deployments("env-1", None, None, 10).await.unwrap();
        let rows: Vec<_> = all.iter().map(|each| format!("{} {} {}", each.kind, each.image, each.status)).collect();
        let expect =
            ["rollback app:1 succeeded", "deploy app:3 failed", "deploy app:2 rolled_back", "deploy app:1 succeeded"];
        assert_eq!(rows, expect);
        assert_eq!(records.deployments("env-1", Some("succeeded"), Some(back), 1).await.unwrap()[0].id, first);
        assert!(records.changed(async |change| change.delete_environment("env-1").await).await);
        assert!(records.deployments("env-1", None, None, 10).await.unwrap().is_empty());
    }
}
