//! The installation's root secret: configured, or generated at first start in the data directory with mode 0600.

use rpc::RootSecret;

use crate::config::Config;
use crate::data_dir::{DataDir, read_if_exists, write_private};
use crate::failure::Failure;

/// The configured root secret, else that of the data directory, which is generated if missing.
pub fn root(config: &Config, data: &DataDir) -> Result<RootSecret, Failure> {
    if let Some(secret) = configured(config)? {
        return Ok(secret);
    }
    let path = data.join("root-secret");
    if let Some(text) = read_if_exists(&path)? {
        return RootSecret::from_hex(&text)
            .map_err(|error| Failure::storage(format!("{}: {error}", path.display())));
    }
    let secret = RootSecret::generate();
    write_private(&path, format!("{}\n", secret.to_hex()).as_bytes())?;
    Ok(secret)
}

/// The configured root secret, if any.
pub fn configured(config: &Config) -> Result<Option<RootSecret>, Failure> {
    if let Some(text) = &config.root_secret {
        return RootSecret::from_hex(text)
            .map(Some)
            .map_err(|error| Failure::config(format!("root_secret: {error}")));
    }
    let Some(path) = &config.root_secret_file else { return Ok(None) };
    let invalid =
        |what: String| Failure::config(format!("root_secret_file: {}: {what}", path.display()));
    let text = read_if_exists(path)?.ok_or_else(|| invalid("no such file".into()))?;
    RootSecret::from_hex(&text).map(Some).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_generated_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let config = Config::default();
        let first = root(&config, &data).unwrap().to_hex();
        assert_eq!(root(&config, &data).unwrap().to_hex(), first);
        let configured = Config { root_secret: Some("07".repeat(32)), ..Config::default() };
        assert_eq!(root(&configured, &data).unwrap().to_hex(), "07".repeat(32));
        let invalid = Config { root_secret: Some("07".into()), ..Config::default() };
        assert!(root(&invalid, &data).is_err());
    }

    #[test]
    fn secret_is_read_from_the_configured_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let config = Config { root_secret_file: Some(path.clone()), ..Config::default() };
        let error = configured(&config).unwrap_err().to_string();
        assert!(
            error.starts_with("root_secret_file: ") && error.contains("no such file"),
            "{error}"
        );
        std::fs::write(&path, format!("{}\n", "0a".repeat(32))).unwrap();
        assert_eq!(configured(&config).unwrap().unwrap().to_hex(), "0a".repeat(32));
        std::fs::write(&path, "no secret").unwrap();
        assert!(configured(&config).unwrap_err().to_string().contains("64 hexadecimal digits"));
        assert!(configured(&Config::default()).unwrap().is_none());
    }
}
