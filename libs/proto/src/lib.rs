//! Generated messages, clients and servers of `proto/`, and their descriptor set. Contains no logic.

#[expect(clippy::all, clippy::pedantic, clippy::allow_attributes, reason = "generated code")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/all.rs"));
}
pub use generated::{agon, google};

include!(concat!(env!("OUT_DIR"), "/redacted.rs"));

// `auth` for `agon::auth::v1`, and so on.
include!(concat!(env!("OUT_DIR"), "/areas.rs"));

mod verdict;
pub use verdict::Verdict;

/// The encoded `FileDescriptorSet` of every proto, with imports, comments and custom options.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    #[test]
    fn debug_redacts_secrets() {
        let request = crate::auth::CreateSessionRequest {
            identifier: "ada".into(),
            password: "correct horse".into(),
            ..Default::default()
        };
        let text = format!("{request:?}");
        assert!(text.contains("ada") && text.contains("[redacted]"), "{text}");
        assert!(!text.contains("horse"), "{text}");
    }
}
