//! `agon.challenge.v1.ContestJuryService`.

use access::Caller;
use proto::challenge as pb;
use proto::challenge::contest_jury_service_server::ContestJuryService;
use rpc::Violations;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::Challenge;
use crate::contest::request;
use crate::contests::jury::Order;
use crate::contests::viewer::Viewer;
use crate::jury::Deed;

type Answer<T> = Result<Response<T>, Status>;

/// The largest adjustment of a penalty, in minutes.
const MAX_ADJUSTMENT: i32 = 100_000;

/// An id, or the violation of its field.
fn id(field: &str, text: &str) -> Result<Uuid, Violations> {
    ids::parse(text).ok_or_else(|| violation(field, "must be an id (a UUID)"))
}

fn violation(field: &str, what: impl Into<String>) -> Violations {
    let mut violations = Violations::default();
    violations.add(field, what);
    violations
}

#[tonic::async_trait]
impl ContestJuryService for Challenge {
    async fn ignore_submission(
        &self,
        request: Request<pb::IgnoreSubmissionRequest>,
    ) -> Answer<pb::IgnoreSubmissionResponse> {
        let message = request.get_ref();
        let deed = id("submission_id", &message.submission_id).map(|submission| {
            if message.restore {
                Deed::Restored { submission }
            } else {
                Deed::Ignored { submission }
            }
        });
        let pb::IgnoreSubmissionRequest { contest_id, reason, request_id, .. } = message;
        let order = Order { contest_id, rpc: "IgnoreSubmission", reason, request_id, deed };
        let jury_action = Some(self.act(Caller::of(&request), order).await?);
        Ok(Response::new(pb::IgnoreSubmissionResponse { jury_action }))
    }

    async fn adjust_penalty(
        &self,
        request: Request<pb::AdjustPenaltyRequest>,
    ) -> Answer<pb::AdjustPenaltyResponse> {
        let message = request.get_ref();
        let minutes = message.penalty_minutes;
        let deed = id("participant_id", &message.participant_id).and_then(|participant| {
            if minutes == 0 || !(-MAX_ADJUSTMENT..=MAX_ADJUSTMENT).contains(&minutes) {
                let what = format!("must be -100000 to 100000 and not 0, got {minutes}");
                return Err(violation("penalty_minutes", what));
            }
            Ok(Deed::PenaltyAdjusted { participant, minutes: minutes.into() })
        });
        let pb::AdjustPenaltyRequest { contest_id, reason, request_id, .. } = message;
        let order = Order { contest_id, rpc: "AdjustPenalty", reason, request_id, deed };
        let jury_action = Some(self.act(Caller::of(&request), order).await?);
        Ok(Response::new(pb::AdjustPenaltyResponse { jury_action }))
    }

    async fn add_removed_interval(
        &self,
        request: Request<pb::AddRemovedIntervalRequest>,
    ) -> Answer<pb::AddRemovedIntervalResponse> {
        let message = request.get_ref();
        let deed = interval(message).map(|(from, to)| Deed::IntervalRemoved { from, to });
        let pb::AddRemovedIntervalRequest { contest_id, reason, request_id, .. } = message;
        let order = Order { contest_id, rpc: "AddRemovedInterval", reason, request_id, deed };
        let jury_action = Some(self.act(Caller::of(&request), order).await?);
        Ok(Response::new(pb::AddRemovedIntervalResponse { jury_action }))
    }

    async fn remove_removed_interval(
        &self,
        request: Request<pb::RemoveRemovedIntervalRequest>,
    ) -> Answer<pb::RemoveRemovedIntervalResponse> {
        let pb::RemoveRemovedIntervalRequest { contest_id, interval_id } = request.get_ref();
        let deed =
            id("interval_id", interval_id).map(|interval| Deed::IntervalRestored { interval });
        let rpc = "RemoveRemovedInterval";
        let order = Order { contest_id, rpc, reason: "", request_id: "", deed };
        let jury_action = Some(self.act(Caller::of(&request), order).await?);
        Ok(Response::new(pb::RemoveRemovedIntervalResponse { jury_action }))
    }

    async fn grant_extra_time(
        &self,
        request: Request<pb::GrantExtraTimeRequest>,
    ) -> Answer<pb::GrantExtraTimeResponse> {
        let message = request.get_ref();
        let deed = id("participant_id", &message.participant_id).and_then(|participant| {
            let extra_time = request::extra_time(message.extra_time.as_ref())
                .map_err(|what| violation("extra_time", what))?;
            Ok(Deed::ExtraTimeGranted { participant, seconds: extra_time.num_seconds() })
        });
        let pb::GrantExtraTimeRequest { contest_id, reason, request_id, .. } = message;
        let order = Order { contest_id, rpc: "GrantExtraTime", reason, request_id, deed };
        let jury_action = Some(self.act(Caller::of(&request), order).await?);
        Ok(Response::new(pb::GrantExtraTimeResponse { jury_action }))
    }

    async fn list_jury_actions(
        &self,
        request: Request<pb::ListJuryActionsRequest>,
    ) -> Answer<pb::ListJuryActionsResponse> {
        let viewer = Viewer::of(Caller::of(&request));
        Ok(Response::new(self.list_jury_actions(&viewer, request.get_ref()).await?))
    }
}

/// The seconds at which an interval begins and ends.
fn interval(message: &pb::AddRemovedIntervalRequest) -> Result<(i64, i64), Violations> {
    let from = request::contest_time(message.from.as_ref());
    let from = from.map_err(|what| violation("from", what))?;
    let to = request::duration(message.to.as_ref()).map_err(|what| violation("to", what))?;
    if to <= from {
        return Err(violation("to", "must be after `from`"));
    }
    Ok((from.num_seconds(), to.num_seconds()))
}
