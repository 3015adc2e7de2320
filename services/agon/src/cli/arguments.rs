//! The arguments of the command line.

mod contests;
mod problems;
mod users;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use contests::*;
pub use problems::*;
pub use users::*;

/// A self-hosted competitive-programming platform.
///
/// Without a command, `agon` runs `agon serve`: every role in one process, data in ./data, gRPC on
/// 127.0.0.1:50051, REST on 127.0.0.1:8080.
#[derive(Debug, Parser)]
#[command(name = "agon", version, max_term_width = 100)]
pub struct Cli {
    /// The command [default: serve]
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the platform.
    Serve(Settings),
    /// Log in and store the session for other commands.
    Login(Login),
    /// Create an account and log in.
    Register(Register),
    /// Submit a program for judging and wait for the verdict.
    ///
    /// Exit code 0: accepted; 1: any other verdict. Other codes: the program was not judged; 65: the
    /// server refused it, 2: wrong usage, 69: the server is unavailable, 77: not logged in.
    Submit(Submit),
    /// List, show, download and publish problems; import and verify packages.
    #[command(subcommand)]
    Problem(ProblemCommand),
    /// Create and finalize contests; show standings and results.
    #[command(subcommand)]
    Contest(ContestCommand),
    /// List, show, suspend and reinstate users.
    #[command(subcommand)]
    User(UserCommand),
    /// Grant and revoke roles.
    #[command(subcommand)]
    Role(RoleCommand),
    /// Test which sandbox features and languages this machine supports.
    Doctor(Doctor),
    /// Print the configuration and the source of each value.
    Config(Settings),
    /// Show, apply or undo database migrations.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Show events and topics; list, replay and discard dead letters.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Move an installation from its data directory to PostgreSQL, Kafka and S3.
    ///
    /// Copies and verifies everything; the data directory is not modified. The server must be stopped.
    /// To resume an interrupted promotion, run the same command again.
    Promote(Promote),
    /// Back up a data directory to one file. The server may be running.
    Backup(Backup),
    /// Create a data directory from a backup.
    Restore(Restore),
    /// Print an access token of a service account, for scripts and grpcurl.
    Token(Token),
    /// Export keys of service accounts.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Administer users.
    #[command(subcommand)]
    Admin(AdminCommand),
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(Settings::default())
    }
}

/// Configuration: defaults < file < AGON_* environment < flags.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// Configuration file [default: agon.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "AGON_CONFIG")]
    pub config: Option<PathBuf>,
    /// Roles of this process, such as auth,problem,challenge,judge,worker,gateway [default: all]
    #[arg(long, value_name = "ROLES")]
    pub roles: Option<String>,
    /// Directory of databases, keys and test data [default: data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Address of the gRPC listener [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS")]
    pub grpc: Option<String>,
    /// Address of the REST listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub rest: Option<String>,
    /// Address of the admin listener (/livez, /readyz, /metrics, /version) [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
    /// `sqlite:` (files in the data directory) or the postgres:// URL of a database
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// `embedded:` or kafka://host:port
    #[arg(long, value_name = "URL")]
    pub events: Option<String>,
    /// `memory:` or redis://host:port
    #[arg(long, value_name = "URL")]
    pub cache: Option<String>,
    /// Format of the logs: auto, pretty or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Log filter, such as info,rpc=debug
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Any other setting by its key, such as auth.registration=invite (see `agon config`)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// The server that a command connects to.
#[derive(Clone, Debug, Args)]
pub struct Remote {
    /// Address of the server's gRPC listener
    #[arg(long, env = "AGON_SERVER", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    pub server: String,
    /// PEM file of the CAs that are trusted to sign the server's certificate, for https
    /// [default: the system's]
    #[arg(long, env = "AGON_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Login {
    #[command(flatten)]
    pub remote: Remote,
    /// Username or e-mail address [default: prompt]
    pub identifier: Option<String>,
    /// Read the password from this file instead of prompting, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    pub remote: Remote,
    /// Slug or id of the problem; with --contest also its label there
    pub problem: String,
    /// Source file of the program
    pub file: PathBuf,
    /// Language [default: chosen by the file's extension]
    #[arg(long, short)]
    pub language: Option<String>,
    /// Slug or id of the contest [default: practice]
    #[arg(long)]
    pub contest: Option<String>,
    /// Print the submission's id and exit without waiting for the verdict
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Show applied and pending migrations.
    Status(Settings),
    /// Apply pending migrations.
    Up(Settings),
    /// Undo migrations of one service, newest first. Data in their tables is lost.
    Down(MigrateDown),
}

#[derive(Debug, Args)]
pub struct MigrateDown {
    /// The service: auth, problem, judge or challenge
    pub service: String,
    /// Number of the last migration to keep, 0 to undo all [default: undo one]
    #[arg(long, value_name = "N")]
    pub to: Option<i64>,
    /// Undo migrations of the tables common to all services (folder `every`) instead of the service's own
    #[arg(long)]
    pub every: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub settings: Settings,
}

