//! Generated messages, clients and servers of `proto/`, and their descriptor set. Contains no logic.

#[expect(clippy::all, clippy::pedantic, clippy::allow_attributes, reason = "generated code")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/all.rs"));
}
pub use generated::{agon, google};

include!(concat!(env!("OUT_DIR"), "/redacted.rs"));

pub use agon::auth::v1 as auth;
pub use agon::challenge::v1 as challenge;
pub use agon::event::v1 as event;
pub use agon::judge::v1 as judge;
pub use agon::problem::v1 as problem;

/// The encoded `FileDescriptorSet` of all protos, with imports, comments and custom options.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    #[test]
    fn debug_redacts_secrets() {
        let request = crate::auth::CreateSessionRequest {
            identifier: "ada".into(),
            password: "correct horse".into(),
        };
        let text = format!("{request:?}");
        assert!(text.contains("ada") && text.contains("[redacted]"), "{text}");
        assert!(!text.contains("horse"), "{text}");
    }
}
