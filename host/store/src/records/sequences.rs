//! Workflow templates, pipelines of them, and which runs are theirs.
//!
//! How a run stands is told by its events; here is only which run it is, and its end once that was seen, so that counting needs no replay.

use super::{Change, Records};
use crate::StoreError;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

/// A template as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRow {
    /// Its number.
    pub id: i64,
    /// The whole template, as JSON.
    pub body: String,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_at_ms: u64,
    /// When it was last changed.
    pub updated_at_ms: u64,
    /// How many sequences use it.
    pub used_by: u32,
}

/// A step of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// Which template.
    pub template: i64,
    /// `stop` or `continue`.
    pub on_failure: String,
}

/// A sequence as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceRow {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Its steps, with their templates' names.
    pub steps: Vec<(StepRow, String)>,
    /// How often it was run.
    pub use_count: u64,
    /// When it was last run.
    pub used_at_ms: Option<u64>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at_ms: u64,
    /// When it was last changed.
    pub updated_at_ms: u64,
}

/// A sequence to be kept.
#[derive(Debug, Clone)]
pub struct NewSequence<'a> {
    /// Its name.
    pub name: &'a str,
    /// For people.
    pub description: Option<&'a str>,
    /// Its steps.
    pub steps: &'a [StepRow],
    /// Who makes it.
    pub by: &'a str,
    /// When.
    pub at_ms: u64,
}

/// A run of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceRunRow {
    /// Its number.
    pub id: i64,
    /// The sequence.
    pub sequence: i64,
    /// The sequence's name; none where it is gone.
    pub name: Option<String>,
    /// The run that carries it out.
    pub run: String,
    /// The steps as they were, as JSON.
    pub steps: String,
    /// Who began it.
    pub triggered_by: String,
    /// When.
    pub created_at_ms: u64,
    /// How it ended, once that was seen.
    pub status: Option<String>,
}

