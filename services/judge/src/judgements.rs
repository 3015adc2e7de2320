//! The queries about judgements and the queue.

use db::Db;
use prost::Message;
use proto::judge as pb;
use uuid::Uuid;

use crate::error::Error;
use crate::judgement::{Lease, Subject, timestamp};
use crate::queue::{Live, Queue};
use crate::store::{self, Row};

/// The judgement to return.
pub enum Wanted {
    /// The first one of a submission or verification.
    Of(Subject),
    Judgement(Uuid),
}

/// A judgement, with its progress while it runs.
pub async fn get(db: &Db, queue: &Queue, wanted: Wanted) -> Result<pb::Judgement, Error> {
    let found = match wanted {
        Wanted::Of(subject) => store::first(db, subject).await?,
        Wanted::Judgement(id) => store::by_id(db, id).await?,
    };
    let mut row = found.ok_or(Error::NotFound)?;
    explain_wait(queue, &mut row).await?;
    let live = live(queue, &row).await;
    wire(row, live)
}

/// The judgements of verifications, without tests and compiler output.
pub async fn of_verifications(
    db: &Db,
    queue: &Queue,
    ids: &[Uuid],
) -> Result<Vec<pb::Judgement>, Error> {
    let mut judgements = Vec::new();
    for mut row in store::of_verifications(db, ids).await? {
        explain_wait(queue, &mut row).await?;
        let live = live(queue, &row).await;
        let judgement = wire(row, live)?;
        let (tests, compile_output) = (Vec::new(), String::new());
        judgements.push(pb::Judgement { tests, compile_output, ..judgement });
    }
    Ok(judgements)
}

/// Sets the message of a waiting job that no connected worker can take.
async fn explain_wait(queue: &Queue, row: &mut Row) -> Result<(), Error> {
    if row.state == "queued"
        && let Some(message) = queue.waits_for(&row.language).await?
    {
        row.message = message;
    }
    Ok(())
}

async fn live(queue: &Queue, row: &Row) -> Option<Live> {
    match row.state.as_str() {
        "leased" => queue.live(Lease { id: row.id, attempt: row.attempt }).await,
        _ => None,
    }
}

fn wire(row: Row, live: Option<Live>) -> Result<pb::Judgement, Error> {
    let stored = pb::Judgement::decode(row.tests.as_slice());
    let stored = stored.map_err(Error::stored)?;
    let state = match (row.state.as_str(), &live) {
        ("done", _) if row.verdict.is_empty() => pb::JudgementState::Aborted,
        ("done", _) => pb::JudgementState::Done,
        ("leased", Some(live)) => live.state,
        _ => pb::JudgementState::Queued,
    };
    let verdict = pb::Verdict::from_str_name(&row.verdict).unwrap_or_default();
    let count = i32::try_from(row.test_count).unwrap_or(i32::MAX);
    let (tests, test_count): (Vec<_>, i32) = match live {
        Some(live) => (live.tests.into_values().collect(), live.test_count),
        None => (stored.tests, count),
    };
    let done_count = i32::try_from(tests.len()).unwrap_or(i32::MAX);
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    Ok(pb::Judgement {
        judgement_id: row.id.to_string(),
        submission_id: text(row.submission_id),
        verification_id: text(row.verification_id),
        state: state.into(),
        verdict: verdict.into(),
        cpu_time_us: row.cpu_time_us,
        memory_bytes: row.memory_bytes,
        tests,
        test_count,
        done_count,
        compile_output: row.compile_output,
        message: row.message,
        isolation: row.isolation,
        worker: row.worker,
        attempt: i32::try_from(row.attempt).unwrap_or(i32::MAX),
        create_time: Some(timestamp(row.created_at)),
        done_time: row.done_at.map(timestamp),
    })
}

/// The number of queued and running jobs, the creation time of the oldest queued one, and the missing languages.
pub async fn queue(db: &Db, queue: &Queue) -> Result<pb::Queue, Error> {
    let (queued_count, running_count, oldest) = store::counts(db).await?;
    let oldest_time = oldest.map(timestamp);
    let unserved_languages = queue.unserved_languages().await?;
    Ok(pb::Queue { queued_count, running_count, oldest_time, unserved_languages })
}
