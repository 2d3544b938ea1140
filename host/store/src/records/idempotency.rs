//! Answers that were given to requests which may be sent again.
//!
//! **Invariants.** A request's row is durable before the request has any effect. A row without an answer, which nobody is carrying out, is
//! of a server that ended meanwhile: whether the effect is there is not known, and is not guessed.

use super::{Records, stored};
use crate::{StoreError, failpoints::crash_point};
use sqlx::Row as _;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Of the body.
    pub content_type: Option<String>,
    /// The body; none where it was too large to be kept.
    pub body: Option<Vec<u8>>,
}

/// How it stands with a request and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is the first one. Carry it out.
    New,
    /// It was sent before, and has no answer.
    Unanswered,
    /// It was sent before, and answered so.
    Answered(Answer),
    /// Another request was sent with this key.
    Other,
}

impl Records {
    /// Notes a request before it is carried out. `request` is its digest; notes from before `forget_before_ms` go.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_request(
        &self,
        (actor, key): (&str, &str),
        request: &[u8; 32],
        now_ms: u64,
        forget_before_ms: u64,
    ) -> Result<Begun, StoreError> {
        let failed = || StoreError::database("note a request");
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM idempotency WHERE created_at_ms < ?")
            .bind(stored(forget_before_ms))
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        let row = sqlx::query("SELECT * FROM idempotency WHERE actor = ? AND key = ?")
            .bind(actor)
            .bind(key)
            .fetch_optional(&mut *write)
            .await
            .map_err(failed())?;
        if let Some(row) = row {
            let same = row.try_get::<Vec<u8>, _>("request").map_err(failed())? == request;
            let status: Option<i64> = row.try_get("status").map_err(failed())?;
            return Ok(match status {
                _ if !same => Begun::Other,
                None => Begun::Unanswered,
                Some(status) => Begun::Answered(Answer {
                    status: u16::try_from(status).unwrap_or(500),
                    content_type: row.try_get("content_type").map_err(failed())?,
                    body: row.try_get("body").map_err(failed())?,
                }),
            });
        }
        sqlx::query("INSERT INTO idempotency (actor, key, request, created_at_ms) VALUES (?, ?, ?, ?)")
            .bind(actor)
            .bind(key)
            .bind(request.as_slice())
            .bind(stored(now_ms))
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        write.commit().await.map_err(failed())?;
        Ok(Begun::New)
    }

    /// Keeps the answer.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn answer_request(&self, (actor, key): (&str, &str), answer: &Answer) -> Result<(), StoreError> {
        crash_point(crate::failpoints::BEFORE_ANSWER);
        let mut write = self.write().await?;
        sqlx::query("UPDATE idempotency SET status = ?, content_type = ?, body = ? WHERE actor = ? AND key = ?")
            .bind(answer.status)
            .bind(&answer.content_type)
            .bind(&answer.body)
            .bind(actor)
            .bind(key)
            .execute(&mut *write)
            .await
            .map_err(StoreError::database("keep an answer"))?;
        write.commit().await.map_err(StoreError::database("keep an answer"))
    }

    /// Forgets a request that had no effect.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_request(&self, (actor, key): (&str, &str)) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM idempotency WHERE actor = ? AND key = ?")
            .bind(actor)
            .bind(key)
            .execute(&mut *write)
            .await
            .map_err(StoreError::database("forget a request"))?;
        write.commit().await.map_err(StoreError::database("forget a request"))
    }
}
