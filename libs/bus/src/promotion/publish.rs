//! From the outbox to the broker.

use std::time::Duration;

use db::Db;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use ids::Uuid;
use tokio::sync::watch;

use super::{Promotion, Seen};
use crate::Error;
use crate::kafka::LANES;

/// How often to look how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// Events of one statement.
const CHUNK: usize = 1000;

impl Promotion {
    /// Publishes what is in the outboxes, and waits until the broker has all of it, however long that takes. What the
    /// broker has from an earlier attempt is not published again.
    ///
    /// # Errors
    /// Also when an event can never be published.
    pub async fn publish(&self, seen: Seen<'_>) -> Result<(), Error> {
        self.skip_published().await?;
        let (stop, stopped) = watch::channel(false);
        let relays = self.services.iter().filter_map(|service| {
            let relay = self.bus.relay(service.target.clone())?;
            let mut stopped = stopped.clone();
            let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
            Some(relay.run(stop.boxed()))
        });
        let relays = join_all(relays);
        let waiting = async {
            let done = self.until_empty(seen).await;
            stop.send_replace(true);
            done
        };
        let (_, done) = tokio::join!(relays, waiting);
        done
    }

    /// Whoever published before died between the broker's acknowledgement and the deletion, and keeps its lanes for a
    /// while that nobody has to wait for.
    async fn skip_published(&self) -> Result<(), Error> {
        for service in &self.services {
            for lane in 0..LANES {
                db::lease::expire(&service.target, &format!("relay/{lane}")).await?;
            }
        }
        for (topic, source) in self.topics() {
            let owner = self.services.iter().find(|s| s.source.is_same(&source));
            let Some(target) = owner.map(|service| &service.target) else { continue };
            let published: Vec<Uuid> = self.survey(&topic).await?.of.into_keys().collect();
            for ids in published.chunks(CHUNK) {
                let delete = target.transact(|mut tx| async move {
                    let query = tx.query("DELETE FROM outbox WHERE event_id");
                    query.push_in(ids.iter().copied()).execute().await
                });
                delete.await?;
            }
        }
        Ok(())
    }

    async fn until_empty(&self, seen: Seen<'_>) -> Result<(), Error> {
        let mut total = 0;
        loop {
            let mut waiting = 0;
            for service in &self.services {
                waiting += waiting_in(&service.target).await?;
            }
            total = waiting.max(total);
            seen("publishing", total - waiting, total);
            if waiting == 0 {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn waiting_in(target: &Db) -> Result<u64, Error> {
    let (waiting, refused): (i64, Option<String>) =
        target.query("SELECT count(*), max(refusal) FROM outbox").fetch_one().await?;
    match refused {
        None => Ok(waiting.unsigned_abs()),
        Some(why) => {
            let service = target.service();
            Err(Error::Kafka(format!("an event of {service} can never be published: {why}")))
        }
    }
}
