//! What begins runs by itself, and what came of each request and each time.
//!
//! A delivery is recorded before anything is done about it, with the id of the run that it is to begin. So one that was accepted is
//! begun once: after a crash it is still `accepted`, and beginning it again under its id finds the run that is there.

use super::{
    Change, Records,
    audit::{self, AuditEntry},
};
use crate::StoreError;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

/// What begins runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerRow {
    /// Its id.
    pub id: String,
    /// The pipeline that it begins.
    pub workflow: String,
    /// For people.
    pub name: String,
    /// How it works, as JSON.
    pub spec: String,
    /// Whether it does.
    pub enabled: bool,
    /// Whether the pipeline's own text asks for it.
    pub managed: bool,
    /// Of a schedule: when it comes next, in milliseconds since 1970 (UTC).
    pub next_ms: Option<u64>,
    /// Until when the secret before the present one is taken.
    pub before_until_ms: Option<u64>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at_ms: u64,
}

/// A delivery to be recorded.
#[derive(Debug, Clone, Default)]
pub struct NewDelivery {
    /// Of which trigger.
    pub trigger: String,
    /// When it came.
    pub at_ms: u64,
    /// The sender's id for it, or the time that it is for.
    pub key: String,
    /// sha256 of what was signed.
    pub seal: Option<[u8; 32]>,
    /// What kind of event it is.
    pub event: String,
    /// What is done about it.
    pub status: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// The id that its run is to have.
    pub run: Option<String>,
    /// What its run is called.
    pub title: Option<String>,
    /// Its run's inputs, as JSON.
    pub inputs: Option<String>,
    /// The run whose end it waits for.
    pub after_run: Option<String>,
    /// The delivery that it repeats.
    pub redelivery_of: Option<i64>,
    /// The headers that are kept, as JSON.
    pub headers: Option<String>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// The audit's entry, where somebody asked for it. It is written with a delivery that is new.
    pub entry: Option<AuditEntry>,
}

/// What came of a request or a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its number.
    pub id: i64,
    /// Of which trigger.
    pub trigger: String,
    /// When it came.
    pub at_ms: u64,
    /// The sender's id for it, or the time that it was for.
    pub key: String,
    /// What kind of event it was.
    pub event: String,
    /// `accepted`, `started`, `filtered`, `skipped`, `refused` or `failed`.
    pub status: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// The id of its run.
    pub run: Option<String>,
}

/// A delivery whose run is to be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDelivery {
    /// Its number.
    pub id: i64,
    /// Of which trigger.
    pub trigger: String,
    /// The pipeline to run.
    pub workflow: String,
    /// The id that the run is to have.
    pub run: String,
    /// What the run is called.
    pub title: Option<String>,
    /// Its inputs, as JSON.
    pub inputs: Option<String>,
    /// The run whose end it waits for.
    pub after_run: Option<String>,
}

/// What is kept of a request so that it can be taken once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRequest {
    /// The row.
    pub row: DeliveryRow,
    /// The headers that are kept, as JSON.
    pub headers: Option<String>,
    /// The body; none where it is not kept any more, or never was one.
    pub body: Option<Vec<u8>>,
}

/// What came of a delivery that was to begin a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The delivery.
    pub id: i64,
    /// `started` or `failed`.
    pub status: String,
    /// Why, in words; what was said before stays where this says nothing.
    pub reason: Option<String>,
}

