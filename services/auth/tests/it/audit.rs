//! The audit log.

use crate::world::each;

#[test]
fn tampering_with_the_audit_log_is_detected() {
    each(|world| async move {
        let admin = world.admin().await;
        world.user("ada").await;
        let binding = world.bind(&admin, "ada", "setter").await;
        assert!(binding.is_ok());
        world.suspend(&admin, "ada").await.unwrap();
        assert_eq!(world.auth.audit().await.unwrap(), None);
        world.db.script("UPDATE audit_log SET detail = '{}' WHERE sequence = 2").await;
        assert_eq!(world.auth.audit().await.unwrap(), Some(2));
    });
}
