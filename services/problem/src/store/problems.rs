//! Problems and their tags.

use chrono::{DateTime, Utc};
use db::{Query, Read, Tx};
use uuid::Uuid;

use crate::error::Result;
use crate::problem::{Problem, Visibility};

db::record! {
    struct Row {
        id: Uuid,
        slug: String,
        title: String,
        visibility: String,
        tags: String,
        difficulty: i64,
        owner_id: Uuid,
        authors: String,
        package_id: Option<String>,
        published_version: i64,
        last_version: i64,
        version: i64,
        created_at: DateTime<Utc>,
        updated_at: DateTime<Utc>,
        deleted_at: Option<DateTime<Utc>>,
        time_limit_us: Option<i64>,
        summary: Option<String>,
    }
}

const SELECT: &str = "SELECT p.id, p.slug, p.title, p.visibility, p.tags, p.difficulty, p.owner_id,
        p.authors, p.package_id, p.published_version, p.last_version, p.version, p.created_at,
        p.updated_at, p.deleted_at, v.time_limit_us, v.summary
    FROM problems p
    LEFT JOIN versions v ON v.problem_id = p.id AND v.version = p.published_version ";

impl Row {
    fn into_problem(self) -> Result<Problem> {
        Ok(Problem {
            id: self.id,
            slug: self.slug,
            title: self.title,
            visibility: Visibility::of(&self.visibility),
            tags: serde_json::from_str(&self.tags)?,
            difficulty: self.difficulty,
            owner_id: self.owner_id,
            authors: serde_json::from_str(&self.authors)?,
            package_id: self.package_id,
            published_version: self.published_version,
            last_version: self.last_version,
            version: self.version,
            published: match self.summary {
                Some(summary) => Some((self.time_limit_us, serde_json::from_str(&summary)?)),
                None => None,
            },
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        })
    }
}

/// Includes deleted problems.
pub async fn by_id(db: impl Read<'_>, id: Uuid) -> Result<Option<Problem>> {
    let row = db.query(SELECT).push("WHERE id = ").push_bind(id).fetch_optional::<Row>().await?;
    row.map(Row::into_problem).transpose()
}

/// Excludes deleted problems.
pub async fn by_slug(db: impl Read<'_>, slug: &str) -> Result<Option<Problem>> {
    let query = db.query(SELECT).push("WHERE deleted_at IS NULL AND slug = ").push_bind(slug);
    query.fetch_optional::<Row>().await?.map(Row::into_problem).transpose()
}

/// The problem of an owner that was created from the package with this uuid.
pub async fn by_package(db: impl Read<'_>, owner: Uuid, package: &str) -> Result<Option<Problem>> {
    let query = db.query(SELECT).push("WHERE deleted_at IS NULL AND owner_id = ").push_bind(owner);
    let query = query.push(" AND package_id = ").push_bind(package).push(" ORDER BY id LIMIT 1");
    query.fetch_optional::<Row>().await?.map(Row::into_problem).transpose()
}

/// Locks a problem until the end of the transaction by increasing its version; returns it with the new version.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Problem>> {
    let now = tx.now();
    let updated = tx
        .query("UPDATE problems SET version = version + 1, updated_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    if updated == 0 { Ok(None) } else { by_id(tx, id).await }
}

/// Whether a problem other than `id` has the slug.
pub async fn is_taken(tx: &mut Tx, slug: &str, id: Uuid) -> Result<bool> {
    let other: Option<Uuid> = tx
        .query("SELECT id FROM problems WHERE slug = $1 AND deleted_at IS NULL AND id <> $2")
        .bind(slug)
        .bind(id)
        .fetch_scalar_optional()
        .await?;
    Ok(other.is_some())
}

/// Inserts a problem; returns false if its slug is taken.
pub async fn insert(tx: &mut Tx, problem: &Problem) -> Result<bool> {
    let inserted: Option<Uuid> = tx
        .query(
            "INSERT INTO problems (id, slug, title, search, visibility, tags, difficulty, owner_id,
                authors, package_id, published_version, last_version, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT (slug) WHERE deleted_at IS NULL DO NOTHING RETURNING id",
        )
        .bind(problem.id)
        .bind(problem.slug.as_str())
        .bind(problem.title.as_str())
        .bind(problem.search_text())
        .bind(problem.visibility.name())
        .bind(serde_json::to_string(&problem.tags)?)
        .bind(problem.difficulty)
        .bind(problem.owner_id)
        .bind(serde_json::to_string(&problem.authors)?)
        .bind(problem.package_id.clone())
        .bind(problem.published_version)
        .bind(problem.last_version)
        .bind(problem.version)
        .bind(problem.created_at)
        .bind(problem.updated_at)
        .fetch_scalar_optional()
        .await?;
    set_tags(tx, problem).await?;
    Ok(inserted.is_some())
}

