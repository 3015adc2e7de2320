//! Use cases of problems: create, list, update, delete, undelete, publish.

use db::{Tx, TxGuard};
use prost::Message as _;
use proto::problem as pb;
use rpc::Violations;
use service::{Idempotent, check_request_id};
use uuid::Uuid;

use crate::Problems;
use crate::error::{Error, Result};
use crate::events;
use crate::problem::{self, Problem, Visibility};
use crate::store;
use crate::viewer::{self, Viewer};
use crate::wire;

impl Problems {
    /// Creates a problem without versions, once per request id.
    pub async fn create(
        &self,
        owner: Uuid,
        request: &pb::CreateProblemRequest,
    ) -> Result<pb::CreateProblemResponse> {
        let draft = request.problem.clone().unwrap_or_default();
        let mut problem = self.blank(owner);
        let mut violations = Violations::default();
        apply(&mut problem, &draft, &FIELDS, &mut violations);
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        check_public(&problem, None, problem.created_at)?;
        let (problem, content) = (&problem, draft.encode_to_vec());
        let once = Idempotent::new(owner, "CreateProblem", &request.request_id, &[&content]);
        let create = |mut tx: TxGuard| async move {
            if !store::problems::insert(&mut tx, problem).await? {
                return Err(Error::SlugTaken);
            }
            events::created(&mut tx, problem);
            Ok(pb::CreateProblemResponse { problem: Some(wire::problem(problem.clone())) })
        };
        once.run(&self.db, create).await
    }

