//! The cost of lists, filters and periodic work at 1,000 and at 200,000 submissions (and 100,000 users):
//! `cargo bench -p agon --bench growth`.
//!
//! Prints the medians and their ratios, on SQLite and, with `deploy/engines/with.sh`, on PostgreSQL. Fails when a ratio
//! is above [`MAX_RATIO`]. `growth N` fills the large database with N submissions.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use access::{Authorised, Credentials, Role};
use auth::Auth;
use challenge::Challenge;
use db::testing::{Kind, kinds};
use db::{Db, Query};
use ids::{Clock, Uuid};
use judge::Judge;
use proto::auth::access_service_client::AccessServiceClient;
use proto::auth::session_service_client::SessionServiceClient;
use proto::auth::user_service_client::UserServiceClient;
use proto::auth::{ListRoleBindingsRequest, ListSessionsRequest, ListUsersRequest};
use proto::challenge::submission_service_client::SubmissionServiceClient;
use proto::challenge::{ListSubmissionsRequest, Verdict};
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::{GetQueueRequest, ListWorkersRequest};
use service::Service;
use service::testing::{Running, Setup, World};

const MAX_RATIO: f64 = 2.0;
const SMALL: Size = Size { submissions: 1000, users: 1000 };
/// Rows of one INSERT.
const BATCH: u32 = 100;
/// Open submissions and jobs, at every size.
const OPEN: u32 = 20;
/// How long the CPU time of an idle service is measured.
const IDLE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Size {
    submissions: u32,
    users: u32,
}

/// What one database of a size costs.
type Figures = Vec<(&'static str, Duration)>;

#[tokio::main]
async fn main() {
    let submissions = std::env::args().find_map(|argument| argument.parse().ok());
    let submissions = submissions.unwrap_or(200_000);
    let large = Size { submissions, users: submissions / 2 };
    let mut worst: f64 = 0.0;
    for kind in kinds() {
        let engine = if matches!(kind, Kind::Sqlite) { "SQLite" } else { "PostgreSQL" };
        let (before, after) = (measure(&kind, SMALL).await, measure(&kind, large).await);
        println!("{engine}: {} and {submissions} submissions", SMALL.submissions);
        for ((name, small), (_, large)) in before.into_iter().zip(after) {
            let ratio = large.as_secs_f64() / small.as_secs_f64();
            println!("  {name:52} {:>9.1} us {:>9.1} us  {ratio:.2}", micros(small), micros(large));
            worst = worst.max(ratio);
        }
    }
    println!("the highest ratio is {worst:.2}, the limit {MAX_RATIO}");
    std::process::exit(i32::from(worst > MAX_RATIO));
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

async fn measure(kind: &Kind, size: Size) -> Figures {
    let mut figures = submissions(kind, size).await;
    figures.extend(jobs(kind, size).await);
    figures.extend(users(kind, size).await);
    figures
}

/// The median time of a call.
async fn median<F: Future<Output = ()>>(call: impl Fn() -> F) -> Duration {
    let mut times = Vec::new();
    for round in 0..320 {
        let started = Instant::now();
        call().await;
        if round >= 20 {
            times.push(started.elapsed());
        }
    }
    times.sort();
    times[times.len() / 2]
}

async fn world<S: Service>(kind: &Kind) -> World<S> {
    Setup::<S>::new(S::Config::default()).clock(Clock::system()).idle().open(kind).await
}

/// A channel of a user with a role.
fn caller<S>(running: &Running<S>, id: Uuid, role: Role) -> Authorised {
    let token = running.issuer.user(id, "someone", &[role]);
    Credentials::fixed(&token).channel(running.channel.clone())
}

fn id(number: u32) -> Uuid {
    // UUIDs of version 7, in the order of their numbers.
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | (u128::from(number) << 80))
}

/// Inserts rows; `row` binds the values of one.
async fn insert(
    db: &Db,
    into: &'static str,
    count: u32,
    row: impl for<'q> Fn(Query<'q>, u32) -> Query<'q>,
) {
    let mut tx = db.begin().await.expect("a transaction");
    for first in (0..count).step_by(BATCH as usize) {
        let mut query = tx.query(into);
        for number in first..count.min(first + BATCH) {
            query = query.push(if number == first { " (" } else { ", (" });
            query = row(query, number).push(")");
        }
        query.execute().await.expect("inserting rows");
    }
    tx.commit().await.expect("a commit");
}

/// One user made half of all submissions, on one problem.
fn author(number: u32, size: Size) -> Uuid {
    id(if number.is_multiple_of(2) { 0 } else { number % size.users })
}

