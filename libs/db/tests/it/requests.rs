//! Request ids: replay, conflict, expiry, concurrent claims.

use chrono::TimeDelta;
use db::requests::{self, Claim};
use db::testing;
use futures_util::future::try_join_all;
use ids::Clock;

use crate::MIGRATIONS;

#[tokio::test]
async fn repeated_request_gets_the_stored_response_until_it_expires() {
    testing::each(&MIGRATIONS, |db| async move {
        let now = Clock::system().now();
        let claim = async |caller: &str, id: &str, digest: &[u8], now| {
            let mut tx = db.begin().await.unwrap();
            let claim = requests::claim(&mut tx, caller, "Create", id, digest, now).await.unwrap();
            if claim == Claim::New {
                requests::store(&mut tx, caller, "Create", id, b"response").await.unwrap();
            }
            tx.commit().await.unwrap();
            claim
        };
        assert_eq!(claim("ann", "1", b"x", now).await, Claim::New);
        assert_eq!(claim("ann", "1", b"x", now).await, Claim::Replay(b"response".to_vec()));
        assert_eq!(claim("ann", "1", b"y", now).await, Claim::Conflict);
        assert_eq!(claim("bob", "1", b"y", now).await, Claim::New);
        assert_eq!(claim("ann", "2", b"y", now).await, Claim::New);
        let later = now + requests::RETENTION;
        assert_eq!(claim("ann", "1", b"y", later - TimeDelta::seconds(1)).await, Claim::Conflict);
        assert_eq!(claim("ann", "1", b"y", later).await, Claim::New);
        assert_eq!(requests::purge(&db, later).await.unwrap(), 2);
        assert_eq!(claim("ann", "1", b"y", later).await, Claim::Replay(b"response".to_vec()));
        assert_eq!(claim("ann", "2", b"z", later).await, Claim::New);
    })
    .await;
}

#[tokio::test]
async fn rolled_back_claim_has_no_effect() {
    testing::each(&MIGRATIONS, |db| async move {
        let now = Clock::system().now();
        let mut tx = db.begin().await.unwrap();
        requests::claim(&mut tx, "ann", "Create", "1", b"x", now).await.unwrap();
        tx.rollback().await;
        let mut tx = db.begin().await.unwrap();
        let claim = requests::claim(&mut tx, "ann", "Create", "1", b"y", now).await.unwrap();
        assert_eq!(claim, Claim::New);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_concurrent_claims_does_the_work() {
    testing::each(&MIGRATIONS, |db| async move {
        let now = Clock::system().now();
        let mut tasks = Vec::new();
        for _ in 0..16 {
            let db = db.db();
            tasks.push(tokio::spawn(async move {
                db.transact(|mut tx| async move {
                    let claim = requests::claim(&mut tx, "ann", "Create", "1", b"x", now).await?;
                    if claim == Claim::New {
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                        requests::store(&mut tx, "ann", "Create", "1", b"done").await?;
                    }
                    Ok::<_, db::Error>(claim)
                })
                .await
                .unwrap()
            }));
        }
        let mut claims = try_join_all(tasks).await.unwrap();
        claims.retain(|claim| *claim != Claim::Replay(b"done".to_vec()));
        assert_eq!(claims, [Claim::New]);
    })
    .await;
}
