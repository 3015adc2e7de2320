//! The use cases of participants.

use db::{Read, Tx, TxGuard};
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use super::viewer::Viewer;
use super::{rosters, wire};
use crate::Challenge;
use crate::contest::origin::Origin;
use crate::contest::{Contest, Participant, Person, Registration, request};
use crate::error::Error;
use crate::team::Team;
use crate::teams::{self, parse_id};
use crate::{events, log, store};

/// The fields that organisers can set.
const FIELDS: [&str; 7] =
    ["unofficial", "hidden", "disqualified", "extra_time", "organization", "country", "group"];

impl Challenge {
    /// Registers the caller, once per request id.
    pub async fn register(
        &self,
        caller: &access::Caller,
        request: &pb::RegisterForContestRequest,
    ) -> Result<pb::RegisterForContestResponse, Error> {
        let user = caller.user()?;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let found = self.contest_named(&request.contest_id).await?;
        // Who knows the code of a private contest may join it without seeing it first.
        let joins = found.published_at.is_some()
            && found.registration == Registration::Code
            && found.access_code == request.access_code;
        if !joins {
            self.contest(&Viewer::of(caller), &request.contest_id).await?;
        }
        let team_id = match request.team_id.as_str() {
            "" => None,
            id => Some(parse_id("team_id", id)?),
        };
        let content =
            [found.id.as_bytes(), request.access_code.as_bytes(), request.team_id.as_bytes()];
        // Without a team, the digest is that of earlier versions.
        let content = &content[..if team_id.is_some() { 3 } else { 2 }];
        let once = Idempotent::new(user.id, "RegisterForContest", &request.request_id, content);
        let register = |mut tx: TxGuard| async move {
            let team = match team_id {
                Some(id) => Some(teams::lock(&mut tx, id).await?),
                None => None,
            };
            if let Some(team) = &team {
                team.check_captain(user.id)?;
            }
            let (mut log, contest) = self.locked(&mut tx, found.id, "").await?;
            let now = tx.now();
            check_open(&contest, now)?;
            let known = match &team {
                Some(team) => store::participants::by_team(&mut *tx, contest.id, team.id).await?,
                None => {
                    let known = store::participants::by_user(&mut *tx, contest.id, user.id).await?;
                    known.filter(|it| it.team_id.is_none())
                }
            };
            let active = known.as_ref().is_some_and(Participant::is_active);
            if !active && contest.registration == Registration::Code {
                check_code(&contest, &request.access_code)?;
            }
            let participant = match known {
                Some(known) if active => known,
                known => {
                    let team = team.as_ref();
                    let back = enter(&mut tx, &contest, known, team, &user.name, user.id).await?;
                    let number = log.append(&mut tx, now, &log::participant(&back)).await?;
                    events::participant_registered(&mut tx, &back, number);
                    self.count(&mut tx, contest, i64::from(back.is_counted())).await?;
                    back
                }
            };
            let participant = Some(shown(&mut *tx, &participant).await?);
            Ok(pb::RegisterForContestResponse { participant })
        };
        once.run(&self.db, register).await
    }

    /// Saves a contest whose states may have been recorded, with its new number of participants.
    pub(super) async fn count(
        &self,
        tx: &mut Tx,
        mut contest: Contest,
        change: i64,
    ) -> Result<(), Error> {
        contest.participant_count += change;
        store::contests::save(tx, &contest).await?;
        self.notify_contest(tx, contest.id);
        Ok(())
    }

