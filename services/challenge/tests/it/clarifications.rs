//! Questions of participants and announcements of the jury.

use challenge::Config;
use proto::challenge::clarification_service_client::ClarificationServiceClient;
use proto::challenge::*;
use rpc::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::contest_world::*;
use crate::world::*;

pub fn client(world: &World) -> ClarificationServiceClient<Channel> {
    ClarificationServiceClient::new(world.running.channel.clone())
}

pub async fn ask(
    world: &World,
    user: &User,
    contest_id: &str,
    label: &str,
    question: &str,
) -> Result<Clarification, Status> {
    let request = AskClarificationRequest {
        contest_id: contest_id.into(),
        label: label.into(),
        question: question.into(),
        ..Default::default()
    };
    let response = client(world).ask_clarification(world.request(user, request)).await?;
    Ok(response.into_inner().clarification.unwrap())
}

async fn answer(
    world: &World,
    user: &User,
    request: AnswerClarificationRequest,
) -> Result<Clarification, Status> {
    let response = client(world).answer_clarification(world.request(user, request)).await?;
    Ok(response.into_inner().clarification.unwrap())
}

pub fn to(contest_id: &str, asked: &Clarification, text: &str) -> AnswerClarificationRequest {
    AnswerClarificationRequest {
        contest_id: contest_id.into(),
        clarification_id: asked.clarification_id.clone(),
        answer: text.into(),
        ..Default::default()
    }
}

async fn announce(
    world: &World,
    user: &User,
    contest_id: &str,
    label: &str,
    text: &str,
) -> Result<Clarification, Status> {
    let request = CreateAnnouncementRequest {
        contest_id: contest_id.into(),
        label: label.into(),
        text: text.into(),
        ..Default::default()
    };
    let response = client(world).create_announcement(world.request(user, request)).await?;
    Ok(response.into_inner().clarification.unwrap())
}

async fn list(
    world: &World,
    user: Option<&User>,
    request: ListClarificationsRequest,
) -> Result<ListClarificationsResponse, Status> {
    let request = match user {
        Some(user) => world.request(user, request),
        None => Request::new(request),
    };
    Ok(client(world).list_clarifications(request).await?.into_inner())
}

fn of(contest_id: &str) -> ListClarificationsRequest {
    ListClarificationsRequest { contest_id: contest_id.into(), ..Default::default() }
}

/// Question, answer and participant's name of each listed clarification.
async fn listed(world: &World, user: Option<&User>, id: &str) -> Vec<(String, String, String)> {
    let response = list(world, user, of(id)).await.unwrap();
    let clarifications = response.clarifications.into_iter();
    clarifications.map(|it| (it.question, it.answer, it.participant_name)).collect()
}

fn shown(rows: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    let owned = |(question, answer, name): &(&str, &str, &str)| {
        ((*question).to_owned(), (*answer).to_owned(), (*name).to_owned())
    };
    rows.iter().map(owned).collect()
}

