//! Who may do what with a contest.

use access::Role;
use proto::challenge::*;
use tonic::{Code, Status};

use crate::contest_world::*;
use crate::world::*;

fn code<T>(result: Result<T, Status>) -> Code {
    result.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// The results of a caller: read, read problems, read the jury's view, change.
async fn row(world: &World, user: &User, id: &str) -> [Code; 4] {
    let contest_id = id.to_owned();
    let mut client = world.contests();
    let problems = ListContestProblemsRequest { contest_id: contest_id.clone() };
    let view = StandingsView::Jury.into();
    let jury = GetStandingsRequest { contest_id: contest_id.clone(), view, ..Default::default() };
    let title = "New".to_owned();
    let contest = Some(Contest { contest_id, title, ..Contest::default() });
    let update = UpdateContestRequest { contest, ..Default::default() };
    [
        code(world.contest(user, id).await),
        code(client.list_contest_problems(world.request(user, problems)).await),
        code(world.standings(user, jury).await),
        code(client.update_contest(world.request(user, update)).await),
    ]
}

#[tokio::test]
async fn organisers_rule_their_own_contest() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let other = Contest { slug: "other".into(), ..finals() };
        let otto = world.organiser("otto");
        let other = world.create_contest(&otto, other).await.unwrap().contest_id;
        let (ok, denied, hidden) = (Code::Ok, Code::PermissionDenied, Code::NotFound);
        let early = Code::FailedPrecondition;

        let (dora, jan) = (world.user("dora"), world.user("jan"));
        world.grant(&dora, "challenge.contest.update", &id);
        world.grant(&jan, "challenge.contest.judge", &id);
        assert_eq!(row(&world, &olga, &id).await, [ok; 4]);
        assert_eq!(row(&world, &dora, &id).await, [ok; 4]);
        assert_eq!(row(&world, &jan, &id).await, [ok, ok, ok, denied]);
        assert_eq!(row(&world, &otto, &id).await, [ok, early, denied, denied]);
        assert_eq!(row(&world, &world.user("ada"), &id).await, [ok, early, denied, denied]);
        assert_eq!(
            row(&world, &world.with_roles("jo", &[Role::Judge]), &id).await,
            [ok, ok, ok, denied]
        );
        assert_eq!(row(&world, &world.with_roles("root", &[Role::Admin]), &id).await, [ok; 4]);
        // The draft of another organiser does not exist for them.
        for user in [&olga, &dora, &jan, &world.user("ada")] {
            assert_eq!(row(&world, user, &other).await, [hidden; 4]);
        }
        let player = world.create_contest(&world.user("ada"), finals()).await;
        assert_refused(player, denied, "PERMISSION_MISSING");
    })
    .await;
}

