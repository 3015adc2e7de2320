//! The workers of all instances and the languages that they offer, which the database stores.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use db::Tx;
use prost::Message;
use proto::judge as pb;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Queue, lost};
use crate::error::Error;
use crate::judgement::timestamp;
use crate::store;

/// How long a list of languages is cached.
pub(super) const LANGUAGES_TTL: Duration = Duration::from_millis(500);

/// A list of languages, and when it was read.
pub(super) type CachedLanguages = Option<(Instant, Vec<pb::Language>)>;

type Languages = BTreeMap<String, pb::Language>;

impl Queue {
    /// Stores the hello message of a worker; `first` for the first one on its stream.
    pub(super) async fn register(
        &self,
        stream: Uuid,
        hello: &pb::WorkerHello,
        first: bool,
    ) -> Result<(), Error> {
        let register = |mut tx: db::TxGuard| async move {
            // Serialise, so that concurrent workers see each other's languages.
            tx.advisory_lock("workers").await?;
            let now = tx.now();
            let lost = match first {
                true => {
                    store::workers::connect(&mut tx, stream, hello, now).await?;
                    lost::replace_earlier_runs(&mut tx, hello).await?
                }
                false => {
                    store::workers::refresh(&mut tx, stream, hello, now).await?;
                    Vec::new()
                }
            };
            self.offer(&mut tx, hello).await?;
            Ok::<_, Error>(lost)
        };
        let lost = self.0.db.transact(register).await?;
        self.cached_languages().take();
        self.cached_offer().take();
        self.requeued(&lost);
        Ok(())
    }

    async fn offer(&self, tx: &mut Tx, hello: &pb::WorkerHello) -> Result<(), Error> {
        let known = by_id(read_all(store::workers::languages(&mut *tx).await?)?);
        let live = store::workers::live(&mut *tx, self.live_since()).await?;
        let live: Vec<pb::WorkerHello> = read_all(live.into_iter().map(|worker| worker.hello))?;
        let before = match known.is_empty() {
            true => by_id(self.0.configured.clone()),
            false => known.clone(),
        };
        let offered = merge_languages(before, hello, &live);
        for (id, language) in &offered {
            if known.get(id) != Some(language) {
                store::workers::offer(tx, language).await?;
            }
        }
        for id in known.keys().filter(|id| !offered.contains_key(*id)) {
            store::workers::withdraw(tx, id).await?;
        }
        Ok(())
    }

    /// Updates the last-seen times of the workers connected here, and removes stale workers.
    pub(super) async fn refresh_workers(&self) -> db::Result<()> {
        let since = self.live_since();
        let live: Vec<_> = {
            let state = self.state();
            let live = state.connections.iter().filter(|(_, worker)| worker.seen >= since);
            live.map(|(stream, worker)| (*stream, worker.hello.clone(), worker.seen)).collect()
        };
        let live = &live;
        let refresh = |mut tx: db::TxGuard| async move {
            for (stream, hello, seen) in live {
                store::workers::refresh(&mut tx, *stream, hello, *seen).await?;
            }
            store::workers::remove_stale(&mut tx, since).await
        };
        self.0.db.transact(refresh).await
    }

    /// Workers that were last heard before this time have vanished. Their leases have expired, too.
    pub(super) fn live_since(&self) -> DateTime<Utc> {
        self.0.db.clock().now() - self.0.config.lease()
    }

    /// The number of workers connected here that have not vanished.
    pub(super) fn connected_count(&self) -> usize {
        let since = self.live_since();
        self.state().connections.values().filter(|worker| worker.seen >= since).count()
    }

    /// The interval for updating the last-seen times of the workers connected to this instance. The stored time of a
    /// worker that sends heartbeats is at most three quarters of the lease time old.
    pub(super) fn refresh_interval(&self) -> Duration {
        let config = &self.0.config;
        config.heartbeat().min(Duration::from_secs(config.lease_seconds) / 4)
    }

    /// Whether workers may not have been heard since this process started: they need one heartbeat, and those of other
    /// instances one refresh.
    pub(super) fn is_starting(&self) -> bool {
        self.0.db.clock().now() < self.0.started + self.0.config.heartbeat() * 2
    }

