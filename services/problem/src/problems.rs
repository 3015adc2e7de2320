//! Problems: made, read, listed, changed, deleted, brought back, published.

use db::{Tx, requests};
use prost::Message as _;
use proto::problem as pb;
use uuid::Uuid;

use crate::Service;
use crate::error::{Error, Result};
use crate::events;
use crate::problem::{self, Problem, Visibility, Wrong};
use crate::store::{self, problems::Filter};
use crate::version;
use crate::viewer::{self, Viewer};
use crate::wire;

impl Service {
    /// Makes an empty problem.
    pub async fn create(&self, owner: Uuid, request: &pb::CreateProblemRequest) -> Result<Problem> {
        let draft = request.problem.clone().unwrap_or_default();
        let mut problem = self.blank(owner);
        let mut wrong = Wrong::new();
        apply(&mut problem, &draft, &FIELDS, &mut wrong);
        check_request_id(&request.request_id, &mut wrong);
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        check_public(&problem, None, problem.created_at)?;
        let digest = version::digest(&draft.encode_to_vec());
        let (caller, problem) = (owner.to_string(), &problem);
        let (request_id, digest) = (request.request_id.as_str(), digest.as_bytes());
        let made = self.db.transact(|mut tx| {
            let caller = &caller;
            async move {
                if let Some(replay) =
                    claim(&mut tx, caller, "CreateProblem", request_id, digest).await?
                {
                    let id = Uuid::from_slice(&replay).ok();
                    let id = id.ok_or(Error::NotFound("problem"))?;
                    let made = store::problems::by_id(&mut tx, id).await?;
                    return made.ok_or(Error::NotFound("problem"));
                }
                if !store::problems::insert(&mut tx, problem).await? {
                    return Err(Error::SlugTaken);
                }
                events::created(&mut tx, problem);
                if !request_id.is_empty() {
                    let response = problem.id.as_bytes();
                    requests::store(&mut tx, caller, "CreateProblem", request_id, response).await?;
                }
                Ok(problem.clone())
            }
        });
        made.await
    }

    /// A problem about which nothing is known yet.
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

    /// The problems that a filter shows, and whether there are more.
    pub async fn list(&self, filter: &Filter, size: i64) -> Result<(Vec<Problem>, bool)> {
        let filter = Filter { limit: size + 1, ..filter.clone() };
        let mut problems = store::problems::list(&self.db, &filter).await?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = problems.len() > size;
        problems.truncate(size);
        Ok((problems, more))
    }

    /// Changes what the mask names.
    pub async fn update(
        &self,
        viewer: &Viewer,
        request: &pb::UpdateProblemRequest,
    ) -> Result<Problem> {
        let draft = request.problem.clone().unwrap_or_default();
        let found = self.find_live(viewer, &draft.problem_id, viewer::UPDATE).await;
        let found = found.map_err(|error| match error {
            Error::Invalid(_) => {
                Error::invalid("problem.problem_id", "is empty; give an id or a slug")
            }
            error => error,
        })?;
        let mask = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        let fields = fields(mask, &draft)?;
        let (fields, draft) = (&fields, &draft);
        let changed = self.db.transact(|mut tx| async move {
            let mut problem = self.locked(&mut tx, found.id, &draft.etag).await?;
            let mut wrong = Wrong::new();
            apply(&mut problem, draft, fields, &mut wrong);
            if !wrong.is_empty() {
                return Err(Error::Invalid(wrong));
            }
            let embargo = embargo(&mut tx, &problem).await?;
            check_public(&problem, embargo, tx.now())?;
            if store::problems::is_taken(&mut tx, &problem.slug, problem.id).await? {
                return Err(Error::SlugTaken);
            }
            store::problems::save(&mut tx, &problem).await.map_err(taken)?;
            events::updated(&mut tx, &problem);
            Ok(problem)
        });
        changed.await
    }

