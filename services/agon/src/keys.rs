//! The service accounts' keys: one Ed25519 key per role, made at its first start.

use access::{PublicKey, SigningKey};

use crate::data::{DataDir, make_private_dir, read_if_any, write_private};
use crate::failure::Failure;

/// The service accounts of an installation. `operator` is the one of the command line: whoever can
/// read the data directory can act for it.
pub const ACCOUNTS: [&str; 5] = ["problem", "challenge", "judge", "gateway", "operator"];

/// The key of one account; made when there is none.
pub fn load_or_make(data: &DataDir, account: &str) -> Result<SigningKey, Failure> {
    make_private_dir(&data.join("keys"))?;
    if let Some(key) = load(data.path(), account)? {
        return Ok(key);
    }
    let key = SigningKey::generate();
    write_private(&path(data.path(), account), key.to_pem().as_bytes())?;
    Ok(key)
}

/// The key of one account, if there is one.
pub fn load(data: &std::path::Path, account: &str) -> Result<Option<SigningKey>, Failure> {
    let path = path(data, account);
    let Some(text) = read_if_any(&path)? else { return Ok(None) };
    let key = SigningKey::from_pem(&text)
        .map_err(|error| Failure::storage(format!("{}: {error}", path.display())))?;
    Ok(Some(key))
}

/// Every account with the public half of its key, which auth checks assertions against.
pub fn accounts(data: &DataDir) -> Result<Vec<(String, PublicKey)>, Failure> {
    let account = |name: &&str| Ok(((*name).to_owned(), load_or_make(data, name)?.public()));
    ACCOUNTS.iter().map(account).collect()
}

fn path(data: &std::path::Path, account: &str) -> std::path::PathBuf {
    data.join("keys").join(format!("{account}.pem"))
}