    /// A new problem with default values.
    pub(crate) fn blank(&self, owner: Uuid) -> Problem {
        let now = self.clock.now();
        Problem {
            id: self.clock.new_id(),
            slug: String::new(),
            title: String::new(),
            visibility: Visibility::Draft,
            tags: Vec::new(),
            difficulty: 0,
            owner_id: owner,
            authors: Vec::new(),
            package_id: None,
            published_version: 0,
            last_version: 0,
            version: 1,
            published: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }

    /// Updates the fields of the mask.
    pub async fn update(
        &self,
        viewer: &Viewer,
        request: &pb::UpdateProblemRequest,
    ) -> Result<Problem> {
        let draft = request.problem.clone().unwrap_or_default();
        if draft.problem_id.is_empty() {
            return Err(Error::invalid("problem.problem_id", "must be an id or a slug"));
        }
        let found = self.find_live(viewer, &draft.problem_id, viewer::UPDATE).await?;
        let mask = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        let fields = fields(mask, &draft)?;
        let (fields, draft) = (&fields, &draft);
        let changed = self.db.transact(|mut tx| async move {
            let mut problem = self.locked(&mut tx, found.id, &draft.etag).await?;
            let mut violations = Violations::default();
            apply(&mut problem, draft, fields, &mut violations);
            violations.into_result()?;
            let embargo = embargo(&mut tx, &problem).await?;
            check_public(&problem, embargo, tx.now())?;
            if store::problems::is_taken(&mut tx, &problem.slug, problem.id).await? {
                return Err(Error::SlugTaken);
            }
            store::problems::save(&mut tx, &problem).await.map_err(map_conflict)?;
            events::updated(&mut tx, &problem);
            Ok(problem)
        });
        changed.await
    }

    /// Locks a problem; fails if it is deleted or the etag does not match.
    async fn locked(&self, tx: &mut Tx, id: Uuid, etag: &str) -> Result<Problem> {
        let problem = store::problems::lock(tx, id).await?.ok_or(Error::NotFound("problem"))?;
        // Locking has increased the version by one.
        let before = Problem { version: problem.version - 1, ..problem.clone() };
        if !before.matches(etag) {
            return Err(service::Error::EtagMismatch.into());
        }
        if problem.deleted_at.is_some() {
            return Err(Error::NotFound("problem"));
        }
        Ok(problem)
    }

    /// Soft-deletes a problem, which frees its slug.
    pub async fn delete(&self, viewer: &Viewer, name: &str, etag: &str) -> Result<()> {
        let found = self.find_live(viewer, name, viewer::DELETE).await?;
        let deleted = self.db.transact(|mut tx| async move {
            let mut problem = self.locked(&mut tx, found.id, etag).await?;
            problem.deleted_at = Some(tx.now());
            store::problems::save(&mut tx, &problem).await?;
            events::deleted(&mut tx, &problem);
            Ok(())
        });
        deleted.await
    }

    /// Restores a deleted problem, with another slug if its own is taken.
    pub async fn undelete(&self, viewer: &Viewer, name: &str) -> Result<Problem> {
        let found = self.find_for(viewer, name, viewer::DELETE).await?;
        if found.deleted_at.is_none() {
            return Ok(found);
        }
        let restored = self.db.transact(|mut tx| async move {
            let problem = store::problems::lock(&mut tx, found.id).await?;
            let mut problem = problem.ok_or(Error::NotFound("problem"))?;
            if problem.deleted_at.take().is_some() {
                problem.slug = free_slug(&mut tx, &problem.slug, problem.id).await?;
                store::problems::save(&mut tx, &problem).await.map_err(map_conflict)?;
                events::undeleted(&mut tx, &problem);
            }
            Ok(problem)
        });
        restored.await
    }

    /// Publishes a verified version; 0 = the newest.
    pub async fn publish(
        &self,
        viewer: &Viewer,
        request: &pb::PublishProblemRequest,
    ) -> Result<Problem> {
        let found = self.find_live(viewer, &request.problem_id, viewer::PUBLISH).await?;
        if request.version < 0 {
            return Err(Error::invalid(
                "version",
                "must be 0 (the newest verified version) or a version number",
            ));
        }
        let published = self.db.transact(|mut tx| async move {
            let mut problem = self.locked(&mut tx, found.id, "").await?;
            let version = match request.version {
                0 => store::versions::newest_verified(&mut tx, problem.id).await?,
                n => {
                    let version = store::versions::get(&mut tx, problem.id, n).await?;
                    Some(version.ok_or(Error::NotFound("version"))?)
                }
            };
            let verified = version.filter(|version| version.state == "verified");
            let version = verified.ok_or(Error::Precondition(
                "VERSION_NOT_VERIFIED",
                "only a version whose checks all passed can be published",
            ))?;
            problem.published_version = version.version;
            if request.make_public {
                problem.visibility = Visibility::Public;
            }
            check_public(&problem, version.manifest()?.embargo_until, tx.now())?;
            store::problems::save(&mut tx, &problem).await?;
            events::published(&mut tx, &problem);
            Ok(problem)
        });
        published.await
    }
}

/// The unique constraint failed: a concurrent transaction took the slug after the check.
fn map_conflict(error: Error) -> Error {
    match error {
        Error::Common(service::Error::Db(db::Error::Conflict(_))) => Error::SlugTaken,
        error => error,
    }
}

/// The wanted slug, or if it is taken, the same with a numeric suffix.
pub async fn free_slug(tx: &mut Tx, wanted: &str, id: Uuid) -> Result<String> {
    let stem: String = wanted.chars().take(ids::slug::MAX - 4).collect();
    let stem = stem.trim_end_matches('-');
    let others = (2..1000).map(|n| format!("{stem}-{n}"));
    for slug in std::iter::once(wanted.to_owned()).chain(others) {
        if !store::problems::is_taken(tx, &slug, id).await? {
            return Ok(slug);
        }
    }
    Err(Error::SlugTaken)
}

async fn embargo(tx: &mut Tx, problem: &Problem) -> Result<Option<chrono::DateTime<chrono::Utc>>> {
    let version = store::versions::get(tx, problem.id, problem.published_version).await?;
    Ok(match version {
        Some(version) => version.manifest()?.embargo_until,
        None => None,
    })
}

/// A public problem must have a published version, and no embargo.
fn check_public(
    problem: &Problem,
    embargo_until: Option<chrono::DateTime<chrono::Utc>>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<()> {
    if problem.visibility != Visibility::Public {
        return Ok(());
    }
    if problem.published_version == 0 {
        let text = "a public problem needs a published version; import a package first";
        return Err(Error::Precondition("NOT_PUBLISHED", text));
    }
    if embargo_until.is_some_and(|until| now < until) {
        let text = "embargo_until of the package is in the future";
        return Err(Error::Precondition("EMBARGOED", text));
    }
    Ok(())
}

/// The fields that callers can set.
const FIELDS: [&str; 6] = ["slug", "title", "visibility", "tags", "difficulty", "authors"];

/// The fields that an update changes: the mask, or without one, the fields that are set.
fn fields(mask: &[String], draft: &pb::Problem) -> Result<Vec<&'static str>> {
    if mask.iter().any(|path| path == "*") {
        return Ok(FIELDS.to_vec());
    }
    if mask.is_empty() {
        let set = |field: &&&str| match **field {
            "slug" => !draft.slug.is_empty(),
            "title" => !draft.title.is_empty(),
            "visibility" => draft.visibility != 0,
            "tags" => !draft.tags.is_empty(),
            "difficulty" => draft.difficulty != 0,
            _ => !draft.authors.is_empty(),
        };
        return Ok(FIELDS.iter().filter(set).copied().collect());
    }
    let known = |path: &String| {
        let path = path.strip_prefix("problem.").unwrap_or(path);
        FIELDS.into_iter().find(|field| *field == path).ok_or_else(|| {
            let shown: String = path.chars().take(60).collect();
            let message =
                format!("`{shown}` cannot be updated; must be one of {}", FIELDS.join(", "));
            Error::invalid("update_mask", message)
        })
    };
    mask.iter().map(known).collect()
}

/// Sets valid fields and collects violations of the others.
fn apply(problem: &mut Problem, draft: &pb::Problem, fields: &[&str], violations: &mut Violations) {
    for field in fields {
        let checked = match *field {
            "slug" => ids::slug::check(&draft.slug).map_err(str::to_owned),
            "title" => problem::check_title(&draft.title),
            "difficulty" => problem::check_difficulty(draft.difficulty),
            "authors" => problem::check_authors(&draft.authors),
            "tags" => problem::check_tags(&draft.tags).map(|tags| problem.tags = tags),
            _ => wire::visibility_of(draft.visibility).map(|v| problem.visibility = v),
        };
        if let Err(what) = checked {
            violations.add(format!("problem.{field}"), what);
            continue;
        }
        match *field {
            "slug" => problem.slug.clone_from(&draft.slug),
            "title" => draft.title.trim().clone_into(&mut problem.title),
            "difficulty" => problem.difficulty = i64::from(draft.difficulty),
            "authors" => problem.authors.clone_from(&draft.authors),
            _ => {}
        }
    }
}