    /// Workers that were last heard before this time are not counted. The database may name workers that vanished while
    /// this process did not run, or after the backup from which it was restored.
    pub(super) fn heard_since(&self) -> DateTime<Utc> {
        self.live_since().max(self.0.started)
    }

    /// The workers of all instances, by name.
    pub async fn workers(&self) -> Result<Vec<pb::Worker>, Error> {
        let mut workers = Vec::new();
        for worker in store::workers::live(&self.0.db, self.heard_since()).await? {
            let hello: pb::WorkerHello = read(&worker.hello)?;
            // The time is exact for workers connected here.
            let seen = self.state().connections.get(&worker.stream).map(|worker| worker.seen);
            workers.push(pb::Worker {
                worker_id: hello.worker_id,
                slot_count: hello.slot_count,
                busy_count: i32::try_from(worker.busy_count).unwrap_or(i32::MAX),
                isolation: hello.isolation,
                languages: hello.languages.into_iter().map(|l| l.language_id).collect(),
                seen_time: Some(timestamp(seen.unwrap_or(worker.seen_at))),
            });
        }
        workers.sort_by(|a, b| a.worker_id.cmp(&b.worker_id));
        Ok(workers)
    }

    /// The offered languages, sorted by id.
    pub async fn languages(&self) -> Result<Vec<pb::Language>, Error> {
        let cached = self.cached_languages().clone();
        if let Some((since, languages)) = cached
            && since.elapsed() < LANGUAGES_TTL
        {
            return Ok(languages);
        }
        let since = Instant::now();
        let stored = read_all(store::workers::languages(&self.0.db).await?)?;
        let languages = if stored.is_empty() { self.0.configured.clone() } else { stored };
        *self.cached_languages() = Some((since, languages.clone()));
        Ok(languages)
    }
}

/// Adds the languages of a worker to those offered `before`. Removes languages that no live worker has, once all of
/// them have finished testing their languages.
fn merge_languages(
    before: Languages,
    hello: &pb::WorkerHello,
    live: &[pb::WorkerHello],
) -> Languages {
    let mut offered = before;
    offered.extend(by_id(hello.languages.clone()));
    if live.iter().all(|worker| worker.languages_complete) {
        let known = live.iter().flat_map(|worker| &worker.languages);
        let known: BTreeSet<&str> = known.map(|language| language.language_id.as_str()).collect();
        offered.retain(|id, _| known.contains(id.as_str()));
    }
    offered
}

fn by_id(languages: Vec<pb::Language>) -> Languages {
    languages.into_iter().map(|language| (language.language_id.clone(), language)).collect()
}

pub(super) fn read_all<M: Message + Default>(
    stored: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Vec<M>, Error> {
    stored.into_iter().map(|stored| read(&stored)).collect()
}

fn read<M: Message + Default>(stored: &[u8]) -> Result<M, Error> {
    M::decode(stored).map_err(Error::stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(languages: &[&str], languages_complete: bool) -> pb::WorkerHello {
        let language = |id: &&str| pb::Language { language_id: (*id).into(), ..Default::default() };
        let languages = languages.iter().map(language).collect();
        pb::WorkerHello { languages, languages_complete, ..Default::default() }
    }

    #[test]
    fn languages_that_no_worker_has_are_removed_once_all_are_tested() {
        let ids = |languages: Languages| languages.into_keys().collect::<Vec<_>>();
        let before = || by_id(worker(&["c", "java"], true).languages);
        let trying = worker(&["c"], false);
        let hello = std::slice::from_ref(&trying);
        assert_eq!(ids(merge_languages(before(), &trying, hello)), ["c", "java"]);
        let done = worker(&["c", "go"], true);
        let others = [done.clone(), trying];
        assert_eq!(ids(merge_languages(before(), &done, &others)), ["c", "go", "java"]);
        let others = [done.clone(), worker(&["java"], true)];
        assert_eq!(ids(merge_languages(before(), &done, &others)), ["c", "go", "java"]);
        let others = [done.clone(), worker(&["c"], true)];
        assert_eq!(ids(merge_languages(before(), &done, &others)), ["c", "go"]);
    }
}
