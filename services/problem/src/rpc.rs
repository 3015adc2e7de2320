//! The RPCs, each a few lines that call a use case.

mod imports;
mod judge_data;
mod problems;

use access::Caller;
use rpc::page_size;
use tonic::{Request, Status};
use uuid::Uuid;

/// Pages hold so many items when nothing else is said.
const PAGE: i64 = 50;
/// And at most so many.
const MAX_PAGE: i64 = 200;

fn size(requested: i32) -> Result<i64, Status> {
    page_size(requested, PAGE, MAX_PAGE)
}

/// The acting user's id.
fn user<T>(request: &Request<T>) -> Result<Uuid, Status> {
    Ok(Caller::of(request).user()?.id)
}
