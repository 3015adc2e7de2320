//! Rows of `role_bindings`.

use db::{Read, Result, Tx};
use uuid::Uuid;

use crate::binding::Binding;

/// False when the binding exists.
pub async fn insert(tx: &mut Tx, binding: &Binding) -> Result<bool> {
    let inserted: Option<Uuid> = tx
        .query(
            "INSERT INTO role_bindings (id, user_id, role, resource, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (user_id, role, resource) DO NOTHING RETURNING id",
        )
        .bind(binding.id)
        .bind(binding.user_id)
        .bind(binding.role.as_str())
        .bind(binding.resource.as_str())
        .bind(binding.created_by)
        .bind(binding.created_at)
        .fetch_scalar_optional()
        .await?;
    Ok(inserted.is_some())
}

pub async fn get(read: impl Read<'_>, id: Uuid) -> Result<Option<Binding>> {
    read.query("SELECT * FROM role_bindings WHERE id = $1").bind(id).fetch_optional().await
}

/// False when there is no such binding.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let deleted = tx.query("DELETE FROM role_bindings WHERE id = $1").bind(id);
    Ok(deleted.execute().await? == 1)
}

/// The bindings before an id, newest first.
pub async fn page(
    read: impl Read<'_>,
    user_id: Option<Uuid>,
    role: &str,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Binding>> {
    let mut query = read.query("SELECT * FROM role_bindings WHERE id < $1").bind(before);
    if let Some(user_id) = user_id {
        query = query.push(" AND user_id = ").push_bind(user_id);
    }
    if !role.is_empty() {
        query = query.push(" AND role = ").push_bind(role);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit).fetch_all().await
}

/// Users with the names of their global roles.
pub async fn global_roles(read: impl Read<'_>, users: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
    read.query("SELECT user_id, role FROM role_bindings WHERE resource = '' AND user_id")
        .push_in(users.iter().copied())
        .fetch_all()
        .await
}

/// The names of the roles that a user has globally or on a resource.
pub async fn roles_on(
    read: impl Read<'_>,
    user_id: Uuid,
    resource: &str,
) -> Result<Vec<(String,)>> {
    read.query(
        "SELECT DISTINCT role FROM role_bindings
         WHERE user_id = $1 AND (resource = '' OR resource = $2)",
    )
    .bind(user_id)
    .bind(resource)
    .fetch_all()
    .await
}

/// The number of other active users with a global role.
pub async fn others_with(read: impl Read<'_>, role: &str, user_id: Uuid) -> Result<i64> {
    read.query(
        "SELECT COUNT(*) FROM role_bindings JOIN users ON users.id = role_bindings.user_id
         WHERE role_bindings.role = $1 AND role_bindings.resource = ''
           AND users.suspended_at IS NULL AND users.id <> $2",
    )
    .bind(role)
    .bind(user_id)
    .fetch_scalar()
    .await
}
