//! The service accounts' keys: one Ed25519 key per role.
//!
//! A key lies in its file; where it does not, it is derived from the root secret that processes share, so that
//! nothing else has to be handed out; and where there is neither, the process that plays all roles makes it at its
//! first start.

use std::path::{Path, PathBuf};

use access::{PublicKey, SigningKey};

use crate::config::Config;
use crate::data_dir::{make_private_dir, read_if_any, write_private};
use crate::failure::Failure;
use crate::server::secrets;

/// The service accounts of an installation. `operator` is the one of the command line: whoever can
/// read the data directory can act for it.
pub const ACCOUNTS: [&str; 6] = ["problem", "challenge", "judge", "worker", "gateway", "operator"];

/// The key of one account, if there is one.
pub fn load(config: &Config, account: &str) -> Result<Option<SigningKey>, Failure> {
    let path = path(config, account);
    if let Some(text) = read_if_any(&path)? {
        let key = SigningKey::from_pem(&text)
            .map_err(|error| Failure::storage(format!("{}: {error}", path.display())))?;
        return Ok(Some(key));
    }
    let secret = secrets::configured(config)?;
    Ok(secret.map(|secret| SigningKey::from_seed(secret.derive(&format!("service-key/{account}")))))
}

/// The key of one account; made when there is none and nobody else could have made it.
pub fn load_or_make(config: &Config, account: &str) -> Result<SigningKey, Failure> {
    if let Some(key) = load(config, account)? {
        return Ok(key);
    }
    let path = path(config, account);
    if !config.roles.are_whole() {
        return Err(Failure::config(format!(
            "keys: there is no {}; put there what `agon keys export {account}` prints where the root secret is \
             known, or give root_secret",
            path.display()
        )));
    }
    make_private_dir(&directory(config))?;
    let key = SigningKey::generate();
    write_private(&path, key.to_pem().as_bytes())?;
    Ok(key)
}

/// Every account with the public half of its key, which auth checks assertions against.
pub fn accounts(config: &Config) -> Result<Vec<(String, PublicKey)>, Failure> {
    let account = |name: &&str| Ok(((*name).to_owned(), load_or_make(config, name)?.public()));
    ACCOUNTS.iter().map(account).collect()
}

/// Refuses a name that no account has.
pub fn check(account: &str) -> Result<(), Failure> {
    if ACCOUNTS.contains(&account) {
        return Ok(());
    }
    let known = ACCOUNTS.join(", ");
    Err(Failure::usage(format!("no service account is called {account:?}; there are {known}")))
}

/// Where the key files are.
pub fn directory(config: &Config) -> PathBuf {
    config.keys.clone().unwrap_or_else(|| config.data.join("keys"))
}

fn path(config: &Config, account: &str) -> PathBuf {
    directory(config).join(Path::new(account).with_extension("pem"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::roles::{Role, Roles};

    #[test]
    fn file_then_secret_then_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let whole = Config { data: dir.path().into(), ..Config::default() };
        assert!(load(&whole, "judge").unwrap().is_none());
        let apart = Config { roles: Roles::of(&[Role::Judge]), ..whole.clone() };
        let error = load_or_make(&apart, "judge").unwrap_err().to_string();
        assert!(error.starts_with("keys: ") && error.contains("keys/judge.pem"), "{error}");

        let secret = Some("01".repeat(32));
        let derived = Config { root_secret: secret.clone(), ..apart.clone() };
        let first = load_or_make(&derived, "judge").unwrap();
        assert_eq!(load(&derived, "judge").unwrap().unwrap().seed(), first.seed());
        assert_ne!(load(&derived, "worker").unwrap().unwrap().seed(), first.seed());

        let made = load_or_make(&whole, "judge").unwrap();
        assert_eq!(load(&apart, "judge").unwrap().unwrap().seed(), made.seed());
        let both = Config { root_secret: secret, ..whole };
        assert_eq!(load(&both, "judge").unwrap().unwrap().seed(), made.seed());
        assert!(check("judge").is_ok() && check("auth").is_err());
    }
}
