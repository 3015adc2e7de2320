//! Invalid, missing, oversized and hostile values in every RPC: the status has a field or a reason, never INTERNAL.

use prost_types::FieldMask;
use proto::problem as pb;
use tonic::{Code, Status};

use crate::package::Files;
use crate::world::{each, rejects_field};

/// Names that no problem has.
fn unknown_names() -> Vec<String> {
    let names =
        ["", " ", "x", "UPPER", "a b", "../etc/passwd", "%2e%2e", "ä", "'; DROP TABLE x", "\0"];
    let mut names: Vec<String> = names.map(str::to_owned).to_vec();
    names.extend(["x".repeat(100_000), "00000000-0000-0000-0000-000000000000".to_owned()]);
    names
}

/// Asserts that the status is an error of the caller with a reason.
#[track_caller]
fn is_refused<T: std::fmt::Debug>(result: Result<T, Status>) {
    let status = result.expect_err("call must fail");
    let refused = matches!(status.code(), Code::InvalidArgument | Code::NotFound);
    assert!(refused && rpc::status::reason(&status).is_some(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_are_refused() {
    each(|world| async move {
        let admin = world.user("admin", &[access::Role::Admin]);
        let (mut client, mut imports) = (world.problems_of(&admin), world.imports_of(&admin));
        let mut data = world.judge_data();
        for name in unknown_names() {
            let problem_id = name.clone();
            is_refused(world.get(Some(&admin.token), &name).await);
            let message = pb::UpdateProblemRequest {
                problem: Some(pb::Problem { problem_id, title: "x".into(), ..Default::default() }),
                update_mask: None,
            };
            is_refused(client.update_problem(message).await);
            let message = pb::DeleteProblemRequest { problem_id: name.clone(), etag: name.clone() };
            is_refused(client.delete_problem(message).await);
            let message = pb::UndeleteProblemRequest { problem_id: name.clone() };
            is_refused(client.undelete_problem(message).await);
            let message =
                pb::PublishProblemRequest { problem_id: name.clone(), ..Default::default() };
            is_refused(client.publish_problem(message).await);
            let message =
                pb::ListProblemVersionsRequest { problem_id: name.clone(), ..Default::default() };
            is_refused(client.list_problem_versions(message).await);
            let message = pb::GetProblemVersionRequest { problem_id: name.clone(), version: 1 };
            is_refused(client.get_problem_version(message).await);
            let message =
                pb::GetStatementRequest { problem_id: name.clone(), language: name.clone() };
            is_refused(client.get_statement(message).await);
            let message =
                pb::DownloadAttachmentRequest { problem_id: name.clone(), name: name.clone() };
            let answer = client.download_attachment(message).await;
            is_refused(answer);
            let message = pb::GetProblemImportRequest { problem_import_id: name.clone() };
            is_refused(imports.get_problem_import(message).await);
            let message = pb::GetJudgeDataRequest { problem_id: name.clone(), version: i64::MIN };
            is_refused(data.get_judge_data(message).await);
            let message = pb::GetVerificationRequest { verification_id: name.clone() };
            is_refused(data.get_verification(message).await);
            let message = pb::DownloadObjectRequest { digest: name };
            is_refused(data.download_object(message).await);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_fields_are_named() {
    each(|world| async move {
        let setter = world.setter();
        let mut client = world.problems_of(&setter);
        let good = || pb::Problem { slug: "good".into(), title: "t".into(), ..Default::default() };
        let cases = [
            ("problem.slug", pb::Problem { slug: String::new(), ..good() }),
            ("problem.slug", pb::Problem { slug: "A b".into(), ..good() }),
            ("problem.title", pb::Problem { title: String::new(), ..good() }),
            ("problem.title", pb::Problem { title: "\0".into(), ..good() }),
            ("problem.title", pb::Problem { title: "x".repeat(201), ..good() }),
            ("problem.visibility", pb::Problem { visibility: 99, ..good() }),
            ("problem.visibility", pb::Problem { visibility: -1, ..good() }),
            ("problem.tags", pb::Problem { tags: vec!["Ä".into()], ..good() }),
            (
                "problem.tags",
                pb::Problem { tags: (0..21).map(|i| format!("t{i}")).collect(), ..good() },
            ),
            ("problem.difficulty", pb::Problem { difficulty: 99, ..good() }),
            ("problem.difficulty", pb::Problem { difficulty: i32::MIN, ..good() }),
            ("problem.authors", pb::Problem { authors: vec![String::new()], ..good() }),
        ];
        for (field, problem) in cases {
            let message = pb::CreateProblemRequest { problem: Some(problem), ..Default::default() };
            rejects_field(client.create_problem(message).await, field);
        }
        let message = pb::CreateProblemRequest::default();
        rejects_field(client.create_problem(message).await, "problem.slug");
        let message =
            pb::CreateProblemRequest { problem: Some(good()), request_id: "x".repeat(129) };
        rejects_field(client.create_problem(message).await, "request_id");
        let message = pb::UpdateProblemRequest::default();
        rejects_field(client.update_problem(message).await, "problem.problem_id");
        world.create(&setter, "first").await.unwrap();
        let message = pb::UpdateProblemRequest {
            problem: Some(pb::Problem { problem_id: "first".into(), ..Default::default() }),
            update_mask: Some(FieldMask { paths: vec!["title\0".into()] }),
        };
        rejects_field(client.update_problem(message).await, "update_mask");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_list_requests_are_refused() {
    each(|world| async move {
        let all = pb::ListProblemsRequest::default;
        for (field, message) in [
            ("page_size", pb::ListProblemsRequest { page_size: -1, ..all() }),
            ("page_token", pb::ListProblemsRequest { page_token: "x".repeat(5000), ..all() }),
            ("tags", pb::ListProblemsRequest { tags: vec!["\0".into()], ..all() }),
            ("min_difficulty", pb::ListProblemsRequest { min_difficulty: -1, ..all() }),
            ("max_difficulty", pb::ListProblemsRequest { max_difficulty: -1, ..all() }),
            ("query", pb::ListProblemsRequest { query: "ä".repeat(101), ..all() }),
            ("query", pb::ListProblemsRequest { query: "\0".into(), ..all() }),
            ("owner_id", pb::ListProblemsRequest { owner_id: "me".into(), ..all() }),
            ("owner_id", pb::ListProblemsRequest { owner_id: "unknown".into(), ..all() }),
        ] {
            rejects_field(world.problems().list_problems(message).await, field);
        }
        let setter = world.setter();
        let message = pb::ListProblemImportsRequest { page_size: -1, ..Default::default() };
        let answer = world.imports_of(&setter).list_problem_imports(message).await;
        rejects_field(answer, "page_size");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_bytes_in_packages_are_never_internal_errors() {
    each(|world| async move {
        let setter = world.setter();
        let check = async |files: Files| {
            let answer = world.try_import(&setter, Default::default(), &files.tar()).await;
            if let Err(status) = answer {
                assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            }
        };
        // Zero bytes in every stored text are either replaced or refused.
        for (file, text) in [
            (
                "problem.yaml",
                "problem_format_version: 2025-09\nname: x\nuuid: \"\\0\"\n".to_owned(),
            ),
            ("statement/problem.en.md", "a\0b".into()),
            ("submissions/accepted/a.py", "# AC\0\n".into()),
            ("data/sample/1.in", "a\0b".into()),
            ("data/sample/1.yaml", "description: \"a\\0b\"\n".into()),
            ("data/sample/1.yaml", "output_validator_args: [\"\\0\"]\n".into()),
            ("data/sample/1.yaml", "input_validator_args: [\"\\0\"]\n".into()),
            ("submissions/submissions.yaml", "\"\\0\": {}\n".into()),
            ("statement/problem.en.md", "{{c}}".into()),
        ] {
            println!("{file}");
            check(Files::valid().with(file, &text)).await;
        }
        let yaml = format!(
            "problem_format_version: 2025-09\nname: x\nuuid: {}\nconstants: {{c: \"\\0\"}}\n\
             keywords: [\"\\0\"]\ncredits: \"a\\0b\"\n",
            crate::package::UUID
        );
        let files = Files::valid().with("problem.yaml", yaml);
        check(files.with("statement/problem.en.md", "{{c}}\n")).await;
    })
    .await;
}