    /// Withdraws the caller, once per request id.
    pub async fn withdraw(
        &self,
        caller: &access::Caller,
        request: &pb::WithdrawFromContestRequest,
    ) -> Result<pb::WithdrawFromContestResponse, Error> {
        let user = caller.user()?.id;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let found = self.contest_named(&request.contest_id).await?;
        let content = [found.id.as_bytes().as_slice()];
        let once = Idempotent::new(user, "WithdrawFromContest", &request.request_id, &content);
        let withdraw = |mut tx: TxGuard| async move {
            let (mut log, contest) = self.locked(&mut tx, found.id, "").await?;
            let now = tx.now();
            let participant = store::participants::by_user(&mut *tx, contest.id, user).await?;
            let Some(mut participant) = participant else {
                // Also hides private contests from those who do not take part.
                return Err(match contest.is_public() {
                    true => Error::ParticipantNotFound,
                    false => Error::ContestNotFound,
                });
            };
            check_captain(&mut tx, &participant, user).await?;
            if participant.is_active() {
                if contest.state(now).is_closed() {
                    return Err(Error::closed());
                }
                if contest.has_ended(now) {
                    return Err(Error::ended());
                }
                let counted = i64::from(participant.is_counted());
                participant.withdrawn_at = Some(now);
                store::participants::save(&mut tx, &participant).await?;
                log.append(&mut tx, now, &log::participant(&participant)).await?;
                self.count(&mut tx, contest, -counted).await?;
            }
            let participant = Some(shown(&mut *tx, &participant).await?);
            Ok(pb::WithdrawFromContestResponse { participant })
        };
        once.run(&self.db, withdraw).await
    }

    /// Changes how a participant counts.
    pub async fn update_participant(
        &self,
        viewer: &Viewer,
        request: &pb::UpdateParticipantRequest,
    ) -> Result<pb::Participant, Error> {
        let draft = request.participant.clone().unwrap_or_default();
        let mask = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        let fields = fields(mask)?;
        let mut violations = Violations::default();
        let extra_time = request::extra_time(draft.extra_time.as_ref());
        let extra_time = extra_time.map_err(|what| violations.add("participant.extra_time", what));
        let extra_time = extra_time.unwrap_or_default();
        let origin = Origin::new(&draft.organization, &draft.country, &draft.group);
        let origin = origin.map_err(|(field, what)| {
            violations.add(format!("participant.{field}"), what);
        });
        violations.into_result()?;
        let origin = origin.unwrap_or_default();
        let Some(id) = ids::parse(&draft.participant_id) else {
            let text = "must be a participant id (a UUID)";
            return Err(Error::invalid("participant.participant_id", text));
        };
        let found = self.own_contest(viewer, &request.contest_id).await?;
        let (fields, draft, origin) = (&fields, &draft, &origin);
        let updated = self.db.transact(|mut tx| async move {
            let (mut log, contest) = self.locked(&mut tx, found.id, "").await?;
            let now = tx.now();
            if contest.state(now).is_closed() {
                return Err(Error::closed());
            }
            let known = store::participants::by_ids(&mut *tx, vec![id]).await?.pop();
            let known = known.filter(|it| it.contest_id == contest.id);
            let before = known.ok_or(Error::ParticipantNotFound)?;
            let mut participant = before.clone();
            for field in fields {
                match *field {
                    "unofficial" => participant.unofficial = draft.unofficial,
                    "hidden" => participant.hidden = draft.hidden,
                    "disqualified" => participant.disqualified = draft.disqualified,
                    "organization" => participant.organization.clone_from(&origin.organization),
                    "country" => participant.country.clone_from(&origin.country),
                    "group" => participant.group.clone_from(&origin.group),
                    _ => participant.extra_time = extra_time,
                }
            }
            store::participants::save(&mut tx, &participant).await?;
            log.append(&mut tx, now, &log::participant(&participant)).await?;
            let change = i64::from(participant.is_counted()) - i64::from(before.is_counted());
            self.count(&mut tx, contest, change).await?;
            shown(&mut *tx, &participant).await
        });
        updated.await
    }

