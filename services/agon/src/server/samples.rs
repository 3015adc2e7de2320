//! Imports the sample problems into a new installation.

use std::time::Duration;

use db::{Db, lease};
use proto::auth::GetUserRequest;
use proto::auth::user_service_client::UserServiceClient;
use rpc::Channel;

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;

/// Held by the importing process. After the import `DONE` holds it forever, so that deleted samples stay deleted.
const LEASE: &str = "samples";
/// Expiry of the lease during the import.
const IMPORT_LEASE: Duration = Duration::from_secs(300);
/// The delay before the first retry; doubles up to [`MAX_DELAY`].
const MIN_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(5);
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);
const DONE: &str = "done";

/// Imports the samples in the background, once per installation.
pub fn start(base: &Base, problem: problem::Problems) -> Result<(), Failure> {
    if !base.config.samples.import {
        return Ok(());
    }
    let (db, auth) = (base.databases.of("problem"), base.channel(Role::AUTH)?);
    let (owner, shutdown) = (base.clock.new_id().to_string(), base.tasks.shutdown().clone());
    base.tasks.spawn("samples", async move {
        let importing = async {
            // Check again after the lease expired: another process may have failed during the import.
            for pause in [Some(IMPORT_LEASE), None] {
                let mut delay = MIN_DELAY;
                while let Err(error) = import_once(&db, &owner, &auth, &problem).await {
                    tracing::warn!(error, "cannot import samples, retrying");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(MAX_DELAY);
                }
                tokio::time::sleep(pause.unwrap_or_default()).await;
            }
        };
        if shutdown.unless_begun(importing).await.is_none() {
            // Release the lease, so that the next process need not wait for its expiry.
            if let Ok(Some(lease)) = lease::acquire(&db, LEASE, &owner, Duration::ZERO).await {
                lease::release(&db, &lease).await.ok();
            }
        }
    });
    Ok(())
}

/// Imports the samples unless another process holds the lease or they were imported before.
async fn import_once(
    db: &Db,
    owner: &str,
    auth: &Channel,
    problem: &problem::Problems,
) -> Result<(), String> {
    let text = |error: db::Error| error.to_string();
    let Some(lease) = lease::acquire(db, LEASE, owner, IMPORT_LEASE).await.map_err(text)? else {
        return Ok(());
    };
    import(auth, problem).await?;
    lease::release(db, &lease).await.map_err(text)?;
    lease::acquire(db, LEASE, DONE, FOREVER).await.map_err(text)?;
    Ok(())
}

async fn import(auth: &Channel, problem: &problem::Problems) -> Result<(), String> {
    let request = GetUserRequest { user_id: "admin".into() };
    let answer = UserServiceClient::new(auth.clone()).get_user(request).await;
    let user = answer.map_err(|status| status.message().to_owned())?.into_inner().user;
    let owner = user.and_then(|user| ids::parse(&user.user_id)).ok_or("no administrator")?;
    let count = problem.import_samples(owner).await.map_err(|error| error.to_string())?;
    tracing::info!(count, "samples imported");
    Ok(())
}
