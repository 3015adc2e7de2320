//! The use cases of contests: create, list, change and delete them.

pub mod balloons;
pub mod clarification_watch;
pub mod clarifications;
pub mod imports;
pub mod jury;
pub mod life;
pub mod participants;
pub mod problems;
pub mod results;
pub mod rosters;
pub mod scheduler;
mod sent;
pub mod standings;
pub mod submissions;
pub mod viewer;
pub mod watch;
pub mod wire;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use db::{Tx, TxGuard};
use prost::Message as _;
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use crate::Challenge;
use crate::contest::{Contest, Format, Registration, State, Visibility, request};
use crate::error::Error;
use crate::events;
use crate::log::{self, Log};
use crate::store::{self, contests::Filter};
use viewer::Viewer;

/// The longest text filter, in characters.
const MAX_TEXT: usize = 100;

/// The channel that announces changes of a contest and of its log.
pub fn channel(id: Uuid) -> String {
    format!("contest/{id}")
}

impl Challenge {
    /// Makes all watchers of a contest read it again once `tx` is committed.
    pub(crate) fn notify_contest(&self, tx: &mut Tx, id: Uuid) {
        let cache = self.cache.clone();
        tx.after_commit(move || cache.publish(&channel(id), Bytes::new()));
    }

    /// Creates a draft, once per request id.
    pub async fn create_contest(
        &self,
        caller: &access::Caller,
        request: &pb::CreateContestRequest,
    ) -> Result<pb::CreateContestResponse, Error> {
        let owner = caller.user()?.id;
        let draft = request.contest.clone().unwrap_or_default();
        let mut contest = self.blank(owner);
        let mut violations = Violations::default();
        request::apply(&mut contest, &draft, &request::FIELDS, &mut violations);
        request::check_problems(&request.problems, &mut violations);
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let content = request.encode_to_vec();
        let once = Idempotent::new(owner, "CreateContest", &request.request_id, &[&content]);
        if let Some(response) = once.replay(&self.db).await? {
            return Ok(response);
        }
        contest.problems = self.resolve_problems(caller, &request.problems).await?;
        let contest = &contest;
        let create = |mut tx: TxGuard| async move {
            if !store::contests::insert(&mut tx, contest).await? {
                return Err(Error::SlugTaken);
            }
            let mut log = Log::create(&mut tx, contest.id).await?;
            log.append(&mut tx, contest.created_at, &log::settings(contest)).await?;
            let contest = Some(wire::contest(contest, contest.created_at, false));
            Ok(pb::CreateContestResponse { contest })
        };
        once.run(&self.db, create).await
    }

    /// A new contest with default values.
    fn blank(&self, owner_id: Uuid) -> Contest {
        let now = self.clock.now();
        Contest {
            id: self.clock.new_id(),
            version: 1,
            slug: String::new(),
            title: String::new(),
            description: String::new(),
            owner_id,
            visibility: Visibility::Public,
            format: Format::Icpc,
            registration: Registration::Open,
            access_code: String::new(),
            starts_at: now,
            ends_at: now,
            freezes_at: None,
            penalty_minutes: 20,
            languages: Vec::new(),
            source_limit: 0,
            problems: Vec::new(),
            participant_count: 0,
            recorded_state: State::Draft,
            created_at: now,
            updated_at: now,
            published_at: None,
            canceled_at: None,
            thawed_at: None,
            finalized_at: None,
            deleted_at: None,
        }
    }

    pub async fn get_contest(&self, viewer: &Viewer, name: &str) -> Result<pb::Contest, Error> {
        let contest = self.contest(viewer, name).await?;
        // Only contests with a code have something that organisers alone see.
        let organises = !contest.access_code.is_empty()
            && self.organises(viewer, &contest).await.unwrap_or(false);
        Ok(wire::contest(&contest, self.clock.now(), organises))
    }

    pub async fn list_contests(
        &self,
        viewer: &Viewer,
        request: &pb::ListContestsRequest,
    ) -> Result<pb::ListContestsResponse, Error> {
        let filter = filter(viewer, request)?;
        // The filter contains the viewer: page tokens are valid for one viewer only.
        let args = format!("{filter:?}");
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, (i64, Uuid)> =
            Page::open(&self.page_key, "ListContests", &[args.as_bytes()], size, token)?;
        let now = self.clock.now();
        let before = page.after.map(|(start, id)| {
            (DateTime::from_timestamp_micros(start).unwrap_or(DateTime::UNIX_EPOCH), id)
        });
        let needs_user = (filter.mine || filter.registered) && viewer.user.is_none();
        let rows = match needs_user {
            true => Vec::new(),
            false => store::contests::list(&self.db, &filter, before, page.limit(), now).await?,
        };
        let (contests, next_page_token) =
            page.close(rows, |last| (last.starts_at.timestamp_micros(), last.id));
        let contests = contests.iter().map(|it| wire::contest(it, now, false)).collect();
        Ok(pb::ListContestsResponse { contests, next_page_token })
    }

