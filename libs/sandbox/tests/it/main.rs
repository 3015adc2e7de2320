//! Runs well-behaved and malicious programs in real sandboxes, and checks the outcome and that nothing is left.

mod doctor;
mod files;
mod fixture;
mod isolation;
mod languages;
mod lifecycle;
mod limits;
