//! Databases for tests: a SQLite file, and a PostgreSQL schema when a server is configured.
//!
//! Used by tests only. It is always compiled, because a feature would compile every dependent crate twice.
//!
//! - `AGON_TEST_POSTGRES`: URL of a database in which tests may create and drop schemas.
//! - `AGON_TEST_REQUIRE_ENGINES=1`: fail instead of skip when that is not set.

pub(crate) mod plans;

use std::future::Future;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ids::Clock;
use sqlx::{Connection, Executor};

use crate::{Db, Migrations, Options, Synchronous};
use plans::Plans;

/// A kind of database to test on.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A file in its own directory.
    Sqlite,
    /// A new schema in the database of this URL.
    Postgres(String),
}

/// A migrated database of one test, which dereferences to [`Db`]. Removed when the last clone is dropped.
#[derive(Clone)]
pub struct TestDb {
    db: Db,
    plans: Arc<Plans>,
    options: Options,
    // Dropped after `db`.
    storage: Arc<Storage>,
}

enum Storage {
    Directory(PathBuf),
    Schema { url: String, schema: String },
}

pub fn kinds() -> Vec<Kind> {
    let mut kinds = vec![Kind::Sqlite];
    match std::env::var("AGON_TEST_POSTGRES") {
        Ok(url) if !url.is_empty() => kinds.push(Kind::Postgres(url)),
        _ if std::env::var("AGON_TEST_REQUIRE_ENGINES").is_ok_and(|v| v == "1") => {
            panic!("AGON_TEST_REQUIRE_ENGINES=1, but AGON_TEST_POSTGRES is not set")
        }
        _ => {}
    }
    kinds
}

/// Runs a test on a new database of every kind.
pub async fn each<F, Fut>(migrations: &Migrations, test: F)
where
    F: Fn(TestDb) -> Fut,
    Fut: Future<Output = ()>,
{
    for kind in kinds() {
        let _guard = PrintOnPanic(&kind);
        test(kind.create(migrations).await).await;
    }
}

/// Prints the kind of database when a test fails.
pub struct PrintOnPanic<'a>(pub &'a Kind);

impl Drop for PrintOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = if matches!(self.0, Kind::Sqlite) { "SQLite" } else { "PostgreSQL" };
            eprintln!("the test failed on {name}");
        }
    }
}

impl Kind {
    /// A new, migrated database with the system clock.
    pub async fn create(&self, migrations: &Migrations) -> TestDb {
        self.create_with(migrations, |_| {}).await
    }

    /// A new, migrated database; `adjust` changes its options, for example to a manual clock.
    pub async fn create_with(
        &self,
        migrations: &Migrations,
        adjust: impl FnOnce(&mut Options),
    ) -> TestDb {
        let service = migrations.service;
        let name = unique(service);
        let (url, storage) = match self {
            Kind::Sqlite => {
                let directory = std::env::temp_dir().join(format!("agon-{name}"));
                std::fs::create_dir_all(&directory).expect("creating a directory for a test");
                let file = directory.join("test.db");
                (format!("sqlite:{}", file.display()), Storage::Directory(directory))
            }
            Kind::Postgres(url) => {
                (url.clone(), Storage::Schema { url: url.clone(), schema: name.clone() })
            }
        };
        let storage = Arc::new(storage);
        let mut options = Options::new(url, service);
        options.schema = Some(name);
        // Many tests share a server, and their data need not be durable.
        options.read_connections = 3;
        options.write_connections = 4;
        options.acquire_timeout = Duration::from_secs(30);
        options.synchronous = Synchronous::Off;
        adjust(&mut options);
        let db = Db::open(&options).await.expect("opening a database for a test");
        db.migrate(migrations).await.expect("migrating a database for a test");
        TestDb::new(db, options, storage)
    }
}

impl TestDb {
    fn new(db: Db, options: Options, storage: Arc<Storage>) -> TestDb {
        let plans = Arc::new(Plans::new(db.clone()));
        TestDb { db, plans, options, storage }
    }

    pub fn db(&self) -> Db {
        self.db.clone()
    }

    /// Opens the same database again, as another process or a restart does.
    pub async fn reopen(&self) -> TestDb {
        let db = Db::open(&self.options).await.expect("opening a test's database again");
        TestDb::new(db, self.options.clone(), self.storage.clone())
    }

    /// A handle for the service under test: a statement that reads more of a table than it returns fails, and with it
    /// the test. Statements that must do so contain the reason as a comment, `/* scans: … */`.
    pub fn checked(&self) -> Db {
        self.db.with_plans(self.plans.clone())
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Runs and commits SQL, to bring a database into any state.
    pub async fn script(&self, sql: impl Into<String>) {
        let mut tx = self.db.begin().await.expect("beginning a transaction");
        tx.script(sql.into().into()).await.expect("running a script");
        tx.commit().await.expect("committing a script");
    }
}

impl Deref for TestDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        self.plans.assert_good();
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        match self {
            Storage::Directory(path) => drop(std::fs::remove_dir_all(path)),
            Storage::Schema { url, schema } => drop_schemas(url, std::slice::from_ref(schema)),
        }
    }
}

/// Drops the schemas of a test, also inside a runtime and outside of one.
pub fn drop_schemas(url: &str, schemas: &[String]) {
    let (url, schemas) = (url.to_owned(), schemas.to_vec());
    let dropping = std::thread::spawn(move || schemas.iter().for_each(|s| drop_schema(&url, s)));
    let _ = dropping.join();
}

fn drop_schema(url: &str, schema: &str) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    runtime.block_on(async {
        let Ok(mut connection) = sqlx::PgConnection::connect(url).await else { return };
        let _ = connection.execute("SET statement_timeout = '20s'").await;
        // Waits for open transactions of the test only.
        let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        let _ = connection.execute(sqlx::AssertSqlSafe(sql)).await;
        let _ = connection.close().await;
    });
}

/// A name that no other test uses, in any process.
fn unique(service: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = Clock::system().new_id().simple().to_string();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("t_{service}_{}_{count}_{}", std::process::id(), &id[20..])
}

/// Waits until `condition` holds; panics after 20 seconds.
#[track_caller]
pub fn eventually<F, Fut>(what: &str, condition: F) -> impl Future<Output = ()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition().await {
            assert!(Instant::now() < deadline, "{caller}: timed out waiting until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
