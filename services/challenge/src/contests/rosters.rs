//! Who belongs to the participants of contests.

use db::Tx;
use uuid::Uuid;

use crate::Challenge;
use crate::contest::{Participant, Person};
use crate::error::Error;
use crate::log::Log;
use crate::store;
use crate::team::Team;

impl Challenge {
    /// Makes the registrations of a team for contests that have not started follow its members. The team is locked.
    pub(crate) async fn follow_team(&self, tx: &mut Tx, team: &Team) -> Result<(), Error> {
        let now = tx.now();
        for id in store::teams::contests(&mut *tx, team.id, true, now).await? {
            if Log::lock(tx, id).await?.is_none() {
                continue;
            }
            let contest = store::contests::by_id(&mut *tx, id).await?;
            let open = |it: &crate::contest::Contest| {
                it.deleted_at.is_none() && !it.has_started(now) && !it.state(now).is_closed()
            };
            let participant = store::participants::by_team(&mut *tx, id, team.id).await?;
            let participant = participant.filter(Participant::is_active);
            if let (Some(mut participant), true) = (participant, contest.as_ref().is_some_and(open))
            {
                participant.user_id = team.captain_id;
                enrol(tx, &participant, &people(team)).await?;
            }
        }
        Ok(())
    }
}

/// The members of a team.
pub fn people(team: &Team) -> Vec<Person> {
    let person = |user_id: Uuid, name: &str| Person { user_id, name: name.to_owned() };
    team.members().into_iter().map(|it| person(it.user_id, &it.name)).collect()
}

/// Saves a participant with exactly these members. The contest is locked. Fails if one of them takes part in another
/// way.
pub async fn enrol(tx: &mut Tx, participant: &Participant, people: &[Person]) -> Result<(), Error> {
    let (id, contest) = (participant.id, participant.contest_id);
    let current = store::participants::members(&mut *tx, vec![id]).await?;
    let current = current.get(&id).map(Vec::as_slice).unwrap_or_default();
    let is_in =
        |list: &[Person], person: &Person| list.iter().any(|it| it.user_id == person.user_id);
    for person in people.iter().filter(|person| !is_in(current, person)) {
        release(tx, contest, person).await?;
    }
    store::participants::save(tx, participant).await?;
    for person in current.iter().filter(|person| !is_in(people, person)) {
        store::participants::remove_member(tx, id, person.user_id).await?;
    }
    for person in people.iter().filter(|person| !is_in(current, person)) {
        if !store::participants::add_member(tx, participant, person).await? {
            return Err(Error::takes_part_already(&person.name));
        }
    }
    Ok(())
}

/// Deletes the participant that a user belongs to, if it withdrew without a submission. Fails if it did not.
async fn release(tx: &mut Tx, contest: Uuid, person: &Person) -> Result<(), Error> {
    let other = store::participants::by_user(&mut *tx, contest, person.user_id).await?;
    let Some(other) = other else { return Ok(()) };
    if other.is_active() || store::submissions::has_any(&mut *tx, other.id).await? {
        return Err(Error::takes_part_already(&person.name));
    }
    Ok(store::participants::delete(tx, other.id).await?)
}
