//! Role bindings and their resources.

use access::Role;
use chrono::{DateTime, Utc};
use proto::auth as pb;
use uuid::Uuid;

use crate::user::timestamp;

db::record! {
    /// A row of `role_bindings`: a user's role, global or on a resource.
    #[derive(Clone)]
    pub struct Binding {
        pub id: Uuid,
        pub user_id: Uuid,
        pub role: String,
        /// Empty for a global role.
        pub resource: String,
        /// Nil for the program itself.
        pub created_by: Uuid,
        pub created_at: DateTime<Utc>,
    }
}

impl Binding {
    pub fn is_global_admin(&self) -> bool {
        self.resource.is_empty() && self.role == Role::Admin.name()
    }

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

/// Accepts an empty resource (global) or `<collection>/<id>`. The error states the accepted form.
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
    fn resources_are_empty_or_collection_and_id() {
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
