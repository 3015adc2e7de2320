//! What a caller may do with a contest.
//!
//! The owner of a contest may do everything with it. Others need a permission, globally or on this contest. Contests
//! that a caller may not see are reported as not found.

use access::Caller;
use uuid::Uuid;

use crate::Challenge;
use crate::contest::Contest;
use crate::error::Error;
use crate::store;

/// The permission to change contests.
pub const UPDATE: &str = "challenge.contest.update";
/// The permission to see everything of contests.
pub const JUDGE: &str = "challenge.contest.judge";

#[derive(Clone, Debug)]
pub struct Viewer {
    /// The acting user; `None` for anonymous callers and services.
    pub user: Option<Uuid>,
    updates: bool,
    judges: bool,
}

impl Viewer {
    pub fn of(caller: &Caller) -> Self {
        let acting = caller.acting();
        let service = caller.is_service_itself();
        Self {
            user: acting.is_user().then_some(acting.id),
            updates: caller.has(UPDATE),
            judges: service || caller.has(JUDGE),
        }
    }

    /// Whether the viewer is in the jury of every contest and duel.
    pub fn judges_all(&self) -> bool {
        self.judges
    }

    /// Whether lists include all contests.
    pub fn lists_all(&self) -> bool {
        self.updates || self.judges
    }
}

impl Challenge {
    pub(crate) async fn organises(
        &self,
        viewer: &Viewer,
        contest: &Contest,
    ) -> Result<bool, Error> {
        if viewer.updates || viewer.user == Some(contest.owner_id) {
            return Ok(true);
        }
        self.has_on(viewer, UPDATE, contest).await
    }

    /// Whether the viewer sees what is hidden from participants.
    pub(crate) async fn judges(&self, viewer: &Viewer, contest: &Contest) -> Result<bool, Error> {
        if viewer.judges || self.organises(viewer, contest).await? {
            return Ok(true);
        }
        self.has_on(viewer, JUDGE, contest).await
    }

    async fn has_on(
        &self,
        viewer: &Viewer,
        permission: &str,
        contest: &Contest,
    ) -> Result<bool, Error> {
        match viewer.user {
            Some(user) => self.peers.allows(user, permission, contest.id).await,
            None => Ok(false),
        }
    }

    async fn takes_part(&self, viewer: &Viewer, contest: &Contest) -> Result<bool, Error> {
        let Some(user) = viewer.user else { return Ok(false) };
        let participant = store::participants::by_user(&self.db, contest.id, user).await?;
        Ok(participant.is_some_and(|it| it.withdrawn_at.is_none()))
    }

    async fn sees(&self, viewer: &Viewer, contest: &Contest) -> Result<bool, Error> {
        if contest.is_public() {
            return Ok(true);
        }
        if contest.published_at.is_some() && self.takes_part(viewer, contest).await? {
            return Ok(true);
        }
        self.judges(viewer, contest).await
    }

    /// A contest by id or slug, whether or not the caller may see it.
    pub(crate) async fn contest_named(&self, name: &str) -> Result<Contest, Error> {
        let found = match ids::parse(name) {
            Some(id) => store::contests::by_id(&self.db, id).await?,
            None if ids::slug::check(name).is_ok() => {
                store::contests::by_slug(&self.db, name).await?
            }
            None if name.is_empty() => {
                return Err(Error::invalid("contest_id", "is empty; must be an id or a slug"));
            }
            None => None,
        };
        found.filter(|contest| contest.deleted_at.is_none()).ok_or(Error::ContestNotFound)
    }

    /// A contest that the viewer may see.
    pub(crate) async fn contest(&self, viewer: &Viewer, name: &str) -> Result<Contest, Error> {
        let contest = self.contest_named(name).await?;
        if self.sees(viewer, &contest).await? { Ok(contest) } else { Err(Error::ContestNotFound) }
    }

    /// A contest that the viewer may change.
    pub(crate) async fn own_contest(&self, viewer: &Viewer, name: &str) -> Result<Contest, Error> {
        let contest = self.contest(viewer, name).await?;
        if self.organises(viewer, &contest).await? {
            Ok(contest)
        } else {
            Err(Error::NotYourContest)
        }
    }

    /// A contest whose jury the viewer belongs to.
    pub(crate) async fn jury_contest(&self, viewer: &Viewer, name: &str) -> Result<Contest, Error> {
        let contest = self.contest(viewer, name).await?;
        if self.judges(viewer, &contest).await? { Ok(contest) } else { Err(Error::NotJury) }
    }

    /// Fails unless the viewer may read the problems at this time.
    pub(crate) async fn check_problems_visible(
        &self,
        viewer: &Viewer,
        contest: &Contest,
    ) -> Result<(), Error> {
        let (canceled, now) = (contest.canceled_at.is_some(), self.clock.now());
        if (contest.has_started(now) && !canceled) || self.judges(viewer, contest).await? {
            return Ok(());
        }
        Err(if canceled { Error::closed() } else { Error::not_started() })
    }
}
