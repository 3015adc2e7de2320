//! The events that the service publishes and consumes.

use ::proto::event::UserRegistered;
use bus::{Consumes, Event, Fault, Handler, Received, Topic};
use db::Tx;

use crate::Echo;
use crate::echo;
use crate::proto::EchoCreated;

/// Echoes, visible to services only.
pub const ECHO: Topic =
    Topic::new("agon.echo.v1", "echo").key("echo_id").types(&["agon.event.v1.EchoCreated"]);

/// The consumer of new users.
pub const USERS: Consumes = Consumes { consumer: "echo", topics: &["agon.user.v1"] };

/// Appends `EchoCreated`.
pub fn echo_created(tx: &mut Tx, echo: &echo::Echo) {
    let (echo_id, user_id) = (echo.id.to_string(), echo.user_id.to_string());
    bus::outbox::append(tx, Event::new(&ECHO, echo.id, 1, &EchoCreated { echo_id, user_id }));
}

/// Greets new users.
pub struct Users(pub Echo);

impl Handler for Users {
    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        if !event.is::<UserRegistered>() {
            return Ok(());
        }
        let user: UserRegistered = event.decode()?;
        let user_id =
            ids::parse(&user.user_id).ok_or_else(|| Fault::undecodable("user_id is not a UUID"))?;
        Ok(self.0.greet(tx, user_id).await.map_err(service::Error::from)?)
    }
}
