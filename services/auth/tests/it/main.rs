//! Tests of the auth service through its gRPC clients, in process, on every database.

mod accounts;
mod audit;
mod bindings;
mod garbage;
mod invitations;
mod keys;
mod levels;
mod limits;
mod memory;
mod passwords;
mod profiles;
mod races;
mod refresh;
mod registration;
mod sessions;
mod tokens;
mod world;
