//! WatchSubmission: one submission until its verdict.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use proto::judge::JudgementProgress;
use service::Watched;
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::judging::{Judging, State};
use crate::submission::{Sight, Submission, View, Viewer};
use crate::submissions::parse_id;
use crate::wire;

/// The channel of the judge's progress on a submission. An empty message announces a durable change.
pub fn channel(id: Uuid) -> String {
    format!("submission/{id}")
}

pub struct Watch {
    challenge: Challenge,
    id: Uuid,
    viewer: Viewer,
    current: Option<(Submission, Sight)>,
    judging: Judging,
}

impl Challenge {
    /// Makes all watchers of a submission read it again.
    pub(crate) fn notify_watchers(&self, id: Uuid) {
        self.cache.publish(&channel(id), Bytes::new());
    }

    /// The submission now and after every change; ends with its verdict.
    pub async fn watch(&self, viewer: &Viewer, id: &str) -> Result<service::Views<Watch>, Error> {
        let id = parse_id(id)?;
        let (challenge, judging) = (self.clone(), Judging::default());
        let watch = Watch { challenge, id, viewer: *viewer, current: None, judging };
        let (refresh, shutdown) = (self.refresh(id), self.shutdown.clone());
        service::watch(&self.cache, &channel(id), refresh, shutdown, watch).await
    }

    /// Differs from submission to submission, so that watchers do not read all at once.
    pub(crate) fn refresh(&self, id: Uuid) -> Duration {
        let refresh = self.config.watch_refresh();
        refresh + refresh.mul_f64(f64::from(id.as_bytes()[15]) / 1024.0)
    }
}

impl Watched for Watch {
    type View = View;
    type Error = Error;

    async fn read(&mut self, live: bool) -> Result<(), Error> {
        let submission = self.challenge.find(self.id).await?;
        let sight = self.challenge.sight(&self.viewer, &submission).await?;
        if !sight.submission {
            return Err(Error::NotFound);
        }
        if !live {
            let judging = self.challenge.peers.judging(&submission).await;
            self.judging.merge(judging);
        }
        self.current = Some((submission, sight));
        Ok(())
    }

    fn apply(&mut self, message: Bytes) -> bool {
        let durable_change = message.is_empty();
        if let Ok(progress) = JudgementProgress::decode(message) {
            self.judging.apply(wire::progress(progress));
        }
        durable_change
    }

    fn view(&self) -> Result<View, Error> {
        let view = self
            .current
            .as_ref()
            .and_then(|(submission, sight)| View::new(submission.clone(), &self.judging, *sight));
        view.ok_or(Error::NotFound)
    }

    fn is_final(view: &View) -> bool {
        view.state == State::Done
    }
}
