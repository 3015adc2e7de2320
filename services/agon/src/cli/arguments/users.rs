//! The arguments of `agon register`, `agon user` and `agon role`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Args)]
pub struct Register {
    #[command(flatten)]
    pub remote: Remote,
    /// The new username
    pub username: String,
    /// Read the password from this file instead of prompting, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// E-mail address
    #[arg(long, default_value = "", hide_default_value = true)]
    pub email: String,
    /// Name shown to others [default: the username]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub display_name: String,
    /// Invitation code, where registration requires one
    #[arg(long, default_value = "", hide_default_value = true, value_name = "CODE")]
    pub invitation: String,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List users by username. Roles are shown to administrators.
    List(ListUsers),
    /// Show a user.
    Show(SelectUser),
    /// Suspend a user: all sessions end, and logging in fails.
    Suspend(SuspendUser),
    /// End a suspension.
    Reinstate(SelectUser),
}

#[derive(Debug, Args)]
pub struct ListUsers {
    #[command(flatten)]
    pub remote: Remote,
    /// Only usernames that begin with this text
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub prefix: String,
    /// Maximum number of users
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub limit: usize,
}

#[derive(Debug, Args)]
pub struct SelectUser {
    #[command(flatten)]
    pub remote: Remote,
    /// Username or id, `me` for yourself
    pub user: String,
}

#[derive(Debug, Args)]
pub struct SuspendUser {
    #[command(flatten)]
    pub remote: Remote,
    /// Username or id
    pub user: String,
    /// The reason, for the record
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub reason: String,
}

#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// Give a role to a user.
    Grant(GrantRole),
    /// Take a role from a user.
    Revoke(GrantRole),
}

#[derive(Debug, Args)]
pub struct GrantRole {
    #[command(flatten)]
    pub remote: Remote,
    /// Username or id
    pub user: String,
    /// The role, such as setter, organiser, judge or admin
    pub role: String,
    /// The resource that the role is limited to [default: the whole installation]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub resource: String,
}
