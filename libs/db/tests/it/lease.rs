//! Leases: exclusive ownership, fencing tokens, expiry.

use std::time::Duration;

use db::{lease, testing};
use futures_util::future::try_join_all;

use crate::MIGRATIONS;

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn lease_has_one_owner_at_a_time() {
    testing::each(&MIGRATIONS, |db| async move {
        let first = lease::acquire(&db, "lane", "a", LONG).await.unwrap().expect("free");
        assert_eq!(lease::acquire(&db, "lane", "b", LONG).await.unwrap(), None);
        assert!(lease::acquire(&db, "other", "b", LONG).await.unwrap().is_some());
        let again = lease::acquire(&db, "lane", "a", LONG).await.unwrap().expect("its own");
        assert_eq!(again.fence, first.fence);
        lease::release(&db, &again).await.unwrap();
        let second = lease::acquire(&db, "lane", "b", LONG).await.unwrap().expect("released");
        assert!(second.fence > first.fence);
        // A late release has no effect.
        lease::release(&db, &first).await.unwrap();
        assert!(lease::renew(&db, &second).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn former_owner_fails_renew_and_check() {
    testing::each(&MIGRATIONS, |db| async move {
        let old = lease::acquire(&db, "lane", "a", LONG).await.unwrap().expect("free");
        assert!(lease::expire(&db, "lane").await.unwrap());
        assert!(!lease::expire(&db, "nothing").await.unwrap());
        let new = lease::acquire(&db, "lane", "b", LONG).await.unwrap().expect("expired");
        assert!(!lease::renew(&db, &old).await.unwrap());
        let mut tx = db.begin().await.unwrap();
        assert!(!lease::check(&mut tx, &old).await.unwrap());
        assert!(lease::check(&mut tx, &new).await.unwrap());
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn expired_lease_can_be_renewed_until_it_is_taken_over() {
    testing::each(&MIGRATIONS, |db| async move {
        let old = lease::acquire(&db, "lane", "a", Duration::ZERO).await.unwrap().expect("free");
        assert!(lease::renew(&db, &old).await.unwrap());
        testing::eventually("the lease has expired", || async {
            lease::acquire(&db, "lane", "b", LONG).await.unwrap().is_some()
        })
        .await;
        assert!(!lease::renew(&db, &old).await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_concurrent_acquisitions_succeeds() {
    testing::each(&MIGRATIONS, |db| async move {
        let tasks = (0..16).map(|i| {
            let db = db.db();
            tokio::spawn(async move {
                lease::acquire(&db, "lane", &format!("owner {i}"), LONG).await.unwrap()
            })
        });
        assert_eq!(try_join_all(tasks).await.unwrap().iter().flatten().count(), 1);
    })
    .await;
}