#[tokio::test]
async fn participants_see_their_own_and_everyone_what_is_public() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let jan = world.user("jan");
        world.grant(&jan, "challenge.contest.judge", &id);
        let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
        for user in [&ada, &bob] {
            world.join(user, &id).await.unwrap();
        }
        // Before the start, a question names no problem.
        let early = ask(&world, &ada, &id, "A", "Is n positive?").await;
        assert_refused(early, Code::FailedPrecondition, "CONTEST_NOT_STARTED");
        let breaks = ask(&world, &ada, &id, "", " When is the break? ").await.unwrap();
        assert_eq!((breaks.kind(), breaks.label.as_str()), (ClarificationKind::Question, ""));
        assert_eq!((breaks.participant_name.as_str(), breaks.etag.as_str()), ("ada", ""));
        let welcome = announce(&world, &olga, &id, "B", "Welcome").await.unwrap();
        assert_eq!(
            (welcome.kind(), welcome.label.as_str()),
            (ClarificationKind::Announcement, "B")
        );
        let anonymous = list(&world, None, of(&id)).await.unwrap().clarifications;
        assert_eq!((anonymous[0].answer.as_str(), anonymous[0].label.as_str()), ("Welcome", ""));

        world.set_minute(20);
        let positive = ask(&world, &bob, &id, "a", "Is n positive?").await.unwrap();
        assert_eq!(positive.label, "A");
        let private = to(&id, &breaks, "After the contest.");
        let private = answer(&world, &jan, private).await.unwrap();
        assert_eq!(private.answer_user_id, jan.id.to_string());
        let public = AnswerClarificationRequest { public: true, ..to(&id, &positive, "Yes.") };
        answer(&world, &jan, public).await.unwrap();
        ask(&world, &bob, &id, "", "Why?").await.unwrap();

        let ada_sees = [
            ("Is n positive?", "Yes.", ""),
            ("", "Welcome", ""),
            ("When is the break?", "After the contest.", "ada"),
        ];
        assert_eq!(listed(&world, Some(&ada), &id).await, shown(&ada_sees));
        let bob_sees =
            [("Why?", "", "bob"), ("Is n positive?", "Yes.", "bob"), ("", "Welcome", "")];
        assert_eq!(listed(&world, Some(&bob), &id).await, shown(&bob_sees));
        let public = [("Is n positive?", "Yes.", ""), ("", "Welcome", "")];
        assert_eq!(listed(&world, Some(&eve), &id).await, shown(&public));
        assert_eq!(listed(&world, None, &id).await, shown(&public));
        let labels = list(&world, None, of(&id)).await.unwrap().clarifications;
        assert_eq!(labels.iter().map(|it| it.label.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert!(labels.iter().all(|it| it.participant_id.is_empty() && it.etag.is_empty()));
        let all = listed(&world, Some(&jan), &id).await;
        assert_eq!(all.len(), 4);
        assert!(all.contains(&("Why?".into(), String::new(), "bob".into())), "{all:?}");
        for (user, expected) in [(&jan, 1), (&bob, 1), (&ada, 0), (&eve, 0)] {
            let request = ListClarificationsRequest { unanswered: true, ..of(&id) };
            let open = list(&world, Some(user), request).await.unwrap().clarifications;
            assert_eq!(open.len(), expected);
        }
        for (name, count) in
            [("ClarificationAsked", 3), ("ClarificationAnswered", 2), ("AnnouncementCreated", 1)]
        {
            assert_eq!(world.event_count(name).await, count, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_cover_what_a_reader_sees_once() {
    let config = Config { contest_open_questions: 0, ..Config::default() };
    each_with(config, |world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        for user in [&ada, &bob] {
            world.join(user, &id).await.unwrap();
        }
        // Every third question of each participant has a public answer.
        for number in 0..12 {
            let user = if number % 2 == 0 { &ada } else { &bob };
            let asked = ask(&world, user, &id, "", &format!("{number}?")).await.unwrap();
            if number % 3 == 0 {
                let request =
                    AnswerClarificationRequest { public: true, ..to(&id, &asked, "Yes.") };
                answer(&world, &olga, request).await.unwrap();
            }
        }
        let pages = async |user: Option<&User>, unanswered: bool| {
            let mut request = ListClarificationsRequest { unanswered, page_size: 2, ..of(&id) };
            let mut numbers = Vec::new();
            loop {
                let page = list(&world, user, request.clone()).await.unwrap();
                numbers.extend(
                    page.clarifications
                        .into_iter()
                        .map(|it| it.question.trim_end_matches('?').parse::<i32>().unwrap()),
                );
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    return numbers;
                }
            }
        };
        assert_eq!(pages(Some(&olga), false).await, (0..12).rev().collect::<Vec<_>>());
        assert_eq!(pages(Some(&ada), false).await, [10, 9, 8, 6, 4, 3, 2, 0]);
        assert_eq!(pages(None, false).await, [9, 6, 3, 0]);
        assert_eq!(pages(Some(&olga), true).await, [1, 2, 4, 5, 7, 8, 10, 11]);
        assert_eq!(pages(Some(&bob), true).await, [1, 5, 7, 11]);
        assert!(pages(None, true).await.is_empty());
        // The token of one reader is not that of another.
        let request = ListClarificationsRequest { page_size: 1, ..of(&id) };
        let token = list(&world, Some(&ada), request.clone()).await.unwrap().next_page_token;
        let other = ListClarificationsRequest { page_token: token, ..request };
        assert_invalid(list(&world, Some(&bob), other).await, &["page_token"]);
    })
    .await;
}

#[tokio::test]
async fn of_two_answers_at_once_one_is_kept() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let jan = world.user("jan");
        world.grant(&jan, "challenge.contest.judge", &id);
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        let asked = ask(&world, &ada, &id, "", "Is n positive?").await.unwrap();
        let (one, other) = tokio::join!(
            answer(&world, &olga, to(&id, &asked, "Yes.")),
            answer(&world, &jan, to(&id, &asked, "No."))
        );
        let (kept, refused) = match (one, other) {
            (Ok(kept), refused) | (refused, Ok(kept)) => (kept, refused),
            both => panic!("{both:?}"),
        };
        assert_refused(refused, Code::FailedPrecondition, "CLARIFICATION_ANSWERED");
        assert_eq!(listed(&world, Some(&ada), &id).await[0].1, kept.answer);

        let stale = AnswerClarificationRequest { etag: "1".into(), ..to(&id, &asked, "Maybe.") };
        let stale = answer(&world, &jan, stale).await;
        assert_refused(stale, Code::Aborted, "ETAG_MISMATCH");
        let replaced = AnswerClarificationRequest {
            etag: kept.etag,
            public: true,
            request_id: "replace".into(),
            ..to(&id, &asked, "Read the statement.")
        };
        let first = answer(&world, &jan, replaced.clone()).await.unwrap();
        assert_eq!(answer(&world, &jan, replaced).await.unwrap(), first);
        let public = shown(&[("Is n positive?", "Read the statement.", "")]);
        assert_eq!(listed(&world, None, &id).await, public);
        // It can become private again.
        let private = AnswerClarificationRequest { etag: first.etag, ..to(&id, &asked, "Yes.") };
        answer(&world, &jan, private).await.unwrap();
        assert!(listed(&world, None, &id).await.is_empty());
        assert_eq!(world.event_count("ClarificationAnswered").await, 3);
    })
    .await;
}