async fn submissions(kind: &Kind, size: Size) -> Figures {
    let world = world::<Challenge>(kind).await;
    let now = world.clock().now();
    let into = "INSERT INTO submissions (submission_id, version, user_id, problem_id, problem_version,
        language, source_size, created_at, requested_at, user_ordinal, verdict, judgement_id, judged_at)
        VALUES";
    insert(&world.db, into, size.submissions, |query, n| {
        let judged = n + OPEN < size.submissions;
        let (user, problem) = (author(n, size), author(n / 2, Size { users: 50, ..size }));
        let language = if n % 3 == 0 { "python3" } else { "cpp20" };
        let query =
            query.push_bind_all((id(n), 1_i64, user, problem, 1_i64, language, 100_i64, now));
        let query = query.push(", ").push_bind_all((now, i64::from(n)));
        let verdict = judged.then(|| "AC".to_owned());
        query.push(", ").push_bind_all((verdict, judged.then_some(id(n)), judged.then_some(now)))
    })
    .await;
    let client = SubmissionServiceClient::new(caller(&world.running, id(1), Role::Judge));
    let list = |request: ListSubmissionsRequest| {
        let mut client = client.clone();
        async move { drop(client.list_submissions(request).await.expect("a list")) }
    };
    let mut figures = Figures::new();
    let names = ["", "by user", "by problem", "by user and problem"];
    for (scope, name) in names.into_iter().enumerate() {
        let text = |bit: usize| if scope & bit == 0 { String::new() } else { id(0).to_string() };
        let all = ListSubmissionsRequest {
            user_id: text(1),
            problem_id: text(2),
            ..ListSubmissionsRequest::default()
        };
        let mut missing = all.clone();
        missing.set_verdict(Verdict::SecurityViolation);
        let language = ListSubmissionsRequest { language: "rust".into(), ..all.clone() };
        let mut both = ListSubmissionsRequest { language: "cpp20".into(), ..all.clone() };
        both.set_verdict(Verdict::SecurityViolation);
        for (filter, request) in [
            ("", all),
            ("verdict without match", missing),
            ("language without match", language),
            ("verdict and language without match", both),
        ] {
            let mut label = String::from("submissions");
            for part in [name, filter].iter().filter(|part| !part.is_empty()) {
                let _ = write!(label, " {part}");
            }
            figures.push((String::leak(label), median(|| list(request.clone())).await));
        }
    }
    // The peers do not answer, so nothing changes.
    let check = || async {
        let _found = world.running.service.check_stale_once().await.expect("a check");
    };
    figures.push(("stale submissions, periodic", median(check).await));
    figures
}

async fn jobs(kind: &Kind, size: Size) -> Figures {
    let world = world::<Judge>(kind).await;
    let now = world.clock().now();
    let later = now + Duration::from_secs(3600);
    let into = "INSERT INTO judgements (id, submission_id, problem_id, owner_id, state, due_at, created_at,
        ordinal, problem_version, language, priority, attempt, crash_count, worker, verdict, cpu_time_us,
        memory_bytes, test_count, tests, compile_output, message, isolation) VALUES";
    insert(&world.db, into, size.submissions, |query, n| {
        let state = if n + OPEN < size.submissions { "done" } else { "queued" };
        let due = if state == "done" { now } else { later };
        query
            .push_bind_all((id(n), id(n), id(0), author(n, size), state, due, now))
            .push(", 1, 1, 'cpp20', 100, 1, 0, '', '', 0, 0, 0, ")
            .push_bind(Vec::new())
            .push(", '', '', ''")
    })
    .await;
    let client = JudgementServiceClient::new(caller(&world.running, id(1), Role::Admin));
    let queue = || {
        let mut client = client.clone();
        async move { drop(client.get_queue(GetQueueRequest {}).await.expect("the queue")) }
    };
    let workers = || {
        let mut client = client.clone();
        async move { drop(client.list_workers(ListWorkersRequest {}).await.expect("workers")) }
    };
    let mut figures = vec![("queue", median(queue).await), ("workers", median(workers).await)];
    world.running.service.dispatch(&world.running.tasks);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = cpu();
    tokio::time::sleep(IDLE).await;
    figures.push(("CPU of ten seconds with open jobs, periodic", cpu() - before));
    figures
}

async fn users(kind: &Kind, size: Size) -> Figures {
    let world = world::<Auth>(kind).await;
    let now = world.clock().now();
    let later = now + Duration::from_secs(3600);
    let into = "INSERT INTO users (id, username, username_key, password_changed_at, created_at, updated_at,
        display_name, country, email, password_hash, auth_epoch, version) VALUES";
    insert(&world.db, into, size.users, |query, n| {
        let name = format!("user-{n:06}");
        let query = query.push_bind_all((id(n), name.clone(), name, now, now, now));
        query.push(", '', '', '', '', 1, 1")
    })
    .await;
    let into = "INSERT INTO sessions (id, user_id, token_hash, created_at, refreshed_at, expires_at, client,
        address, methods, version) VALUES";
    insert(&world.db, into, size.users, |query, n| {
        let query = query.push_bind_all((id(n), id(n), Vec::new(), now, now, later));
        query.push(", '', '', '', 1")
    })
    .await;
    let into =
        "INSERT INTO role_bindings (id, user_id, role, resource, created_by, created_at) VALUES";
    insert(&world.db, into, size.users, |query, n| {
        query.push_bind_all((id(n), id(n), "setter", "", id(0), now))
    })
    .await;

    let channel = caller(&world.running, id(1), Role::Admin);
    let clients = UserServiceClient::new(channel.clone());
    let list = |prefix: &'static str| {
        let mut client = clients.clone();
        let request = ListUsersRequest { username_prefix: prefix.into(), ..Default::default() };
        async move { drop(client.list_users(request).await.expect("a list")) }
    };
    let bindings = |role: &'static str| {
        let mut client = AccessServiceClient::new(channel.clone());
        let request = ListRoleBindingsRequest { role: role.into(), ..Default::default() };
        async move { drop(client.list_role_bindings(request).await.expect("a list")) }
    };
    let sessions = || {
        let mut client = SessionServiceClient::new(channel.clone());
        let request = ListSessionsRequest::default();
        async move { drop(client.list_sessions(request).await.expect("a list")) }
    };
    vec![
        ("users", median(|| list("")).await),
        ("users with a prefix", median(|| list("user-0005")).await),
        ("users with a prefix without match", median(|| list("zzz")).await),
        ("role bindings", median(|| bindings("")).await),
        ("role bindings of a role without match", median(|| bindings("judge")).await),
        ("sessions", median(sessions).await),
    ]
}

/// CPU time of the threads of this process.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads of the process");
    let times = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}
