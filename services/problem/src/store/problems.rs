//! Problems and their tags.

use chrono::{DateTime, Utc};
use db::{Db, Read, Tx};
use uuid::Uuid;

use crate::error::Result;
use crate::problem::{Problem, Visibility};

db::record! {
    #[doc(hidden)]
    pub struct Row {
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

/// The columns of a [`Row`].
const ROW: &str = "SELECT p.id, p.slug, p.title, p.visibility, p.tags, p.difficulty, p.owner_id,
        p.authors, p.package_id, p.published_version, p.last_version, p.version, p.created_at,
        p.updated_at, p.deleted_at, v.time_limit_us, v.summary
    FROM problems p
    LEFT JOIN versions v ON v.problem_id = p.id AND v.version = p.published_version ";

/// The columns of a [`Key`].
const KEY: &str = "SELECT p.id, p.version, p.slug FROM problems p ";

db::record! {
    /// A state of a problem, which never changes: each change has its own version.
    #[derive(Clone, Debug)]
    pub struct Key {
        pub id: Uuid,
        pub version: i64,
        pub slug: String,
    }
}

/// What of the problems a query reads: the whole problems, or only their keys.
pub trait Columns: Sized {
    const SELECT: &str;
    type Row: db::Record;

    fn read(row: Self::Row) -> Result<Self>;

    /// The order of lists.
    fn place(&self) -> (&str, Uuid);
}

impl Columns for Problem {
    const SELECT: &str = ROW;
    type Row = Row;

    fn read(row: Row) -> Result<Self> {
        row.into_problem()
    }

    fn place(&self) -> (&str, Uuid) {
        (&self.slug, self.id)
    }
}

impl Columns for Key {
    const SELECT: &str = KEY;
    type Row = Key;

    fn read(row: Key) -> Result<Self> {
        Ok(row)
    }

    fn place(&self) -> (&str, Uuid) {
        (&self.slug, self.id)
    }
}

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
    columns_by_id(db, id).await
}

/// Excludes deleted problems.
pub async fn by_slug(db: impl Read<'_>, slug: &str) -> Result<Option<Problem>> {
    columns_by_slug(db, slug).await
}

pub async fn columns_by_id<C: Columns>(db: impl Read<'_>, id: Uuid) -> Result<Option<C>> {
    let query = db.query(C::SELECT).push("WHERE p.id = ").push_bind(id);
    query.fetch_optional().await?.map(C::read).transpose()
}

pub async fn columns_by_slug<C: Columns>(db: impl Read<'_>, slug: &str) -> Result<Option<C>> {
    let query = db.query(C::SELECT).push("WHERE p.deleted_at IS NULL AND p.slug = ");
    query.push_bind(slug).fetch_optional().await?.map(C::read).transpose()
}

/// The problem of an owner that was created from the package with this uuid.
pub async fn by_package(db: impl Read<'_>, owner: Uuid, package: &str) -> Result<Option<Problem>> {
    let query = db.query(ROW).push("WHERE deleted_at IS NULL AND owner_id = ").push_bind(owner);
    let query = query.push(" AND package_id = ").push_bind(package);
    let query = query.push(" ORDER BY id LIMIT 1 /* scans: those of one owner and package */");
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

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
pub async fn list<C: Columns>(db: &Db, filter: &Filter) -> Result<Vec<C>> {
    let mut found = page(db, filter, visible(filter)).await?;
    if let Some(viewer) = filter.viewer.filter(|_| sees_more_of_own(filter)) {
        // A second query: one for both would pass over the drafts of all others.
        let own = Filter { owner: Some(viewer), ..filter.clone() };
        if filter.owner.is_none_or(|owner| owner == viewer) {
            let condition = if filter.deleted { "TRUE" } else { "p.deleted_at IS NULL" };
            found.extend(page(db, &own, condition).await?);
            found.sort_by(|a: &C, b| a.place().cmp(&b.place()));
            found.dedup_by(|a, b| a.place() == b.place());
            found.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
        }
    }
    Ok(found)
}

/// The condition of what the viewer sees of the problems of all owners; each has an index in the order of lists.
fn visible(filter: &Filter) -> &'static str {
    match filter {
        Filter { all: false, .. } => {
            "p.deleted_at IS NULL AND p.visibility = 'public' AND p.published_version > 0"
        }
        Filter { deleted: true, edits_all: true, .. } => "TRUE",
        _ => "p.deleted_at IS NULL",
    }
}

/// Whether the viewer sees own problems that do not meet the condition of [`visible`].
fn sees_more_of_own(filter: &Filter) -> bool {
    !filter.all || filter.deleted && !filter.edits_all
}

/// A page of the problems that meet a condition and match the filter.
async fn page<C: Columns>(db: &Db, filter: &Filter, condition: &'static str) -> Result<Vec<C>> {
    let mut query = db.query(C::SELECT).push("WHERE ").push(condition);
    if let Some(owner) = filter.owner {
        query = query.push(" AND p.owner_id = ").push_bind(owner);
    }
    for tag in &filter.tags {
        query = query
            .push(" AND p.id IN (SELECT problem_id FROM problem_tags WHERE tag = ")
            .push_bind(tag.clone())
            .push(")");
    }
    if filter.min_difficulty > 0 {
        query = query.push(" AND p.difficulty >= ").push_bind(filter.min_difficulty);
    }
    if filter.max_difficulty > 0 {
        query = query.push(" AND p.difficulty BETWEEN 1 AND ").push_bind(filter.max_difficulty);
    }
    if !filter.text.is_empty() {
        let pattern = db::like_contains(&filter.text);
        query = query.push(" AND p.search LIKE ").push_bind(pattern).push(" ESCAPE '\\'");
    }
    let levels = filter.min_difficulty > 0 || filter.max_difficulty > 0;
    if filter.owner.is_some() || !filter.tags.is_empty() || levels || !filter.text.is_empty() {
        query = query.push(" /* scans: the problems, which people write one by one */");
    }
    if let Some((slug, id)) = filter.after.clone() {
        query = query.push(" AND (p.slug, p.id) > (").push_bind(slug).push(", ");
        query = query.push_bind(id).push(")");
    }
    query = query.push(" ORDER BY p.slug, p.id LIMIT ").push_bind(filter.limit);
    query.fetch_all().await?.into_iter().map(C::read).collect()
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
    super::objects::release_problem(tx, id).await?;
    let query = tx.query("DELETE FROM problems WHERE id = $1 AND deleted_at < $2");
    Ok(query.bind(id).bind(time).execute().await? > 0)
}
