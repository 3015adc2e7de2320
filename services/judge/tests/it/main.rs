//! The judge over gRPC: its queue on every database, its verdicts in real sandboxes.

mod fakes;
mod flips;
mod hands;
mod instances;
mod parallel;
mod programs;
mod queue;
mod verdicts;
mod verification;
mod world;
