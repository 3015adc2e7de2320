//! The service accounts' keys: one Ed25519 key per role.
//!
//! A key is read from its file. Without a file it is derived from the configured root secret. Without either, a
//! process that runs all services generates it at first start.

use std::path::{Path, PathBuf};

use access::{PublicKey, SigningKey};

use crate::config::Config;
use crate::data_dir::{make_private_dir, read_if_exists, write_private};
use crate::failure::Failure;
use crate::server::roles::Role;
use crate::server::secrets;

/// The service accounts of an installation: one per role but auth, and `operator` for the command line.
fn names() -> impl Iterator<Item = &'static str> {
    let roles = Role::all().filter(|role| *role != Role::AUTH);
    roles.map(Role::name).chain(["operator"])
}

/// The key of an account, from its file or the root secret; `None` without either.
pub fn load(config: &Config, account: &str) -> Result<Option<SigningKey>, Failure> {
    let path = path(config, account);
    if let Some(text) = read_if_exists(&path)? {
        let key = SigningKey::from_pem(&text)
            .map_err(|error| Failure::storage(format!("{}: {error}", path.display())))?;
        return Ok(Some(key));
    }
    let secret = secrets::configured(config)?;
    Ok(secret.map(|secret| SigningKey::from_seed(secret.derive(&format!("service-key/{account}")))))
}

/// Where [`load`] finds the key of an account.
pub fn source(config: &Config, account: &str) -> String {
    let path = path(config, account);
    if path.exists() { format!("in {}", path.display()) } else { "derived from root_secret".into() }
}

/// The key of an account. Generates a missing key if this process runs all services.
pub fn load_or_create(config: &Config, account: &str) -> Result<SigningKey, Failure> {
    if let Some(key) = load(config, account)? {
        return Ok(key);
    }
    let path = path(config, account);
    if !config.roles.has_all_services() {
        return Err(Failure::config(format!(
            "keys: {} is missing; create it with `agon keys export {account}` on a machine with the root secret, \
             or set root_secret",
            path.display()
        )));
    }
    make_private_dir(&directory(config))?;
    let key = SigningKey::generate();
    write_private(&path, key.to_pem().as_bytes())?;
    Ok(key)
}

/// Every account with its public key, with which auth verifies assertions.
pub fn accounts(config: &Config) -> Result<Vec<(String, PublicKey)>, Failure> {
    let account = |name: &str| Ok((name.to_owned(), load_or_create(config, name)?.public()));
    names().map(account).collect()
}

/// Fails if there is no account of this name.
pub fn check(account: &str) -> Result<(), Failure> {
    if names().any(|name| name == account) {
        return Ok(());
    }
    let known = names().collect::<Vec<_>>().join(", ");
    Err(Failure::usage(format!("unknown service account {account:?}; must be one of {known}")))
}

pub fn directory(config: &Config) -> PathBuf {
    let directory = config.keys.clone().unwrap_or_else(|| config.data.join("keys"));
    // Error messages show it.
    std::path::absolute(&directory).unwrap_or(directory)
}

fn path(config: &Config, account: &str) -> PathBuf {
    directory(config).join(Path::new(account).with_extension("pem"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::roles::Roles;

    #[test]
    fn key_comes_from_file_then_root_secret_then_is_generated() {
        let dir = tempfile::tempdir().unwrap();
        let whole = Config { data: dir.path().into(), ..Config::default() };
        assert!(load(&whole, "judge").unwrap().is_none());
        let single = Config { roles: Roles::of(&["judge"]), ..whole.clone() };
        let error = load_or_create(&single, "judge").unwrap_err().to_string();
        assert!(error.starts_with("keys: ") && error.contains("keys/judge.pem"), "{error}");

        let secret = Some("01".repeat(32));
        let derived = Config { root_secret: secret.clone(), ..single.clone() };
        let first = load_or_create(&derived, "judge").unwrap();
        assert_eq!(load(&derived, "judge").unwrap().unwrap().seed(), first.seed());
        assert_ne!(load(&derived, "worker").unwrap().unwrap().seed(), first.seed());

        let created = load_or_create(&whole, "judge").unwrap();
        assert_eq!(load(&single, "judge").unwrap().unwrap().seed(), created.seed());
        let both = Config { root_secret: secret, ..whole };
        assert_eq!(load(&both, "judge").unwrap().unwrap().seed(), created.seed());
        assert!(check("judge").is_ok() && check("auth").is_err());
    }
}
