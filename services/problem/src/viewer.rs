//! The caller and their permissions on problems.
//!
//! The owner of a problem may do everything with it. Other users need a permission, globally or on this problem.
//! Problems that a caller may not see are reported as not found.

use access::Caller;
use uuid::Uuid;

use crate::Problems;
use crate::error::{Error, Result};
use crate::problem::Problem;
use crate::read_cache::Request;

pub const UPDATE: &str = "problem.problem.update";
pub const DELETE: &str = "problem.problem.delete";
pub const PUBLISH: &str = "problem.problem.publish";
const GET: &str = "problem.problem.get";
const LIST: &str = "problem.problem.list";

#[derive(Clone, Debug)]
pub struct Viewer {
    /// The acting user; `None` for anonymous callers and services.
    pub user: Option<Uuid>,
    /// Whether a service calls on its own behalf.
    pub service: bool,
    permissions: Vec<&'static str>,
}

impl Viewer {
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

    /// Whether lists include all problems.
    pub fn lists_all(&self) -> bool {
        self.service || self.has(LIST)
    }

    pub fn edits_all(&self) -> bool {
        self.has(UPDATE)
    }

    fn owns(&self, problem: &Problem) -> bool {
        self.user == Some(problem.owner_id)
    }
}

impl Problems {
    /// Whether the viewer owns the problem or has the permission, globally or on the problem.
    pub async fn may(&self, viewer: &Viewer, problem: &Problem, permission: &str) -> Result<bool> {
        if viewer.owns(problem) || viewer.has(permission) {
            return Ok(true);
        }
        match viewer.user {
            Some(user) => self.peers.allows(user, permission, problem.id).await,
            None => Ok(false),
        }
    }

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

    /// Finds a visible problem by id or slug.
    pub async fn find(&self, viewer: &Viewer, name: &str) -> Result<Problem> {
        let request = match ids::parse(name) {
            Some(id) => Request::Id(id),
            None if ids::slug::check(name).is_ok() => Request::Slug(name.to_owned()),
            None if name.is_empty() => {
                return Err(Error::invalid("problem_id", "is empty; must be an id or a slug"));
            }
            None => return Err(Error::NotFound("problem")),
        };
        match self.read_cache.find(&self.db, request).await? {
            Some(problem) if self.sees(viewer, &problem).await? => Ok(Problem::clone(&problem)),
            _ => Err(Error::NotFound("problem")),
        }
    }

    /// Like `find`; fails if the viewer does not have `permission`.
    pub async fn find_for(&self, viewer: &Viewer, name: &str, permission: &str) -> Result<Problem> {
        let problem = self.find(viewer, name).await?;
        if self.may(viewer, &problem, permission).await? { Ok(problem) } else { Err(Error::Denied) }
    }

    /// Like `find_for`; fails if the problem is deleted.
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
