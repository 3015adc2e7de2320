//! Accounts that users make for other people.

use std::collections::{HashMap, HashSet};

use access::{Caller, Role};
use db::{Db, Tx};
use proto::auth as pb;
use rpc::Violations;
use uuid::Uuid;

use crate::State;
use crate::error::{Error, Result};
use crate::store::accounts::Made;
use crate::user::{User, check_profile};
use crate::users::audit_event;
use crate::{events, secret, store, username};

/// Accounts in one request.
const MAX_ACCOUNTS: usize = 1000;
/// The longest key, in characters.
const MAX_KEY: usize = 200;
/// Mistakes in one response.
const MAX_VIOLATIONS: usize = 50;

impl State {
    /// Makes accounts with generated passwords: all of them, or none.
    pub async fn create_accounts(
        &self,
        caller: &Caller,
        request: pb::CreateAccountsRequest,
    ) -> Result<pb::CreateAccountsResponse> {
        let maker = caller.user()?.id;
        let accounts = &request.accounts;
        check(caller, accounts)?;
        let known = known(&self.db, maker, accounts).await?;
        check_names(&self.db, accounts, &known).await?;
        if request.validate_only {
            let accounts = accounts.iter().map(|it| shown(it, known.get(&it.key)));
            return Ok(pb::CreateAccountsResponse { accounts: accounts.collect() });
        }
        let passwords: Vec<String> = accounts.iter().map(|_| secret::new_code()).collect();
        let hashes = &self.hasher.hash_random(passwords.clone()).await?;
        let made = self.db.transact(|mut tx| async move {
            let mut made = Vec::new();
            for (index, (account, hash)) in accounts.iter().zip(hashes).enumerate() {
                made.push(self.make(&mut tx, caller, maker, index, account, hash).await?);
            }
            Ok::<_, Error>(made)
        });
        let mut made = made.await?;
        for (account, password) in made.iter_mut().zip(passwords) {
            // Marks accounts whose password was set.
            if !account.password.is_empty() {
                account.password = password;
            }
        }
        Ok(pb::CreateAccountsResponse { accounts: made })
    }

    /// Makes one account. A non-empty password in the result stands for the one with the hash.
    async fn make(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        maker: Uuid,
        index: usize,
        account: &pb::NewAccount,
        hash: &str,
    ) -> Result<pb::MadeAccount> {
        let keys = vec![account.key.clone()];
        if let Some(made) = store::accounts::of(&mut *tx, maker, keys).await?.pop() {
            let renewed = self.renew(tx, caller, maker, &made, hash).await?;
            let mut shown = shown(account, Some(&made));
            shown.user_id = made.user_id.to_string();
            shown.password = if renewed { "set".into() } else { String::new() };
            return Ok(shown);
        }
        let request = pb::RegisterUserRequest {
            username: account.username.clone(),
            display_name: account.display_name.clone(),
            ..Default::default()
        };
        let user = User { created_at: tx.now(), ..self.new_user(&request, hash.to_owned()) };
        if !store::users::insert(tx, &user).await? {
            return Err(Error::field(&format!("accounts[{index}].username"), TAKEN));
        }
        store::accounts::put(tx, maker, &account.key, &user).await?;
        events::registered(tx, &user);
        audit_event(tx, "user.made", caller, user.id, serde_json::json!({}));
        let mut shown = shown(account, None);
        (shown.user_id, shown.password) = (user.id.to_string(), "set".into());
        Ok(shown)
    }

    /// Sets a generated password, unless the user chose one, or holds a role that the maker could gain.
    async fn renew(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        maker: Uuid,
        made: &Made,
        hash: &str,
    ) -> Result<bool> {
        let user = store::users::lock(tx, made.user_id).await?.ok_or(Error::UserNotFound)?;
        let roles = self.roles_of(&mut *tx, user.id).await?;
        if user.password_changed_at != made.password_set_at || roles != [Role::Player] {
            return Ok(false);
        }
        self.set_password(tx, caller, user, hash, None).await?;
        let user = store::users::get(&mut *tx, made.user_id).await?.ok_or(Error::UserNotFound)?;
        store::accounts::put(tx, maker, &made.account_key, &user).await?;
        Ok(true)
    }
}

const TAKEN: &str = "is taken by another account";

fn shown(account: &pb::NewAccount, known: Option<&Made>) -> pb::MadeAccount {
    pb::MadeAccount {
        key: account.key.clone(),
        user_id: known.map(|made| made.user_id.to_string()).unwrap_or_default(),
        username: known.map_or(&account.username, |made| &made.username).clone(),
        password: String::new(),
        existing: known.is_some(),
    }
}

/// Checks what depends on the request alone.
fn check(caller: &Caller, accounts: &[pb::NewAccount]) -> Result<()> {
    if !(1..=MAX_ACCOUNTS).contains(&accounts.len()) {
        let text = format!("must be 1 to {MAX_ACCOUNTS}, got {}", accounts.len());
        return Err(Error::field("accounts", &text));
    }
    let mut mistakes = Mistakes::default();
    let (mut keys, mut names) = (HashSet::new(), HashSet::new());
    let may_claim_role = caller.has("auth.user.update");
    for (index, account) in accounts.iter().enumerate() {
        let at = format!("accounts[{index}].");
        let found = &mut mistakes;
        if account.key.is_empty() {
            found.add(&at, "key", "must have 1 to 200 characters");
        } else if let Err(refusal) = text::check_line(&account.key, MAX_KEY) {
            found.add(&at, "key", &refusal.to_string());
        } else if !keys.insert(account.key.as_str()) {
            found.add(&at, "key", "must differ from the other keys");
        }
        if let Err(what) = username::check(&account.username) {
            found.add(&at, "username", what);
        } else if !names.insert(username::key(&account.username)) {
            found.add(&at, "username", "must differ from the other usernames");
        }
        if found.count < MAX_VIOLATIONS {
            let violations = &mut found.violations;
            check_profile(violations, &at, may_claim_role, &account.display_name, "", "");
        }
    }
    Ok(mistakes.violations.into_result()?)
}

/// The accounts that the user made before, by key.
async fn known(db: &Db, maker: Uuid, accounts: &[pb::NewAccount]) -> Result<HashMap<String, Made>> {
    let keys = accounts.iter().map(|it| it.key.clone()).collect();
    let made = store::accounts::of(db, maker, keys).await?;
    Ok(made.into_iter().map(|it| (it.account_key.clone(), it)).collect())
}

async fn check_names(
    db: &Db,
    accounts: &[pb::NewAccount],
    known: &HashMap<String, Made>,
) -> Result<()> {
    let new = || accounts.iter().enumerate().filter(|(_, it)| !known.contains_key(&it.key));
    let names: Vec<String> = new().map(|(_, it)| username::key(&it.username)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let taken: HashSet<String> = store::accounts::taken(db, names).await?.into_iter().collect();
    let mut mistakes = Mistakes::default();
    for (index, account) in new() {
        if taken.contains(&username::key(&account.username)) {
            mistakes.add(&format!("accounts[{index}]."), "username", TAKEN);
        }
    }
    Ok(mistakes.violations.into_result()?)
}

/// The first mistakes of a request.
#[derive(Default)]
struct Mistakes {
    violations: Violations,
    count: usize,
}

impl Mistakes {
    fn add(&mut self, at: &str, field: &str, what: &str) {
        if self.count < MAX_VIOLATIONS {
            self.violations.add(format!("{at}{field}"), what);
            self.count += 1;
        }
    }
}