#[tokio::test]
async fn retries_ask_and_announce_once_and_open_questions_are_limited() {
    let config = Config { contest_open_questions: 2, ..Config::default() };
    each_with(config, |world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        let request = AskClarificationRequest {
            contest_id: id.clone(),
            question: "Why?".into(),
            request_id: "once".into(),
            ..Default::default()
        };
        let send = async |request: &AskClarificationRequest| {
            let request = world.request(&ada, request.clone());
            client(&world).ask_clarification(request).await.map(|it| it.into_inner())
        };
        let (first, second) = tokio::join!(send(&request), send(&request));
        let first = first.unwrap();
        assert_eq!(first, second.unwrap());
        let reused = AskClarificationRequest { question: "How?".into(), ..request.clone() };
        assert_invalid(send(&reused).await, &["request_id"]);
        ask(&world, &ada, &id, "", "When?").await.unwrap();
        let third = ask(&world, &ada, &id, "", "Where?").await;
        assert_refused(third, Code::ResourceExhausted, "TOO_MANY_QUESTIONS");
        assert_eq!(send(&request).await.unwrap(), first);
        let asked = first.clarification.unwrap();
        answer(&world, &olga, to(&id, &asked, "Because.")).await.unwrap();
        ask(&world, &ada, &id, "", "Where?").await.unwrap();

        let announcement = CreateAnnouncementRequest {
            contest_id: id.clone(),
            text: "Lunch".into(),
            request_id: "once".into(),
            ..Default::default()
        };
        for _ in 0..2 {
            let request = world.request(&olga, announcement.clone());
            client(&world).create_announcement(request).await.unwrap();
        }
        assert_eq!(listed(&world, None, &id).await, shown(&[("", "Lunch", "")]));
    })
    .await;
}

