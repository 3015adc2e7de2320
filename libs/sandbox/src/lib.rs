//! Runs untrusted programs under exact limits, and reports what they used and which limit stopped them.
//!
//! Owns: the helper process `agon-box`, containers, cgroups (v1 and v2), system-call filters, and the
//! [`doctor`] that says what this machine can isolate. Must not know: problems, verdicts, languages, contests.
//!
//! # Shape
//!
//! [`Sandbox::start`] runs this same executable again as one `agon-box` per slot ([`boxed::main`]),
//! each talking over an inherited `SOCK_SEQPACKET` socket: one request, one reply. A box is
//! single-threaded and keeps one container: a mount namespace with a read-only root, an empty network, and a `/box`
//! and `/tmp` of bounded size. Each run gets a fresh PID namespace (a tiny init and the program) and
//! a fresh memory cgroup.
//!
//! # Files
//!
//! A program sees `/box` (its working directory, writable, emptied between runs), `/tmp` (the same) and `/app`
//! (read-only for it, kept until [`Slot::reset`]). What a run leaves in `/box` can be
//! taken out until the next [`Slot::put`] into `/box`, [`Slot::run`] or [`Slot::reset`].
#![cfg(target_os = "linux")]
#![expect(
    unsafe_code,
    reason = "namespaces, filters and processes are made by calls that Rust has no words for"
)]

pub mod boxed;
mod cgroup;
mod config;
pub mod doctor;
mod error;
mod machine;
mod outcome;
mod pool;
mod slot;
mod spec;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

pub use config::{Config, Mount};
pub use doctor::{Feature, Level};
pub use error::Error;
pub use outcome::{Capture, Exit, Limit, Outcome, Violation};
pub use pool::Sandbox;
pub use slot::Slot;
pub use spec::{Content, Cores, Limits, Output, RunSpec, Stdin};
