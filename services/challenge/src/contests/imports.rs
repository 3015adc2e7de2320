//! Imports of participants.

use std::collections::HashMap;

use access::Caller;
use db::{Db, Tx};
use proto::auth::{MadeAccount, NewAccount};
use proto::challenge as pb;
use rpc::status;
use tonic::{Code, Status};
use uuid::Uuid;

use super::rosters;
use super::viewer::Viewer;
use crate::Challenge;
use crate::contest::{Contest, Participant, Person};
use crate::error::Error;
use crate::import::{self, Line, Mistakes};
use crate::log::{self, Log};
use crate::{events, store};

/// The permission to make accounts.
const MAKE_ACCOUNTS: &str = "auth.account.create";

/// A participant who was there before, with the username.
type Known = HashMap<String, (Participant, String)>;

impl Challenge {
    /// The contest into which the caller may import participants.
    pub async fn contest_for_import(&self, caller: &Caller, name: &str) -> Result<Contest, Error> {
        caller.user()?;
        let contest = self.own_contest(&Viewer::of(caller), name).await?;
        caller.require(MAKE_ACCOUNTS)?;
        if contest.state(self.clock.now()).is_closed() {
            return Err(Error::closed());
        }
        Ok(contest)
    }

    /// Imports the participants of a file: all of them, or none.
    ///
    /// Accounts are made first. If the process stops before the participants are stored, the next import gets the same
    /// accounts with new passwords.
    pub async fn import_participants(
        &self,
        caller: &Caller,
        contest: &Contest,
        dry_run: bool,
        content: &[u8],
    ) -> Result<pb::ImportParticipantsResponse, Error> {
        let lines = import::parse(content, &contest.slug).map_err(refused)?;
        let known = known(&self.db, contest.id, &lines).await?;
        check_usernames(&lines, &known)?;
        let made = self.accounts(caller, contest.id, &lines, &known, dry_run).await?;
        if dry_run {
            return Ok(response(&lines, &known, &made, |_| None));
        }
        let (lines, made) = (&lines, &made);
        let imported = self.db.transact(|mut tx| async move {
            let (mut log, contest) = self.locked(&mut tx, contest.id, "").await?;
            if contest.state(tx.now()).is_closed() {
                return Err(Error::closed());
            }
            let known = known_in(&mut tx, contest.id, lines).await?;
            let (mut stored, mut change) = (HashMap::new(), 0);
            for line in lines {
                let before = known.get(&line.external_id).map(|(participant, _)| participant);
                let after = match before {
                    Some(before) => changed(before, line),
                    None => new(&mut tx, contest.id, line, made)?,
                };
                if before != Some(&after) {
                    write(&mut tx, &mut log, before, &after, made.get(&line.external_id)).await?;
                    let was_counted = before.is_some_and(Participant::is_counted);
                    change += i64::from(after.is_counted()) - i64::from(was_counted);
                }
                stored.insert(line.external_id.clone(), after.id);
            }
            self.count(&mut tx, contest, change).await?;
            Ok(response(lines, &known, made, |id| stored.get(id).copied()))
        });
        imported.await
    }

    /// Makes the accounts of new participants, or checks them only; by id in the file.
    async fn accounts(
        &self,
        caller: &Caller,
        contest: Uuid,
        lines: &[Line],
        known: &Known,
        dry_run: bool,
    ) -> Result<HashMap<String, MadeAccount>, Error> {
        let new: Vec<&Line> =
            lines.iter().filter(|line| !known.contains_key(&line.external_id)).collect();
        if new.is_empty() {
            return Ok(HashMap::new());
        }
        let account = |line: &&Line| NewAccount {
            key: format!("contests/{contest}/{}", line.external_id),
            username: line.username.clone(),
            display_name: display_name(&line.name),
        };
        let accounts = new.iter().map(account).collect();
        let made = match self.peers.create_accounts(caller, accounts, dry_run).await {
            Ok(made) => made,
            Err(status) if status.code() == Code::InvalidArgument => {
                return Err(of_accounts(&status, &new));
            }
            Err(status) if status.code() == Code::PermissionDenied => return Err(status.into()),
            Err(status) => return Err(service::peer("auth")(status).into()),
        };
        if made.len() != new.len() {
            return Err(Status::unavailable("auth made another number of accounts").into());
        }
        Ok(new.iter().map(|line| line.external_id.clone()).zip(made).collect())
    }
}

/// The longest display name of an account, in characters.
const MAX_DISPLAY_NAME: usize = 64;

/// The name of a participant as that of an account, if it fits.
fn display_name(name: &str) -> String {
    let fits = name.chars().count() <= MAX_DISPLAY_NAME;
    if fits { name.to_owned() } else { String::new() }
}

/// The mistakes that auth found, by line.
fn of_accounts(status: &Status, new: &[&Line]) -> Error {
    let mut mistakes = Mistakes::default();
    for (field, what) in status::fields(status) {
        let parts = field.strip_prefix("accounts[").and_then(|rest| rest.split_once("]."));
        let line = parts.and_then(|(index, _)| new.get(index.parse::<usize>().ok()?));
        let (Some((_, name)), Some(line)) = (parts, line) else { continue };
        let column = match name {
            "key" => "id",
            "display_name" => "name",
            name => name,
        };
        mistakes.add(line.number, column, what);
    }
    match mistakes.into_result() {
        Err(status) => status.into(),
        Ok(()) => service::peer("auth")(status.clone()).into(),
    }
}