#[tokio::test]
async fn questions_without_an_answer_prevent_final_results() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        for user in [&ada, &bob] {
            world.join(user, &id).await.unwrap();
        }
        world.set_minute(49);
        let mut asked = Vec::new();
        for number in 0..21 {
            let (user, question) = (if number < 10 { &ada } else { &bob }, format!("{number}?"));
            match ask(&world, user, &id, "A", &question).await {
                Ok(clarification) => asked.push(clarification),
                Err(full) => assert_eq!((number, full.code()), (20, Code::ResourceExhausted)),
            }
        }
        world.set_minute(50);
        let late = ask(&world, &ada, &id, "", "Late?").await;
        assert_refused(late, Code::FailedPrecondition, "CONTEST_ENDED");
        let finalize = async || {
            let request = FinalizeContestRequest { contest_id: id.clone(), ..Default::default() };
            world.contests().finalize_contest(world.request(&olga, request)).await
        };
        let refused = finalize().await;
        let refused =
            assert_refused(refused, Code::FailedPrecondition, "CLARIFICATIONS_UNANSWERED");
        assert!(asked.iter().all(|it| refused.message().contains(&it.clarification_id)));
        for clarification in &asked {
            answer(&world, &olga, to(&id, clarification, "No comment.")).await.unwrap();
        }
        finalize().await.unwrap();
        let etag = AnswerClarificationRequest { etag: "2".into(), ..to(&id, &asked[0], "Yes.") };
        let closed = Code::FailedPrecondition;
        assert_refused(answer(&world, &olga, etag).await, closed, "CONTEST_CLOSED");
        assert_refused(announce(&world, &olga, &id, "", "Bye").await, closed, "CONTEST_CLOSED");
        assert_refused(ask(&world, &ada, &id, "", "Late?").await, closed, "CONTEST_CLOSED");
    })
    .await;
}

#[tokio::test]
async fn only_participants_ask_and_only_the_jury_answers() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let otto = world.organiser("otto");
        let other = Contest { slug: "other".into(), ..finals() };
        let other = world.create_contest(&otto, other).await.unwrap().contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        let asked = ask(&world, &ada, &id, "", "Why?").await.unwrap();
        let denied = Code::PermissionDenied;
        for user in [&olga, &world.user("eve")] {
            assert_refused(ask(&world, user, &id, "", "Why?").await, denied, "NOT_PARTICIPANT");
        }
        for user in [&ada, &otto, &world.user("eve")] {
            let refused = answer(&world, user, to(&id, &asked, "So.")).await;
            assert_refused(refused, denied, "NOT_JURY");
            assert_refused(announce(&world, user, &id, "", "So.").await, denied, "NOT_JURY");
        }
        // A draft exists for its organisers only, and the jury of another contest reaches nothing of this one.
        let hidden = Code::NotFound;
        assert_refused(ask(&world, &ada, &other, "", "Why?").await, hidden, "CONTEST_NOT_FOUND");
        assert_refused(list(&world, None, of(&other)).await, hidden, "CONTEST_NOT_FOUND");
        let draft = announce(&world, &otto, &other, "", "Soon").await;
        assert_refused(draft, Code::FailedPrecondition, "CONTEST_NOT_PUBLISHED");
        world.publish_contest(&otto, &other).await.unwrap();
        let foreign = answer(&world, &otto, to(&other, &asked, "So.")).await;
        assert_refused(foreign, hidden, "CLARIFICATION_NOT_FOUND");
        let unknown =
            AnswerClarificationRequest { clarification_id: unknown(), ..to(&id, &asked, "So.") };
        let unknown = answer(&world, &olga, unknown).await;
        assert_refused(unknown, hidden, "CLARIFICATION_NOT_FOUND");
        let announcement = announce(&world, &olga, &id, "", "Hello").await.unwrap();
        let refused = answer(&world, &olga, to(&id, &announcement, "So.")).await;
        assert_refused(refused, Code::FailedPrecondition, "NOT_A_QUESTION");
        let service = ask(&world, &world.service(), &id, "", "Why?").await;
        assert_refused(service, denied, "USER_ONLY");
        let request = AskClarificationRequest { contest_id: id.clone(), ..Default::default() };
        let anonymous = client(&world).ask_clarification(request).await;
        assert_refused(anonymous, Code::Unauthenticated, "TOKEN_MISSING");
        // Without the auth service, the jury sees what everyone sees.
        world.fakes.set_unavailable(true);
        assert_eq!(listed(&world, Some(&world.user("jan")), &id).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn every_invalid_field_of_a_clarification_is_named() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        world.set_minute(20);
        let asked = ask(&world, &ada, &id, "", &"ü".repeat(1000)).await.unwrap();
        let long = "ü".repeat(1001);
        for (label, question, field) in [
            ("", " \n", "question"),
            ("", long.as_str(), "question"),
            ("", "a\0b", "question"),
            ("", "\u{202e}", "question"),
            ("A!", "Why?", "label"),
            ("ABCDEFGHI", "Why?", "label"),
        ] {
            assert_invalid(ask(&world, &ada, &id, label, question).await, &[field]);
        }
        let missing = ask(&world, &ada, &id, "Z", "Why?").await;
        assert_refused(missing, Code::NotFound, "PROBLEM_NOT_FOUND");
        assert_invalid(ask(&world, &ada, "", "", "Why?").await, &["contest_id"]);
        let long = "x".repeat(2001);
        assert_invalid(announce(&world, &olga, &id, "", &long).await, &["text"]);
        assert_invalid(announce(&world, &olga, &id, "-", "").await, &["label", "text"]);
        let missing = announce(&world, &olga, &id, "Z", "So.").await;
        assert_refused(missing, Code::NotFound, "PROBLEM_NOT_FOUND");
        assert_invalid(answer(&world, &olga, to(&id, &asked, &long)).await, &["answer"]);
        let bad = AnswerClarificationRequest {
            clarification_id: "x".into(),
            request_id: "r".repeat(129),
            ..to(&id, &asked, "So.")
        };
        let bad = answer(&world, &olga, bad).await;
        assert_invalid(bad, &["request_id", "clarification_id"]);
        for request in [
            (ListClarificationsRequest { page_size: -1, ..of(&id) }, "page_size"),
            (ListClarificationsRequest { page_token: "x".into(), ..of(&id) }, "page_token"),
            (ListClarificationsRequest::default(), "contest_id"),
        ] {
            assert_invalid(list(&world, None, request.0).await, &[request.1]);
        }
        let watch = WatchClarificationsRequest {
            contest_id: id.clone(),
            page_size: -1,
            ..Default::default()
        };
        let refused = client(&world).watch_clarifications(watch).await;
        assert_invalid(refused, &["page_size"]);
    })
    .await;
}

