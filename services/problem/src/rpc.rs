//! The RPCs: each calls a use case.

mod imports;
mod judge_data;
mod problems;

use access::Caller;
use tonic::{Request, Status};
use uuid::Uuid;

/// The acting user's id.
fn user<T>(request: &Request<T>) -> Result<Uuid, Status> {
    Ok(Caller::of(request).user()?.id)
}
