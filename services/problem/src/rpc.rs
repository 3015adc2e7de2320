//! The RPCs: each calls a use case.

mod imports;
mod judge_data;
mod problems;

use access::Caller;
use tonic::{Request, Status};
use uuid::Uuid;

const DEFAULT_PAGE_SIZE: i64 = 50;
const MAX_PAGE_SIZE: i64 = 200;

fn page_size(requested: i32) -> Result<i64, Status> {
    rpc::page_size(requested, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
}

/// The acting user's id.
fn user<T>(request: &Request<T>) -> Result<Uuid, Status> {
    Ok(Caller::of(request).user()?.id)
}