    /// Locks a problem that is not deleted and whose etag is as the caller thinks.
    async fn locked(&self, tx: &mut Tx, id: Uuid, etag: &str) -> Result<Problem> {
        let problem = store::problems::lock(tx, id).await?.ok_or(Error::NotFound("problem"))?;
        // Locking has raised the version by one.
        let before = Problem { version: problem.version - 1, ..problem.clone() };
        if !before.matches(etag) {
            return Err(Error::EtagMismatch);
        }
        if problem.deleted_at.is_some() {
            return Err(Error::NotFound("problem"));
        }
        Ok(problem)
    }

    /// Hides a problem; its slug is free again.
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

    /// Brings a deleted problem back, under another slug when its own is taken.
    pub async fn undelete(&self, viewer: &Viewer, name: &str) -> Result<Problem> {
        let found = self.find_for(viewer, name, viewer::DELETE).await?;
        if found.deleted_at.is_none() {
            return Ok(found);
        }
        let back = self.db.transact(|mut tx| async move {
            let problem = store::problems::lock(&mut tx, found.id).await?;
            let mut problem = problem.ok_or(Error::NotFound("problem"))?;
            if problem.deleted_at.take().is_some() {
                problem.slug = free_slug(&mut tx, &problem.slug, problem.id).await?;
                store::problems::save(&mut tx, &problem).await.map_err(taken)?;
                events::undeleted(&mut tx, &problem);
            }
            Ok(problem)
        });
        back.await
    }

    /// Gives contestants a verified version; 0 = the newest.
    pub async fn publish(
        &self,
        viewer: &Viewer,
        request: &pb::PublishProblemRequest,
    ) -> Result<Problem> {
        let found = self.find_live(viewer, &request.problem_id, viewer::PUBLISH).await?;
        if request.version < 0 {
            return Err(Error::invalid(
                "version",
                "is negative; give 0 for the newest verified one",
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
                "only a version whose checks all came out as expected can be published",
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

/// A concurrent transaction took the slug between our look and our write.
fn taken(error: Error) -> Error {
    match error {
        Error::Db(db::Error::Conflict(_)) => Error::SlugTaken,
        error => error,
    }
}

/// The slug, or one like it that is free.
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

/// A public problem has something to show, and nothing that must not be shown yet.
fn check_public(
    problem: &Problem,
    embargo_until: Option<chrono::DateTime<chrono::Utc>>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<()> {
    if problem.visibility != Visibility::Public {
        return Ok(());
    }
    if problem.published_version == 0 {
        let text = "a problem becomes public with a published version; import a package first";
        return Err(Error::Precondition("NOT_PUBLISHED", text));
    }
    if embargo_until.is_some_and(|until| now < until) {
        let text = "the package's embargo_until is in the future";
        return Err(Error::Precondition("EMBARGOED", text));
    }
    Ok(())
}

/// What a caller may set.
const FIELDS: [&str; 6] = ["slug", "title", "visibility", "tags", "difficulty", "authors"];

/// The fields that an update changes.
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
            let message = format!("`{shown}` cannot change; what can is {}", FIELDS.join(", "));
            Error::invalid("update_mask", message)
        })
    };
    mask.iter().map(known).collect()
}

/// Sets fields, noting what is wrong with them.
fn apply(problem: &mut Problem, draft: &pb::Problem, fields: &[&str], wrong: &mut Wrong) {
    let mut note = |field: &str, what: String| wrong.push((format!("problem.{field}"), what));
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
            note(field, what);
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

/// Notes a request id that is too long.
pub fn check_request_id(request_id: &str, wrong: &mut Wrong) {
    if request_id.len() > 128 || request_id.contains('\0') {
        wrong.push(("request_id".into(), "must have at most 128 bytes, none of them zero".into()));
    }
}

/// Claims a request id, if there is one; gives the response of its first arrival.
pub async fn claim(
    tx: &mut Tx,
    caller: &str,
    rpc: &str,
    request_id: &str,
    digest: &[u8],
) -> Result<Option<Vec<u8>>> {
    if request_id.is_empty() {
        return Ok(None);
    }
    let now = tx.now();
    match requests::claim(tx, caller, rpc, request_id, digest, now).await? {
        requests::Claim::New => Ok(None),
        requests::Claim::Replay(response) => Ok(Some(response)),
        requests::Claim::Conflict => Err(rpc::status::request_id_reused().into()),
    }
}