fn stored(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn trigger(row: &SqliteRow) -> Result<TriggerRow, sqlx::Error> {
    Ok(TriggerRow {
        id: row.try_get("id")?,
        workflow: row.try_get("workflow")?,
        name: row.try_get("name")?,
        spec: row.try_get("spec")?,
        enabled: row.try_get("enabled")?,
        managed: row.try_get("managed")?,
        next_ms: row.try_get::<Option<i64>, _>("next_ms")?.map(i64::unsigned_abs),
        before_until_ms: row.try_get::<Option<i64>, _>("before_until_ms")?.map(i64::unsigned_abs),
        created_by: row.try_get("created_by")?,
        created_at_ms: row.try_get::<i64, _>("created_at_ms")?.unsigned_abs(),
    })
}

fn delivery(row: &SqliteRow) -> Result<DeliveryRow, sqlx::Error> {
    Ok(DeliveryRow {
        id: row.try_get("id")?,
        trigger: row.try_get("trigger_id")?,
        at_ms: row.try_get::<i64, _>("at_ms")?.unsigned_abs(),
        key: row.try_get("key")?,
        event: row.try_get("event")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        run: row.try_get("run")?,
    })
}

impl Records {
    /// Every trigger.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn triggers(&self) -> Result<Vec<TriggerRow>, StoreError> {
        let failed = StoreError::database("read the triggers");
        let rows = sqlx::query("SELECT * FROM triggers ORDER BY created_at_ms, id").fetch_all(&self.reads).await;
        rows.and_then(|rows| rows.iter().map(trigger).collect()).map_err(failed)
    }

    /// The schedules whose time has come, with that time.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn due_triggers(&self, now_ms: u64) -> Result<Vec<(String, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT id, next_ms FROM triggers WHERE enabled = 1 AND next_ms IS NOT NULL AND next_ms <= ? ORDER BY next_ms",
        )
        .bind(stored(now_ms))
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("look for schedules that are due"))?;
        Ok(rows.into_iter().map(|(id, next)| (id, next.unsigned_abs())).collect())
    }

    /// When the next schedule is due.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_due(&self) -> Result<Option<u64>, StoreError> {
        let next: Option<i64> =
            sqlx::query_scalar("SELECT min(next_ms) FROM triggers WHERE enabled = 1 AND next_ms IS NOT NULL")
                .fetch_one(&self.reads)
                .await
                .map_err(StoreError::database("look for the next schedule"))?;
        Ok(next.map(i64::unsigned_abs))
    }

    /// Keeps what came of a schedule's time, with the next one; one commit. `superseded` are deliveries that it takes the place of.
    /// `None` where the schedule was changed meanwhile, or that time had its delivery already.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn schedule_came(
        &self,
        time_ms: u64,
        next_ms: Option<u64>,
        delivery: &NewDelivery,
        superseded: &[Settled],
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let failed = || StoreError::database("keep a schedule's time");
        let mut write = self.write().await?;
        let moved = sqlx::query("UPDATE triggers SET next_ms = ? WHERE id = ? AND next_ms = ? AND enabled = 1")
            .bind(next_ms.map(stored))
            .bind(&delivery.trigger)
            .bind(stored(time_ms))
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        let mut row = None;
        if moved.rows_affected() > 0 {
            row = insert(&mut write, delivery).await.map_err(failed())?;
            if row.is_some() {
                settle(&mut write, superseded).await.map_err(failed())?;
            }
        }
        write.commit().await.map_err(failed())?;
        Ok(row)
    }

    /// Keeps deliveries, all in one commit. For each what is there now, and whether it is new; `None` where its trigger is gone.
    ///
    /// # Errors
    /// When the database cannot be written; then none is kept.
    pub async fn accept(&self, deliveries: &[NewDelivery]) -> Result<Vec<Option<(DeliveryRow, bool)>>, StoreError> {
        let failed = || StoreError::database("keep a delivery");
        let mut write = self.write().await?;
        let mut rows = Vec::with_capacity(deliveries.len());
        for new in deliveries {
            rows.push(match insert(&mut write, new).await.map_err(failed())? {
                Some(row) => {
                    if let Some(entry) = &new.entry {
                        audit::insert(&mut write, entry).await?;
                    }
                    Some((row, true))
                }
                None => seen(&mut write, new).await.map_err(failed())?.map(|row| (row, false)),
            });
        }
        write.commit().await.map_err(failed())?;
        Ok(rows)
    }

    /// The first deliveries whose runs are to be begun and that wait for no other run.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn to_begin(&self, limit: u32) -> Result<Vec<PendingDelivery>, StoreError> {
        self.pending("deliveries.after_run IS NULL", limit).await
    }

    /// The deliveries that wait for another run's end.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn held(&self) -> Result<Vec<PendingDelivery>, StoreError> {
        self.pending("deliveries.after_run IS NOT NULL", u32::MAX).await
    }

    async fn pending(&self, which: &'static str, limit: u32) -> Result<Vec<PendingDelivery>, StoreError> {
        let sql = format!(
            "SELECT deliveries.id, trigger_id, triggers.workflow, run, title, inputs, after_run
             FROM deliveries JOIN triggers ON triggers.id = deliveries.trigger_id
             WHERE deliveries.status = 'accepted' AND run IS NOT NULL AND {which} ORDER BY deliveries.id LIMIT ?"
        );
        let read = |row: &SqliteRow| {
            Ok(PendingDelivery {
                id: row.try_get("id")?,
                trigger: row.try_get("trigger_id")?,
                workflow: row.try_get("workflow")?,
                run: row.try_get("run")?,
                title: row.try_get("title")?,
                inputs: row.try_get("inputs")?,
                after_run: row.try_get("after_run")?,
            })
        };
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(i64::from(limit)).fetch_all(&self.reads).await;
        rows.and_then(|rows| rows.iter().map(read).collect())
            .map_err(StoreError::database("look for deliveries that are to begin runs"))
    }

    /// These deliveries wait for no other run any more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn let_go(&self, ids: &[i64]) -> Result<(), StoreError> {
        let failed = || StoreError::database("let deliveries go on");
        let mut write = self.write().await?;
        for id in ids {
            let update = sqlx::query("UPDATE deliveries SET after_run = NULL WHERE id = ?").bind(id);
            update.execute(&mut *write).await.map_err(failed())?;
        }
        write.commit().await.map_err(failed())
    }

    /// Keeps what came of deliveries that were to begin runs, in one commit.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn settle(&self, settled: &[Settled]) -> Result<(), StoreError> {
        let failed = || StoreError::database("keep what came of deliveries");
        let mut write = self.write().await?;
        settle(&mut write, settled).await.map_err(failed())?;
        write.commit().await.map_err(failed())
    }

    /// The last delivery of a trigger that has begun a run or is to.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_begun(&self, trigger: &str) -> Result<Option<DeliveryRow>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM deliveries WHERE trigger_id = ? AND status IN ('accepted', 'started') AND after_run IS NULL
             ORDER BY id DESC LIMIT 1",
        )
        .bind(trigger)
        .fetch_optional(&self.reads)
        .await;
        row.and_then(|row| row.as_ref().map(delivery).transpose())
            .map_err(StoreError::database("look for the last delivery"))
    }

    /// The last delivery of each of these triggers.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_deliveries(&self, workflow: &str) -> Result<Vec<DeliveryRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM deliveries WHERE id IN (
                 SELECT (SELECT max(id) FROM deliveries WHERE trigger_id = triggers.id) FROM triggers WHERE workflow = ?)",
        )
        .bind(workflow)
        .fetch_all(&self.reads)
        .await;
        rows.and_then(|rows| rows.iter().map(delivery).collect())
            .map_err(StoreError::database("read the last deliveries"))
    }

    /// Deliveries of a trigger, the newest first, before that number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn deliveries(
        &self,
        trigger: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM deliveries WHERE trigger_id = ? AND id < ? ORDER BY id DESC LIMIT ?")
            .bind(trigger)
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(&self.reads)
            .await;
        rows.and_then(|rows| rows.iter().map(delivery).collect()).map_err(StoreError::database("read deliveries"))
    }

    /// What is kept of a delivery.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn kept_request(&self, trigger: &str, id: i64) -> Result<Option<KeptRequest>, StoreError> {
        let read = |row: SqliteRow| {
            Ok(KeptRequest { row: delivery(&row)?, headers: row.try_get("headers")?, body: row.try_get("body")? })
        };
        let row = sqlx::query("SELECT * FROM deliveries WHERE trigger_id = ? AND id = ?")
            .bind(trigger)
            .bind(id)
            .fetch_optional(&self.reads)
            .await;
        row.and_then(|row| row.map(read).transpose()).map_err(StoreError::database("read a delivery"))
    }

    /// Forgets bodies that came before `bodies_before_ms`; of each trigger all bodies but the last that are `body_bytes` together, and all
    /// deliveries but the last `keep`.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn prune_deliveries(&self, bodies_before_ms: u64, body_bytes: u64, keep: u32) -> Result<(), StoreError> {
        let failed = || StoreError::database("forget old deliveries");
        let mut write = self.write().await?;
        let bodies = "UPDATE deliveries SET body = NULL, headers = NULL WHERE body IS NOT NULL AND at_ms < ?";
        sqlx::query(bodies).bind(stored(bodies_before_ms)).execute(&mut *write).await.map_err(failed())?;
        let triggers: Vec<String> =
            sqlx::query_scalar("SELECT id FROM triggers").fetch_all(&mut *write).await.map_err(failed())?;
        for trigger in triggers {
            sqlx::query(
                "UPDATE deliveries SET body = NULL, headers = NULL WHERE id IN (
                     SELECT id FROM (
                         SELECT id, sum(length(body)) OVER (ORDER BY id DESC) AS total FROM deliveries
                         WHERE trigger_id = ?1 AND body IS NOT NULL)
                     WHERE total > ?2)",
            )
            .bind(&trigger)
            .bind(stored(body_bytes))
            .execute(&mut *write)
            .await
            .map_err(failed())?;
            sqlx::query(
                "DELETE FROM deliveries WHERE trigger_id = ?1 AND status <> 'accepted' AND id <= (
                     SELECT id FROM deliveries WHERE trigger_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )
            .bind(trigger)
            .bind(i64::from(keep))
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        }
        write.commit().await.map_err(failed())
    }
}

