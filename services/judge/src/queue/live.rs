//! The progress of running jobs. The instance that a worker is connected to keeps it in memory, and publishes it to
//! the other instances through the cache.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use proto::judge as pb;
use runtime::Shutdown;
use uuid::Uuid;

use super::{Queue, RunningJob};
use crate::judgement::{Lease, Subject};

/// The minimum interval between two publications.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);
/// In bytes; a larger snapshot is published without its tests.
const MAX_SNAPSHOT: usize = 256 << 10;

/// The progress of a running judgement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    pub attempt: i64,
    /// Compiling or running.
    pub state: pb::JudgementState,
    pub test_count: i32,
    /// The finished tests, by index.
    pub tests: BTreeMap<i32, pb::TestResult>,
}

impl Live {
    fn update(&mut self, attempt: i64, progress: &pb::JudgementProgress) {
        self.attempt = attempt;
        self.state = progress.state();
        self.test_count = progress.test_count;
        for test in &progress.tests {
            // These can be large, and are in the completed judgement.
            let (message, output) = (String::new(), String::new());
            self.tests.insert(test.index, pb::TestResult { message, output, ..test.clone() });
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut snapshot = pb::Judgement {
            attempt: i32::try_from(self.attempt).unwrap_or(i32::MAX),
            state: self.state.into(),
            test_count: self.test_count,
            tests: self.tests.values().cloned().collect(),
            ..pb::Judgement::default()
        };
        if snapshot.encoded_len() > MAX_SNAPSHOT {
            snapshot.tests.clear();
        }
        snapshot.encode_to_vec()
    }

    fn read(snapshot: Bytes) -> Option<Live> {
        let snapshot = pb::Judgement::decode(snapshot).ok()?;
        Some(Live {
            attempt: snapshot.attempt.into(),
            state: snapshot.state(),
            test_count: snapshot.test_count,
            tests: snapshot.tests.into_iter().map(|test| (test.index, test)).collect(),
        })
    }
}

impl Queue {
    /// The progress of an attempt, from this or another instance.
    pub async fn live(&self, lease: Lease) -> Option<Live> {
        let own = {
            let state = self.state();
            let jobs = state.connections.values().filter_map(|worker| worker.jobs.get(&lease.id));
            jobs.filter_map(|job| job.live.clone()).find(|live| live.attempt == lease.attempt)
        };
        match own {
            Some(live) => Some(live),
            None => self.cached_live(lease).await,
        }
    }

    /// The progress of an attempt that an instance has published.
    pub(super) async fn cached_live(&self, lease: Lease) -> Option<Live> {
        let snapshot = self.0.cache.get(&key(lease.id)).await?;
        Live::read(snapshot).filter(|live| live.attempt == lease.attempt)
    }

    /// Records the progress of a job and publishes it to watchers.
    pub(super) fn progress(&self, stream: Uuid, lease: Lease, progress: &pb::JudgementProgress) {
        let mut state = self.state();
        let worker = state.connections.get_mut(&stream);
        let job = worker.and_then(|worker| worker.jobs.get_mut(&lease.id));
        let Some(job) = job.filter(|job| job.attempt == lease.attempt) else { return };
        job.live.get_or_insert_default().update(lease.attempt, progress);
        job.unpublished = true;
        let subject = job.subject;
        drop(state);
        self.0.progress_changed.notify_one();
        let Subject::Submission(submission) = subject else { return };
        let progress = pb::JudgementProgress {
            submission_id: submission.to_string(),
            attempt: i32::try_from(lease.attempt).unwrap_or(i32::MAX),
            ..progress.clone()
        };
        let message = Bytes::from(progress.encode_to_vec());
        self.0.cache.publish(&format!("submission/{submission}"), message);
    }

    /// Publishes progress to the other instances until the shutdown, at most once per [`PUBLISH_INTERVAL`].
    pub async fn publish_progress(self, shutdown: Shutdown) {
        let lease = Duration::from_secs(self.0.config.lease_seconds);
        loop {
            if shutdown.unless_begun(self.0.progress_changed.notified()).await.is_none() {
                return;
            }
            for (id, snapshot) in self.take_unpublished() {
                self.0.cache.set(&key(id), snapshot, lease).await;
            }
            shutdown.unless_begun(tokio::time::sleep(PUBLISH_INTERVAL)).await;
        }
    }

    fn take_unpublished(&self) -> Vec<(Uuid, Vec<u8>)> {
        let mut state = self.state();
        let jobs = state.connections.values_mut().flat_map(|worker| &mut worker.jobs);
        let snapshots = jobs.filter_map(|(id, job): (&Uuid, &mut RunningJob)| {
            let unpublished = std::mem::take(&mut job.unpublished);
            job.live.as_ref().filter(|_| unpublished).map(|live| (*id, live.snapshot()))
        });
        snapshots.collect()
    }
}

fn key(id: Uuid) -> String {
    format!("judge/judgement/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(count: i32) -> Live {
        let output = "long".repeat(100);
        let test = |index| pb::TestResult { index, output: output.clone(), ..Default::default() };
        let mut live = Live::default();
        let progress = pb::JudgementProgress {
            state: pb::JudgementState::Running.into(),
            test_count: count,
            tests: (0..count).map(test).collect(),
            ..Default::default()
        };
        live.update(3, &progress);
        live
    }

    #[test]
    fn snapshots_are_decoded_and_limited_in_size() {
        let live = tests(9);
        assert_eq!(live.tests[&8].output, "");
        assert_eq!(Live::read(live.snapshot().into()), Some(live));
        let huge = tests(200_000);
        let snapshot = huge.snapshot();
        assert!(snapshot.len() < MAX_SNAPSHOT);
        let read = Live::read(snapshot.into()).unwrap();
        assert_eq!((read.tests.len(), read.test_count, read.attempt), (0, 200_000, 3));
    }
}
