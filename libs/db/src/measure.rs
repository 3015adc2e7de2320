//! Metrics of databases.

use std::time::Duration;

use futures_util::future::BoxFuture;
use metrics::{counter, gauge, histogram};
use sqlx::Pool;

use crate::database::Backend;
use crate::{Db, Error};

impl Db {
    /// Records gauges of availability, disk space and connections; to be called at an interval.
    pub fn measure(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let service = self.service().to_owned();
            let up = self.health().await.is_ok();
            gauge!("agon_db_up", "service" => service.clone()).set(f64::from(u8::from(up)));
            let full = f64::from(u8::from(self.is_full()));
            gauge!("agon_db_disk_full", "service" => service.clone()).set(full);
            match self.backend() {
                Backend::Postgres(pg) => {
                    pool(&service, "read", &pg.read.inner);
                    pool(&service, "write", &pg.write.inner);
                }
                Backend::Sqlite(file) => pool(&service, "read", &file.read),
            }
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges")]
fn pool<D: sqlx::Database>(service: &str, name: &'static str, pool: &Pool<D>) {
    let idle = pool.num_idle();
    let in_use = (pool.size() as usize).saturating_sub(idle);
    for (state, count) in [("idle", idle), ("in_use", in_use)] {
        let labels =
            [("service", service.to_owned()), ("pool", name.into()), ("state", state.into())];
        gauge!("agon_db_connections", &labels).set(count as f64);
    }
}

pub(crate) fn begin_waited(service: &str, time: Duration) {
    histogram!("agon_db_wait_seconds", "service" => service.to_owned()).record(time);
}

pub(crate) fn retried(service: &str) {
    counter!("agon_db_retries_total", "service" => service.to_owned()).increment(1);
}

pub(crate) fn begin_failed(service: &str, error: &Error) {
    let cause = match error {
        Error::Busy(_) => "busy",
        Error::Full(_) => "full",
        Error::Timeout(_) => "timeout",
        Error::Unavailable(_) => "unavailable",
        _ => "other",
    };
    let labels = [("service", service.to_owned()), ("cause", cause.to_owned())];
    counter!("agon_db_refusals_total", &labels).increment(1);
}
