//! Leases: one owner, fencing, expiry.

use std::time::Duration;

use db::{lease, testing};

use crate::MIGRATIONS;

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn one_owner_at_a_time() {
    testing::each(&MIGRATIONS, |db| async move {
        let first = lease::acquire(&db, "lane", "a", LONG).await.unwrap().expect("free");
        assert_eq!(lease::acquire(&db, "lane", "b", LONG).await.unwrap(), None);
        assert!(lease::acquire(&db, "other", "b", LONG).await.unwrap().is_some());
        let again = lease::acquire(&db, "lane", "a", LONG).await.unwrap().expect("its own");
        assert_eq!(again.fence, first.fence);
        lease::release(&db, &again).await.unwrap();
        let second = lease::acquire(&db, "lane", "b", LONG).await.unwrap().expect("released");
        assert!(second.fence > first.fence);
        // A release that comes late changes nothing.
        lease::release(&db, &first).await.unwrap();
        assert!(lease::renew(&db, &second).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_former_owner_is_fenced_off() {
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
async fn a_lease_expires_by_the_clock_of_the_database() {
    testing::each(&MIGRATIONS, |db| async move {
        let old = lease::acquire(&db, "lane", "a", Duration::ZERO).await.unwrap().expect("free");
        // Nobody has taken it: still the owner's.
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
async fn of_concurrent_takers_one_wins() {
    testing::each(&MIGRATIONS, |db| async move {
        let tasks: Vec<_> = (0..16)
            .map(|i| {
                let db = db.db();
                tokio::spawn(async move {
                    lease::acquire(&db, "lane", &format!("owner {i}"), LONG).await.unwrap()
                })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            won += usize::from(task.await.unwrap().is_some());
        }
        assert_eq!(won, 1);
    })
    .await;
}