impl Change {
    /// Keeps a new trigger.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn insert_trigger(&mut self, row: &TriggerRow) -> Result<(), StoreError> {
        let write = self.write();
        sqlx::query(
            "INSERT INTO triggers (id, workflow, name, spec, enabled, managed, next_ms, created_by, created_at_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&row.id)
        .bind(&row.workflow)
        .bind(&row.name)
        .bind(&row.spec)
        .bind(row.enabled)
        .bind(row.managed)
        .bind(row.next_ms.map(stored))
        .bind(&row.created_by)
        .bind(stored(row.created_at_ms))
        .execute(&mut *write)
        .await
        .map_err(StoreError::database("keep a trigger"))?;
        Ok(())
    }

    /// Keeps what has changed of a trigger: everything but where it comes from. Whether there is one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn update_trigger(&mut self, row: &TriggerRow) -> Result<bool, StoreError> {
        let write = self.write();
        let done = sqlx::query(
            "UPDATE triggers SET name = ?, spec = ?, enabled = ?, next_ms = ?, before_until_ms = ? WHERE id = ?",
        )
        .bind(&row.name)
        .bind(&row.spec)
        .bind(row.enabled)
        .bind(row.next_ms.map(stored))
        .bind(row.before_until_ms.map(stored))
        .bind(&row.id)
        .execute(&mut *write)
        .await
        .map_err(StoreError::database("change a trigger"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Forgets a trigger with what came of it. Whether there was one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_trigger(&mut self, id: &str) -> Result<bool, StoreError> {
        let write = self.write();
        let done = sqlx::query("DELETE FROM triggers WHERE id = ?").bind(id).execute(&mut *write).await;
        Ok(done.map_err(StoreError::database("delete a trigger"))?.rows_affected() > 0)
    }
}

/// Keeps a delivery; `None` where there is one already, or its trigger is gone.
async fn insert(write: &mut SqliteConnection, new: &NewDelivery) -> Result<Option<DeliveryRow>, sqlx::Error> {
    let row = sqlx::query(
        "INSERT INTO deliveries (trigger_id, at_ms, key, seal, event, status, reason, run, title, inputs, after_run, redelivery_of, headers, body)
         SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14 FROM triggers WHERE id = ?1
         ON CONFLICT DO NOTHING RETURNING *",
    )
    .bind(&new.trigger)
    .bind(stored(new.at_ms))
    .bind(&new.key)
    .bind(new.seal.as_ref().map(<[u8; 32]>::as_slice))
    .bind(&new.event)
    .bind(&new.status)
    .bind(&new.reason)
    .bind(&new.run)
    .bind(&new.title)
    .bind(&new.inputs)
    .bind(&new.after_run)
    .bind(new.redelivery_of)
    .bind(&new.headers)
    .bind(&new.body)
    .fetch_optional(write)
    .await?;
    row.as_ref().map(delivery).transpose()
}

/// The delivery that a new one is the same as.
async fn seen(write: &mut SqliteConnection, new: &NewDelivery) -> Result<Option<DeliveryRow>, sqlx::Error> {
    let row =
        sqlx::query("SELECT * FROM deliveries WHERE trigger_id = ?1 AND (key = ?2 OR seal = ?3) ORDER BY id LIMIT 1")
            .bind(&new.trigger)
            .bind(&new.key)
            .bind(new.seal.as_ref().map(<[u8; 32]>::as_slice))
            .fetch_optional(write)
            .await?;
    row.as_ref().map(delivery).transpose()
}

async fn settle(write: &mut SqliteConnection, settled: &[Settled]) -> Result<(), sqlx::Error> {
    for Settled { id, status, reason } in settled {
        sqlx::query(
            "UPDATE deliveries SET status = ?2, reason = coalesce(?3, reason), after_run = NULL, inputs = NULL,
                 run = CASE WHEN ?2 = 'started' THEN run END WHERE id = ?1 AND status = 'accepted'",
        )
        .bind(id)
        .bind(status)
        .bind(reason)
        .execute(&mut *write)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn records() -> (tempfile::TempDir, Records) {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).await.unwrap();
        let row = TriggerRow {
            id: "t".to_owned(),
            workflow: "ci".to_owned(),
            name: "a trigger".to_owned(),
            spec: "{}".to_owned(),
            enabled: true,
            managed: false,
            next_ms: Some(1_000),
            before_until_ms: None,
            created_by: "ann".to_owned(),
            created_at_ms: 1,
        };
        records.changed(async |change| change.insert_trigger(&row).await).await;
        (dir, records)
    }

    fn new(key: &str, seal: u8, bytes: usize) -> NewDelivery {
        NewDelivery {
            trigger: "t".to_owned(),
            at_ms: 10,
            key: key.to_owned(),
            seal: Some([seal; 32]),
            event: "push".to_owned(),
            status: "accepted".to_owned(),
            run: Some(format!("r-{key}")),
            body: Some(vec![b'x'; bytes]),
            ..NewDelivery::default()
        }
    }

    #[tokio::test]
    async fn what_came_before_is_the_same() {
        let (_dir, records) = records().await;
        let gone = NewDelivery { trigger: "gone".to_owned(), ..new("g", 9, 1) };
        let rows =
            records.accept(&[new("a", 1, 1), new("a", 2, 1), new("b", 1, 1), new("b", 2, 1), gone]).await.unwrap();
        let ids: Vec<_> =
            rows.iter().map(|row| row.as_ref().map(|(row, is_new)| (row.key.as_str(), *is_new))).collect();
        assert_eq!(ids, [Some(("a", true)), Some(("a", false)), Some(("a", false)), Some(("b", true)), None]);
        let pending = records.to_begin(10).await.unwrap();
        assert_eq!(pending.iter().map(|each| each.run.as_str()).collect::<Vec<_>>(), ["r-a", "r-b"]);
        let settled = |id, status: &str| Settled { id, status: status.to_owned(), reason: None };
        let first = pending[0].id;
        records.settle(&[settled(first, "started")]).await.unwrap();
        // It stays what it was settled as.
        records.settle(&[settled(first, "failed")]).await.unwrap();
        let row = records.kept_request("t", first).await.unwrap().unwrap().row;
        assert_eq!((row.status.as_str(), row.run.as_deref()), ("started", Some("r-a")));
        assert_eq!(records.to_begin(10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_time_comes_once() {
        let (_dir, records) = records().await;
        assert!(records.due_triggers(999).await.unwrap().is_empty());
        assert_eq!(records.due_triggers(1_000).await.unwrap(), [("t".to_owned(), 1_000)]);
        let came = NewDelivery { seal: None, ..new("1000", 0, 0) };
        assert!(records.schedule_came(1_000, Some(2_000), &came, &[]).await.unwrap().is_some());
        assert!(records.schedule_came(1_000, Some(2_000), &came, &[]).await.unwrap().is_none(), "it has moved on");
        assert_eq!(records.next_due().await.unwrap(), Some(2_000));
        // A clock that was set back: the time has its delivery, and the schedule moves on.
        assert!(records.schedule_came(2_000, Some(3_000), &came, &[]).await.unwrap().is_none());
        assert_eq!(records.next_due().await.unwrap(), Some(3_000));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let (_dir, records) = records().await;
        let rows: Vec<_> = (0..6).map(|n| new(&n.to_string(), n, 100)).collect();
        let ids: Vec<i64> = records.accept(&rows).await.unwrap().into_iter().flatten().map(|(row, _)| row.id).collect();
        let settled = |id: &i64| Settled { id: *id, status: "started".to_owned(), reason: None };
        records.settle(&ids[..5].iter().map(settled).collect::<Vec<_>>()).await.unwrap();
        let bodies = || async {
            let mut kept = Vec::new();
            for id in &ids {
                kept.push(records.kept_request("t", *id).await.unwrap().map(|kept| kept.body.is_some()));
            }
            kept
        };
        records.prune_deliveries(10, 250, 100).await.unwrap();
        let some = |all: [bool; 6]| all.map(Some).to_vec();
        assert_eq!(bodies().await, some([false, false, false, false, true, true]), "250 bytes are two bodies");
        records.prune_deliveries(11, 250, 100).await.unwrap();
        assert_eq!(bodies().await, some([false; 6]), "all of them are old");
        records.prune_deliveries(11, 250, 2).await.unwrap();
        assert_eq!(bodies().await, [None, None, None, None, Some(false), Some(false)]);
        records.prune_deliveries(11, 250, 0).await.unwrap();
        assert_eq!(bodies().await[5], Some(false), "what is to begin a run stays");
    }
}
