//! The rate limit of submissions.

use std::time::Duration;

use challenge::Config;
use proto::challenge::CreateSubmissionRequest;
use tonic::Code;

use crate::world::*;

fn three_per_hour() -> Config {
    Config { submissions_per_hour: 3, ..Config::default() }
}

/// Asserts that one more submission is refused, to be retried after these seconds.
async fn assert_limited(world: &World, user: &User, seconds: u64) {
    let refused = world.create(user, valid()).await;
    let status = assert_refused(refused, Code::ResourceExhausted, "TOO_MANY_SUBMISSIONS");
    assert_eq!(rpc::status::retry_after(&status), Some(Duration::from_secs(seconds)));
}

#[tokio::test]
async fn the_limit_counts_accepted_submissions_and_survives_a_restart() {
    each_with(three_per_hour(), |mut world| async move {
        let ada = world.user("ada");
        let once = CreateSubmissionRequest { request_id: "once".into(), ..valid() };
        for _ in 0..5 {
            world.create(&ada, once.clone()).await.unwrap();
        }
        let empty = CreateSubmissionRequest { source: String::new(), ..valid() };
        assert_invalid(world.create(&ada, empty).await, &["source"]);
        world.clock().advance(Duration::from_secs(60));
        world.submit(&ada).await;
        world.submit(&ada).await;
        assert_limited(&world, &ada, 3540).await;
        world.submit(&world.user("bob")).await;
        // A retry of an accepted request is still answered.
        world.create(&ada, once).await.unwrap();

        world.clock().advance(Duration::from_secs(3539));
        world.restart().await;
        let ada = world.user("ada");
        assert_limited(&world, &ada, 1).await;
        world.clock().advance(Duration::from_secs(1));
        world.submit(&ada).await;
        assert_limited(&world, &ada, 60).await;
    })
    .await;
}

#[tokio::test]
async fn concurrent_submissions_do_not_exceed_the_limit() {
    each_with(three_per_hour(), |world| async move {
        let ada = world.user("ada");
        let calls = (0..12).map(|_| world.create(&ada, valid()));
        let answers = futures_util::future::join_all(calls).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
        assert_eq!(world.event_count("SubmissionCreated").await, 3);
        for answer in answers.into_iter().filter(Result::is_err) {
            assert_refused(answer, Code::ResourceExhausted, "TOO_MANY_SUBMISSIONS");
        }
    })
    .await;
}