impl MigrateCommand {
    pub fn settings(&self) -> &Settings {
        match self {
            Self::Status(settings) | Self::Up(settings) => settings,
            Self::Down(arguments) => &arguments.settings,
        }
    }
}

/// All but `topics` call a running server with the operator's credential.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print new events, one JSON object per line.
    Tail(EventsTail),
    /// Print the topics; with --apply, create missing topics on Kafka.
    Topics(EventsTopics),
    /// List, replay or discard dead letters: events that a consumer failed to apply.
    #[command(subcommand)]
    Dlq(DlqCommand),
}

#[derive(Debug, Args)]
pub struct EventsTail {
    #[command(flatten)]
    pub remote: Remote,
    /// Only this topic, such as agon.submission.v1; repeatable
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only events of this aggregate
    #[arg(long, value_name = "ID", default_value = "")]
    pub key: String,
    /// Start with the oldest stored event
    #[arg(long)]
    pub from_start: bool,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct EventsTopics {
    /// Create missing topics
    #[arg(long)]
    pub apply: bool,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Print dead letters, oldest first, one JSON object per line.
    List(DlqList),
    /// Redeliver the dead letters of one key to a consumer, in order.
    Replay(DlqReplay),
    /// Delete a dead letter, and redeliver the later events of its key that were held behind it.
    Discard(DlqDiscard),
}

#[derive(Debug, Args)]
pub struct DlqList {
    #[command(flatten)]
    pub remote: Remote,
    /// Only dead letters of this consumer
    #[arg(long, default_value = "", hide_default_value = true)]
    pub consumer: String,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct DlqReplay {
    #[command(flatten)]
    pub remote: Remote,
    /// Name of the consumer
    pub consumer: String,
    /// Key of the events
    pub key: String,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct DlqDiscard {
    #[command(flatten)]
    pub remote: Remote,
    /// Name of the consumer
    pub consumer: String,
    /// `eventId` of the dead letter
    pub event_id: String,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Promote {
    /// postgres:// URL of the target database, which must be empty
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// s3:// URL of the target bucket for test data; `--set problem.objects.endpoint=…` and others
    /// configure it [default: test data is not moved]
    #[arg(long, value_name = "URL")]
    pub objects: Option<String>,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Backup {
    /// File to write, such as agon.tar; it must not exist
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// A file written by `agon backup`
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// Data directory to create; it must be missing or empty
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

#[derive(Debug, Args)]
pub struct Token {
    #[command(flatten)]
    pub remote: Remote,
    /// Name of the service account, such as judge
    #[arg(long, value_name = "NAME")]
    pub service: String,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print an account's private key (PKCS#8 PEM). Store it as ACCOUNT.pem in the `keys` directory of a process.
    Export(KeysExport),
}

#[derive(Debug, Args)]
pub struct KeysExport {
    /// Name of the service account, such as worker
    pub account: String,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Create a one-time code with which USER can set a new password.
    ResetPassword(ResetPassword),
}

#[derive(Debug, Args)]
pub struct ResetPassword {
    #[command(flatten)]
    pub remote: Remote,
    /// Username or id
    pub user: String,
    #[command(flatten)]
    pub settings: Settings,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn migrate_down_asks_for_confirmation_by_default() {
        let cli = Cli::parse_from(["agon", "migrate", "down", "auth", "--to", "1", "--data", "d"]);
        let Some(Command::Migrate(MigrateCommand::Down(down))) = cli.command else {
            panic!("another command");
        };
        assert_eq!(
            (down.service.as_str(), down.to, down.every, down.yes),
            ("auth", Some(1), false, false)
        );
        assert_eq!(down.settings.data.as_deref(), Some("d"));
        assert!(Cli::try_parse_from(["agon", "migrate", "down"]).is_err());
    }

    #[test]
    fn promote_requires_a_target() {
        let line = ["agon", "promote", "--to", "postgres://h/d", "--events", "kafka://h:1"];
        let cli = Cli::parse_from(line);
        let Some(Command::Promote(promote)) = cli.command else { panic!("another command") };
        assert_eq!(promote.to, "postgres://h/d");
        assert_eq!(promote.settings.events.as_deref(), Some("kafka://h:1"));
        assert_eq!(promote.objects, None);
        assert!(Cli::try_parse_from(["agon", "promote"]).is_err());
        assert!(Cli::try_parse_from(["agon", "restore", "--from", "f"]).is_err());
    }

    #[test]
    fn default_command_is_serve() {
        let cli = Cli::parse_from(["agon"]);
        assert!(matches!(cli.command.unwrap_or_default(), Command::Serve(_)));
    }
}
