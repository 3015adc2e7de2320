//! A session as stored.

use chrono::{DateTime, Utc};
use proto::auth as pb;
use uuid::Uuid;

use crate::user::timestamp;

/// Most code points that are kept of what a client calls itself.
const MAX_CLIENT: usize = 120;

db::record! {
    /// Where a user is signed in.
    #[derive(Clone)]
    pub struct Session {
        /// The id.
        pub id: Uuid,
        /// Whose it is.
        pub user_id: Uuid,
        /// What the client called itself.
        pub client: String,
        /// The address of the last use.
        pub address: String,
        /// How the user proved who they are: RFC 8176 values, separated by spaces.
        pub methods: String,
        /// Hash of the refresh token that is good.
        pub token_hash: Vec<u8>,
        /// Hash of the one before it.
        pub previous_hash: Option<Vec<u8>>,
        /// The good one, sealed under the one before it.
        pub sealed_token: Option<Vec<u8>>,
        /// When the user signed in.
        pub created_at: DateTime<Utc>,
        /// When the refresh token was last changed.
        pub refreshed_at: DateTime<Utc>,
        /// When it ends unless it is refreshed.
        pub expires_at: DateTime<Utc>,
        /// When it was ended.
        pub ended_at: Option<DateTime<Utc>>,
        /// Moves on with every change.
        pub version: i64,
    }
}

impl Session {
    /// Whether it can be used.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && self.expires_at > now
    }

    /// As its owner sees it; `current` is the session of the call.
    pub fn to_proto(&self, current: Uuid) -> pb::Session {
        pb::Session {
            session_id: self.id.to_string(),
            user_id: self.user_id.to_string(),
            client: self.client.clone(),
            address: self.address.clone(),
            create_time: Some(timestamp(self.created_at)),
            refresh_time: Some(timestamp(self.refreshed_at)),
            expire_time: Some(timestamp(self.expires_at)),
            current: self.id == current,
        }
    }
}

/// What is kept of a User-Agent.
pub fn client_name(agent: &str) -> String {
    agent.chars().filter(|c| !c.is_control()).take(MAX_CLIENT).collect()
}
