//! RPCs of problems.

use access::Role;
use futures_util::StreamExt as _;
use prost_types::FieldMask;
use proto::problem::{self as pb, Visibility};
use tonic::{Code, Request, Status};

use crate::package::{Files, UUID};
use crate::world::{User, World, assert_refused, each, inner, rejects_field, request};

async fn update(
    world: &World,
    user: &User,
    problem: pb::Problem,
    paths: &[&str],
) -> Result<pb::Problem, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(FieldMask { paths });
    let message = pb::UpdateProblemRequest { problem: Some(problem), update_mask };
    let answer = world.problems_of(user).update_problem(message).await?;
    Ok(answer.into_inner().problem.unwrap())
}

async fn delete(world: &World, user: &User, name: &str, etag: &str) -> Result<(), Status> {
    let message = pb::DeleteProblemRequest { problem_id: name.into(), etag: etag.into() };
    world.problems_of(user).delete_problem(message).await.map(|_| ())
}

async fn list(
    world: &World,
    user: Option<&User>,
    message: pb::ListProblemsRequest,
) -> Result<Vec<String>, Status> {
    let token = user.map(|user| user.token.as_str());
    let answer = world.problems().list_problems(request(token, message)).await?;
    Ok(answer.into_inner().problems.into_iter().map(|problem| problem.slug).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_created_updated_deleted_and_restored() {
    each(|world| async move {
        let setter = world.setter();
        let created = world.create(&setter, "first").await.unwrap();
        assert_eq!(
            (created.visibility(), created.owner_id.as_str()),
            (Visibility::Draft, &*setter.id.to_string())
        );
        assert_refused(world.create(&setter, "first").await, Code::AlreadyExists, "SLUG_TAKEN");
        let change = pb::Problem {
            problem_id: "first".into(),
            title: "Changed".into(),
            tags: vec!["b".into(), "a".into()],
            difficulty: 1500,
            slug: "ignored".into(),
            etag: created.etag.clone(),
            ..Default::default()
        };
        let changed = update(&world, &setter, change.clone(), &["title", "tags"]).await.unwrap();
        assert_eq!((changed.title.as_str(), changed.slug.as_str()), ("Changed", "first"));
        assert_eq!((changed.tags, changed.difficulty), (vec!["a".to_owned(), "b".into()], 0));
        let stale = update(&world, &setter, change.clone(), &["title"]).await;
        assert_refused(stale, Code::Aborted, "ETAG_MISMATCH");
        let set = pb::Problem { etag: String::new(), slug: String::new(), ..change.clone() };
        let changed = update(&world, &setter, set, &[]).await.unwrap();
        assert_eq!(changed.difficulty, 1500);
        let refused = update(&world, &setter, change.clone(), &["owner_id"]).await;
        rejects_field(refused, "update_mask");
        assert_refused(delete(&world, &setter, "first", "0").await, Code::Aborted, "ETAG_MISMATCH");
        delete(&world, &setter, "first", &changed.etag).await.unwrap();
        let deleted = world.get(Some(&setter.token), "first").await;
        assert_refused(deleted, Code::NotFound, "PROBLEM_NOT_FOUND");
        let kept = world.get(Some(&setter.token), &created.problem_id).await.unwrap();
        assert!(kept.delete_time.is_some());
        // The slug is free again; the deleted problem is restored with another one.
        world.create(&setter, "first").await.unwrap();
        let message = pb::UndeleteProblemRequest { problem_id: created.problem_id.clone() };
        let back = world.problems_of(&setter).undelete_problem(message).await;
        assert_eq!(back.unwrap().into_inner().problem.unwrap().slug, "first-2");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_without_a_version_cannot_be_public() {
    each(|world| async move {
        let setter = world.setter();
        world.create(&setter, "first").await.unwrap();
        let public = pb::Problem {
            problem_id: "first".into(),
            visibility: Visibility::Public.into(),
            ..Default::default()
        };
        let answer = update(&world, &setter, public.clone(), &["visibility"]).await;
        assert_refused(answer, Code::FailedPrecondition, "NOT_PUBLISHED");
        let message = pb::CreateProblemRequest {
            problem: Some(pb::Problem { slug: "second".into(), title: "t".into(), ..public }),
            ..Default::default()
        };
        let answer = world.problems_of(&setter).create_problem(message).await;
        assert_refused(answer, Code::FailedPrecondition, "NOT_PUBLISHED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embargoed_problems_cannot_be_public() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        let yaml = format!(
            "problem_format_version: 2025-09\nname: X\nuuid: {}\nlimits: {{time_limit: 1}}\n\
             embargo_until: 2199-01-01\n",
            UUID
        );
        let import =
            world.verified(&setter, &Files::valid().with("problem.yaml", yaml), true).await;
        assert!(import.findings.iter().any(|f| f.message.contains("embargo")), "{import:?}");
        let problem = world.get(Some(&setter.token), "twosum").await.unwrap();
        assert_eq!((problem.published_version, problem.visibility()), (1, Visibility::Draft));
        let message = pb::PublishProblemRequest {
            problem_id: "twosum".into(),
            make_public: true,
            ..Default::default()
        };
        let answer = world.problems_of(&setter).publish_problem(message).await;
        assert_refused(answer, Code::FailedPrecondition, "EMBARGOED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_verified_version_can_be_published() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        for answer in ["3\n", "4\n"] {
            let files = Files::valid().with("data/secret/1.ans", answer);
            world.verified(&setter, &files, true).await;
        }
        let publish = |version| {
            let message = pb::PublishProblemRequest {
                problem_id: "twosum".into(),
                version,
                make_public: false,
            };
            let mut client = world.problems_of(&setter);
            async move { client.publish_problem(message).await }
        };
        let back = publish(1).await.unwrap().into_inner().problem.unwrap();
        assert_eq!(back.published_version, 1);
        let newest = publish(0).await.unwrap().into_inner().problem.unwrap();
        assert_eq!(newest.published_version, 2);
        assert_refused(publish(3).await, Code::NotFound, "VERSION_NOT_FOUND");
        rejects_field(publish(-1).await, "version");
        let message = pb::ListProblemVersionsRequest {
            problem_id: "twosum".into(),
            page_size: 1,
            ..Default::default()
        };
        let mut client = world.problems_of(&setter);
        let first = client.list_problem_versions(message.clone()).await.unwrap().into_inner();
        assert_eq!(first.problem_versions[0].version, 2);
        let message =
            pb::ListProblemVersionsRequest { page_token: first.next_page_token, ..message };
        let second = client.list_problem_versions(message).await.unwrap().into_inner();
        assert_eq!(second.problem_versions[0].version, 1);
        assert!(second.next_page_token.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_visible_problems_only() {
    each(|world| async move {
        let (setter, other) = (world.setter(), world.setter());
        world.judge();
        world.verified(&setter, &Files::valid(), true).await;
        for slug in ["bbb", "aaa", "ccc"] {
            world.create(&setter, slug).await.unwrap();
        }
        let change = pb::Problem {
            problem_id: "bbb".into(),
            tags: vec!["dp".into(), "math".into()],
            difficulty: 1200,
            title: "Äpfel 100%".into(),
            ..Default::default()
        };
        update(&world, &setter, change, &[]).await.unwrap();
        delete(&world, &setter, "ccc", "").await.unwrap();
        let all = pb::ListProblemsRequest::default;
        let admin = world.user("admin", &[Role::Admin]);
        let get = |user, message| list(&world, user, message);
        assert_eq!(get(None, all()).await.unwrap(), ["twosum"]);
        assert_eq!(get(Some(&other), all()).await.unwrap(), ["twosum"]);
        assert_eq!(get(Some(&setter), all()).await.unwrap(), ["aaa", "bbb", "twosum"]);
        assert_eq!(get(Some(&admin), all()).await.unwrap().len(), 3);
        let deleted = || pb::ListProblemsRequest { show_deleted: true, ..all() };
        assert_eq!(get(Some(&setter), deleted()).await.unwrap().len(), 4);
        assert_eq!(get(Some(&other), deleted()).await.unwrap(), ["twosum"]);
        assert_eq!(get(None, deleted()).await.unwrap(), ["twosum"]);
        let tags = |tags: &[&str]| pb::ListProblemsRequest {
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            ..all()
        };
        assert_eq!(get(Some(&setter), tags(&["math"])).await.unwrap(), ["bbb", "twosum"]);
        assert_eq!(get(Some(&setter), tags(&["math", "dp"])).await.unwrap(), ["bbb"]);
        let text = |query: &str| pb::ListProblemsRequest { query: query.into(), ..all() };
        assert_eq!(get(Some(&setter), text("äPFEL 100%")).await.unwrap(), ["bbb"]);
        assert_eq!(get(Some(&setter), text("100_")).await.unwrap(), Vec::<String>::new());
        assert_eq!(get(Some(&setter), text("TWO s")).await.unwrap(), ["twosum"]);
        let hard = pb::ListProblemsRequest { min_difficulty: 1200, max_difficulty: 1300, ..all() };
        assert_eq!(get(Some(&setter), hard).await.unwrap(), ["bbb"]);
        let mine = pb::ListProblemsRequest { owner_id: "me".into(), ..all() };
        assert!(get(Some(&other), mine).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_contain_each_problem_once() {
    each(|world| async move {
        let setter = world.setter();
        let slugs: Vec<String> = (0..7).map(|i| format!("slug-{i}")).collect();
        for slug in &slugs {
            world.create(&setter, slug).await.unwrap();
        }
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let message = pb::ListProblemsRequest {
                page_size: 3,
                page_token: page_token.clone(),
                ..Default::default()
            };
            let answer = world.problems_of(&setter).list_problems(message).await;
            let page = answer.unwrap().into_inner();
            seen.extend(page.problems.into_iter().map(|problem| problem.slug));
            if page.next_page_token.is_empty() {
                break;
            }
            page_token = page.next_page_token;
        }
        assert_eq!(seen, slugs);
        // A page token is valid for one filter and one viewer.
        let other = pb::ListProblemsRequest {
            page_token: page_token.clone(),
            query: "slug".into(),
            ..Default::default()
        };
        rejects_field(list(&world, Some(&setter), other).await, "page_token");
        let message = pb::ListProblemsRequest { page_token, ..Default::default() };
        rejects_field(list(&world, None, message).await, "page_token");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_request_id_creates_one_problem() {
    each(|world| async move {
        let setter = world.setter();
        let create = |slug: &str, request_id: &str| {
            let problem =
                pb::Problem { slug: slug.into(), title: "t".into(), ..Default::default() };
            let message =
                pb::CreateProblemRequest { problem: Some(problem), request_id: request_id.into() };
            let mut client = world.problems_of(&setter);
            async move { inner(client.create_problem(message).await) }
        };
        let first = create("first", "one").await.unwrap();
        assert_eq!(first, create("first", "one").await.unwrap());
        rejects_field(create("second", "one").await, "request_id");
        assert_refused(create("first", "two").await, Code::AlreadyExists, "SLUG_TAKEN");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_and_attachments_are_served() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        let yaml = format!(
            "problem_format_version: 2025-09\nname: {{en: Sum, de: Summe}}\nuuid: {}\n\
             limits: {{time_limit: 1}}\n",
            UUID
        );
        let files = Files::valid()
            .with("problem.yaml", yaml)
            .with("statement/problem.de.md", "Addiere.\n")
            .with("attachments/big.bin", vec![7; 600_000]);
        world.verified(&setter, &files, true).await;
        let statement = |language: &str, accepted: &'static str| {
            let message =
                pb::GetStatementRequest { problem_id: "twosum".into(), language: language.into() };
            let mut request = Request::new(message);
            request.metadata_mut().insert("accept-language", accepted.parse().unwrap());
            let mut client = world.problems();
            async move { inner(client.get_statement(request).await).map(|s| s.statement.unwrap()) }
        };
        let english = statement("", "fr").await.unwrap();
        assert_eq!((english.language.as_str(), english.title.as_str()), ("en", "Sum"));
        assert!(english.html.contains("<span class=\"math inline\">a</span>"));
        assert_eq!(english.markdown, "Add $a$ and $b$.\n");
        assert_eq!((english.samples[0].input.as_str(), english.samples.len()), ("1 2\n", 1));
        assert_eq!(statement("", "fr, de;q=0.5").await.unwrap().title, "Summe");
        assert_eq!(statement("de", "en").await.unwrap().title, "Summe");
        assert_refused(statement("fr", "en").await, Code::NotFound, "STATEMENT_NOT_FOUND");
        let download = |name: &str| {
            let message =
                pb::DownloadAttachmentRequest { problem_id: "twosum".into(), name: name.into() };
            let mut client = world.problems();
            async move { client.download_attachment(message).await }
        };
        let bodies: Vec<_> = download("big.bin").await.unwrap().into_inner().collect().await;
        let bodies: Vec<_> = bodies.into_iter().map(Result::unwrap).collect();
        assert_eq!(bodies[0].content_type, "application/octet-stream");
        assert_eq!(bodies.iter().map(|body| body.data.len()).sum::<usize>(), 600_000);
        for name in ["", "other", "../tool.txt", "TOOL.TXT"] {
            assert_refused(download(name).await, Code::NotFound, "ATTACHMENT_NOT_FOUND");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_never_show_an_old_state() {
    each(|world| async move {
        world.judge();
        let setter = world.setter();
        world.verified(&setter, &Files::valid(), true).await;
        let all = pb::ListProblemsRequest::default();
        let slugs = list(&world, None, all.clone()).await.unwrap();
        let [slug] = slugs.as_slice() else { panic!("one public problem, got {slugs:?}") };
        let problem = || async {
            let message = pb::GetProblemRequest { problem_id: slug.clone() };
            Ok::<_, Status>(
                world.problems().get_problem(message).await?.into_inner().problem.unwrap(),
            )
        };
        let statement = || async {
            let message =
                pb::GetStatementRequest { problem_id: slug.clone(), ..Default::default() };
            world.problems().get_statement(message).await.map(drop)
        };
        for round in 0..3 {
            // Twice, so that the second answers come from memory.
            for _ in 0..2 {
                assert_eq!(
                    list(&world, None, all.clone()).await.unwrap(),
                    std::slice::from_ref(slug)
                );
                statement().await.unwrap();
                problem().await.unwrap();
            }
            let mut change = pb::Problem { problem_id: slug.clone(), ..Default::default() };
            change.title = format!("Title {round}");
            update(&world, &setter, change.clone(), &["title"]).await.unwrap();
            assert_eq!(problem().await.unwrap().title, change.title);
            change.set_visibility(Visibility::Private);
            update(&world, &setter, change.clone(), &["visibility"]).await.unwrap();
            assert!(list(&world, None, all.clone()).await.unwrap().is_empty());
            assert_eq!(problem().await.unwrap_err().code(), Code::NotFound);
            assert_eq!(statement().await.unwrap_err().code(), Code::NotFound);
            change.set_visibility(Visibility::Public);
            update(&world, &setter, change, &["visibility"]).await.unwrap();
        }
    })
    .await;
}

/// The own and the public problems are read by separate queries.
#[tokio::test(flavor = "multi_thread")]
async fn pages_merge_own_and_public_problems() {
    each(|world| async move {
        world.judge();
        let (ada, bob) = (world.user("ada", &[Role::Setter]), world.user("bob", &[Role::Setter]));
        world.verified(&ada, &Files::valid(), true).await;
        let public = list(&world, None, pb::ListProblemsRequest::default()).await.unwrap();
        for slug in ["aaa", "mmm", "zzz"] {
            world.create(&ada, slug).await.unwrap();
            world.create(&bob, &format!("{slug}-of-bob")).await.unwrap();
        }
        for (user, own) in
            [(&ada, ["aaa", "mmm", "zzz"]), (&bob, ["aaa-of-bob", "mmm-of-bob", "zzz-of-bob"])]
        {
            let mut expected: Vec<String> = own.map(str::to_owned).to_vec();
            expected.extend(public.clone());
            expected.sort();
            let (mut seen, mut page_token) = (Vec::new(), String::new());
            loop {
                let message =
                    pb::ListProblemsRequest { page_size: 1, page_token, ..Default::default() };
                let answer = world.problems_of(user).list_problems(message).await.unwrap();
                let page = answer.into_inner();
                seen.extend(page.problems.into_iter().map(|problem| problem.slug));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(seen, expected);
        }
    })
    .await;
}
