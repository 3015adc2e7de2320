//! Reverting migrations and applying them again.

use std::path::Path;

use db::migrate::Scope;
use db::testing::{self, Kind, TestDb};
use db::{Db, Engine, Error, Migration, Migrations, Sql};
use futures_util::future::try_join_all;

use crate::{same, set};

const ONE: Migration = crate::ONE.with_down("DROP TABLE one", "DROP TABLE one");
const TWO: Migration = same("0002_two", "CREATE TABLE two (a TEXT)")
    .with_down("-- Comment.\nDROP TABLE two;\n", "-- Comment.\nDROP TABLE two;\n");
const BROKEN: Migration = ONE.with_down("DROP TABLE one; NONSENSE", "DROP TABLE one; NONSENSE");

const FIRST: Migrations = set(&[ONE]);
const BOTH: Migrations = set(&[ONE, TWO]);

/// The objects of the schema, one per line.
async fn schema(db: &Db) -> Vec<String> {
    const SCHEMA: Sql = Sql::either(
        "SELECT line FROM (
           -- Column numbers are not reused, so only their order is compared.
           SELECT concat_ws(' ', table_name,
                            (row_number() OVER (PARTITION BY table_name ORDER BY ordinal_position))::text,
                            column_name, data_type, is_nullable, column_default, identity_generation) AS line
           FROM information_schema.columns WHERE table_schema = current_schema()
           UNION ALL
           SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
           UNION ALL
           SELECT concat_ws(' ', conrelid::regclass::text, conname, pg_get_constraintdef(oid))
           FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
           UNION ALL
           SELECT pg_get_functiondef(oid) FROM pg_proc
           WHERE pronamespace = current_schema()::regnamespace
           UNION ALL
           SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid
           WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
         ) AS lines ORDER BY line",
        "SELECT name || ' ' || coalesce(sql, '') AS line FROM sqlite_master
         WHERE name <> 'sqlite_sequence' ORDER BY line",
    );
    let lines: Vec<(String,)> = db.query(SCHEMA).fetch_all().await.unwrap();
    lines.into_iter().map(|(line,)| line).collect()
}

fn of_folder(folder: &Path) -> Migrations {
    let leak = |text: String| -> &'static str { text.leak() };
    let mut names: Vec<(String, bool)> = Vec::new();
    for (inner, differs) in [("", false), ("sqlite", true)] {
        let Ok(entries) = std::fs::read_dir(folder.join(inner)) else { continue };
        let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let ups = files.filter_map(|name| name.strip_suffix(".sql").map(str::to_owned));
        names.extend(ups.filter(|name| !name.ends_with(".down")).map(|name| (name, differs)));
    }
    names.sort();
    let step = |(name, differs): (String, bool)| {
        let read = |engine: &str, ending: &str| {
            let inner = if differs { engine } else { "" };
            let path = folder.join(inner).join(format!("{name}{ending}"));
            leak(std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}")))
        };
        let up = (read("postgres", ".sql"), read("sqlite", ".sql"));
        let down = (read("postgres", ".down.sql"), read("sqlite", ".down.sql"));
        Migration::new(leak(name.clone()), up.0, up.1).with_down(down.0, down.1)
    };
    let files: Vec<Migration> = names.into_iter().map(step).collect();
    let service = folder.file_name().unwrap().to_str().unwrap().to_owned();
    Migrations { service: leak(service), files: files.leak() }
}

/// Reverts to each version and applies the migrations again, which must give the same schema.
async fn check_round_trips(db: &TestDb, migrations: &Migrations, scope: Scope, last: i64) {
    let whole = schema(db).await;
    for to in (0..last).rev() {
        let plan = db.migrations_to_undo(migrations, scope, Some(to)).await.unwrap();
        assert!(plan.iter().all(|step| step.number > to && !step.lines.is_empty()), "{plan:?}");
        let undone = db.migrate_down(migrations, scope, to).await.unwrap();
        assert_eq!((plan.len(), undone), ((last - to) as usize, (last - to) as usize));
        // A script may do nothing on one of the databases.
        let is_change = |line: &&str| !line.starts_with("SELECT");
        let changes = plan.iter().any(|step| step.lines.iter().any(is_change));
        assert_eq!(schema(db).await != whole, changes);
        assert_eq!(db.migrate(migrations).await.unwrap(), undone);
        assert_eq!(schema(db).await, whole, "{} reverted to {to}", migrations.service);
    }
}

