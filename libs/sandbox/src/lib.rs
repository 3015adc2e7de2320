//! Runs untrusted programs under exact limits, and reports what they used and which limit they exceeded.
//!
//! Owns: the helper process `agon-box`, containers, cgroups (v1 and v2), system-call filters, and the
//! self-test of this machine ([`doctor`]). Must not know: problems, verdicts, languages, contests.
//!
//! # Processes
//!
//! [`Sandbox::start`] runs its own executable again as one `agon-box` per slot ([`helper::main`]) and talks to
//! each over an inherited `SOCK_SEQPACKET` socket: one request, one reply. An `agon-box` is single-threaded and
//! owns one container: a mount namespace with a read-only root, an empty network namespace, and size-limited
//! `/box` and `/tmp`. Each run gets a fresh PID namespace (an init and the program) and a fresh memory cgroup.
//!
//! # Files
//!
//! A program sees `/box` (the default working directory, writable, emptied between runs), `/tmp` (likewise) and `/app`
//! (read-only for programs, kept until [`Slot::reset`]). The standard streams are pipes and private copies, which can
//! be opened by `/dev/stdin` and the like and name no file of the host. Files that a run creates in `/box` can be read
//! until the next [`Slot::put`] into `/box`, [`Slot::run`] or [`Slot::reset`].
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "namespaces, filters and clone3 have no safe wrappers")]

mod cgroup;
mod client;
mod config;
pub mod doctor;
mod error;
mod feature;
pub mod helper;
mod outcome;
mod pool;
mod report;
mod slot;
mod spec;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

pub use config::{Config, Mount};
pub use error::Error;
pub use feature::Feature;
pub use outcome::{Capture, Exit, Limit, Outcome, Violation};
pub use pool::Sandbox;
pub use report::{Check, Level, Report};
pub use slot::Slot;
pub use spec::{Content, Cores, Limits, Output, RunSpec, Stdin};
