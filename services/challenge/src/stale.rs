//! Submissions that have waited too long for their verdict.
//!
//! Events are not lost by themselves, but a judge's database restored from a backup lacks the newest submissions, and
//! a dead letter waits for an operator. The judge is therefore asked about every stale submission.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use db::lease;
use runtime::Component;
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::{events, store, wire};

const LEASE: &str = "stale submissions";
const BATCH: i64 = 100;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Known to the judge, without a verdict yet.
    pub waiting: usize,
    /// Unknown to the judge, and requested again.
    pub requested: usize,
    /// Judged; the verdict was taken from the judge.
    pub judged: usize,
    /// The judge did not answer.
    pub failed: usize,
}

enum Answer {
    Waiting,
    Requested,
    Judged,
}

impl Challenge {
    /// Checks stale submissions regularly until the shutdown.
    pub(crate) async fn check_stale(self, health: Component) {
        health.ready();
        let owner = self.clock.new_id().to_string();
        let round = async || {
            tokio::time::sleep(self.config.stale_check()).await;
            match self.check_as_lease_holder(&owner).await {
                Ok(found) => report(&health, found),
                Err(error) => tracing::warn!(%error, "stale submission check failed"),
            }
        };
        while self.shutdown.unless_begun(round()).await.is_some() {}
        // The next holder need not wait for the expiry.
        if let Ok(Some(lease)) = lease::acquire(&self.db, LEASE, &owner, Duration::ZERO).await {
            lease::release(&self.db, &lease).await.ok();
        }
    }

    /// Checks unless another process holds the lease.
    async fn check_as_lease_holder(&self, owner: &str) -> Result<Found, Error> {
        let count = store::submissions::waiting_count(&self.db).await?;
        metrics::gauge!("agon_submissions_waiting").set(count as f64);
        let ttl = self.config.stale_check() * 2 + Duration::from_secs(60);
        match lease::acquire(&self.db, LEASE, owner, ttl).await? {
            Some(_lease) => self.check_stale_once().await,
            None => Ok(Found::default()),
        }
    }

    /// Asks the judge about every stale submission.
    pub async fn check_stale_once(&self) -> Result<Found, Error> {
        let age = TimeDelta::from_std(self.config.stale_after()).unwrap_or(TimeDelta::MAX);
        let before = self.clock.now() - age;
        let (mut found, mut after) = (Found::default(), (DateTime::UNIX_EPOCH, Uuid::nil()));
        loop {
            let batch = store::submissions::stale(&self.db, before, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(found) };
            after = *last;
            for (_, id) in batch {
                match self.ask_judge(id, before).await {
                    Ok(Answer::Waiting) => found.waiting += 1,
                    Ok(Answer::Requested) => found.requested += 1,
                    Ok(Answer::Judged) => found.judged += 1,
                    Err(error) => {
                        tracing::warn!(submission_id = %id, %error, "cannot check a stale submission");
                        found.failed += 1;
                    }
                }
            }
        }
    }

    async fn ask_judge(&self, id: Uuid, before: DateTime<Utc>) -> Result<Answer, Error> {
        let Some(judgement) = self.peers.judgement(id).await? else {
            return self.request_again(id, before).await;
        };
        let Some(outcome) = wire::outcome_of_judge(&judgement, self.clock.now()) else {
            return Ok(Answer::Waiting);
        };
        let (this, outcome) = (self, &outcome);
        let work = self.db.transact(|mut tx| async move { this.judge(&mut tx, id, outcome).await });
        if work.await? {
            tracing::warn!(submission_id = %id, "took a verdict whose event is missing");
        }
        Ok(Answer::Judged)
    }

    /// The judge makes one job per submission, however many requests arrive.
    async fn request_again(&self, id: Uuid, before: DateTime<Utc>) -> Result<Answer, Error> {
        let now = self.clock.now();
        let work = self.db.transact(|mut tx| async move {
            if let Some(submission) =
                store::submissions::request_again(&mut tx, id, before, now).await?
            {
                events::submission_created(&mut tx, &submission);
                tracing::warn!(submission_id = %id, "unknown to the judge, requested again");
            }
            Ok::<_, Error>(())
        });
        work.await?;
        metrics::counter!("agon_submissions_requested_again_total").increment(1);
        Ok(Answer::Requested)
    }
}

fn report(health: &Component, found: Found) {
    let Found { waiting, requested, failed, .. } = found;
    metrics::gauge!("agon_submissions_stale").set((waiting + failed) as f64);
    if waiting + requested + failed == 0 {
        health.ready();
    } else {
        health.degraded(format!(
            "stale submissions: {waiting} wait for a worker, {requested} were unknown to the judge and requested \
             again, {failed} could not be checked"
        ));
    }
}
