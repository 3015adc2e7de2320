//! Every RPC enforces its access rule before it validates the request.

use access::{Policy, Role};
use bytes::Bytes;
use proto::agon::options::v1::Level;
use rpc::status;
use tonic::{Code, Status};

use crate::garbage::send;
use crate::world::{World, each};

/// Calls any RPC with an empty request.
async fn call(world: &World, path: &str, token: Option<&str>) -> Result<(), Status> {
    send(world, path, token, Bytes::new()).await
}

#[test]
fn every_rpc_enforces_its_level() {
    each(|world| async move {
        world.player("ada").await;
        let admin = world.admin().await;
        let policy = Policy::of_agon();
        let rules = policy.rules().filter(|(path, _)| path.starts_with("/agon.auth.v1."));
        let mut count = 0;
        for (path, rule) in rules {
            count += 1;
            // An earlier call may have ended its session.
            let player = world.log_in("ada").await.access_token;
            let outcomes = [
                (None, call(&world, path, None).await),
                (Some(false), call(&world, path, Some(&player)).await),
                (Some(true), call(&world, path, Some(&world.service)).await),
            ];
            for (service, outcome) in outcomes {
                let reason = outcome.err().and_then(|status| status::reason(&status));
                let refused = match (rule.level, service) {
                    (Level::None, _) | (Level::User, Some(_)) => None,
                    (_, None) => Some("TOKEN_MISSING"),
                    (Level::Service, Some(true)) => None,
                    (Level::Service, Some(false)) => Some("SERVICE_ONLY"),
                    // Neither players nor services hold permissions over accounts.
                    _ => Some("PERMISSION_MISSING"),
                };
                let gates = ["TOKEN_MISSING", "SERVICE_ONLY", "PERMISSION_MISSING"];
                let gate = reason.as_deref().filter(|reason| gates.contains(reason));
                assert_eq!(gate, refused, "{path} as {service:?}");
            }
            if rule.level == Level::Permission {
                assert!(Role::Admin.grants(&rule.permission), "{path}");
                let status = call(&world, path, Some(&admin)).await;
                let code = status.err().map(|status| status.code());
                assert_ne!(code, Some(Code::PermissionDenied), "{path}");
            }
        }
        assert!(count >= 25, "{count}");
    });
}
