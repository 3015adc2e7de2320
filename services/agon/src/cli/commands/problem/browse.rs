//! `agon problem list`, `show` and `publish`

use std::fmt::Write as _;
use std::process::ExitCode;

use proto::problem::problem_service_client::ProblemServiceClient;
use proto::problem::{
    GetProblemRequest, GetStatementRequest, Limits, ListProblemVersionsRequest,
    ListProblemsRequest, Problem, ProblemVersion, PublishProblemRequest, Statement,
};
use tonic::Code;

use crate::cli::arguments::{ListProblems, PublishProblem, ShowProblem};
use crate::cli::client::{self, SignedIn};
use crate::cli::output;
use crate::failure::Failure;

pub type Client = ProblemServiceClient<SignedIn>;

const PAGE_SIZE: i32 = 200;

pub async fn list(arguments: ListProblems) -> Result<ExitCode, Failure> {
    let client = Client::new(client::maybe_signed_in(&arguments.remote).await?);
    let page = async |page_token| {
        let request = ListProblemsRequest {
            page_size: PAGE_SIZE,
            page_token,
            tags: arguments.tags.clone(),
            query: arguments.query.clone(),
            ..ListProblemsRequest::default()
        };
        let page = client.clone().list_problems(request).await?.into_inner();
        Ok((page.problems, page.next_page_token))
    };
    let (problems, more) = client::pages(arguments.limit, page).await?;
    output::print(table(&problems));
    if more {
        eprintln!("There are more problems; see --limit and --query.");
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each problem.
fn table(problems: &[Problem]) -> String {
    let width = |text: fn(&Problem) -> &str| {
        problems.iter().map(|problem| text(problem).chars().count()).max().unwrap_or_default()
    };
    let (slugs, titles) = (width(|problem| &problem.slug), width(|problem| &problem.title));
    let mut out = String::new();
    for problem in problems {
        let Problem { slug, title, .. } = problem;
        let limit = problem.limits.as_ref().map_or_else(|| "-".to_owned(), time_limit);
        let mut line = format!("{slug:slugs$}  {title:titles$}  {limit:>8}  {}", state(problem));
        if !problem.tags.is_empty() {
            let _ = write!(line, "  {}", problem.tags.join(", "));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// The visibility, and whether contestants get a version.
fn state(problem: &Problem) -> String {
    let visibility = problem.visibility().as_str_name();
    let visibility = visibility.trim_start_matches("VISIBILITY_").to_lowercase();
    match problem.published_version {
        0 => format!("{visibility}, not published"),
        version => format!("{visibility}, version {version}"),
    }
}

fn time_limit(limits: &Limits) -> String {
    let time = limits.time_limit.unwrap_or_default();
    let millis = time.seconds * 1000 + i64::from(time.nanos) / 1_000_000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
        + " s"
}

pub async fn show(arguments: ShowProblem) -> Result<ExitCode, Failure> {
    let mut client = Client::new(client::maybe_signed_in(&arguments.remote).await?);
    let problem = get(&mut client, &arguments.problem).await?;
    let mut text = details(&problem);
    text +=
        &versions(&client, &problem.problem_id).await?.iter().map(version_line).collect::<String>();
    if let Some(statement) = statement(&mut client, &problem, &arguments.language).await? {
        text += &statement_text(&problem, &statement);
    }
    output::print(text);
    Ok(ExitCode::SUCCESS)
}

pub async fn get(client: &mut Client, problem: &str) -> Result<Problem, Failure> {
    let request = GetProblemRequest { problem_id: problem.to_owned() };
    Ok(client.get_problem(request).await?.into_inner().problem.unwrap_or_default())
}

/// The statement in a language, or if that is empty, in the default one. `None` if the problem has none.
pub async fn statement(
    client: &mut Client,
    problem: &Problem,
    language: &str,
) -> Result<Option<Statement>, Failure> {
    let request = GetStatementRequest {
        problem_id: problem.problem_id.clone(),
        language: language.to_owned(),
    };
    match client.get_statement(request).await {
        Ok(answer) => Ok(answer.into_inner().statement),
        Err(status) if status.code() == Code::NotFound && language.is_empty() => Ok(None),
        Err(status) if status.code() == Code::NotFound => {
            let known = problem.statement_languages.join(", ");
            let text = format!("there is no statement in `{language}`; choose one of: {known}");
            Err(Failure::usage(text))
        }
        Err(status) => Err(status.into()),
    }
}

/// The versions of a problem, which only those who may edit it see.
async fn versions(client: &Client, problem_id: &str) -> Result<Vec<ProblemVersion>, Failure> {
    let page = async |page_token| {
        let problem_id = problem_id.to_owned();
        let request = ListProblemVersionsRequest { problem_id, page_size: PAGE_SIZE, page_token };
        let page = client.clone().list_problem_versions(request).await?.into_inner();
        Ok((page.problem_versions, page.next_page_token))
    };
    match client::pages(usize::MAX, page).await {
        Ok((versions, _)) => Ok(versions),
        Err(status) => match status.code() {
            Code::Unauthenticated | Code::PermissionDenied | Code::NotFound => Ok(Vec::new()),
            _ => Err(status.into()),
        },
    }
}

fn version_line(version: &ProblemVersion) -> String {
    let state = version.state().as_str_name().trim_start_matches("VERSION_STATE_").to_lowercase();
    let published = if version.published { ", published" } else { "" };
    let number = version.version;
    let tests = output::counted(version.test_count, "test");
    let samples = output::counted(version.sample_count, "sample");
    field("version", &format!("{number}: {state}{published}, {tests} ({samples})"))
}

fn field(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{name:12}{value}\n") }
}

fn details(problem: &Problem) -> String {
    let mut out = format!("{}  {}\n", problem.slug, problem.title);
    out += &field("id", &problem.problem_id);
    out += &field("state", &state(problem));
    if let Some(limits) = &problem.limits {
        let (mib, kib) = (|bytes: i64| bytes >> 20, limits.source_limit_bytes >> 10);
        let (memory, output) = (mib(limits.memory_limit_bytes), mib(limits.output_limit_bytes));
        let time = time_limit(limits);
        out += &field(
            "limits",
            &format!("{time}, {memory} MiB memory, {output} MiB output, {kib} KiB source"),
        );
    }
    if problem.difficulty > 0 {
        out += &field("difficulty", &problem.difficulty.to_string());
    }
    out += &field("tags", &problem.tags.join(", "));
    out += &field("authors", &problem.authors.join(", "));
    out += &field("languages", &problem.statement_languages.join(", "));
    let file =
        |file: &proto::problem::Attachment| format!("{} ({} bytes)", file.name, file.size_bytes);
    let files: Vec<String> = problem.attachments.iter().map(file).collect();
    out + &field("attachments", &files.join(", "))
}

fn statement_text(problem: &Problem, statement: &Statement) -> String {
    let mut out = format!("\n# {}\n\n", statement.title);
    if statement.markdown.is_empty() {
        let _ = writeln!(
            out,
            "The statement is not Markdown; see `agon problem download {}`.",
            problem.slug
        );
    } else {
        let _ = writeln!(out, "{}", statement.markdown.trim_end());
    }
    for sample in &statement.samples {
        let note = if sample.truncated { " (truncated)" } else { "" };
        let name = &sample.name;
        let _ = write!(out, "\n## {name}: input{note}\n\n{}", indent(&sample.input));
        let _ = write!(out, "\n## {name}: output{note}\n\n{}", indent(&sample.answer));
    }
    out
}

/// An indented code block of Markdown.
fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

pub async fn publish(arguments: PublishProblem) -> Result<ExitCode, Failure> {
    let mut client = Client::new(client::signed_in(&arguments.remote).await?);
    let request = PublishProblemRequest {
        problem_id: arguments.problem,
        version: arguments.version,
        make_public: arguments.public,
    };
    let answer = client.publish_problem(request).await?.into_inner();
    let problem = answer.problem.unwrap_or_default();
    print_line!("{}: {}", problem.slug, state(&problem));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use proto::problem::{Sample, VersionState, Visibility};

    use super::*;

    fn problem(slug: &str, title: &str, millis: u64) -> Problem {
        let time = std::time::Duration::from_millis(millis);
        Problem {
            slug: slug.into(),
            title: title.into(),
            visibility: Visibility::Public.into(),
            published_version: 2,
            limits: Some(Limits {
                time_limit: time.try_into().ok(),
                memory_limit_bytes: 256 << 20,
                output_limit_bytes: 8 << 20,
                source_limit_bytes: 128 << 10,
                ..Limits::default()
            }),
            ..Problem::default()
        }
    }

    #[test]
    fn list_has_a_line_for_each_problem() {
        let draft = Problem {
            slug: "b".into(),
            title: "Längere".into(),
            visibility: Visibility::Draft.into(),
            tags: vec!["math".into(), "trees".into()],
            ..Problem::default()
        };
        assert_eq!(
            table(&[problem("shelf", "Shelf", 1500), draft]),
            "shelf  Shelf       1.5 s  public, version 2\n\
             b      Längere         -  draft, not published  math, trees\n"
        );
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn details_versions_and_statement_are_shown() {
        let problem = problem("shelf", "Shelf", 1000);
        assert_eq!(
            details(&problem),
            "shelf  Shelf\nstate       public, version 2\n\
             limits      1 s, 256 MiB memory, 8 MiB output, 128 KiB source\n"
        );
        let version = ProblemVersion {
            version: 3,
            state: VersionState::Verified.into(),
            published: true,
            test_count: 8,
            sample_count: 2,
            ..ProblemVersion::default()
        };
        let line = "version     3: verified, published, 8 tests (2 samples)\n";
        assert_eq!(version_line(&version), line);
        let sample = Sample { name: "1".into(), input: "2\n3\n".into(), ..Sample::default() };
        let statement =
            Statement { title: "Shelf".into(), samples: vec![sample], ..Statement::default() };
        let text = statement_text(&problem, &statement);
        assert!(text.contains("agon problem download shelf"), "{text}");
        assert!(text.contains("## 1: input\n\n    2\n    3\n"), "{text}");
    }
}
