//! `agon register`, `agon user` and `agon role`

use std::fmt::Write as _;
use std::process::ExitCode;

use chrono::DateTime;
use proto::auth::access_service_client::AccessServiceClient;
use proto::auth::user_service_client::UserServiceClient;
use proto::auth::{
    CreateRoleBindingRequest, DeleteRoleBindingRequest, GetUserRequest, ListRoleBindingsRequest,
    ListUsersRequest, RegisterUserRequest, ReinstateUserRequest, SuspendUserRequest, User,
    UserState,
};

use super::login;
use crate::cli::arguments::{
    GrantRole, ListUsers, Register, RoleCommand, SelectUser, SuspendUser, UserCommand,
};
use crate::cli::client;
use crate::cli::output;
use crate::failure::Failure;

const PAGE_SIZE: i32 = 200;

pub async fn register(arguments: Register) -> Result<ExitCode, Failure> {
    let channel = client::connect(&arguments.remote).await?;
    let (username, password) =
        login::ask(Some(arguments.username), arguments.password_file.as_deref())?;
    let request = RegisterUserRequest {
        username: username.clone(),
        password: password.clone(),
        email: arguments.email,
        display_name: arguments.display_name,
        invitation_code: arguments.invitation,
        ..RegisterUserRequest::default()
    };
    UserServiceClient::new(channel.clone()).register_user(request).await?;
    print_line!("Registered {username} at {}.", arguments.remote.server);
    login::log_in(channel, &arguments.remote.server, username, password).await
}

pub async fn run(command: UserCommand) -> Result<ExitCode, Failure> {
    match command {
        UserCommand::List(arguments) => list(arguments).await,
        UserCommand::Show(arguments) => show(arguments).await,
        UserCommand::Suspend(arguments) => suspend(arguments).await,
        UserCommand::Reinstate(arguments) => reinstate(arguments).await,
    }
}

async fn list(arguments: ListUsers) -> Result<ExitCode, Failure> {
    let client = UserServiceClient::new(client::maybe_signed_in(&arguments.remote).await?);
    let page = async |page_token| {
        let username_prefix = arguments.prefix.clone();
        let request = ListUsersRequest { page_size: PAGE_SIZE, page_token, username_prefix };
        let page = client.clone().list_users(request).await?.into_inner();
        Ok((page.users, page.next_page_token))
    };
    let (users, more) = client::pages(arguments.limit, page).await?;
    output::print(table(&users));
    if more {
        eprintln!("There are more users; see --limit and --prefix.");
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each user.
fn table(users: &[User]) -> String {
    let width = users.iter().map(|user| user.username.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for user in users {
        let (username, roles) = (&user.username, user.roles.join(", "));
        let line =
            format!("{username:width$}  {:9}  {roles:16}  {}", state(user), user.display_name);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn state(user: &User) -> &'static str {
    match user.state() {
        UserState::Suspended => "suspended",
        UserState::Active => "active",
        UserState::Unspecified => "unknown",
    }
}

async fn show(arguments: SelectUser) -> Result<ExitCode, Failure> {
    let mut client = UserServiceClient::new(client::maybe_signed_in(&arguments.remote).await?);
    let request = GetUserRequest { user_id: arguments.user };
    let user = client.get_user(request).await?.into_inner().user.unwrap_or_default();
    output::print(details(&user));
    Ok(ExitCode::SUCCESS)
}

/// The fields that the caller can see.
fn details(user: &User) -> String {
    let registered = user.create_time.and_then(|time| DateTime::from_timestamp(time.seconds, 0));
    let registered = registered.map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    let fields = [
        ("username", user.username.clone()),
        ("id", user.user_id.clone()),
        ("display name", user.display_name.clone()),
        ("country", user.country.clone()),
        ("e-mail", user.email.clone()),
        ("roles", user.roles.join(", ")),
        ("state", state(user).to_owned()),
        ("registered", registered.unwrap_or_default()),
    ];
    let known = fields.iter().filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| format!("{name:12}  {value}\n")).collect()
}

async fn suspend(arguments: SuspendUser) -> Result<ExitCode, Failure> {
    let mut client = UserServiceClient::new(client::signed_in(&arguments.remote).await?);
    let request = SuspendUserRequest { user_id: arguments.user.clone(), reason: arguments.reason };
    client.suspend_user(request).await?;
    print_line!("{} is suspended; all sessions have ended.", arguments.user);
    Ok(ExitCode::SUCCESS)
}

async fn reinstate(arguments: SelectUser) -> Result<ExitCode, Failure> {
    let mut client = UserServiceClient::new(client::signed_in(&arguments.remote).await?);
    client.reinstate_user(ReinstateUserRequest { user_id: arguments.user.clone() }).await?;
    print_line!("{} can log in again.", arguments.user);
    Ok(ExitCode::SUCCESS)
}

pub async fn role(command: RoleCommand) -> Result<ExitCode, Failure> {
    match command {
        RoleCommand::Grant(arguments) => grant(arguments).await,
        RoleCommand::Revoke(arguments) => revoke(arguments).await,
    }
}

async fn grant(arguments: GrantRole) -> Result<ExitCode, Failure> {
    let mut client = AccessServiceClient::new(client::signed_in(&arguments.remote).await?);
    let (user, role) = (arguments.user, arguments.role);
    let request = CreateRoleBindingRequest {
        user_id: user.clone(),
        role: role.clone(),
        resource: arguments.resource,
        ..CreateRoleBindingRequest::default()
    };
    client.create_role_binding(request).await?;
    print_line!("{user} has the role {role}.");
    Ok(ExitCode::SUCCESS)
}

async fn revoke(arguments: GrantRole) -> Result<ExitCode, Failure> {
    let mut client = AccessServiceClient::new(client::signed_in(&arguments.remote).await?);
    let page = async |page_token| {
        let (user_id, role) = (arguments.user.clone(), arguments.role.clone());
        let request = ListRoleBindingsRequest { page_size: PAGE_SIZE, page_token, user_id, role };
        let page = client.clone().list_role_bindings(request).await?.into_inner();
        Ok((page.role_bindings, page.next_page_token))
    };
    let (bindings, _) = client::pages(usize::MAX, page).await?;
    let binding = bindings.into_iter().find(|binding| binding.resource == arguments.resource);
    let (user, role) = (arguments.user, arguments.role);
    let Some(binding) = binding else {
        return Err(Failure::new(format!("{user} does not have the role {role}")));
    };
    let request = DeleteRoleBindingRequest { role_binding_id: binding.role_binding_id };
    client.delete_role_binding(request).await?;
    print_line!("{user} does not have the role {role} any more.");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User {
            user_id: "0198".into(),
            username: "ada".into(),
            display_name: "Ada L.".into(),
            roles: vec!["setter".into()],
            state: UserState::Suspended.into(),
            ..User::default()
        }
    }

    #[test]
    fn table_has_a_line_for_each_user() {
        let bob =
            User { username: "robert".into(), state: UserState::Active.into(), ..User::default() };
        let expected = "ada     suspended  setter            Ada L.\nrobert  active\n";
        assert_eq!(table(&[ada(), bob]), expected);
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn details_leave_out_what_the_caller_cannot_see() {
        let text = details(&ada());
        assert!(text.contains("state         suspended\n"), "{text}");
        assert!(!text.contains("e-mail"), "{text}");
    }
}
