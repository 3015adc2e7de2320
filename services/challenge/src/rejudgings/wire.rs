//! Rejudgings as messages.

use proto::Verdict;
use proto::challenge as pb;

use crate::rejudging::{Count, Rejudged, Rejudging, State};
use crate::wire::timestamp;

/// `counts` may contain those of other rejudgings.
pub fn rejudging(rejudging: &Rejudging, counts: &[Count]) -> pb::Rejudging {
    let own = counts.iter().filter(|it| it.rejudging_id == rejudging.id);
    let sum = |which: fn(&Count) -> bool| {
        let sum: i64 = own.clone().filter(|it| which(it)).map(|it| it.count).sum();
        i32::try_from(sum).unwrap_or(i32::MAX)
    };
    let state = match rejudging.state {
        State::Open => pb::RejudgingState::Open,
        State::Applied => pb::RejudgingState::Applied,
        State::Discarded => pb::RejudgingState::Discarded,
    };
    pb::Rejudging {
        rejudging_id: rejudging.id.to_string(),
        contest_id: rejudging.contest_id.to_string(),
        state: state.into(),
        reason: rejudging.reason.clone(),
        user_id: rejudging.user_id.to_string(),
        submission_count: sum(|_| true),
        judged_count: sum(|it| it.new_verdict.is_some()),
        changed_count: sum(|it| it.new_verdict.is_some_and(|new| new != it.old_verdict)),
        create_time: Some(timestamp(rejudging.created_at)),
        close_time: rejudging.closed_at.map(timestamp),
    }
}

pub fn submission(rejudged: &Rejudged) -> pb::RejudgedSubmission {
    let new = rejudged.outcome.as_ref().map(|outcome| outcome.verdict);
    pb::RejudgedSubmission {
        submission_id: rejudged.submission_id.to_string(),
        old_verdict: rejudged.old_verdict.number(),
        new_verdict: new.map_or(0, Verdict::number),
        problem_version: rejudged.problem_version,
    }
}

pub fn verdict_change(count: &Count) -> pb::VerdictChange {
    pb::VerdictChange {
        old_verdict: count.old_verdict.number(),
        new_verdict: count.new_verdict.map_or(0, Verdict::number),
        count: i32::try_from(count.count).unwrap_or(i32::MAX),
    }
}