fn stored(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn template(row: &SqliteRow) -> Result<TemplateRow, sqlx::Error> {
    Ok(TemplateRow {
        id: row.try_get("id")?,
        body: row.try_get("body")?,
        created_at_ms: row.try_get::<i64, _>("created_at_ms")?.unsigned_abs(),
        updated_at_ms: row.try_get::<i64, _>("updated_at_ms")?.unsigned_abs(),
        used_by: row.try_get("used_by")?,
    })
}

fn run(row: &SqliteRow) -> Result<SequenceRunRow, sqlx::Error> {
    Ok(SequenceRunRow {
        id: row.try_get("id")?,
        sequence: row.try_get("sequence")?,
        name: row.try_get("name")?,
        run: row.try_get("run")?,
        steps: row.try_get("steps")?,
        triggered_by: row.try_get("triggered_by")?,
        created_at_ms: row.try_get::<i64, _>("created_at_ms")?.unsigned_abs(),
        status: row.try_get("status")?,
    })
}

impl Records {
    /// The templates by name, or the one of that number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sequence_templates(&self, id: Option<i64>) -> Result<Vec<TemplateRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT *, (SELECT count(DISTINCT sequence) FROM sequence_steps WHERE template = sequence_templates.id) AS used_by
             FROM sequence_templates WHERE ?1 IS NULL OR id = ?1 ORDER BY name COLLATE NOCASE, id",
        )
        .bind(id)
        .fetch_all(&self.reads)
        .await;
        rows.and_then(|rows| rows.iter().map(template).collect()).map_err(StoreError::database("read the templates"))
    }

    /// The sequences, those that are used the most first, or the one of that number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sequences(&self, id: Option<i64>) -> Result<Vec<SequenceRow>, StoreError> {
        let failed = || StoreError::database("read the sequences");
        // One snapshot for both: a step is never read of another version than its sequence.
        let mut read = self.reads.begin().await.map_err(failed())?;
        let rows = sqlx::query(
            "SELECT * FROM sequences WHERE ?1 IS NULL OR id = ?1 ORDER BY use_count DESC, updated_at_ms DESC, id",
        )
        .bind(id)
        .fetch_all(&mut *read)
        .await
        .map_err(failed())?;
        let steps: Vec<(i64, i64, String, String)> = sqlx::query_as(
            "SELECT sequence, template, on_failure, name FROM sequence_steps
             JOIN sequence_templates ON sequence_templates.id = template
             WHERE ?1 IS NULL OR sequence = ?1 ORDER BY sequence, position",
        )
        .bind(id)
        .fetch_all(&mut *read)
        .await
        .map_err(failed())?;
        let mut of: std::collections::HashMap<i64, Vec<(StepRow, String)>> = std::collections::HashMap::new();
        for (sequence, template, on_failure, name) in steps {
            of.entry(sequence).or_default().push((StepRow { template, on_failure }, name));
        }
        let sequence = |row: &SqliteRow| -> Result<SequenceRow, sqlx::Error> {
            let id = row.try_get("id")?;
            Ok(SequenceRow {
                id,
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                steps: of.remove(&id).unwrap_or_default(),
                use_count: row.try_get::<i64, _>("use_count")?.unsigned_abs(),
                used_at_ms: row.try_get::<Option<i64>, _>("used_at_ms")?.map(i64::unsigned_abs),
                created_by: row.try_get("created_by")?,
                created_at_ms: row.try_get::<i64, _>("created_at_ms")?.unsigned_abs(),
                updated_at_ms: row.try_get::<i64, _>("updated_at_ms")?.unsigned_abs(),
            })
        };
        rows.iter().map(sequence).collect::<Result<_, _>>().map_err(failed())
    }

    /// Keeps that a sequence is run, before that run is begun; its number, or `None` where the sequence is gone.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn start_sequence(
        &self,
        sequence: i64,
        run: &str,
        steps: &str,
        by: &str,
        at_ms: u64,
    ) -> Result<Option<i64>, StoreError> {
        let failed = || StoreError::database("keep a sequence's run");
        let mut write = self.write().await?;
        let used = sqlx::query("UPDATE sequences SET use_count = use_count + 1, used_at_ms = ? WHERE id = ?")
            .bind(stored(at_ms))
            .bind(sequence)
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        if used.rows_affected() == 0 {
            return Ok(None);
        }
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO sequence_runs (sequence, run, steps, triggered_by, created_at_ms) VALUES (?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(sequence)
        .bind(run)
        .bind(steps)
        .bind(by)
        .bind(stored(at_ms))
        .fetch_one(&mut *write)
        .await
        .map_err(failed())?;
        write.commit().await.map_err(failed())?;
        Ok(Some(id))
    }

    /// Takes back that a sequence was run: its run could not be begun, and nobody was told of it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_sequence_run(&self, id: i64) -> Result<(), StoreError> {
        let failed = || StoreError::database("forget a sequence's run");
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE sequences SET use_count = max(0, use_count - 1) WHERE id = (SELECT sequence FROM sequence_runs WHERE id = ?)",
        )
        .bind(id)
        .execute(&mut *write)
        .await
        .map_err(failed())?;
        let delete = sqlx::query("DELETE FROM sequence_runs WHERE id = ?").bind(id);
        delete.execute(&mut *write).await.map_err(failed())?;
        write.commit().await.map_err(failed())
    }

    /// Runs of sequences, the newest first: that one, those of that sequence, or all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sequence_runs(
        &self,
        id: Option<i64>,
        sequence: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SequenceRunRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT sequence_runs.*, sequences.name FROM sequence_runs LEFT JOIN sequences ON sequences.id = sequence
             WHERE (?1 IS NULL OR sequence_runs.id = ?1) AND (?2 IS NULL OR sequence = ?2) ORDER BY sequence_runs.id DESC LIMIT ?3",
        )
        .bind(id)
        .bind(sequence)
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await;
        rows.and_then(|rows| rows.iter().map(run).collect()).map_err(StoreError::database("read the sequences' runs"))
    }

    /// The runs of sequences whose end was not seen yet: their number, and the run.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_sequence_runs(&self) -> Result<Vec<(i64, String)>, StoreError> {
        sqlx::query_as("SELECT id, run FROM sequence_runs WHERE status IS NULL ORDER BY id")
            .fetch_all(&self.reads)
            .await
            .map_err(StoreError::database("read the sequences' open runs"))
    }

    /// Keeps how runs of sequences ended.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_sequence_runs(&self, ended: &[(i64, &'static str)]) -> Result<(), StoreError> {
        if ended.is_empty() {
            return Ok(());
        }
        let failed = || StoreError::database("keep how sequences' runs ended");
        let mut write = self.write().await?;
        for (id, status) in ended {
            end(&mut write, *id, status).await.map_err(failed())?;
        }
        write.commit().await.map_err(failed())
    }

    /// How many runs of each sequence there were, by how they ended; an empty status is one that goes on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sequence_run_counts(&self) -> Result<Vec<(i64, String, u64)>, StoreError> {
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(
            "SELECT sequence, coalesce(status, ''), count(*) FROM sequence_runs GROUP BY sequence, status",
        )
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("count the sequences' runs"))?;
        Ok(rows.into_iter().map(|(sequence, status, count)| (sequence, status, count.unsigned_abs())).collect())
    }
}

