//! A role binding and what roles may be bound to.

use access::Role;
use chrono::{DateTime, Utc};
use proto::auth as pb;
use uuid::Uuid;

use crate::user::timestamp;

db::record! {
    /// A user's role, everywhere or on a resource.
    #[derive(Clone)]
    pub struct Binding {
        /// The id.
        pub id: Uuid,
        /// Who has the role.
        pub user_id: Uuid,
        /// The role's name.
        pub role: String,
        /// Empty: everywhere.
        pub resource: String,
        /// Who gave it; nil for the program itself.
        pub created_by: Uuid,
        /// When it was given.
        pub created_at: DateTime<Utc>,
    }
}

impl Binding {
    /// Whether it makes an administrator of everything.
    pub fn is_global_admin(&self) -> bool {
        self.resource.is_empty() && self.role == Role::Admin.name()
    }

    /// For the wire.
    pub fn to_proto(&self) -> pb::RoleBinding {
        pb::RoleBinding {
            role_binding_id: self.id.to_string(),
            user_id: self.user_id.to_string(),
            role: self.role.clone(),
            resource: self.resource.clone(),
            create_time: Some(timestamp(self.created_at)),
        }
    }
}

/// Checks where a role is bound: everywhere (empty) or on `<collection>/<id>`.
pub fn check_resource(resource: &str) -> Result<(), &'static str> {
    const FORM: &str = "must be empty or a resource such as problems/<problem_id>";
    if resource.is_empty() {
        return Ok(());
    }
    let (collection, id) = resource.split_once('/').ok_or(FORM)?;
    let plain = (3..=32).contains(&collection.len())
        && collection.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if plain && ids::parse(id).is_some() { Ok(()) } else { Err(FORM) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources() {
        let id = "0192f0c1-2345-7abc-8def-0123456789ab";
        assert_eq!(check_resource(""), Ok(()));
        assert_eq!(check_resource(&format!("problems/{id}")), Ok(()));
        let long = "x".repeat(9999);
        for bad in ["problems", "problems/", "problems/two-sum", "/x", "*", "Problems/1", &long] {
            assert!(check_resource(bad).is_err(), "{bad}");
        }
        assert!(check_resource(&format!("problems/{id}/versions/{id}")).is_err());
    }
}
