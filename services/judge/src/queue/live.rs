//! How running jobs go: seen by the instance that the worker is connected to, and by the others through the
//! cache.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use proto::judge as pb;
use runtime::Shutdown;
use uuid::Uuid;

use super::{Held, Queue};
use crate::judgement::{Lease, Subject};

/// Between two looks at what the other instances have not been shown yet.
const PAUSE: Duration = Duration::from_millis(250);
/// The largest snapshot; a larger one is shown without its tests.
const MAX_SNAPSHOT: usize = 256 << 10;

/// What is known of a running judgement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// The attempt.
    pub attempt: i64,
    /// Compiling or running.
    pub state: pb::JudgementState,
    /// Tests in all.
    pub test_count: i32,
    /// The tests that are done, by index.
    pub tests: BTreeMap<i32, pb::TestResult>,
}

impl Live {
    fn note(&mut self, attempt: i64, progress: &pb::JudgementProgress) {
        self.attempt = attempt;
        self.state = progress.state();
        self.test_count = progress.test_count;
        for test in &progress.tests {
            // What stands in the judgement when it is done, and may be large.
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
    /// What is known of an attempt that runs.
    pub async fn live(&self, lease: Lease) -> Option<Live> {
        let own = {
            let state = self.state();
            let held = state.links.values().filter_map(|link| link.jobs.get(&lease.id));
            held.filter_map(|held| held.live.clone()).find(|live| live.attempt == lease.attempt)
        };
        match own {
            Some(live) => Some(live),
            None => self.shown(lease).await,
        }
    }

    /// What the instance that a worker is or was connected to has shown of an attempt.
    pub(super) async fn shown(&self, lease: Lease) -> Option<Live> {
        let snapshot = self.0.cache.get(&key(lease.id)).await?;
        Live::read(snapshot).filter(|live| live.attempt == lease.attempt)
    }

    /// Notes how a job goes, and tells whoever watches.
    pub(super) fn progress(&self, link: Uuid, lease: Lease, progress: &pb::JudgementProgress) {
        let mut state = self.state();
        let held = state.links.get_mut(&link).and_then(|link| link.jobs.get_mut(&lease.id));
        let Some(held) = held.filter(|held| held.attempt == lease.attempt) else { return };
        held.live.get_or_insert_default().note(lease.attempt, progress);
        held.unshown = true;
        let subject = held.subject;
        drop(state);
        self.0.unshown.notify_one();
        let Subject::Submission(submission) = subject else { return };
        let progress = pb::JudgementProgress {
            submission_id: submission.to_string(),
            attempt: i32::try_from(lease.attempt).unwrap_or(i32::MAX),
            ..progress.clone()
        };
        let message = Bytes::from(progress.encode_to_vec());
        self.0.cache.publish(&format!("submission/{submission}"), message);
    }

    /// Shows the other instances how jobs go, until the shutdown: at once after a silence, and so often at
    /// most.
    pub async fn show(self, shutdown: Shutdown) {
        let lease = Duration::from_secs(self.0.config.lease_seconds);
        loop {
            if shutdown.unless_begun(self.0.unshown.notified()).await.is_none() {
                return;
            }
            for (id, snapshot) in self.unshown() {
                self.0.cache.set(&key(id), snapshot, lease).await;
            }
            shutdown.unless_begun(tokio::time::sleep(PAUSE)).await;
        }
    }

    fn unshown(&self) -> Vec<(Uuid, Vec<u8>)> {
        let mut state = self.state();
        let held = state.links.values_mut().flat_map(|link| &mut link.jobs);
        let unshown = held.filter_map(|(id, held): (&Uuid, &mut Held)| {
            let unshown = std::mem::take(&mut held.unshown);
            held.live.as_ref().filter(|_| unshown).map(|live| (*id, live.snapshot()))
        });
        unshown.collect()
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
        live.note(3, &progress);
        live
    }

    #[test]
    fn snapshots_can_be_read_and_are_bounded() {
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
