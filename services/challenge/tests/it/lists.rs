//! Lists of submissions.

use access::Role;
use proto::challenge::*;
use tonic::Code;

use crate::judging::judgement;
use crate::world::*;

async fn ids(world: &World, user: &User, request: ListSubmissionsRequest) -> Vec<String> {
    let page = world.list(user, request).await.unwrap();
    assert!(page.submissions.iter().all(|s| s.tests.is_empty() && s.compile_output.is_empty()));
    page.submissions.into_iter().map(|submission| submission.submission_id).collect()
}

#[tokio::test]
async fn pages_are_complete_when_all_times_are_equal() {
    each(|world| async move {
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        let mut made = Vec::new();
        for _ in 0..7 {
            made.push(world.submit(&ada).await.submission_id);
            world.submit(&bob).await;
        }
        made.reverse();
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let request =
                ListSubmissionsRequest { page_size: 3, page_token: token, ..Default::default() };
            let page = world.list(&ada, request).await.unwrap();
            seen.extend(page.submissions.into_iter().map(|s| s.submission_id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
            // A new submission does not change later pages.
            if seen.len() == 3 {
                world.submit(&ada).await;
            }
        }
        assert_eq!(seen, made);
        let exact = ListSubmissionsRequest { page_size: 8, ..Default::default() };
        assert_eq!(world.list(&ada, exact).await.unwrap().next_page_token, "");
    })
    .await;
}

#[tokio::test]
async fn page_tokens_of_other_lists_are_refused() {
    each(|world| async move {
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        for user in [&ada, &ada, &bob, &bob] {
            world.submit(user).await;
        }
        let first = ListSubmissionsRequest { page_size: 1, ..Default::default() };
        let page_token = world.list(&ada, first).await.unwrap().next_page_token;
        let next = ListSubmissionsRequest { page_token, ..Default::default() };
        assert_eq!(world.list(&ada, next.clone()).await.unwrap().submissions.len(), 1);
        assert_invalid(world.list(&bob, next.clone()).await, &["page_token"]);
        let other = ListSubmissionsRequest { language: "cpp20".into(), ..next };
        assert_invalid(world.list(&ada, other).await, &["page_token"]);
        let negative = ListSubmissionsRequest { page_size: -1, ..Default::default() };
        assert_invalid(world.list(&ada, negative).await, &["page_size"]);
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered() {
    each(|world| async move {
        let (ada, jo) = (world.user("ada"), world.with_roles("jo", &[Role::Judge]));
        let other = world.fakes.problem("other");
        let first = world.submit(&ada).await.submission_id;
        let request = CreateSubmissionRequest { problem_id: other.clone(), ..valid() };
        let second = world.create(&ada, request).await.unwrap().submission_id;
        let request = CreateSubmissionRequest { language: "python3".into(), ..valid() };
        let third = world.create(&ada, request).await.unwrap().submission_id;
        world.publish(&judgement(&first, Verdict::WrongAnswer)).await;
        world.done(&ada, &first).await;
        let all = ListSubmissionsRequest::default();

        assert_eq!(ids(&world, &jo, all.clone()).await, [&*third, &*second, &*first]);
        let mine = ListSubmissionsRequest { user_id: "me".into(), ..all.clone() };
        assert_eq!(ids(&world, &ada, mine.clone()).await, [&*third, &*second, &*first]);
        assert!(ids(&world, &jo, mine).await.is_empty());
        for problem_id in [other, "other".into()] {
            let request = ListSubmissionsRequest { problem_id, ..all.clone() };
            assert_eq!(ids(&world, &ada, request).await, [&*second]);
        }
        let request = ListSubmissionsRequest { language: "python3".into(), ..all.clone() };
        assert_eq!(ids(&world, &ada, request).await, [&*third]);
        let request =
            ListSubmissionsRequest { verdict: Verdict::WrongAnswer.into(), ..all.clone() };
        assert_eq!(ids(&world, &ada, request).await, [&*first]);

        let request = ListSubmissionsRequest { problem_id: "unknown".into(), ..all.clone() };
        assert_refused(world.list(&ada, request).await, Code::NotFound, "PROBLEM_NOT_FOUND");
        let request = ListSubmissionsRequest { verdict: 99, ..all.clone() };
        assert_invalid(world.list(&ada, request).await, &["verdict"]);
        let request = ListSubmissionsRequest { user_id: "A B".into(), ..all.clone() };
        assert_invalid(world.list(&ada, request).await, &["user_id"]);
        let request = ListSubmissionsRequest { language: "\0".into(), ..all };
        assert_invalid(world.list(&ada, request).await, &["language"]);
    })
    .await;
}

/// The test databases refuse statements that filter what they read: each combination needs its index.
#[tokio::test]
async fn every_combination_of_filters_has_an_index() {
    each(|world| async move {
        let (ada, jo) = (world.user("ada"), world.with_roles("jo", &[Role::Judge]));
        let mut made = [world.submit(&ada).await, world.submit(&ada).await];
        for submission in &made {
            let id = &submission.submission_id;
            world.publish(&judgement(id, Verdict::WrongAnswer)).await;
            world.done(&ada, id).await;
        }
        made.reverse();
        for combination in 0..16 {
            let has = |bit: u8| combination & (1 << bit) != 0;
            let text = |bit, text: &str| if has(bit) { text.to_owned() } else { String::new() };
            let mut request = ListSubmissionsRequest {
                page_size: 1,
                user_id: text(0, &made[0].user_id),
                problem_id: text(1, &made[0].problem_id),
                language: text(2, &made[0].language),
                ..Default::default()
            };
            if has(3) {
                request.set_verdict(Verdict::WrongAnswer);
            }
            for expected in &made {
                let page = world.list(&jo, request.clone()).await.unwrap();
                assert_eq!(page.submissions[0].submission_id, expected.submission_id);
                request.page_token = page.next_page_token;
            }
            assert_eq!(request.page_token, "", "{combination:b}");
        }
    })
    .await;
}
