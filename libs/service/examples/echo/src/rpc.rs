//! The RPCs of the service, each one call of a use case.

use access::Caller;
use tonic::{Request, Response, Status};

use crate::Echo;
use crate::proto as pb;
use crate::proto::echo_service_server::EchoService;

#[tonic::async_trait]
impl EchoService for Echo {
    async fn create_echo(
        &self,
        request: Request<pb::CreateEchoRequest>,
    ) -> Result<Response<pb::CreateEchoResponse>, Status> {
        let user = Caller::of(&request).user()?.id;
        Ok(Response::new(self.create(user, request.get_ref()).await?))
    }

    async fn list_echoes(
        &self,
        request: Request<pb::ListEchoesRequest>,
    ) -> Result<Response<pb::ListEchoesResponse>, Status> {
        let user = Caller::of(&request).user()?.id;
        Ok(Response::new(self.list(user, request.get_ref()).await?))
    }
}
