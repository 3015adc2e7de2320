//! Conversions of teams to protos.

use proto::challenge as pb;
use uuid::Uuid;

use crate::team::{Member, Team};
use crate::wire::timestamp;

/// A team as a user sees it: members see all invitations, others only their own.
pub fn team(team: &Team, viewer: Uuid) -> pb::Team {
    let is_member = team.is_member(viewer);
    let invitations = team.invitations().filter(|it| is_member || it.user_id == viewer);
    pb::Team {
        team_id: team.id.to_string(),
        name: team.name.clone(),
        captain_id: team.captain_id.to_string(),
        members: team.members().into_iter().map(member).collect(),
        invitations: invitations.map(member).collect(),
        create_time: Some(timestamp(team.created_at)),
        update_time: is_member.then(|| timestamp(team.updated_at)),
        etag: if is_member { team.etag() } else { String::new() },
    }
}

fn member(member: &Member) -> pb::TeamMember {
    pb::TeamMember {
        user_id: member.user_id.to_string(),
        name: member.name.clone(),
        invite_time: Some(timestamp(member.invited_at)),
        join_time: member.joined_at.map(timestamp),
    }
}
