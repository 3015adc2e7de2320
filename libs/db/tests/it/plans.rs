//! Checks of the plans of statements.

use std::panic::{AssertUnwindSafe, catch_unwind};

use db::testing::{self, TestDb};
use db::{Db, Error};

use crate::MIGRATIONS;

async fn count(db: &Db, sql: &'static str) -> db::Result<i64> {
    db.query(sql).fetch_scalar().await
}

#[tokio::test]
async fn statements_that_read_a_whole_table_fail_and_fail_their_test() {
    testing::each(&MIGRATIONS, |db: TestDb| async move {
        let whole = "SELECT count(*) FROM things WHERE size = 1";
        assert_eq!(count(&db, whole).await.unwrap(), 0, "only the service under test is checked");
        let refused = count(&db.checked(), whole).await.unwrap_err();
        assert!(matches!(&refused, Error::Invalid(text) if text.contains("things")), "{refused:?}");
        let mut tx = db.checked().begin().await.unwrap();
        let update = tx.query("UPDATE things SET ok = FALSE WHERE size = 1").execute().await;
        assert!(update.is_err());
        drop(tx);
        let failed = catch_unwind(AssertUnwindSafe(move || drop(db)));
        assert!(failed.is_err(), "the test would pass");
    })
    .await;
}

#[tokio::test]
async fn bounded_and_exempted_statements_run() {
    testing::each(&MIGRATIONS, |db: TestDb| async move {
        let checked = db.checked();
        for sql in [
            "SELECT count(*) FROM things WHERE name = 'a'",
            "SELECT count(*) FROM (SELECT 1 FROM things ORDER BY name LIMIT 9) AS first",
            "SELECT count(*) FROM things WHERE name > 'a' AND name < 'b'",
            "SELECT count(*) FROM things /* scans: a test */",
        ] {
            assert_eq!(count(&checked, sql).await.unwrap(), 0, "{sql}");
        }
        let insert = "INSERT INTO counters (name, value) VALUES ('a', 1) ON CONFLICT DO NOTHING";
        checked.execute(|tx| tx.query(insert)).await.unwrap();
    })
    .await;
}