    /// Changes the fields of the mask.
    pub async fn update_contest(
        &self,
        viewer: &Viewer,
        request: &pb::UpdateContestRequest,
    ) -> Result<pb::Contest, Error> {
        let draft = request.contest.clone().unwrap_or_default();
        if draft.contest_id.is_empty() {
            return Err(Error::invalid("contest.contest_id", "must be an id or a slug"));
        }
        let found = self.own_contest(viewer, &draft.contest_id).await?;
        let mask = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        let fields =
            request::fields(mask, &draft).map_err(|what| Error::invalid("update_mask", what))?;
        let (fields, draft) = (&fields, &draft);
        let changed = self.db.transact(|mut tx| async move {
            let (mut log, mut contest) = self.locked(&mut tx, found.id, &draft.etag).await?;
            let now = tx.now();
            let before = contest.clone();
            let mut violations = Violations::default();
            request::apply(&mut contest, draft, fields, &mut violations);
            check_change(&before, &contest, fields, now)?;
            violations.into_result()?;
            if log::settings(&before) != log::settings(&contest) {
                log.append(&mut tx, now, &log::settings(&contest)).await?;
            }
            self.save(&mut tx, &mut contest, now).await?;
            Ok(contest)
        });
        let contest: Result<Contest, Error> = changed.await;
        Ok(wire::contest(&contest?, self.clock.now(), true))
    }

    /// Locks a contest, and records the states that it reached. Fails if it is deleted or the etag does not match.
    pub(crate) async fn locked(
        &self,
        tx: &mut Tx,
        id: Uuid,
        etag: &str,
    ) -> Result<(Log, Contest), Error> {
        let mut log = Log::lock(tx, id).await?.ok_or(Error::ContestNotFound)?;
        let contest = store::contests::by_id(&mut *tx, id).await?;
        let contest = contest.filter(|contest| contest.deleted_at.is_none());
        let mut contest = contest.ok_or(Error::ContestNotFound)?;
        if !contest.matches(etag) {
            return Err(service::Error::EtagMismatch.into());
        }
        let now = tx.now();
        self.record_due(tx, &mut log, &mut contest, now).await?;
        Ok((log, contest))
    }

    /// Records and saves the states that began by `now`, with their planned times.
    async fn record_due(
        &self,
        tx: &mut Tx,
        log: &mut Log,
        contest: &mut Contest,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let due = contest.due(now);
        for &(state, at) in &due {
            record(tx, log, contest, state, at).await?;
        }
        if !due.is_empty() {
            store::contests::save(tx, contest).await?;
            self.notify_contest(tx, contest.id);
        }
        Ok(())
    }

    /// Saves changed settings: with a new version, and with a message to the watchers.
    pub(crate) async fn save(
        &self,
        tx: &mut Tx,
        contest: &mut Contest,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        contest.version += 1;
        contest.updated_at = now;
        if !store::contests::save(tx, contest).await? {
            return Err(Error::SlugTaken);
        }
        self.notify_contest(tx, contest.id);
        Ok(())
    }

    /// Deletes a draft or a canceled contest, which frees its slug.
    pub async fn delete_contest(
        &self,
        viewer: &Viewer,
        name: &str,
        etag: &str,
    ) -> Result<(), Error> {
        let found = self.own_contest(viewer, name).await?;
        let deleted = self.db.transact(|mut tx| async move {
            let (_, mut contest) = self.locked(&mut tx, found.id, etag).await?;
            let now = tx.now();
            if !matches!(contest.state(now), State::Draft | State::Canceled) {
                let text = "a published contest cannot be deleted; cancel it first";
                return Err(Error::precondition("CONTEST_PUBLISHED", text));
            }
            contest.deleted_at = Some(now);
            self.save(&mut tx, &mut contest, now).await
        });
        deleted.await
    }
}

/// Records one state of a contest in the log and as an event.
pub(crate) async fn record(
    tx: &mut Tx,
    log: &mut Log,
    contest: &mut Contest,
    state: State,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let number = log.append(tx, at, &log::state(state)).await?;
    events::contest_state_changed(tx, contest, number, state, at);
    contest.recorded_state = state;
    Ok(())
}

/// Whether a contest in its state may get these changes.
fn check_change(
    before: &Contest,
    after: &Contest,
    fields: &[&str],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if before.state(now).is_closed() {
        return Err(Error::closed());
    }
    let fixed = request::FIXED_AT_START.into_iter().find(|fixed| {
        let changed = match *fixed {
            "format" => before.format != after.format,
            "start_time" => before.starts_at != after.starts_at,
            "duration" => before.ends_at - before.starts_at != after.ends_at - after.starts_at,
            "freeze_duration" => before.freezes_at != after.freezes_at,
            _ => before.penalty_minutes != after.penalty_minutes,
        };
        fields.contains(fixed) && changed
    });
    match fixed {
        Some(field) if before.has_started(now) => {
            let text = format!("{field} cannot change once the contest has started");
            Err(Error::precondition("CONTEST_STARTED", text))
        }
        Some(_) if after.published_at.is_some() && after.starts_at <= now => {
            Err(Error::invalid("contest.start_time", "must be in the future"))
        }
        _ => Ok(()),
    }
}

fn filter(viewer: &Viewer, request: &pb::ListContestsRequest) -> Result<Filter, Error> {
    let text = request.text.trim();
    if text.chars().count() > MAX_TEXT || text.contains('\0') {
        let what = "must have at most 100 characters, and no NUL character";
        return Err(Error::invalid("text", what));
    }
    let state =
        match request.state {
            0 => None,
            number => Some(wire::state_of(number).ok_or_else(|| {
                Error::invalid("state", "must be a value of the enum ContestState")
            })?),
        };
    Ok(Filter {
        user_id: viewer.user,
        all: viewer.lists_all(),
        text: text.to_lowercase(),
        state,
        mine: request.mine,
        registered: request.registered,
    })
}
