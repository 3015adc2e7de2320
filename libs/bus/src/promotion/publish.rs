//! The second step: publishes the outboxes.

use std::time::Duration;

use db::Db;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::future::join_all;
use ids::Uuid;
use tokio::sync::watch;

use super::{OnProgress, Promotion};
use crate::Error;
use crate::kafka::lease_name;
use crate::outbox::LANES;

const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Events of one statement.
const CHUNK: usize = 1000;

impl Promotion {
    /// Publishes the outboxes and waits until they are empty, without a timeout. Events that an earlier attempt has
    /// published are skipped.
    ///
    /// # Errors
    /// Also if an event can never be published.
    pub fn publish<'a>(&'a self, on_progress: OnProgress<'a>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.skip_published().await?;
            let (stop, stopped) = watch::channel(false);
            let relays = self.services.iter().filter_map(|service| {
                let relay = self.bus.relay(service.target.clone())?;
                let mut stopped = stopped.clone();
                let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
                Some(relay.run(stop.boxed()))
            });
            let relays = join_all(relays);
            let wait = async {
                let result = self.until_empty(on_progress).await;
                stop.send_replace(true);
                result
            };
            let (_, result) = tokio::join!(relays, wait);
            result
        })
    }

    /// The relay of an earlier attempt may have died between the broker's acknowledgement and the deletion, and its
    /// leases have not expired yet.
    async fn skip_published(&self) -> Result<(), Error> {
        for service in &self.services {
            for lane in 0..LANES {
                db::lease::expire(&service.target, &lease_name(lane)).await?;
            }
        }
        for (topic, source) in self.topics() {
            let owner = self.services.iter().find(|s| s.source.is_same(&source));
            let Some(target) = owner.map(|service| &service.target) else { continue };
            let index = self.index(&topic).await?;
            let published: Vec<Uuid> = index.first_position.into_keys().collect();
            for ids in published.chunks(CHUNK) {
                let delete = "DELETE FROM outbox WHERE event_id";
                target.execute(|tx| tx.query(delete).push_in(ids.iter().copied())).await?;
            }
        }
        Ok(())
    }

    async fn until_empty(&self, on_progress: OnProgress<'_>) -> Result<(), Error> {
        let mut total = 0;
        loop {
            let mut remaining = 0;
            for service in &self.services {
                remaining += remaining_rows(&service.target).await?;
            }
            total = remaining.max(total);
            on_progress("publishing", total - remaining, total);
            if remaining == 0 {
                return Ok(());
            }
            tokio::time::sleep(PROGRESS_INTERVAL).await;
        }
    }
}

async fn remaining_rows(target: &Db) -> Result<u64, Error> {
    let (rows, refusal): (i64, Option<String>) =
        target.query("SELECT count(*), max(refusal) FROM outbox").fetch_one().await?;
    match refusal {
        None => Ok(rows.unsigned_abs()),
        Some(reason) => {
            let service = target.service();
            Err(Error::Kafka(format!("refused an event of {service}: {reason}")))
        }
    }
}
