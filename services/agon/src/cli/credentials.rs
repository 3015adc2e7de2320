//! The sessions of `agon login`, stored in one file with mode 0600.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data_dir::{make_private_dir, read_if_exists, write_private};
use crate::failure::Failure;

#[derive(Clone, Serialize, Deserialize)]
pub struct Stored {
    pub username: String,
    pub access_token: String,
    /// Expiry of the access token, in seconds since 1970.
    pub expires_at: i64,
    pub refresh_token: String,
    /// Identifies this device to the server at log-ins.
    #[serde(default)]
    pub device_token: String,
}

#[derive(Default, Serialize, Deserialize)]
pub struct Credentials {
    servers: BTreeMap<String, Stored>,
}

impl Credentials {
    /// Reads the file. A missing file has no sessions.
    pub fn load() -> Result<Self, Failure> {
        let path = path()?;
        let Some(text) = read_if_exists(&path)? else { return Ok(Self::default()) };
        serde_json::from_str(&text).map_err(|error| {
            let path = path.display();
            Failure::config(format!("{path}: {error}; delete the file and log in again"))
        })
    }

    pub fn get(&self, server: &str) -> Option<&Stored> {
        self.servers.get(server)
    }

    /// Stores a session and writes the file.
    pub fn put(&mut self, server: &str, stored: Stored) -> Result<(), Failure> {
        self.servers.insert(server.to_owned(), stored);
        let path = path()?;
        if let Some(dir) = path.parent() {
            make_private_dir(dir)?;
        }
        let text = serde_json::to_vec_pretty(self).expect("credentials are plain data");
        write_private(&path, &text)
    }
}

/// `$AGON_HOME`, else `$XDG_CONFIG_HOME/agon`, else `~/.config/agon`.
pub fn path() -> Result<PathBuf, Failure> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = var("AGON_HOME")
        .or_else(|| var("XDG_CONFIG_HOME").map(|dir| dir.join("agon")))
        .or_else(|| var("HOME").map(|dir| dir.join(".config/agon")));
    let dir = dir.ok_or_else(|| Failure::config("no home directory found; set AGON_HOME"))?;
    Ok(dir.join("credentials.json"))
}
