//! Accounts that are made for other people.

use access::testing::bearer;
use proto::auth as pb;
use proto::auth::account_service_client::AccountServiceClient;
use tonic::{Code, Status};

use crate::world::{World, assert_invalid, assert_refused, each};

fn new(key: &str, username: &str) -> pb::NewAccount {
    pb::NewAccount { key: key.into(), username: username.into(), ..Default::default() }
}

async fn make(
    world: &World,
    token: &str,
    accounts: Vec<pb::NewAccount>,
    validate_only: bool,
) -> Result<Vec<pb::MadeAccount>, Status> {
    let request = pb::CreateAccountsRequest { accounts, validate_only };
    let mut client = AccountServiceClient::new(world.channel.clone());
    Ok(client.create_accounts(bearer(token, request)).await?.into_inner().accounts)
}

async fn organiser(world: &World) -> String {
    world.user("olga").await;
    world.bind(&world.admin().await, "olga", "organiser").await.unwrap();
    world.log_in("olga").await.access_token
}

async fn exists(world: &World, name: &str) -> bool {
    let request = pb::GetUserRequest { user_id: name.into() };
    world.users().get_user(request).await.is_ok()
}

#[test]
fn made_accounts_sign_in_with_their_passwords() {
    each(|world| async move {
        let olga = organiser(&world).await;
        let accounts = vec![new("c/1", "team1"), new("c/2", "team2")];
        let checked = make(&world, &olga, accounts.clone(), true).await.unwrap();
        assert!(checked.iter().all(|it| it.password.is_empty() && it.user_id.is_empty()));
        assert!(!exists(&world, "team1").await);

        let made = make(&world, &olga, accounts.clone(), false).await.unwrap();
        let names: Vec<_> = made.iter().map(|it| (it.key.as_str(), it.username.as_str())).collect();
        assert_eq!(names, [("c/1", "team1"), ("c/2", "team2")]);
        assert!(made.iter().all(|it| !it.existing));
        for account in &made {
            world.try_log_in(&account.username, &account.password).await.unwrap();
        }

        // A second call makes no other accounts; passwords are new until their users choose one.
        world.clock.advance(std::time::Duration::from_secs(1));
        let own = world.try_log_in("team2", &made[1].password).await.unwrap().access_token;
        let change = pb::ChangePasswordRequest {
            old_password: made[1].password.clone(),
            new_password: "a sentence of my own".into(),
        };
        world.credentials().change_password(bearer(&own, change)).await.unwrap();
        let again = make(&world, &olga, accounts, false).await.unwrap();
        assert!(again.iter().all(|it| it.existing));
        assert_eq!(again[0].user_id, made[0].user_id);
        assert_eq!(again[1].password, "");
        assert!(world.try_log_in("team1", &made[0].password).await.is_err());
        world.try_log_in("team1", &again[0].password).await.unwrap();
        world.try_log_in("team2", "a sentence of my own").await.unwrap();

        // Nor does the maker take over an account that got a role.
        world.bind(&world.admin().await, "team1", "judge").await.unwrap();
        let kept = make(&world, &olga, vec![new("c/1", "team1")], false).await.unwrap();
        assert_eq!(kept[0].password, "");
    });
}

#[test]
fn all_mistakes_are_named_and_no_account_is_made() {
    each(|world| async move {
        let olga = organiser(&world).await;
        world.user("taken").await;
        let call = async |accounts| make(&world, &olga, accounts, false).await;
        let accounts =
            vec![new("1", "team1"), new("", "team2"), new("1", "Team1"), new("3", "a b")];
        let fields =
            ["accounts[1].key", "accounts[2].key", "accounts[2].username", "accounts[3].username"];
        assert_invalid(call(accounts).await, &fields);
        let accounts = vec![new("1", "team1"), new("2", "TAKEN")];
        assert_invalid(call(accounts).await, &["accounts[1].username"]);
        assert!(!exists(&world, "team1").await);
        assert_invalid(call(Vec::new()).await, &["accounts"]);
        let many = (0..1001).map(|n| new(&n.to_string(), &format!("team{n}"))).collect();
        assert_invalid(call(many).await, &["accounts"]);

        // The keys of another maker are others.
        call(vec![new("1", "team1")]).await.unwrap();
        let admin = world.admin().await;
        let other = make(&world, &admin, vec![new("1", "team1")], false).await;
        assert_invalid(other, &["accounts[0].username"]);
        let player = world.player("ada").await;
        let denied = make(&world, &player, vec![new("1", "x-1")], false).await;
        assert_refused(denied, Code::PermissionDenied, "PERMISSION_MISSING");
    });
}