    pub async fn list_participants(
        &self,
        viewer: &Viewer,
        request: &pb::ListParticipantsRequest,
    ) -> Result<pb::ListParticipantsResponse, Error> {
        let contest = self.contest(viewer, &request.contest_id).await?;
        let all = viewer.user.is_some() || viewer.lists_all();
        let all = all && self.judges(viewer, &contest).await.unwrap_or(false);
        let args = [contest.id.as_bytes().as_slice(), &[u8::from(all)]];
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, Uuid> =
            Page::open(&self.page_key, "ListParticipants", &args, size, token)?;
        let rows =
            store::participants::list(&self.db, contest.id, all, page.after, page.limit()).await?;
        let (participants, next_page_token) = page.close(rows, |last| last.id);
        let ids = participants.iter().map(|it| it.id).collect();
        let mut members = store::participants::members(&self.db, ids).await?;
        let shown = participants.iter().map(|it| {
            let members = members.remove(&it.id).unwrap_or_default();
            wire::participant(it, &members)
        });
        let mut participants: Vec<_> = shown.collect();
        if !all {
            // Extra time is between the participant and the organisers.
            participants.iter_mut().for_each(|it| {
                it.extra_time = None;
                it.external_id.clear();
            });
        }
        Ok(pb::ListParticipantsResponse { participants, next_page_token })
    }
}

/// Registers a user or a team that is not registered, or withdrew. The contest is locked.
async fn enter(
    tx: &mut Tx,
    contest: &Contest,
    known: Option<Participant>,
    team: Option<&Team>,
    user_name: &str,
    user: Uuid,
) -> Result<Participant, Error> {
    let attempted = match &known {
        Some(known) => store::submissions::has_any(&mut *tx, known.id).await?,
        None => false,
    };
    let mut participant = match known {
        Some(known) => Participant { withdrawn_at: None, ..known },
        None => Participant::new(tx.new_id(), contest.id, user, user_name, tx.now()),
    };
    if attempted {
        // The members stay as they were.
        store::participants::save(tx, &participant).await?;
        return Ok(participant);
    }
    let people = match team {
        Some(team) => {
            participant.team_id = Some(team.id);
            participant.user_id = team.captain_id;
            participant.name.clone_from(&team.name);
            rosters::people(team)
        }
        None => vec![Person { user_id: user, name: user_name.to_owned() }],
    };
    rosters::enrol(tx, &participant, &people).await?;
    Ok(participant)
}

/// Fails if the participant is a team of which the user is not the captain.
async fn check_captain(tx: &mut Tx, participant: &Participant, user: Uuid) -> Result<(), Error> {
    let Some(team) = participant.team_id.filter(|_| participant.user_id != user) else {
        return Ok(());
    };
    let captain = store::teams::captain(&mut *tx, team).await?;
    if captain == Some(user) { Ok(()) } else { Err(Error::NotCaptain) }
}

/// A participant with its members.
async fn shown(read: impl Read<'_>, participant: &Participant) -> Result<pb::Participant, Error> {
    let members = store::participants::members(read, vec![participant.id]).await?;
    let members = members.get(&participant.id).map(Vec::as_slice).unwrap_or_default();
    Ok(wire::participant(participant, members))
}

fn check_open(contest: &Contest, now: chrono::DateTime<chrono::Utc>) -> Result<(), Error> {
    if contest.state(now).is_closed() {
        return Err(Error::closed());
    }
    if contest.published_at.is_none() {
        return Err(Error::not_published());
    }
    if contest.has_ended(now) { Err(Error::ended()) } else { Ok(()) }
}

fn check_code(contest: &Contest, code: &str) -> Result<(), Error> {
    if contest.access_code == code { Ok(()) } else { Err(Error::AccessCodeWrong) }
}

fn fields(mask: &[String]) -> Result<Vec<&'static str>, Error> {
    if mask.iter().any(|path| path == "*") {
        return Ok(FIELDS.to_vec());
    }
    let known = |path: &String| {
        let path = path.strip_prefix("participant.").unwrap_or(path);
        FIELDS.into_iter().find(|field| *field == path)
    };
    let fields: Option<Vec<_>> = mask.iter().map(known).collect();
    fields.filter(|fields| !fields.is_empty()).ok_or_else(|| {
        let text = format!("must name fields among {}, or be *", FIELDS.join(", "));
        Error::invalid("update_mask", text)
    })
}
