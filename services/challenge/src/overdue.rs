//! Submissions that the judge has forgotten.
//!
//! The way from a submission to its verdict loses nothing by itself. It can be cut from outside: a
//! judge's database restored from a backup knows nothing of what came since, and a dead letter
//! waits for an operator. So what is without a verdict for long is asked about.

use std::time::Duration;

use chrono::TimeDelta;
use db::lease;
use runtime::Component;
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::{events, store, wire};

const LEASE: &str = "overdue";
const BATCH: i64 = 100;

/// What a look at overdue submissions found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The judge works on them, or they wait for a worker.
    pub waiting: usize,
    /// The judge did not know them, and was asked again.
    pub asked_again: usize,
    /// The judge was done with them, and the verdict is taken over.
    pub judged: usize,
    /// Without an answer.
    pub failed: usize,
}

impl Challenge {
    /// Looks after overdue submissions, for as long as the process lives.
    pub(crate) async fn look_after_overdue(self, health: Component) {
        health.ready();
        let owner = self.clock.new_id().to_string();
        let round = async || {
            tokio::time::sleep(self.config.overdue_check()).await;
            match self.as_the_only_one(&owner).await {
                Ok(found) => report(&health, found),
                Err(error) => tracing::warn!(%error, "overdue submissions were not looked for"),
            }
        };
        while self.shutdown.unless_begun(round()).await.is_some() {}
        // The next process need not wait for the lease to expire.
        if let Ok(Some(lease)) = lease::acquire(&self.db, LEASE, &owner, Duration::ZERO).await {
            lease::release(&self.db, &lease).await.ok();
        }
    }

    /// One process of many is enough.
    async fn as_the_only_one(&self, owner: &str) -> Result<Found, Error> {
        self.count_waiting().await?;
        let ttl = self.config.overdue_check() * 2 + Duration::from_secs(60);
        let Some(_lease) = lease::acquire(&self.db, LEASE, owner, ttl).await? else {
            return Ok(Found::default());
        };
        db::requests::purge(&self.db, self.clock.now()).await?;
        self.ask_about_overdue().await
    }

    async fn count_waiting(&self) -> Result<(), Error> {
        let count = store::waiting_count(&self.db).await?;
        metrics::gauge!("agon_submissions_waiting").set(count as f64);
        Ok(())
    }

    /// Asks the judge about every overdue submission, once.
    pub async fn ask_about_overdue(&self) -> Result<Found, Error> {
        let age = TimeDelta::from_std(self.config.overdue_after()).unwrap_or(TimeDelta::MAX);
        let before = self.clock.now() - age;
        let (mut found, mut after) = (Found::default(), Uuid::nil());
        loop {
            let batch = store::overdue(&self.db, before, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(found) };
            after = *last;
            for id in batch {
                match self.ask_about(id, before).await {
                    Ok(Answer::Waiting) => found.waiting += 1,
                    Ok(Answer::AskedAgain) => found.asked_again += 1,
                    Ok(Answer::Judged) => found.judged += 1,
                    Err(error) => {
                        tracing::warn!(submission_id = %id, %error, "overdue, and no answer");
                        found.failed += 1;
                    }
                }
            }
        }
    }

    async fn ask_about(
        &self,
        id: Uuid,
        before: chrono::DateTime<chrono::Utc>,
    ) -> Result<Answer, Error> {
        let Some(judgement) = self.peers.judgement(id).await? else {
            return self.ask_again(id, before).await;
        };
        let Some(outcome) = wire::outcome_of_judge(&judgement, self.clock.now()) else {
            return Ok(Answer::Waiting);
        };
        let (this, outcome) = (self, &outcome);
        let work = self.db.transact(|mut tx| async move { this.judge(&mut tx, id, outcome).await });
        if work.await? {
            tracing::warn!(submission_id = %id, "took over a verdict whose event did not arrive");
        }
        Ok(Answer::Judged)
    }

    /// The judge makes one job of a submission however often it is asked.
    async fn ask_again(
        &self,
        id: Uuid,
        before: chrono::DateTime<chrono::Utc>,
    ) -> Result<Answer, Error> {
        let now = self.clock.now();
        self.db
            .transact(|mut tx| async move {
                if let Some(submission) = store::ask_again(&mut tx, id, before, now).await? {
                    events::submission_created(&mut tx, &submission);
                    tracing::warn!(submission_id = %id, "unknown to the judge; asked again");
                }
                Ok::<_, Error>(())
            })
            .await?;
        metrics::counter!("agon_submissions_asked_again_total").increment(1);
        Ok(Answer::AskedAgain)
    }
}

enum Answer {
    Waiting,
    AskedAgain,
    Judged,
}

fn report(health: &Component, found: Found) {
    metrics::gauge!("agon_submissions_overdue").set((found.waiting + found.failed) as f64);
    let Found { waiting, asked_again, failed, .. } = found;
    if waiting + asked_again + failed == 0 {
        health.ready();
    } else {
        health.degraded(format!(
            "submissions without a verdict for long: {waiting} wait for a judge, \
             {asked_again} were unknown to it and sent again, {failed} could not be asked about"
        ));
    }
}
