//! Sessions.

use chrono::{DateTime, Utc};
use proto::auth as pb;
use uuid::Uuid;

use crate::user::timestamp;

/// Maximum stored length of a client name, in code points.
const MAX_CLIENT: usize = 120;

db::record! {
    /// A row of `sessions`.
    #[derive(Clone)]
    pub struct Session {
        pub id: Uuid,
        pub user_id: Uuid,
        /// User agent of the client.
        pub client: String,
        /// Client address of the sign-in or the last refresh.
        pub address: String,
        /// The subscriber of the address (see `network`); empty if unknown.
        pub subscriber: String,
        /// Authentication methods (RFC 8176), separated by spaces.
        pub methods: String,
        /// SHA-256 of the current refresh token.
        pub token_hash: Vec<u8>,
        /// SHA-256 of its predecessor.
        pub previous_hash: Option<Vec<u8>>,
        /// The current refresh token, sealed under its predecessor.
        pub sealed_token: Option<Vec<u8>>,
        pub created_at: DateTime<Utc>,
        /// Time of the last rotation of the refresh token.
        pub refreshed_at: DateTime<Utc>,
        /// Moved forward by each refresh.
        pub expires_at: DateTime<Utc>,
        pub ended_at: Option<DateTime<Utc>>,
        /// Increased by every change.
        pub version: i64,
    }
}

impl Session {
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && self.expires_at > now
    }

    /// `current` is the session of the caller.
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

/// The stored form of a user agent.
pub fn client_name(agent: &str) -> String {
    agent.chars().filter(|c| !c.is_control()).take(MAX_CLIENT).collect()
}
