//! The installation's secrets: made at the first start, kept in the data directory, mode 0600.

use rpc::RootSecret;

use crate::config::Config;
use crate::data::{DataDir, read_if_any, write_private};
use crate::failure::Failure;

/// The root secret: the configured one, else the data directory's, made when there is none.
pub fn root(config: &Config, data: &DataDir) -> Result<RootSecret, Failure> {
    if let Some(text) = &config.root_secret {
        return RootSecret::from_hex(text)
            .map_err(|error| Failure::config(format!("root_secret: {error}")));
    }
    let path = data.join("root-secret");
    if let Some(text) = read_if_any(&path)? {
        return RootSecret::from_hex(&text)
            .map_err(|error| Failure::storage(format!("{}: {error}", path.display())));
    }
    let secret = RootSecret::generate();
    write_private(&path, format!("{}\n", secret.to_hex()).as_bytes())?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let config = Config::default();
        let first = root(&config, &data).unwrap().to_hex();
        assert_eq!(root(&config, &data).unwrap().to_hex(), first);
        let configured = Config { root_secret: Some("07".repeat(32)), ..Config::default() };
        assert_eq!(root(&configured, &data).unwrap().to_hex(), "07".repeat(32));
        let wrong = Config { root_secret: Some("07".into()), ..Config::default() };
        assert!(root(&wrong, &data).is_err());
    }
}