async fn next(
    stream: &mut Streaming<WatchClarificationsResponse>,
) -> Option<WatchClarificationsResponse> {
    let message = tokio::time::timeout(std::time::Duration::from_secs(20), stream.message()).await;
    message.expect("a message within 20 s").unwrap()
}

#[tokio::test]
async fn watchers_get_what_they_may_see_until_the_end() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        let request = WatchClarificationsRequest { contest_id: id.clone(), ..Default::default() };
        let watch = async |user: Option<&User>| {
            let request = match user {
                Some(user) => world.request(user, request.clone()),
                None => Request::new(request.clone()),
            };
            client(&world).watch_clarifications(request).await.unwrap().into_inner()
        };
        let (mut own, mut all, mut open) =
            (watch(Some(&ada)).await, watch(Some(&olga)).await, watch(None).await);
        for stream in [&mut own, &mut all, &mut open] {
            let first = next(stream).await.unwrap();
            assert_eq!((first.sequence, first.clarifications.len()), (1, 0));
        }
        let asked = ask(&world, &ada, &id, "", "Why?").await.unwrap();
        for stream in [&mut own, &mut all] {
            let update = next(stream).await.unwrap();
            assert_eq!((update.sequence, update.clarifications[0].question.as_str()), (2, "Why?"));
        }
        let public = AnswerClarificationRequest { public: true, ..to(&id, &asked, "So.") };
        answer(&world, &olga, public).await.unwrap();
        assert_eq!(next(&mut own).await.unwrap().sequence, 3);
        // The question sent nothing to those who do not see it.
        let update = next(&mut open).await.unwrap();
        assert_eq!((update.sequence, update.clarifications[0].answer.as_str()), (2, "So."));
        assert_eq!(update.clarification_ids, [asked.clarification_id]);
        let cancel = CancelContestRequest { contest_id: id.clone(), ..Default::default() };
        world.contests().cancel_contest(world.request(&olga, cancel)).await.unwrap();
        for stream in [&mut own, &mut all, &mut open] {
            while next(stream).await.is_some() {}
        }
    })
    .await;
}
