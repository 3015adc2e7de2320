//! Problems as they were last read, in bounded memory.
//!
//! None of them returns an old state:
//! - Results of reads are valid until the next write. On PostgreSQL, where other processes write too, they are not kept.
//! - States of problems, by their version, are confirmed by a read of ids and versions only.
//! - Published versions and their statements never change. Who may see them is decided by the state of the problem.

use std::hash::Hash;
use std::sync::Arc;

use db::Db;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use uuid::Uuid;

use crate::error::Result;
use crate::problem::Problem;
use crate::store::problems::{self, Columns, Filter, Key};
use crate::store::versions::{self, Statement, Version};
use crate::version::Manifest;

/// Memory of each of the caches, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// Estimated bytes of a problem, for the size of the eviction history.
const AVERAGE: usize = 1024;
/// Estimated bytes that an entry takes beside its texts.
const OVERHEAD: usize = 400;

/// A read whose result is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    Id(Uuid),
    Slug(String),
    List(Filter),
}

type Problems = Arc<[Arc<Problem>]>;

#[derive(Clone)]
struct Answer {
    generation: u64,
    problems: Problems,
}

pub struct ReadCache {
    answers: Cache<Request, Answer, ByBytes>,
    states: Cache<(Uuid, i64), Arc<Problem>, ByBytes>,
    versions: Cache<(Uuid, i64), Arc<Content>, ByBytes>,
    statements: Cache<(Uuid, i64, String), Arc<Statement>, ByBytes>,
}

/// A version with its manifest.
pub struct Content {
    pub version: Version,
    pub manifest: Manifest,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Request, Answer> for ByBytes {
    fn weight(&self, _: &Request, answer: &Answer) -> u64 {
        let problems: usize = answer.problems.iter().map(|problem| size(problem)).sum();
        (problems + OVERHEAD) as u64
    }
}

impl Weighter<(Uuid, i64), Arc<Problem>> for ByBytes {
    fn weight(&self, _: &(Uuid, i64), problem: &Arc<Problem>) -> u64 {
        size(problem) as u64
    }
}

impl Weighter<(Uuid, i64), Arc<Content>> for ByBytes {
    fn weight(&self, _: &(Uuid, i64), content: &Arc<Content>) -> u64 {
        // Once as text, and parsed.
        (content.version.manifest.len() * 3 + OVERHEAD) as u64
    }
}

impl Weighter<(Uuid, i64, String), Arc<Statement>> for ByBytes {
    fn weight(&self, _: &(Uuid, i64, String), statement: &Arc<Statement>) -> u64 {
        (statement.html.len() + statement.markdown.len() + OVERHEAD) as u64
    }
}

/// Estimated bytes of a problem.
fn size(problem: &Problem) -> usize {
    let texts = problem.tags.iter().chain(&problem.authors);
    let texts: usize = texts.map(|text| text.len() + size_of::<String>()).sum();
    let summary = problem.published.iter().map(|(_, summary)| {
        let names = summary.attachments.iter().map(|attachment| attachment.name.len() + 200);
        let languages = summary.languages.iter().map(|language| language.len() + 24);
        names.chain(languages).sum::<usize>()
    });
    OVERHEAD + problem.slug.len() + problem.title.len() + texts + summary.sum::<usize>()
}

impl Default for ReadCache {
    fn default() -> Self {
        Self { answers: cache(), states: cache(), versions: cache(), statements: cache() }
    }
}

fn cache<K: Eq + Hash, V: Clone>() -> Cache<K, V, ByBytes>
where
    ByBytes: Weighter<K, V>,
{
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(MAX_BYTES / AVERAGE).weight_capacity(MAX_BYTES as u64);
    let options = options.build().expect("the capacities are set");
    Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), Default::default())
}

impl ReadCache {
    /// The problem with an id, also a deleted one, or with a slug.
    pub async fn find(&self, db: &Db, request: Request) -> Result<Option<Arc<Problem>>> {
        Ok(self.read(db, request).await?.first().cloned())
    }

    pub async fn list(&self, db: &Db, filter: Filter) -> Result<Problems> {
        self.read(db, Request::List(filter)).await
    }

    async fn read(&self, db: &Db, request: Request) -> Result<Problems> {
        // Before the read: a write during it makes the answer old.
        let Some(generation) = db.generation() else { return self.read_states(db, &request).await };
        if let Some(answer) = self.answers.get(&request)
            && answer.generation == generation
        {
            return Ok(answer.problems);
        }
        let problems = self.read_states(db, &request).await?;
        self.answers.insert(request, Answer { generation, problems: problems.clone() });
        Ok(problems)
    }

    /// A version of a problem.
    pub async fn version(
        &self,
        db: &Db,
        problem: &Problem,
        number: i64,
    ) -> Result<Option<Arc<Content>>> {
        let key = (problem.id, number);
        if let Some(content) = self.versions.get(&key) {
            return Ok(Some(content));
        }
        let Some(version) = versions::get(db, problem.id, number).await? else { return Ok(None) };
        let manifest = version.manifest()?;
        let content = Arc::new(Content { version, manifest });
        if number == problem.published_version {
            self.versions.insert(key, content.clone());
        }
        Ok(Some(content))
    }

    /// A statement of a version of a problem.
    pub async fn statement(
        &self,
        db: &Db,
        problem: &Problem,
        number: i64,
        language: &str,
    ) -> Result<Option<Arc<Statement>>> {
        let key = (problem.id, number, language.to_owned());
        if let Some(statement) = self.statements.get(&key) {
            return Ok(Some(statement));
        }
        let found = versions::statement(db, problem.id, number, language).await?;
        let statement = found.map(Arc::new);
        if let Some(statement) = statement.as_ref().filter(|_| number == problem.published_version)
        {
            self.statements.insert(key, statement.clone());
        }
        Ok(statement)
    }

    /// Reads the keys, and the problems only if the state of one is not known.
    async fn read_states(&self, db: &Db, request: &Request) -> Result<Problems> {
        let keys: Vec<Key> = query(db, request).await?;
        let known = keys.iter().map(|key| self.states.get(&(key.id, key.version)));
        if let Some(known) = known.collect::<Option<Vec<_>>>() {
            return Ok(known.into());
        }
        // The whole query again: a problem that has changed since may not match any more.
        let problems: Vec<Problem> = query(db, request).await?;
        let problems: Vec<Arc<Problem>> = problems.into_iter().map(Arc::new).collect();
        for problem in &problems {
            self.states.insert((problem.id, problem.version), problem.clone());
        }
        Ok(problems.into())
    }
}

async fn query<C: Columns>(db: &Db, request: &Request) -> Result<Vec<C>> {
    let found = match request {
        Request::Id(id) => problems::columns_by_id(db, *id).await?,
        Request::Slug(slug) => problems::columns_by_slug(db, slug).await?,
        Request::List(filter) => return problems::list(db, filter).await,
    };
    Ok(found.into_iter().collect())
}
