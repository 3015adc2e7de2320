//! The use cases of echoes.

use ::rpc::Violations;
use db::{Tx, TxGuard};
use prost_types::Timestamp;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use crate::Echo;
use crate::echo::{self, check_text};
use crate::error::Error;
use crate::proto as pb;
use crate::{events, store};

impl Echo {
    /// Stores a text, once per request id.
    pub async fn create(
        &self,
        user_id: Uuid,
        request: &pb::CreateEchoRequest,
    ) -> Result<pb::CreateEchoResponse, Error> {
        let mut violations = Violations::default();
        if let Err(message) = check_text(&request.text) {
            violations.add("text", message);
        }
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let content = [request.text.as_bytes()];
        let once = Idempotent::new(user_id, "CreateEcho", &request.request_id, &content);
        let create = |mut tx: TxGuard| async move {
            if store::exists(&mut tx, user_id, &request.text).await? {
                return Err(Error::Duplicate);
            }
            let echo = self.insert(&mut tx, user_id, &request.text).await?;
            Ok(pb::CreateEchoResponse { echo: Some(to_proto(echo)) })
        };
        once.run(&self.db, create).await
    }

    /// Stores the greeting of a new user. The consumer applies each event exactly once.
    pub async fn greet(&self, tx: &mut Tx, user_id: Uuid) -> db::Result<()> {
        self.insert(tx, user_id, &self.config.greeting).await.map(drop)
    }

    async fn insert(&self, tx: &mut Tx, user_id: Uuid, text: &str) -> db::Result<echo::Echo> {
        let (id, created_at) = (tx.new_id(), tx.now());
        let echo = echo::Echo { id, user_id, text: text.to_owned(), created_at };
        store::insert(tx, &echo).await?;
        events::echo_created(tx, &echo);
        Ok(echo)
    }

    /// A page of the user's echoes.
    pub async fn list(
        &self,
        user_id: Uuid,
        request: &pb::ListEchoesRequest,
    ) -> Result<pb::ListEchoesResponse, Error> {
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&self.page_key, "ListEchoes", &[user_id.as_bytes()], size, token)?;
        let rows = store::list(&self.db, user_id, page.after, page.limit()).await?;
        let (echoes, next_page_token) = page.close(rows, |last| last.id);
        let echoes = echoes.into_iter().map(to_proto).collect();
        Ok(pb::ListEchoesResponse { echoes, next_page_token })
    }
}

fn to_proto(echo: echo::Echo) -> pb::Echo {
    let nanos = i32::try_from(echo.created_at.timestamp_subsec_nanos()).unwrap_or(0);
    let create_time = Some(Timestamp { seconds: echo.created_at.timestamp(), nanos });
    pb::Echo { echo_id: echo.id.to_string(), text: echo.text, create_time }
}
