//! Standings of contests.

use proto::challenge::*;
use tonic::{Code, Status, Streaming};

use crate::contest_world::*;
use crate::world::*;

async fn next(stream: &mut Streaming<WatchStandingsResponse>) -> WatchStandingsResponse {
    let message = tokio::time::timeout(std::time::Duration::from_secs(20), stream.message()).await;
    message.expect("a message within 20 s").unwrap().expect("the stream ended")
}

#[tokio::test]
async fn participants_are_ranked_by_the_rules_of_icpc() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let id = contest.contest_id;
        let users = ["ada", "bob", "cy"].map(|name| world.user(name));
        let [ada, bob, cy] = &users;
        for user in &users {
            world.join(user, &id).await.unwrap();
        }
        let early = world.public(&id).await;
        assert_eq!(table(&early), [("ada", 1, 0, 0), ("bob", 1, 0, 0), ("cy", 1, 0, 0)]);
        assert!(early.labels.is_empty() && !early.frozen);
        // Times count in minutes from the start in minute 10.
        for (minute, user, label, verdict) in [
            (12, ada, "A", Verdict::WrongAnswer),
            (13, ada, "A", Verdict::CompileError),
            (15, ada, "A", Verdict::Accepted),
            (16, ada, "A", Verdict::WrongAnswer),
            (30, bob, "A", Verdict::Accepted),
            (31, bob, "B", Verdict::TimeLimitExceeded),
            (35, cy, "B", Verdict::Accepted),
        ] {
            world.set_minute(minute);
            let entry = world.enter(user, &id, label).await.unwrap();
            world.give(user, &entry, verdict).await;
        }
        let standings = world.public(&id).await;
        // Bob's 20, ada's 5 + 20, cy's 25: ada solved hers before cy.
        let expected = [("bob", 1, 1, 20), ("ada", 2, 1, 25), ("cy", 3, 1, 25)];
        assert_eq!(table(&standings), expected);
        assert_eq!(standings.labels, ["A", "B"]);
        assert_eq!(cell(&standings, ada, "A"), Some((true, 2, 0)));
        assert_eq!(cell(&standings, bob, "B"), Some((false, 1, 0)));
        let first = |row: &StandingsRow| row.cells.iter().any(|cell| cell.first);
        assert_eq!(standings.rows.iter().map(first).collect::<Vec<_>>(), [false, true, true]);

        let mut names = Vec::new();
        let mut request =
            GetStandingsRequest { contest_id: id.clone(), page_size: 1, ..Default::default() };
        loop {
            let page = world.standings(ada, request.clone()).await.unwrap();
            assert_eq!(page.row_count, 3);
            names.extend(page.rows.into_iter().map(|row| row.name));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(names, ["bob", "ada", "cy"]);
    })
    .await;
}

#[tokio::test]
async fn frozen_verdicts_change_nothing_that_the_public_sees() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        for user in [&ada, &bob] {
            world.join(user, &id).await.unwrap();
        }
        world.set_minute(20);
        let open = world.enter(&ada, &id, "A").await.unwrap();
        world.set_minute(42);
        let request = WatchStandingsRequest { contest_id: id.clone(), ..Default::default() };
        let mut stream = world.contests().watch_standings(request).await.unwrap().into_inner();
        assert_eq!(next(&mut stream).await.rows.len(), 2);
        let hidden = world.enter(&bob, &id, "B").await.unwrap();
        let update = next(&mut stream).await;
        assert_eq!((update.sequence, update.rows.len()), (2, 1));
        let before = (world.public(&id).await, world.contest(&ada, &id).await.unwrap());
        assert!(before.0.frozen);
        world.give(&bob, &hidden, Verdict::Accepted).await;
        let after = (world.public(&id).await, world.contest(&ada, &id).await.unwrap());
        assert_eq!(before, after);
        assert_eq!(cell(&after.0, &bob, "B"), Some((false, 0, 1)));
        assert_eq!(cell(&world.jury(&olga, &id).await, &bob, "B"), Some((true, 1, 0)));
        // The author knows the verdict.
        let own = world.get(&bob, &hidden.submission_id).await.unwrap();
        assert_eq!(own.verdict(), Verdict::Accepted);
        // What was submitted before the freeze is shown when it is judged. The hidden verdict sent no message.
        world.give(&ada, &open, Verdict::Accepted).await;
        let update = next(&mut stream).await;
        assert_eq!(update.sequence, 3);
        assert_eq!(cell(&world.public(&id).await, &ada, "A"), Some((true, 1, 0)));

        world.set_minute(50);
        let thaw = ThawContestRequest { contest_id: id.clone(), ..Default::default() };
        world.contests().thaw_contest(world.request(&olga, thaw)).await.unwrap();
        let mut update = next(&mut stream).await;
        while update.state() != ContestState::Thawed {
            update = next(&mut stream).await;
        }
        let standings = world.public(&id).await;
        assert_eq!(table(&standings), [("ada", 1, 1, 10), ("bob", 2, 1, 32)]);
        assert!(!standings.frozen);
    })
    .await;
}

