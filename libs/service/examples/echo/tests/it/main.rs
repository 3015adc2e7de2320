//! The service through its generated client, on every database.

use access::testing::bearer;
use bus::Topic;
use echo::proto::echo_service_client::EchoServiceClient;
use echo::proto::{CreateEchoRequest, Echo as Stored, ListEchoesRequest};
use echo::{DESCRIPTOR_SET, Echo};
use proto::event::UserRegistered;
use service::testing::{Setup, World, assert_invalid, assert_refused};
use tonic::{Code, Status};
use uuid::Uuid;

const USER: Topic =
    Topic::new("agon.user.v1", "auth").key("user_id").types(&["agon.event.v1.UserRegistered"]);

fn setup() -> Setup<Echo> {
    Setup::default().topics(&[USER]).protos(&DESCRIPTOR_SET)
}

/// A user's id and token.
fn user(world: &World<Echo>, name: &str) -> (Uuid, String) {
    let id = world.clock().new_id();
    (id, world.running.issuer.user(id, name, &[]))
}

async fn create(
    world: &World<Echo>,
    token: &str,
    text: &str,
    request_id: &str,
) -> Result<Stored, Status> {
    let request = CreateEchoRequest { text: text.into(), request_id: request_id.into() };
    let mut client = EchoServiceClient::new(world.running.channel.clone());
    Ok(client.create_echo(bearer(token, request)).await?.into_inner().echo.unwrap())
}

/// The texts of all pages.
async fn list(world: &World<Echo>, token: &str, page_size: i32) -> Vec<String> {
    let mut client = EchoServiceClient::new(world.running.channel.clone());
    let (mut texts, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListEchoesRequest { page_size, page_token };
        let page = client.list_echoes(bearer(token, request)).await.unwrap().into_inner();
        texts.extend(page.echoes.into_iter().map(|echo| echo.text));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return texts;
        }
    }
}

#[tokio::test]
async fn echoes_are_stored_with_their_event_and_listed_in_pages() {
    let test = |mut world: World<Echo>| async move {
        let (_, ada) = user(&world, "ada");
        for text in ["one", "two", "three"] {
            create(&world, &ada, text, "").await.unwrap();
        }
        assert_eq!(list(&world, &ada, 2).await, ["three", "two", "one"]);
        let (_, bob) = user(&world, "bob");
        assert!(list(&world, &bob, 0).await.is_empty());
        let sql = "SELECT COUNT(*) FROM event_log WHERE topic = 'agon.echo.v1'";
        assert_eq!(world.db.query(sql).fetch_scalar::<i64>().await.unwrap(), 3);
        world.restart().await;
        let (id, _) = user(&world, "eve");
        assert!(list(&world, &world.running.issuer.user(id, "eve", &[]), 0).await.is_empty());
    };
    setup().each(test).await;
}

#[tokio::test]
async fn a_request_id_is_applied_once() {
    let test = |world: World<Echo>| async move {
        let (_, ada) = user(&world, "ada");
        let first = create(&world, &ada, "one", "r1").await.unwrap();
        assert_eq!(create(&world, &ada, "one", "r1").await.unwrap(), first);
        let reused = create(&world, &ada, "two", "r1").await;
        assert_refused(reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
        assert_refused(create(&world, &ada, "one", "r2").await, Code::AlreadyExists, "ECHO_EXISTS");
        // The id of a failed request is free again.
        create(&world, &ada, "two", "r2").await.unwrap();
        assert_invalid(create(&world, &ada, "", &"r".repeat(129)).await, &["text", "request_id"]);
    };
    setup().each(test).await;
}

#[tokio::test]
async fn new_users_are_greeted() {
    let test = |world: World<Echo>| async move {
        let (id, ada) = user(&world, "ada");
        let event = UserRegistered { user_id: id.to_string(), ..UserRegistered::default() };
        world.publish(&USER, id, &event).await;
        db::testing::eventually("the greeting is stored", || async {
            list(&world, &ada, 0).await == ["Hello!"]
        })
        .await;
    };
    setup().each(test).await;
}
