//! The life of a contest: settings, states and the scheduler.

use db::lease;
use db::testing::eventually;
use prost::Message as _;
use proto::challenge::*;
use proto::event::ContestStateChanged;
use tonic::{Code, Status};

use crate::contest_world::*;
use crate::world::*;

async fn update(
    world: &World,
    user: &User,
    contest: Contest,
    mask: &[&str],
) -> Result<Contest, Status> {
    let paths = mask.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = UpdateContestRequest { contest: Some(contest), update_mask };
    let response = world.contests().update_contest(world.request(user, request)).await?;
    Ok(response.into_inner().contest.unwrap())
}

async fn extend(world: &World, user: &User, id: &str, minutes: i64) -> Result<Contest, Status> {
    let duration = seconds(minutes * MINUTE);
    let request = ExtendContestRequest { contest_id: id.into(), duration, ..Default::default() };
    let response = world.contests().extend_contest(world.request(user, request)).await?;
    Ok(response.into_inner().contest.unwrap())
}

async fn thaw(world: &World, user: &User, id: &str) -> Result<Contest, Status> {
    let request = ThawContestRequest { contest_id: id.into(), ..Default::default() };
    let response = world.contests().thaw_contest(world.request(user, request)).await?;
    Ok(response.into_inner().contest.unwrap())
}

async fn finalize(world: &World, user: &User, id: &str) -> Result<Contest, Status> {
    let request = FinalizeContestRequest { contest_id: id.into(), ..Default::default() };
    let response = world.contests().finalize_contest(world.request(user, request)).await?;
    Ok(response.into_inner().contest.unwrap())
}

async fn cancel(world: &World, user: &User, id: &str) -> Result<Contest, Status> {
    let request = CancelContestRequest { contest_id: id.into(), ..Default::default() };
    let response = world.contests().cancel_contest(world.request(user, request)).await?;
    Ok(response.into_inner().contest.unwrap())
}

#[tokio::test]
async fn every_invalid_field_is_named() {
    each(|world| async move {
        world.fakes.problem("b-minus-a");
        let olga = world.organiser("olga");
        let refused = async |change: fn(&mut Contest), field: &str| {
            let mut contest = finals();
            change(&mut contest);
            let field = format!("contest.{field}");
            assert_invalid(world.create_contest(&olga, contest).await, &[&field]);
        };
        refused(|it| it.slug = "Finals".into(), "slug").await;
        refused(|it| it.title = " ".into(), "title").await;
        refused(|it| it.description = "x".repeat(65_537), "description").await;
        refused(|it| it.visibility = 9, "visibility").await;
        refused(|it| it.format = 9, "format").await;
        refused(|it| it.start_time = None, "start_time").await;
        refused(
            |it| it.start_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
            "start_time",
        )
        .await;
        refused(|it| it.duration = seconds(0), "duration").await;
        refused(|it| it.duration = seconds(i64::MIN), "duration").await;
        refused(
            |it| it.duration = Some(prost_types::Duration { seconds: 60, nanos: 1 }),
            "duration",
        )
        .await;
        refused(|it| it.freeze_duration = seconds(41 * MINUTE), "freeze_duration").await;
        refused(|it| it.penalty_minutes = Some(-1), "penalty_minutes").await;
        refused(|it| it.registration = Registration::Code.into(), "access_code").await;
        refused(|it| it.access_code = "abc".into(), "access_code").await;
        refused(|it| it.languages = vec!["C++".into()], "languages").await;
        refused(|it| it.source_limit_bytes = 262_145, "source_limit_bytes").await;

        let create = async |problems: Vec<ContestProblem>| {
            let contest = Some(finals());
            let request = CreateContestRequest { contest, problems, ..Default::default() };
            world.contests().create_contest(world.request(&olga, request)).await
        };
        let twice = vec![problem("A", "a-plus-b"), problem("a", "b-minus-a")];
        assert_invalid(create(twice).await, &["problems[1].label"]);
        let twice = vec![problem("A", "a-plus-b"), problem("B", "a-plus-b")];
        assert_invalid(create(twice).await, &["problems[1].problem_id"]);
        assert_invalid(create(vec![problem("A!", "nothing")]).await, &["problems[0].label"]);
        assert_invalid(create(vec![problem("A", "nothing")]).await, &["problems[0].problem_id"]);
        assert_invalid(create(vec![problem("A", "a-plus-b"); 101]).await, &["problems"]);
        world.fakes.add("unpublished", proto::problem::Problem::default());
        let unpublished = create(vec![problem("A", "unpublished")]).await;
        assert_refused(unpublished, Code::FailedPrecondition, "NOT_PUBLISHED");
    })
    .await;
}

