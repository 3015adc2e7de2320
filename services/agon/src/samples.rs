//! The sample problems, which a new installation begins with.

use std::path::Path;
use std::time::Duration;

use proto::auth::GetUserRequest;
use proto::auth::user_service_client::UserServiceClient;
use rpc::Channel;

use crate::data::write_private;
use crate::wire::Base;

/// Written when the samples were imported: whoever deletes them afterwards does not want them back.
const MARK: &str = "samples-imported";

/// Imports the samples in the background, unless that was done once.
pub fn start(base: &Base, problem: problem::Service) {
    let mark = base.data.join(MARK);
    if !base.config.samples.import || mark.exists() {
        return;
    }
    let channel = Channel::Local(base.local.clone());
    let shutdown = base.tasks.shutdown().clone();
    base.tasks.spawn("samples", async move {
        let importing = async {
            while let Err(error) = import(&channel, &problem, &mark).await {
                tracing::warn!(error, "cannot import the sample problems yet");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        };
        shutdown.unless_begun(importing).await;
    });
}

async fn import(channel: &Channel, problem: &problem::Service, mark: &Path) -> Result<(), String> {
    let request = GetUserRequest { user_id: "admin".into() };
    let answer = UserServiceClient::new(channel.clone()).get_user(request).await;
    let user = answer.map_err(|status| status.message().to_owned())?.into_inner().user;
    let owner =
        user.and_then(|user| ids::parse(&user.user_id)).ok_or("there is no administrator")?;
    let count = problem.import_samples(owner).await.map_err(|error| error.to_string())?;
    write_private(mark, b"").map_err(|failure| failure.to_string())?;
    tracing::info!(count, "sample problems imported; they appear when the judge has checked them");
    Ok(())
}
