//! The sample problems, which a new installation begins with.

use std::time::Duration;

use db::{Db, lease};
use proto::auth::GetUserRequest;
use proto::auth::user_service_client::UserServiceClient;
use rpc::Channel;

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;

/// Held by the process that imports the samples, and for good once that is done: whoever deletes them afterwards does
/// not want them back.
const LEASE: &str = "samples";
/// How long an import may take before another process tries.
const TURN: Duration = Duration::from_secs(300);
/// For good.
const EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
const DONE: &str = "done";

/// Imports the samples in the background, unless that was done once.
pub fn start(base: &Base, problem: problem::Service) -> Result<(), Failure> {
    if !base.config.samples.import {
        return Ok(());
    }
    let (db, auth) = (base.databases.of("problem"), base.to(Role::Auth)?);
    let (owner, shutdown) = (base.clock.new_id().to_string(), base.tasks.shutdown().clone());
    base.tasks.spawn("samples", async move {
        let importing = async {
            // Whoever is at it may not come to its end: a second look shows that.
            for pause in [Some(TURN), None] {
                while let Err(error) = once(&db, &owner, &auth, &problem).await {
                    tracing::warn!(error, "cannot import the sample problems yet");
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
                tokio::time::sleep(pause.unwrap_or_default()).await;
            }
        };
        if shutdown.unless_begun(importing).await.is_none() {
            // Another process, or the next, need not wait.
            if let Ok(Some(lease)) = lease::acquire(&db, LEASE, &owner, Duration::ZERO).await {
                lease::release(&db, &lease).await.ok();
            }
        }
    });
    Ok(())
}

/// Imports them, if nobody has and nobody is about to.
async fn once(
    db: &Db,
    owner: &str,
    auth: &Channel,
    problem: &problem::Service,
) -> Result<(), String> {
    let text = |error: db::Error| error.to_string();
    let Some(lease) = lease::acquire(db, LEASE, owner, TURN).await.map_err(text)? else {
        return Ok(());
    };
    import(auth, problem).await?;
    lease::release(db, &lease).await.map_err(text)?;
    lease::acquire(db, LEASE, DONE, EVER).await.map_err(text)?;
    Ok(())
}

async fn import(auth: &Channel, problem: &problem::Service) -> Result<(), String> {
    let request = GetUserRequest { user_id: "admin".into() };
    let answer = UserServiceClient::new(auth.clone()).get_user(request).await;
    let user = answer.map_err(|status| status.message().to_owned())?.into_inner().user;
    let owner =
        user.and_then(|user| ids::parse(&user.user_id)).ok_or("there is no administrator")?;
    let count = problem.import_samples(owner).await.map_err(|error| error.to_string())?;
    tracing::info!(count, "sample problems imported; they appear when the judge has checked them");
    Ok(())
}
