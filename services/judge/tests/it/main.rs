//! Tests the judge over gRPC: the queue on every database, and verdicts in real sandboxes.

mod fake_worker;
mod fakes;
mod instances;
mod parallel;
mod priorities;
mod program_files;
mod programs;
mod queue;
mod stability;
mod verdicts;
mod verification;
mod world;