impl Change {
    /// Keeps a new template, or changes that one; its number, or `None` where there is no such one, or `max` are kept already.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn put_template(
        &mut self,
        id: Option<i64>,
        name: &str,
        body: &str,
        at_ms: u64,
        max: u32,
    ) -> Result<Option<i64>, StoreError> {
        let failed = || StoreError::database("keep a template");
        let write = self.write();
        let query = match id {
            Some(id) => sqlx::query_scalar(
                "UPDATE sequence_templates SET name = ?1, body = ?2, updated_at_ms = ?3 WHERE id = ?4 RETURNING id",
            )
            .bind(name)
            .bind(body)
            .bind(stored(at_ms))
            .bind(id),
            None => sqlx::query_scalar(
                "INSERT INTO sequence_templates (name, body, created_at_ms, updated_at_ms)
                 SELECT ?1, ?2, ?3, ?3 WHERE (SELECT count(*) FROM sequence_templates) < ?4 RETURNING id",
            )
            .bind(name)
            .bind(body)
            .bind(stored(at_ms))
            .bind(i64::from(max)),
        };
        query.fetch_optional(&mut *write).await.map_err(failed())
    }

    /// Deletes a template unless sequences use it: their names then. `None` where there is no such template.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_template(&mut self, id: i64) -> Result<Option<Vec<String>>, StoreError> {
        let failed = || StoreError::database("delete a template");
        let write = self.write();
        let users: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT sequences.name FROM sequences JOIN sequence_steps ON sequence = sequences.id WHERE template = ? ORDER BY 1",
        )
        .bind(id)
        .fetch_all(&mut *write)
        .await
        .map_err(failed())?;
        if !users.is_empty() {
            return Ok(Some(users));
        }
        let done = sqlx::query("DELETE FROM sequence_templates WHERE id = ?").bind(id).execute(&mut *write).await;
        let there = done.map_err(failed())?.rows_affected() > 0;
        Ok(there.then(Vec::new))
    }

    /// Keeps a new sequence, or changes that one as a whole. `None` where there is no such one, where one of its templates is gone,
    /// or `max` are kept already.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn put_sequence(
        &mut self,
        id: Option<i64>,
        new: NewSequence<'_>,
        max: u32,
    ) -> Result<Option<i64>, StoreError> {
        let failed = || StoreError::database("keep a sequence");
        let write = self.write();
        let query = match id {
            Some(id) => sqlx::query_scalar(
                "UPDATE sequences SET name = ?1, description = ?2, updated_at_ms = ?3 WHERE id = ?4 RETURNING id",
            )
            .bind(new.name)
            .bind(new.description)
            .bind(stored(new.at_ms))
            .bind(id),
            None => sqlx::query_scalar(
                "INSERT INTO sequences (name, description, created_at_ms, updated_at_ms, created_by)
                 SELECT ?1, ?2, ?3, ?3, ?4 WHERE (SELECT count(*) FROM sequences) < ?5 RETURNING id",
            )
            .bind(new.name)
            .bind(new.description)
            .bind(stored(new.at_ms))
            .bind(new.by)
            .bind(i64::from(max)),
        };
        let Some(id): Option<i64> = query.fetch_optional(&mut *write).await.map_err(failed())? else { return Ok(None) };
        let clear = sqlx::query("DELETE FROM sequence_steps WHERE sequence = ?").bind(id);
        clear.execute(&mut *write).await.map_err(failed())?;
        for (position, step) in (0_i64..).zip(new.steps) {
            let done = sqlx::query(
                "INSERT INTO sequence_steps (sequence, position, template, on_failure)
                 SELECT ?1, ?2, id, ?4 FROM sequence_templates WHERE id = ?3",
            )
            .bind(id)
            .bind(position)
            .bind(step.template)
            .bind(&step.on_failure)
            .execute(&mut *write)
            .await
            .map_err(failed())?;
            if done.rows_affected() == 0 {
                return Ok(None);
            }
        }
        Ok(Some(id))
    }

    /// Deletes a sequence; its runs stay. Whether there was one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_sequence(&mut self, id: i64) -> Result<bool, StoreError> {
        let failed = || StoreError::database("delete a sequence");
        let write = self.write();
        let done = sqlx::query("DELETE FROM sequences WHERE id = ?").bind(id).execute(&mut *write).await;
        Ok(done.map_err(failed())?.rows_affected() > 0)
    }
}

async fn end(write: &mut SqliteConnection, id: i64, status: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE sequence_runs SET status = ? WHERE id = ?").bind(status).bind(id).execute(write).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_are_kept_and_those_that_are_there_can_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).await.unwrap();
        let template = async |id: Option<i64>| {
            records.changed(async |change| change.put_template(id, "t", "{}", 1, 2).await).await
        };
        let (one, two) = (template(None).await.unwrap(), template(None).await.unwrap());
        assert_eq!(template(None).await, None);
        assert_eq!(template(Some(one)).await, Some(one));
        let steps = [one, two].map(|template| StepRow { template, on_failure: "stop".to_owned() });
        let new = || NewSequence { name: "s", description: None, steps: &steps, by: "ann", at_ms: 1 };
        let sequence = async || records.changed(async |change| change.put_sequence(None, new(), 2).await).await;
        for _ in 0..2 {
            assert!(sequence().await.is_some());
        }
        assert_eq!(sequence().await, None);
    }
}
