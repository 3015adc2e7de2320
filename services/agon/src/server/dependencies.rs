//! Readiness checks of the dependencies: databases, cache and service credentials.

use futures_util::future::join_all;
use runtime::State;
use tonic::Code;

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;

/// Adds the checks. They run with every `/readyz` request.
pub fn register_checks(base: &Base) -> Result<(), Failure> {
    let readiness = base.tasks.readiness();
    let databases: Vec<_> = base.databases.each().map(|(db, _)| db.clone()).collect();
    if !databases.is_empty() {
        readiness.check("databases", move || {
            let databases = databases.clone();
            async move {
                let checks = databases.iter().map(|db| async move {
                    let health = db.health().await;
                    health.map_err(|why| format!("database of {}: {why}", db.service()))
                });
                let failed: Vec<_> =
                    join_all(checks).await.into_iter().filter_map(Result::err).collect();
                if failed.is_empty() { State::Ready } else { State::Failed(failed.join("; ")) }
            }
        });
    }
    let cache = base.cache.clone();
    readiness.check("cache", move || {
        let state = cache.health().map_or_else(State::Degraded, |()| State::Ready);
        async { state }
    });
    // A process that runs auth sends its credentials to no other process.
    let accounts = base.config.roles.iter().filter(|_| !base.runs(Role::Auth));
    for role in accounts {
        let credentials = base.credentials(role)?;
        readiness.check(format!("credential of {role}"), move || {
            let credentials = credentials.clone();
            async move {
                match credentials.authorization().await {
                    Ok(_) => State::Ready,
                    Err(status) => match status.code() {
                        Code::Unauthenticated | Code::PermissionDenied | Code::NotFound => {
                            State::Failed(format!(
                                "refused by the auth service ({}); check that root_secret, or the file in `keys`, is \
                                 that of this installation",
                                status.message()
                            ))
                        }
                        _ => State::Degraded(status.message().to_owned()),
                    },
                }
            }
        });
    }
    Ok(())
}