/// Writes the mutable columns of a locked problem.
pub async fn save(tx: &mut Tx, problem: &Problem) -> Result<()> {
    tx.query(
        "UPDATE problems SET slug = $2, title = $3, search = $4, visibility = $5, tags = $6,
            difficulty = $7, authors = $8, package_id = $9, published_version = $10,
            last_version = $11, deleted_at = $12
         WHERE id = $1",
    )
    .bind(problem.id)
    .bind(problem.slug.as_str())
    .bind(problem.title.as_str())
    .bind(problem.search_text())
    .bind(problem.visibility.name())
    .bind(serde_json::to_string(&problem.tags)?)
    .bind(problem.difficulty)
    .bind(serde_json::to_string(&problem.authors)?)
    .bind(problem.package_id.clone())
    .bind(problem.published_version)
    .bind(problem.last_version)
    .bind(problem.deleted_at)
    .execute()
    .await?;
    set_tags(tx, problem).await
}

async fn set_tags(tx: &mut Tx, problem: &Problem) -> Result<()> {
    let delete = tx.query("DELETE FROM problem_tags WHERE problem_id = $1").bind(problem.id);
    delete.execute().await?;
    for tag in &problem.tags {
        tx.query(
            "INSERT INTO problem_tags (problem_id, tag)
             SELECT id, $2 FROM problems WHERE id = $1",
        )
        .bind(problem.id)
        .bind(tag.as_str())
        .execute()
        .await?;
    }
    Ok(())
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The caller, whose own problems are always included.
    pub viewer: Option<Uuid>,
    /// Include all problems, not only public ones.
    pub all: bool,
    /// Include deleted problems that the viewer may edit.
    pub deleted: bool,
    /// Whether the viewer may edit everything.
    pub edits_all: bool,
    /// Problems must have all of these.
    pub tags: Vec<String>,
    /// 0 = any.
    pub min_difficulty: i64,
    /// 0 = any.
    pub max_difficulty: i64,
    /// Substring of title or slug, case-insensitive; empty = any.
    pub text: String,
    pub owner: Option<Uuid>,
    /// Keyset cursor: slug and id of the last problem of the previous page.
    pub after: Option<(String, Uuid)>,
    pub limit: i64,
}

/// The problems that match the filter, ordered by slug.
pub async fn list(db: impl Read<'_>, filter: &Filter) -> Result<Vec<Problem>> {
    let mut query = db.query(SELECT).push("WHERE ");
    query = push_visible(query, filter);
    if let Some(owner) = filter.owner {
        query = query.push(" AND owner_id = ").push_bind(owner);
    }
    for tag in &filter.tags {
        query = query
            .push(" AND id IN (SELECT problem_id FROM problem_tags WHERE tag = ")
            .push_bind(tag.clone())
            .push(")");
    }
    if filter.min_difficulty > 0 {
        query = query.push(" AND difficulty >= ").push_bind(filter.min_difficulty);
    }
    if filter.max_difficulty > 0 {
        query = query.push(" AND difficulty BETWEEN 1 AND ").push_bind(filter.max_difficulty);
    }
    if !filter.text.is_empty() {
        let pattern = db::like_contains(&filter.text);
        query = query.push(" AND search LIKE ").push_bind(pattern).push(" ESCAPE '\\'");
    }
    if let Some((slug, id)) = filter.after.clone() {
        query =
            query.push(" AND (slug, id) > (").push_bind(slug).push(", ").push_bind(id).push(")");
    }
    query = query.push(" ORDER BY slug, id LIMIT ").push_bind(filter.limit);
    query.fetch_all::<Row>().await?.into_iter().map(Row::into_problem).collect()
}

fn push_visible<'c>(mut query: Query<'c>, filter: &Filter) -> Query<'c> {
    query = match (filter.deleted, filter.edits_all, filter.viewer) {
        (true, true, _) => query.push("1 = 1"),
        (true, false, Some(viewer)) => {
            query.push("(deleted_at IS NULL OR owner_id = ").push_bind(viewer).push(")")
        }
        _ => query.push("deleted_at IS NULL"),
    };
    if filter.all {
        return query;
    }
    query = query.push(" AND ((visibility = 'public' AND published_version > 0)");
    if let Some(viewer) = filter.viewer {
        query = query.push(" OR owner_id = ").push_bind(viewer);
    }
    query.push(")")
}

/// Up to 100 problems that were deleted before `time`.
pub async fn deleted_before(db: impl Read<'_>, time: DateTime<Utc>) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = db
        .query("SELECT id FROM problems WHERE deleted_at < $1 ORDER BY deleted_at LIMIT 100")
        .bind(time)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Deletes a problem that was soft-deleted before `time`, with its versions and imports.
pub async fn purge(tx: &mut Tx, id: Uuid, time: DateTime<Utc>) -> Result<bool> {
    let query = tx.query("DELETE FROM problems WHERE id = $1 AND deleted_at < $2");
    Ok(query.bind(id).bind(time).execute().await? > 0)
}