fn refused(mistakes: Mistakes) -> Error {
    match mistakes.into_result() {
        Err(status) => status.into(),
        Ok(()) => Error::invalid("content", "must be a table of participants"),
    }
}

/// The participants of the file who are stored already.
async fn known(db: &Db, contest: Uuid, lines: &[Line]) -> Result<Known, Error> {
    let ids = lines.iter().map(|line| line.external_id.clone()).collect();
    let participants = store::participants::by_external_ids(db, contest, ids).await?;
    let ids = participants.iter().map(|it| it.id).collect();
    let members = store::participants::members(db, ids).await?;
    Ok(with_names(participants, &members))
}

/// The same under the lock of the contest.
async fn known_in(tx: &mut Tx, contest: Uuid, lines: &[Line]) -> Result<Known, Error> {
    let ids = lines.iter().map(|line| line.external_id.clone()).collect();
    let participants = store::participants::by_external_ids(&mut *tx, contest, ids).await?;
    let ids = participants.iter().map(|it| it.id).collect();
    let members = store::participants::members(&mut *tx, ids).await?;
    Ok(with_names(participants, &members))
}

fn with_names(participants: Vec<Participant>, members: &HashMap<Uuid, Vec<Person>>) -> Known {
    let known = participants.into_iter().map(|participant| {
        let member = members.get(&participant.id).and_then(|members| members.first());
        let name = member.map(|it| it.name.clone()).unwrap_or_default();
        (participant.external_id.clone(), (participant, name))
    });
    known.collect()
}

/// A participant keeps the account.
fn check_usernames(lines: &[Line], known: &Known) -> Result<(), Error> {
    let mut mistakes = Mistakes::default();
    for line in lines {
        if let Some((_, username)) = known.get(&line.external_id)
            && !username.eq_ignore_ascii_case(&line.username)
        {
            let text = format!("must be {username}, the account that was made for this id");
            mistakes.add(line.number, "username", text);
        }
    }
    Ok(mistakes.into_result()?)
}

fn changed(before: &Participant, line: &Line) -> Participant {
    Participant {
        name: line.name.clone(),
        organization: line.origin.organization.clone(),
        country: line.origin.country.clone(),
        group: line.origin.group.clone(),
        unofficial: line.unofficial,
        hidden: line.hidden,
        ..before.clone()
    }
}

fn new(
    tx: &mut Tx,
    contest: Uuid,
    line: &Line,
    made: &HashMap<String, MadeAccount>,
) -> Result<Participant, Error> {
    let account = made.get(&line.external_id);
    // Only if the participant was deleted after the accounts were made.
    let user = account.and_then(|it| ids::parse(&it.user_id)).ok_or(Error::ParticipantNotFound)?;
    let blank = Participant::new(tx.new_id(), contest, user, &line.name, tx.now());
    let external_id = line.external_id.clone();
    Ok(changed(&Participant { external_id, ..blank }, line))
}

/// Stores a new or changed participant. The contest is locked.
async fn write(
    tx: &mut Tx,
    log: &mut Log,
    before: Option<&Participant>,
    after: &Participant,
    account: Option<&MadeAccount>,
) -> Result<(), Error> {
    match (before, account) {
        (None, Some(account)) => {
            let person = Person { user_id: after.user_id, name: account.username.clone() };
            rosters::enrol(tx, after, &[person]).await?;
        }
        _ => store::participants::save(tx, after).await?,
    }
    let number = log.append(tx, tx.now(), &log::participant(after)).await?;
    if before.is_none() {
        events::participant_registered(tx, after, number);
    }
    Ok(())
}

fn response(
    lines: &[Line],
    known: &Known,
    made: &HashMap<String, MadeAccount>,
    stored: impl Fn(&str) -> Option<Uuid>,
) -> pb::ImportParticipantsResponse {
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let imported = |line: &Line| {
        let known = known.get(&line.external_id);
        // Of two imports at the same time, the later one has the valid passwords.
        let account = made.get(&line.external_id);
        let id = known.map(|(it, _)| it.id).or_else(|| stored(&line.external_id));
        let user = known.map(|(it, _)| it.user_id.to_string());
        let username = known.map(|(_, name)| name.clone());
        pb::ImportedParticipant {
            line: count(line.number),
            external_id: line.external_id.clone(),
            participant_id: id.map(|id| id.to_string()).unwrap_or_default(),
            user_id: user.or(account.map(|it| it.user_id.clone())).unwrap_or_default(),
            username: username.unwrap_or_else(|| line.username.clone()),
            password: account.map(|it| it.password.clone()).unwrap_or_default(),
            created: known.is_none(),
        }
    };
    let updated = lines.iter().filter(|line| {
        known.get(&line.external_id).is_some_and(|(before, _)| changed(before, line) != *before)
    });
    let updated_count = count(updated.count());
    let participants: Vec<_> = lines.iter().map(imported).collect();
    let created_count = count(participants.iter().filter(|it| it.created).count());
    pb::ImportParticipantsResponse { participants, created_count, updated_count }
}
