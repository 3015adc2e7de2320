//! Which data directory this is: a promotion that was interrupted goes on from the same one only.

use ids::{Clock, Uuid};

use crate::data_dir::{DataDir, read_if_any, write_private};
use crate::failure::Failure;

/// Where its name is kept.
pub const FILE: &str = "promotion";

/// The name of a data directory, given at the first promotion from it.
pub fn of(data: &DataDir) -> Result<Uuid, Failure> {
    let path = data.join(FILE);
    if let Some(text) = read_if_any(&path)? {
        return ids::parse(text.trim()).ok_or_else(|| {
            let text = format!("{} is damaged: it should hold an id", path.display());
            Failure::storage(text)
        });
    }
    let id = Clock::system().new_id();
    write_private(&path, format!("{id}\n").as_bytes())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(of(&data).unwrap(), of(&data).unwrap());
        std::fs::write(dir.path().join(FILE), "x").unwrap();
        assert!(of(&data).is_err());
    }
}