#[tokio::test]
async fn drafts_are_updated_published_and_deleted() {
    each(|world| async move {
        world.fakes.problem("b-minus-a");
        let olga = world.organiser("olga");
        let draft = world.create_contest(&olga, finals()).await.unwrap();
        assert_eq!(draft.state(), ContestState::Draft);
        assert_eq!((draft.end_time, draft.freeze_time), (at(50), at(40)));
        assert_eq!(draft.penalty_minutes, Some(20));
        let taken = world.create_contest(&olga, finals()).await;
        assert_refused(taken, Code::AlreadyExists, "SLUG_TAKEN");

        let id = draft.contest_id.clone();
        let change = Contest {
            contest_id: "finals".into(),
            title: "World Finals".into(),
            penalty_minutes: Some(0),
            etag: draft.etag.clone(),
            ..Contest::default()
        };
        let changed = update(&world, &olga, change.clone(), &[]).await.unwrap();
        assert_eq!((changed.title.as_str(), changed.penalty_minutes), ("World Finals", Some(0)));
        assert_eq!(changed.start_time, draft.start_time);
        let stale = update(&world, &olga, change.clone(), &[]).await;
        assert_refused(stale, Code::Aborted, "ETAG_MISMATCH");
        let change = Contest { etag: String::new(), ..change };
        assert_invalid(update(&world, &olga, change, &["state"]).await, &["update_mask"]);

        let published = world.publish_contest(&olga, &id).await.unwrap();
        assert_eq!(published.state(), ContestState::Scheduled);
        let again = world.publish_contest(&olga, &id).await;
        assert_refused(again, Code::FailedPrecondition, "CONTEST_PUBLISHED");
        let delete = DeleteContestRequest { contest_id: id.clone(), ..Default::default() };
        let deleted = world.contests().delete_contest(world.request(&olga, delete.clone())).await;
        assert_refused(deleted, Code::FailedPrecondition, "CONTEST_PUBLISHED");
        let canceled = cancel(&world, &olga, &id).await.unwrap();
        assert_eq!(canceled.state(), ContestState::Canceled);
        assert_refused(
            cancel(&world, &olga, &id).await,
            Code::FailedPrecondition,
            "CONTEST_CLOSED",
        );
        world.contests().delete_contest(world.request(&olga, delete)).await.unwrap();
        let gone = world.contest(&olga, &id).await;
        assert_refused(gone, Code::NotFound, "CONTEST_NOT_FOUND");
        // The slug is free.
        world.create_contest(&olga, finals()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn states_are_recorded_once_in_order_with_planned_times() {
    each(|world| async move {
        world.finals().await;
        // As if the process had been down from the schedule to the end.
        world.set_minute(55);
        eventually("the end is recorded", || async {
            world.event_count("ContestStateChanged").await == 4
        })
        .await;
        let sql = "SELECT data FROM event_log WHERE type = $1 ORDER BY id";
        let query = world.db.query(sql).bind("agon.event.v1.ContestStateChanged");
        let events: Vec<(Vec<u8>,)> = query.fetch_all().await.unwrap();
        let states: Vec<_> = events
            .iter()
            .map(|(data,)| ContestStateChanged::decode(data.as_slice()).unwrap())
            .map(|event| (event.state().as_str_name(), event.state_time))
            .collect();
        let expected = [
            ("CONTEST_STATE_SCHEDULED", at(0)),
            ("CONTEST_STATE_RUNNING", at(10)),
            ("CONTEST_STATE_FROZEN", at(40)),
            ("CONTEST_STATE_ENDED", at(50)),
        ];
        assert_eq!(states, expected);
    })
    .await;
}

#[tokio::test]
async fn a_scheduler_that_lost_its_lease_records_nothing() {
    each(|world| async move {
        world.finals().await;
        let acquire = async |owner: &str| {
            let ttl = std::time::Duration::from_secs(600);
            lease::acquire(&world.db, "contest scheduler", owner, ttl).await.unwrap().unwrap()
        };
        let paused = acquire("paused").await;
        lease::expire(&world.db, &paused.name).await.unwrap();
        let next = acquire("next").await;
        world.set_minute(55);
        world.running.service.record_all_due(&paused).await.unwrap();
        assert_eq!(world.event_count("ContestStateChanged").await, 1);
        for _ in 0..2 {
            world.running.service.record_all_due(&next).await.unwrap();
            assert_eq!(world.event_count("ContestStateChanged").await, 4);
        }
    })
    .await;
}

#[tokio::test]
async fn settings_that_matter_are_fixed_at_the_start() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.clone();
        let past = Contest { start_time: at(0), ..contest.clone() };
        let past = update(&world, &olga, past, &["start_time"]).await;
        assert_invalid(past, &["contest.start_time"]);
        assert_refused(
            extend(&world, &olga, &id, 400).await,
            Code::FailedPrecondition,
            "CONTEST_NOT_STARTED",
        );
        world.set_minute(10);
        for (field, change) in [
            ("start_time", Contest { start_time: at(20), ..contest.clone() }),
            ("duration", Contest { duration: seconds(600), ..contest.clone() }),
            ("freeze_duration", Contest { freeze_duration: None, ..contest.clone() }),
            ("penalty_minutes", Contest { penalty_minutes: Some(5), ..contest.clone() }),
        ] {
            let refused = update(&world, &olga, change, &[field]).await;
            assert_refused(refused, Code::FailedPrecondition, "CONTEST_STARTED");
        }
        let title = Contest { title: "Regional".into(), ..contest };
        assert_eq!(update(&world, &olga, title, &["title"]).await.unwrap().title, "Regional");

        let longer = extend(&world, &olga, &id, 45).await.unwrap();
        assert_eq!((longer.end_time, longer.freeze_time), (at(55), at(45)));
        world.set_minute(46);
        // The freeze has begun and stays.
        let longer = extend(&world, &olga, &id, 47).await.unwrap();
        assert_eq!((longer.end_time, longer.freeze_time), (at(57), at(45)));
        assert_eq!(longer.state(), ContestState::Frozen);
        assert_invalid(extend(&world, &olga, &id, 36).await, &["duration"]);
        world.set_minute(57);
        assert_refused(
            extend(&world, &olga, &id, 400).await,
            Code::FailedPrecondition,
            "CONTEST_ENDED",
        );
    })
    .await;
}

#[tokio::test]
async fn results_are_final_when_everything_is_judged() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        world.set_minute(45);
        let entry = world.enter(&ada, &id, "A").await.unwrap();
        let refused = finalize(&world, &olga, &id).await;
        assert_refused(refused, Code::FailedPrecondition, "CONTEST_NOT_ENDED");
        assert_refused(
            thaw(&world, &olga, &id).await,
            Code::FailedPrecondition,
            "CONTEST_NOT_ENDED",
        );
        world.set_minute(50);
        let pending = finalize(&world, &olga, &id).await;
        let pending = assert_refused(pending, Code::FailedPrecondition, "SUBMISSIONS_PENDING");
        assert!(pending.message().contains(&entry.submission_id), "{pending:?}");
        world.give(&ada, &entry, Verdict::Accepted).await;
        let done = finalize(&world, &olga, &id).await.unwrap();
        assert_eq!(done.state(), ContestState::Finalized);
        assert!(done.finalize_time.is_some() && done.thaw_time.is_none());
        // Final results can be shown later.
        assert_eq!(cell(&world.public(&id).await, &ada, "A"), Some((false, 0, 1)));
        for _ in 0..2 {
            let thawed = thaw(&world, &olga, &id).await.unwrap();
            assert_eq!(thawed.state(), ContestState::Finalized);
        }
        assert_eq!(cell(&world.public(&id).await, &ada, "A"), Some((true, 1, 0)));
        assert_eq!(world.event_count("ContestFinalized").await, 1);
        assert_refused(
            finalize(&world, &olga, &id).await,
            Code::FailedPrecondition,
            "CONTEST_CLOSED",
        );
        assert_refused(
            cancel(&world, &olga, &id).await,
            Code::FailedPrecondition,
            "CONTEST_CLOSED",
        );
    })
    .await;
}

