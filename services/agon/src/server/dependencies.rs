//! What a process leans on, as `/readyz` tells it: its databases, the cache, and being believed by the others.

use futures_util::future::join_all;
use runtime::State;
use tonic::Code;

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;

/// Adds what is asked with every report.
pub fn watch(base: &Base) -> Result<(), Failure> {
    let readiness = base.tasks.readiness();
    let databases: Vec<_> = base.databases.each().map(|(db, _)| db.clone()).collect();
    if !databases.is_empty() {
        readiness.check("databases", move || {
            let databases = databases.clone();
            async move {
                let asked = databases.iter().map(|db| async move {
                    let health = db.health().await;
                    health.map_err(|why| format!("that of {}: {why}", db.service()))
                });
                let wrong: Vec<_> =
                    join_all(asked).await.into_iter().filter_map(Result::err).collect();
                if wrong.is_empty() { State::Ready } else { State::Failed(wrong.join("; ")) }
            }
        });
    }
    let cache = base.cache.clone();
    readiness.check("cache", move || {
        let state = cache.health().map_or_else(State::Degraded, |()| State::Ready);
        async { state }
    });
    // Where auth is in the process there is nobody else to believe it.
    let apart = base.config.roles.iter().filter(|_| !base.plays(Role::Auth));
    for role in apart {
        let credentials = base.credentials(role)?;
        readiness.check(format!("credential of {role}"), move || {
            let credentials = credentials.clone();
            async move {
                match credentials.authorization().await {
                    Ok(_) => State::Ready,
                    Err(status) => match status.code() {
                        Code::Unauthenticated | Code::PermissionDenied | Code::NotFound => {
                            State::Failed(format!(
                                "the auth service does not accept it; is the root_secret, or the file in `keys`, \
                                 that of the installation? ({})",
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