#[tokio::test]
async fn all_migrations_of_services_can_be_reverted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let folders = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.filter(|folder| !folder.ends_with("every")) {
        let migrations = &of_folder(&folder);
        testing::each(&set(&[]), |db| async move {
            let before = schema(&db).await;
            let last = db.migrate(migrations).await.unwrap() as i64;
            assert!(last > 0);
            check_round_trips(&db, migrations, Scope::Service, last).await;
            db.migrate_down(migrations, Scope::Service, 0).await.unwrap();
            assert_eq!(schema(&db).await, before, "{}", migrations.service);
        })
        .await;
    }
}

#[tokio::test]
async fn migrations_of_every_service_can_be_reverted() {
    testing::each(&FIRST, |db| async move {
        check_round_trips(&db, &FIRST, Scope::Every, 6).await;
        db.script("INSERT INTO one VALUES ('a')").await;
    })
    .await;
}

#[tokio::test]
async fn plan_defaults_to_the_newest_migration() {
    testing::each(&BOTH, |db| async move {
        let plan = db.migrations_to_undo(&BOTH, Scope::Service, None).await.unwrap();
        assert_eq!((plan.len(), plan[0].name), (1, "0002_two"));
        assert_eq!(plan[0].lines, ["DROP TABLE two;"]);
        assert_eq!(db.migrate_down(&BOTH, Scope::Service, 0).await.unwrap(), 2);
        assert!(db.migrations_to_undo(&BOTH, Scope::Service, None).await.unwrap().is_empty());
        assert_eq!(db.migrate_down(&BOTH, Scope::Service, 0).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn invalid_targets_and_failing_scripts_change_nothing() {
    testing::each(&BOTH, |db| async move {
        let before = schema(&db).await;
        let message = async |migrations: &Migrations, to| match db
            .migrate_down(migrations, Scope::Service, to)
            .await
        {
            Err(Error::Migration(message)) => message,
            other => panic!("{other:?}"),
        };
        assert!(message(&FIRST, 0).await.contains("newer than the program"));
        assert!(message(&BOTH, 3).await.contains("0 to 2"));
        assert!(message(&BOTH, -1).await.contains("0 to 2"));
        assert!(message(&set(&[crate::ONE, TWO]), 0).await.contains("no down script"));
        // The second migration was reverted before the first one failed.
        assert!(message(&set(&[BROKEN, TWO]), 0).await.contains("steps/0001_one"));
        assert_eq!(schema(&db).await, before);
        assert_eq!(db.migrate(&BOTH).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_processes_revert_each_migration_once() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let db = kind.create(&BOTH).await;
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let db = db.reopen().await;
            let undo = async move { db.migrate_down(&BOTH, Scope::Service, 0).await.unwrap() };
            tasks.push(tokio::spawn(undo));
        }
        assert_eq!(try_join_all(tasks).await.unwrap().iter().sum::<usize>(), 2);
    }
}

#[tokio::test]
async fn locked_table_fails_as_busy() {
    for kind in testing::kinds().into_iter().filter(|kind| matches!(kind, Kind::Postgres(_))) {
        let db = kind.create(&FIRST).await;
        assert_eq!(db.engine(), Engine::Postgres);
        let mut user = db.begin().await.unwrap();
        user.query("INSERT INTO one VALUES ('x')").execute().await.unwrap();
        let refused = db.migrate_down(&FIRST, Scope::Service, 0).await.unwrap_err();
        assert!(refused.is_busy(), "{refused}");
        user.commit().await.unwrap();
        assert_eq!(db.migrate_down(&FIRST, Scope::Service, 0).await.unwrap(), 1);
    }
}