#[tokio::test]
async fn hidden_unofficial_and_disqualified_participants() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let users = ["ada", "bob", "cy", "di"].map(|name| world.user(name));
        let mut ids = Vec::new();
        for user in &users {
            ids.push(world.join(user, &id).await.unwrap().participant_id);
        }
        world.set_minute(20);
        for user in &users {
            let entry = world.enter(user, &id, "A").await.unwrap();
            world.give(user, &entry, Verdict::Accepted).await;
        }
        let change = async |index: usize, mask: &str| {
            let participant = Participant {
                participant_id: ids[index].clone(),
                unofficial: true,
                hidden: true,
                disqualified: true,
                ..Participant::default()
            };
            let update_mask = Some(prost_types::FieldMask { paths: vec![mask.to_owned()] });
            let (contest_id, participant) = (id.clone(), Some(participant));
            let request = UpdateParticipantRequest { contest_id, participant, update_mask };
            world.contests().update_participant(world.request(&olga, request)).await.unwrap();
        };
        change(0, "hidden").await;
        change(1, "unofficial").await;
        change(2, "disqualified").await;
        let public = world.public(&id).await;
        assert_eq!(table(&public), [("bob", 0, 1, 10), ("di", 1, 1, 10), ("cy", 0, 1, 10)]);
        assert_eq!(public.row_count, 3);
        assert_eq!(world.contest(&olga, &id).await.unwrap().participant_count, 3);
        assert_eq!(world.jury(&olga, &id).await.row_count, 4);
        let list = async |user: &User| {
            let request = ListParticipantsRequest { contest_id: id.clone(), ..Default::default() };
            let response = world.contests().list_participants(world.request(user, request)).await;
            response.unwrap().into_inner().participants.len()
        };
        assert_eq!((list(&users[3]).await, list(&olga).await), (3, 4));
    })
    .await;
}

#[tokio::test]
async fn a_restarted_process_builds_the_same_standings() {
    each(|mut world| async move {
        let (_, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        world.set_minute(20);
        let entry = world.enter(&ada, &id, "A").await.unwrap();
        world.give(&ada, &entry, Verdict::Accepted).await;
        let before = world.public(&id).await;
        world.restart().await;
        assert_eq!(world.public(&id).await, before);
    })
    .await;
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let contest_id = contest.contest_id;
        let ada = world.user("ada");
        let get = async |request: GetStandingsRequest| -> Result<GetStandingsResponse, Status> {
            world.standings(&ada, request).await
        };
        let request = GetStandingsRequest { contest_id, ..Default::default() };
        assert_invalid(get(GetStandingsRequest { view: 7, ..request.clone() }).await, &["view"]);
        let negative = GetStandingsRequest { page_size: -1, ..request.clone() };
        assert_invalid(get(negative).await, &["page_size"]);
        let token = GetStandingsRequest { page_token: "x".into(), ..request.clone() };
        assert_invalid(get(token).await, &["page_token"]);
        let jury = GetStandingsRequest { view: StandingsView::Jury.into(), ..request };
        assert_refused(get(jury).await, Code::PermissionDenied, "NOT_JURY");
        let missing = GetStandingsRequest { contest_id: unknown(), ..Default::default() };
        assert_refused(get(missing).await, Code::NotFound, "CONTEST_NOT_FOUND");
        assert_invalid(get(GetStandingsRequest::default()).await, &["contest_id"]);
    })
    .await;
}
