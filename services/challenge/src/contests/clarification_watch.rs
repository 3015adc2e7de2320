//! The live stream of clarifications.

use futures_util::stream::StreamExt as _;
use proto::challenge as pb;
use service::Watched;
use uuid::Uuid;

use super::clarifications::channel;
use super::sent::Sent;
use super::standings::watched_rows;
use super::viewer::Viewer;
use super::watch::Updates;
use crate::Challenge;
use crate::error::Error;

impl Challenge {
    /// The first clarifications of the list, then those that change.
    pub async fn watch_clarifications(
        &self,
        viewer: &Viewer,
        request: &pb::WatchClarificationsRequest,
    ) -> Result<Updates<pb::WatchClarificationsResponse>, Error> {
        let limit = i64::try_from(watched_rows(request.page_size)?).unwrap_or_default();
        let contest = self.contest(viewer, &request.contest_id).await?;
        let jury = self.reads_all(viewer, &contest).await;
        let watched = WatchedClarifications {
            challenge: self.clone(),
            viewer: viewer.clone(),
            id: contest.id,
            jury,
            unanswered: request.unanswered,
            limit,
            snapshot: Snapshot::default(),
        };
        let (refresh, shutdown) = (self.refresh(contest.id), self.shutdown.clone());
        let channel = channel(contest.id);
        let snapshots = service::watch(&self.cache, &channel, refresh, shutdown, watched).await?;
        let mut sent = Sent::new();
        let update = move |snapshot: Result<Snapshot, Error>| {
            let update = sent.update(snapshot?.clarifications, |it| &it.clarification_id);
            Ok(pb::WatchClarificationsResponse {
                sequence: update.sequence,
                clarifications: update.changed,
                clarification_ids: update.ids,
            })
        };
        Ok(snapshots.map(update).boxed())
    }
}

pub struct WatchedClarifications {
    challenge: Challenge,
    viewer: Viewer,
    id: Uuid,
    jury: bool,
    unanswered: bool,
    limit: i64,
    snapshot: Snapshot,
}

#[derive(Clone, Default, PartialEq)]
pub struct Snapshot {
    clarifications: Vec<pb::Clarification>,
    /// Whether the contest is finalized or canceled.
    closed: bool,
}

impl Watched for WatchedClarifications {
    type View = Snapshot;
    type Error = Error;

    async fn read(&mut self, _live: bool) -> Result<(), Error> {
        let challenge = &self.challenge;
        // A participant of a private contest may have withdrawn.
        let contest = match self.jury {
            true => challenge.reload(self.id).await?,
            false => challenge.contest(&self.viewer, &self.id.to_string()).await?,
        };
        let reader = challenge.reader(&self.viewer, &contest, self.jury).await?;
        let rows = challenge.readable(&contest, reader, self.unanswered, None, self.limit).await?;
        let clarifications = challenge.shown(&contest, reader, &rows).await?;
        let closed = contest.state(challenge.clock.now()).is_closed();
        self.snapshot = Snapshot { clarifications, closed };
        Ok(())
    }

    fn view(&self) -> Result<Snapshot, Error> {
        Ok(self.snapshot.clone())
    }

    fn is_final(view: &Snapshot) -> bool {
        view.closed
    }
}
