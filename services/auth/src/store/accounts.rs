//! Rows of `made_accounts`.

use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use uuid::Uuid;

use crate::user::User;

db::record! {
    /// An account that a user made for another person.
    #[derive(Clone, Debug)]
    pub struct Made {
        pub account_key: String,
        pub user_id: Uuid,
        pub password_set_at: DateTime<Utc>,
        pub username: String,
    }
}

/// The accounts that a user made with some keys (at least one).
pub async fn of(read: impl Read<'_>, maker: Uuid, keys: Vec<String>) -> Result<Vec<Made>> {
    let query = "SELECT account_key, user_id, password_set_at, username FROM made_accounts
                 JOIN users ON users.id = made_accounts.user_id WHERE maker_id = ";
    let query = read.query(query).push_bind(maker).push(" AND account_key").push_in(keys);
    query.fetch_all().await
}

/// Inserts an account, or overwrites when its password was generated. The user exists.
pub async fn put(tx: &mut Tx, maker: Uuid, key: &str, user: &User) -> Result<()> {
    let query = "INSERT INTO made_accounts (maker_id, account_key, user_id, password_set_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (maker_id, account_key) DO UPDATE SET password_set_at = excluded.password_set_at";
    let query = tx.query(query).bind(maker).bind(key).bind(user.id);
    query.bind(user.password_changed_at).execute().await.map(drop)
}

/// Those of the username keys (at least one) that are taken.
pub async fn taken(read: impl Read<'_>, keys: Vec<String>) -> Result<Vec<String>> {
    let query = read.query("SELECT username_key FROM users WHERE username_key").push_in(keys);
    let rows: Vec<(String,)> = query.fetch_all().await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}
