//! Who asks, and what they may see and change.
//!
//! A problem's owner may do everything with it; others by a permission, which they hold everywhere or
//! on this problem. What somebody may not see is not there.

use access::Caller;
use uuid::Uuid;

use crate::Service;
use crate::error::{Error, Result};
use crate::problem::Problem;
use crate::store;

/// To change a problem.
pub const UPDATE: &str = "problem.problem.update";
/// To delete and undelete one.
pub const DELETE: &str = "problem.problem.delete";
/// To publish versions.
pub const PUBLISH: &str = "problem.problem.publish";
const GET: &str = "problem.problem.get";
const LIST: &str = "problem.problem.list";

/// Who asks.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The acting user; `None` for nobody and for services.
    pub user: Option<Uuid>,
    /// Whether a service asks for itself.
    pub service: bool,
    permissions: Vec<&'static str>,
}

impl Viewer {
    /// The viewer behind a call.
    pub fn of(caller: &Caller) -> Self {
        let acting = caller.acting();
        let all = [GET, LIST, UPDATE, DELETE, PUBLISH];
        Self {
            user: acting.is_user().then_some(acting.id),
            service: caller.is_service_itself(),
            permissions: all.into_iter().filter(|p| caller.has(p)).collect(),
        }
    }

    fn has(&self, permission: &str) -> bool {
        self.permissions.contains(&permission)
    }

    /// Whether lists show everything.
    pub fn lists_all(&self) -> bool {
        self.service || self.has(LIST)
    }

    /// Whether every problem may be changed.
    pub fn edits_all(&self) -> bool {
        self.has(UPDATE)
    }

    fn owns(&self, problem: &Problem) -> bool {
        self.user == Some(problem.owner_id)
    }
}

impl Service {
    /// Whether the viewer may do what `permission` stands for.
    pub async fn may(&self, viewer: &Viewer, problem: &Problem, permission: &str) -> Result<bool> {
        if viewer.owns(problem) || viewer.has(permission) {
            return Ok(true);
        }
        match viewer.user {
            Some(user) => self.peers.allows(user, permission, problem.id).await,
            None => Ok(false),
        }
    }

    /// Whether the viewer may see a problem.
    pub async fn sees(&self, viewer: &Viewer, problem: &Problem) -> Result<bool> {
        if viewer.service || viewer.owns(problem) || viewer.edits_all() {
            return Ok(true);
        }
        if problem.deleted_at.is_some() {
            return self.may(viewer, problem, DELETE).await;
        }
        if problem.is_public() || viewer.has(GET) {
            return Ok(true);
        }
        Ok(self.may(viewer, problem, GET).await? || self.may(viewer, problem, UPDATE).await?)
    }

    /// The problem of an id or a slug, if the viewer may see it.
    pub async fn find(&self, viewer: &Viewer, name: &str) -> Result<Problem> {
        let found = match ids::parse(name) {
            Some(id) => store::problems::by_id(&self.db, id).await?,
            None if ids::slug::check(name).is_ok() => {
                store::problems::by_slug(&self.db, name).await?
            }
            None if name.is_empty() => {
                return Err(Error::invalid("problem_id", "is empty; give an id or a slug"));
            }
            None => None,
        };
        match found {
            Some(problem) if self.sees(viewer, &problem).await? => Ok(problem),
            _ => Err(Error::NotFound("problem")),
        }
    }

    /// As `find`, for those who hold `permission` on it.
    pub async fn find_for(&self, viewer: &Viewer, name: &str, permission: &str) -> Result<Problem> {
        let problem = self.find(viewer, name).await?;
        if self.may(viewer, &problem, permission).await? { Ok(problem) } else { Err(Error::Denied) }
    }

    /// As `find_for`, of a problem that is not deleted.
    pub async fn find_live(
        &self,
        viewer: &Viewer,
        name: &str,
        permission: &str,
    ) -> Result<Problem> {
        let problem = self.find_for(viewer, name, permission).await?;
        match problem.deleted_at {
            None => Ok(problem),
            Some(_) => Err(Error::Precondition("PROBLEM_DELETED", "the problem is deleted")),
        }
    }
}
