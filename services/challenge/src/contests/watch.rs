//! Live streams of contests and standings.

use std::pin::Pin;

use futures_util::stream::{Stream, StreamExt as _};
use proto::challenge as pb;
use service::Watched;
use uuid::Uuid;

use super::standings::{Snapshot, watched_rows};
use super::viewer::Viewer;
use super::{channel, wire};
use crate::Challenge;
use crate::contest::Contest;
use crate::error::Error;
use crate::shared::{Reads, Shared};
use crate::standings::View;
use crate::store;

pub type Updates<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// What the watchers of this process share.
pub struct SharedReads {
    pub contests: Reads<Uuid, Contest>,
    /// By contest, view and number of rows.
    pub standings: Reads<(Uuid, View, usize), Snapshot>,
}

impl Default for SharedReads {
    fn default() -> Self {
        Self { contests: Reads::new(), standings: Reads::new() }
    }
}

impl Challenge {
    pub async fn watch_contest(
        &self,
        viewer: &Viewer,
        name: &str,
    ) -> Result<service::Views<WatchedContest>, Error> {
        let contest = self.contest(viewer, name).await?;
        let id = contest.id;
        let watched = WatchedContest { challenge: self.clone(), contest: Shared::new(contest) };
        let (refresh, shutdown) = (self.refresh(id), self.shutdown.clone());
        service::watch(&self.cache, &channel(id), refresh, shutdown, watched).await
    }

    /// The first rows of the standings, then those that change.
    pub async fn watch_standings(
        &self,
        viewer: &Viewer,
        request: &pb::WatchStandingsRequest,
    ) -> Result<Updates<pb::WatchStandingsResponse>, Error> {
        let limit = watched_rows(request.page_size)?;
        let (contest, view) =
            self.contest_for_standings(viewer, &request.contest_id, request.view).await?;
        let id = contest.id;
        let watched = WatchedStandings { challenge: self.clone(), id, view, limit, snapshot: None };
        let (refresh, shutdown) = (self.refresh(id), self.shutdown.clone());
        let snapshots =
            service::watch(&self.cache, &channel(id), refresh, shutdown, watched).await?;
        let mut sent = Sent::default();
        Ok(snapshots.map(move |snapshot| Ok(sent.update(snapshot?))).boxed())
    }

    pub(super) async fn reload(&self, id: Uuid) -> Result<Contest, Error> {
        let contest = store::contests::by_id(&self.db, id).await?;
        contest.filter(|it| it.deleted_at.is_none()).ok_or(Error::ContestNotFound)
    }
}

pub struct WatchedContest {
    challenge: Challenge,
    contest: Shared<Contest>,
}

impl Watched for WatchedContest {
    type View = pb::Contest;
    type Error = Error;

    async fn read(&mut self, _live: bool) -> Result<(), Error> {
        let id = self.contest.id;
        let reload = |_| self.challenge.reload(id);
        self.contest = self.challenge.watched.contests.get(id, reload).await?;
        Ok(())
    }

    fn view(&self) -> Result<pb::Contest, Error> {
        Ok(wire::contest(&self.contest, self.challenge.clock.now(), false))
    }

    fn is_final(view: &pb::Contest) -> bool {
        let frozen = view.freeze_time.is_some() && view.thaw_time.is_none();
        is_final(view.state(), frozen)
    }
}

pub struct WatchedStandings {
    challenge: Challenge,
    id: Uuid,
    view: View,
    limit: usize,
    snapshot: Option<Shared<Snapshot>>,
}

impl Watched for WatchedStandings {
    type View = Shared<Snapshot>;
    type Error = Error;

    async fn read(&mut self, _live: bool) -> Result<(), Error> {
        let read = self.challenge.watched(self.id, self.view, self.limit).await?;
        self.snapshot = Some(read);
        Ok(())
    }

    fn view(&self) -> Result<Shared<Snapshot>, Error> {
        self.snapshot.clone().ok_or(Error::ContestNotFound)
    }

    fn is_final(view: &Shared<Snapshot>) -> bool {
        is_final(view.state, view.frozen)
    }
}

/// Whether nothing changes any more that a watcher sees. The thaw may follow the final results.
pub(super) fn is_final(state: pb::ContestState, frozen: bool) -> bool {
    match state {
        pb::ContestState::Finalized => !frozen,
        state => state == pb::ContestState::Canceled,
    }
}

/// What a stream has sent.
#[derive(Default)]
struct Sent {
    count: i64,
    snapshot: Option<Shared<Snapshot>>,
}

impl Sent {
    /// The message that leads from what was sent to this snapshot. Its number counts messages of this stream only: the
    /// number of log entries would reveal hidden verdicts.
    fn update(&mut self, snapshot: Shared<Snapshot>) -> pb::WatchStandingsResponse {
        let before = self.snapshot.as_ref().map_or(&[][..], |before| &before.rows);
        // Rows that did not change are the same, mostly at the same index.
        let is_new = |(index, row): &(usize, &Shared<pb::StandingsRow>)| {
            let same = |before: &Shared<pb::StandingsRow>| before.is(row);
            !before.get(*index).is_some_and(same) && !before.iter().any(same)
        };
        let changed = snapshot.rows.iter().enumerate().filter(is_new);
        self.count += 1;
        let update = pb::WatchStandingsResponse {
            sequence: self.count,
            rows: changed.map(|(_, row)| row.clone().into_inner()).collect(),
            participant_ids: snapshot.rows.iter().map(|row| row.participant_id.clone()).collect(),
            labels: snapshot.labels.clone(),
            row_count: snapshot.row_count,
            frozen: snapshot.frozen,
            state: snapshot.state.into(),
        };
        self.snapshot = Some(snapshot);
        update
    }
}