#[tokio::test]
async fn private_contests_are_for_participants_with_the_code() {
    each(|world| async move {
        world.fakes.problem("b-minus-a");
        let olga = world.organiser("olga");
        let secret = Contest {
            visibility: ContestVisibility::Private.into(),
            registration: Registration::Code.into(),
            access_code: "letmein".into(),
            ..finals()
        };
        let id = world.create_contest(&olga, secret).await.unwrap().contest_id;
        world.publish_contest(&olga, &id).await.unwrap();
        assert_eq!(world.contest(&olga, &id).await.unwrap().access_code, "letmein");
        let ada = world.user("ada");
        let join = async |code: &str| {
            let request = RegisterForContestRequest {
                contest_id: "finals".into(),
                access_code: code.into(),
                ..Default::default()
            };
            world.contests().register_for_contest(world.request(&ada, request)).await
        };
        assert_refused(world.contest(&ada, &id).await, Code::NotFound, "CONTEST_NOT_FOUND");
        for wrong in ["", "letmeout"] {
            assert_refused(join(wrong).await, Code::NotFound, "CONTEST_NOT_FOUND");
        }
        let list = async |user: &User| {
            let request = ListContestsRequest::default();
            let response = world.contests().list_contests(world.request(user, request)).await;
            response.unwrap().into_inner().contests.len()
        };
        assert_eq!(list(&ada).await, 0);
        join("letmein").await.unwrap();
        assert_eq!(world.contest(&ada, &id).await.unwrap().access_code, "");
        assert_eq!((list(&ada).await, list(&world.user("bob")).await), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn problems_are_secret_until_the_start() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let contest_id = contest.contest_id;
        let list = async |user: Option<&User>| {
            let request = ListContestProblemsRequest { contest_id: contest_id.clone() };
            let response = match user {
                Some(user) => {
                    world.contests().list_contest_problems(world.request(user, request)).await
                }
                None => world.contests().list_contest_problems(request).await,
            };
            response.map(|response| response.into_inner().problems)
        };
        assert_refused(list(None).await, Code::FailedPrecondition, "CONTEST_NOT_STARTED");
        assert_eq!(list(Some(&olga)).await.unwrap().len(), 2);
        let statement = GetContestStatementRequest {
            contest_id: contest_id.clone(),
            label: "A".into(),
            ..Default::default()
        };
        let early = world.contests().get_contest_statement(statement.clone()).await;
        assert_refused(early, Code::FailedPrecondition, "CONTEST_NOT_STARTED");
        world.set_minute(10);
        let shown = list(None).await.unwrap();
        assert_eq!(shown.iter().map(|it| it.label.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert!(shown.iter().all(|it| it.problem_id.is_empty()));
        let read = world.contests().get_contest_statement(statement).await.unwrap().into_inner();
        assert_eq!((read.label.as_str(), read.html.as_str()), ("A", "<p>Add.</p>"));
        world.set_minute(50);
        assert!(list(None).await.unwrap().iter().all(|it| !it.problem_id.is_empty()));
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_by_state_text_owner_and_registration() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let later = Contest {
            slug: "later".into(),
            title: "Later".into(),
            start_time: at(500),
            ..finals()
        };
        let later = world.create_contest(&olga, later).await.unwrap().contest_id;
        world.publish_contest(&olga, &later).await.unwrap();
        let ada = world.user("ada");
        world.join(&ada, &contest.contest_id).await.unwrap();
        let list = async |user: &User, request: ListContestsRequest| {
            let response = world.contests().list_contests(world.request(user, request)).await;
            let contests = response.unwrap().into_inner().contests.into_iter();
            contests.map(|contest| contest.slug).collect::<Vec<_>>()
        };
        let all = ListContestsRequest::default();
        assert_eq!(list(&ada, all.clone()).await, ["later", "finals"]);
        let text = ListContestsRequest { text: "FINAL".into(), ..all.clone() };
        assert_eq!(list(&ada, text).await, ["finals"]);
        let mine = ListContestsRequest { mine: true, ..all.clone() };
        assert_eq!((list(&olga, mine.clone()).await.len(), list(&ada, mine).await.len()), (2, 0));
        let registered = ListContestsRequest { registered: true, ..all.clone() };
        assert_eq!(list(&ada, registered).await, ["finals"]);
        for (minute, state) in [
            (0, ContestState::Scheduled),
            (10, ContestState::Running),
            (40, ContestState::Frozen),
            (50, ContestState::Ended),
        ] {
            world.set_minute(minute);
            let request = ListContestsRequest { state: state.into(), ..all.clone() };
            assert!(list(&ada, request).await.contains(&"finals".to_owned()), "{state:?}");
        }
        let page = ListContestsRequest { page_size: 1, ..all };
        let first = world.contests().list_contests(page.clone()).await.unwrap().into_inner();
        assert_eq!(first.contests[0].slug, "later");
        let second = ListContestsRequest { page_token: first.next_page_token, ..page };
        let second = world.contests().list_contests(second).await.unwrap().into_inner();
        assert_eq!(
            (second.contests[0].slug.as_str(), second.next_page_token.as_str()),
            ("finals", "")
        );
    })
    .await;
}
