//! Rate limits per class of RPC and limits of streams, against runaway clients.

use std::time::Duration;

use cache::{Cache, Rate};
use proto::agon::options::v1::RateClass;
use rpc::status;
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

use crate::caller::Caller;
use crate::principal::Kind;

const MINUTE: Duration = Duration::from_secs(60);

/// Calls per minute and user, by class; 0 = no limit. Anonymous calls are counted by address, with
/// a limit `address_factor` times as high, because many people can share an address. Calls by
/// services are not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub read: u32,
    pub write: u32,
    /// Calls that check a secret. The auth service has stricter limits of its own.
    pub credential: u32,
    pub submit: u32,
    /// Uploads and downloads.
    pub transfer: u32,
    /// Limit of an address, as a multiple of the limit of a user.
    pub address_factor: u32,
    /// Open streams, uploads and downloads per user and process; 0 = no limit.
    pub streams: u32,
    /// Open streams, uploads and downloads per address and process; 0 = no limit. Loopback and
    /// `auth.trusted_networks` have no limit.
    pub address_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read: 6000,
            write: 1200,
            credential: 600,
            submit: 600,
            transfer: 600,
            address_factor: 10,
            streams: 64,
            address_streams: 512,
        }
    }
}

impl Limits {
    fn of(&self, class: RateClass) -> u32 {
        match class {
            RateClass::Unspecified | RateClass::Read => self.read,
            RateClass::Write => self.write,
            RateClass::Credential => self.credential,
            RateClass::Submit => self.submit,
            RateClass::Transfer => self.transfer,
            RateClass::Internal => 0,
        }
    }

    /// Counts a call; RESOURCE_EXHAUSTED when it exceeds the limit.
    pub(crate) async fn count(
        &self,
        cache: &Cache,
        class: RateClass,
        caller: &Caller,
    ) -> Result<(), Status> {
        let limit = self.of(class);
        let (limit, subject) = match (caller.principal.kind, caller.address) {
            _ if limit == 0 => return Ok(()),
            (Kind::User, _) => (limit, caller.principal.id.to_string()),
            (Kind::Anonymous, Some(address)) => {
                (limit.saturating_mul(self.address_factor.max(1)), address.to_string())
            }
            _ => return Ok(()),
        };
        let key = format!("access/{}/{subject}", class.as_str_name());
        let decision = cache.rate(&key, Rate::new(limit, MINUTE)).await;
        if decision.allowed {
            return Ok(());
        }
        metrics::counter!("agon_access_rate_limited_total", "class" => class.as_str_name())
            .increment(1);
        let text = "too many calls";
        let after = decision.retry_after;
        Err(status::retry(Code::ResourceExhausted, "RATE_LIMITED", text, after))
    }
}
