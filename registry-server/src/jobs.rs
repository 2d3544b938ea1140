//! Work that nobody waits for: signing the snapshot anew, and forgetting what is over.
//!
//! Jobs are rows of the database. Who takes one has it for a while; when its doer dies, it is taken again. So each of them may
//! be done twice, and all of them do nothing the second time.

use crate::{
    Registry,
    error::RegistryError,
    market::downloads::FLUSH_INTERVAL,
    snapshot::{BIN_REST, SNAPSHOT_LIFE},
    storage::BLOB_REST,
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use windlass_contract::Digest;

/// How often it is looked what is due, in seconds; by then the operator's command has been noticed too.
pub const TICK: Duration = Duration::from_secs(1);
/// How long a job may take before another takes it for dead, in minutes.
pub const LEASE: SignedDuration = SignedDuration::from_mins(10);
/// Longest pause after a job that failed, in minutes.
pub const MAX_BACKOFF: SignedDuration = SignedDuration::from_mins(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Snapshot,
    Uploads,
    Expired,
    Bins,
    Blobs,
    Counters,
    Downloads,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Snapshot, Kind::Uploads, Kind::Expired, Kind::Bins, Kind::Blobs, Kind::Counters, Kind::Downloads];

    fn name(self) -> &'static str {
        match self {
            Kind::Snapshot => "sign the snapshot",
            Kind::Uploads => "clear uploads",
            Kind::Expired => "forget what expired",
            Kind::Bins => "forget old bins",
            Kind::Blobs => "collect blobs",
            Kind::Counters => "forget idle counters",
            Kind::Downloads => "write downloads",
        }
    }

    fn every(self) -> SignedDuration {
        match self {
            Kind::Downloads => FLUSH_INTERVAL,
            Kind::Uploads | Kind::Counters => SignedDuration::from_mins(10),
            Kind::Snapshot | Kind::Expired | Kind::Bins | Kind::Blobs => SignedDuration::from_mins(60),
        }
    }
}

impl Registry {
    /// Does what is due, again and again, until the future is dropped. What was begun is taken up by the next one.
    pub async fn work(self) {
        for kind in Kind::ALL {
            if let Err(error) = self.0.database.schedule(kind.name(), "", Timestamp::now()).await {
                tracing::error!(%error, job = kind.name(), "a job could not be asked for");
            }
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.work_once(Timestamp::now()).await {
                tracing::error!(%error, "jobs are not done");
            }
        }
    }

    /// Sees what another process changed, and does what is due at `now`; gives how many jobs that were.
    ///
    /// # Errors
    /// When the database cannot be asked. A job that fails is put off.
    pub async fn work_once(&self, now: Timestamp) -> Result<usize, RegistryError> {
        self.0.index.refresh().await?;
        let mut done = 0;
        while let Some(job) = self.0.database.take(now, now + LEASE).await? {
            let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == job.kind) else {
                // Of a version that had other jobs.
                self.0.database.done(&job, None).await?;
                continue;
            };
            match self.carry_out(kind, now).await {
                Ok(()) => self.0.database.done(&job, Some(now + kind.every())).await?,
                Err(error) => {
                    tracing::error!(%error, job = kind.name(), attempts = job.attempts, "a job failed");
                    let pause = SignedDuration::from_secs(1 << job.attempts.min(12)).min(MAX_BACKOFF);
                    self.0.database.failed(&job, &error.to_string(), now + pause).await?;
                }
            }
            done += 1;
        }
        Ok(done)
    }

    async fn carry_out(&self, kind: Kind, now: Timestamp) -> Result<(), RegistryError> {
        match kind {
            Kind::Snapshot => self.renew_snapshot(now).await,
            Kind::Uploads => self.0.blobs.clear_uploads().await.map(|_| ()),
            Kind::Expired => {
                self.0.database.forget_expired(now).await?;
                let rest = SignedDuration::try_from(BLOB_REST).unwrap_or_default();
                self.0.database.forget_pushes(now - rest).await
            }
            Kind::Bins => self.0.database.forget_bins(now - BIN_REST).await,
            Kind::Blobs => {
                for digest in self.0.blobs.rested().await? {
                    self.collect(&digest).await?;
                }
                Ok(())
            }
            Kind::Counters => {
                self.0.limits.forget_idle();
                Ok(())
            }
            Kind::Downloads => self.flush_downloads().await,
        }
    }

    /// Makes the snapshot anew when half of its life is over.
    pub(crate) async fn renew_snapshot(&self, now: Timestamp) -> Result<(), RegistryError> {
        if now.duration_since(self.0.database.snapshot().await?.created) >= SNAPSHOT_LIFE / 2 {
            self.0.database.renew_snapshot(now).await?;
            self.0.index.refresh().await?;
        }
        Ok(())
    }

    /// Deletes a blob that has had its rest, if no manifest needs it.
    async fn collect(&self, digest: &Digest) -> Result<(), RegistryError> {
        // Nobody puts a manifest meanwhile that needs it.
        let _nobody_puts = self.0.collection.write().await;
        if self.0.database.is_needed(digest).await? || !self.0.blobs.is_rested(digest).await? {
            return Ok(());
        }
        tracing::info!(%digest, "no manifest needs this blob: it goes");
        self.0.blobs.delete(digest).await
    }
}