#[tokio::test]
async fn a_retry_moves_a_contest_once() {
    each(|world| async move {
        world.fakes.problem("b-minus-a");
        let olga = world.organiser("olga");
        let contest_id = world.create_contest(&olga, finals()).await.unwrap().contest_id;
        let request_id = "publish-1".to_owned();
        let request = PublishContestRequest { contest_id, request_id, ..Default::default() };
        let publish = async || {
            let request = world.request(&olga, request.clone());
            let response = world.contests().publish_contest(request).await;
            response.unwrap().into_inner().contest.unwrap()
        };
        let first = publish().await;
        world.set_minute(5);
        assert_eq!(publish().await, first);
        assert_eq!(world.event_count("ContestPublished").await, 1);
    })
    .await;
}

#[tokio::test]
async fn watchers_see_states_and_settings_until_the_end() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id.clone();
        let request = WatchContestRequest { contest_id: id.clone() };
        let mut stream = world.contests().watch_contest(request).await.unwrap().into_inner();
        let mut next = async || {
            let message =
                tokio::time::timeout(std::time::Duration::from_secs(20), stream.message());
            message.await.expect("a message within 20 s").unwrap().map(|it| it.contest.unwrap())
        };
        assert_eq!(next().await.unwrap().state(), ContestState::Scheduled);
        world.set_minute(10);
        assert_eq!(next().await.unwrap().state(), ContestState::Running);
        let title = Contest { title: "Regional".into(), ..contest };
        update(&world, &olga, title, &["title"]).await.unwrap();
        assert_eq!(next().await.unwrap().title, "Regional");
        cancel(&world, &olga, &id).await.unwrap();
        assert_eq!(next().await.unwrap().state(), ContestState::Canceled);
        assert!(next().await.is_none());
    })
    .await;
}
