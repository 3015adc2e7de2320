//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A competitive-programming platform that anyone can host.
///
/// Without a command, `agon` serves: every role in one process, data in ./data, gRPC on
/// 127.0.0.1:50051, REST on 127.0.0.1:8080.
#[derive(Debug, Parser)]
#[command(name = "agon", version, max_term_width = 100)]
pub struct Cli {
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the platform.
    Serve(Settings),
    /// Log in and keep the session for the other commands.
    Login(Login),
    /// Submit a program and follow it to its verdict.
    ///
    /// Exit code 0: accepted; 1: any other verdict; others: it could not be judged.
    Submit(Submit),
    /// Import and verify problem packages.
    Problem(Problem),
    /// Say what this machine's sandbox can and cannot isolate.
    Doctor(Doctor),
    /// Print the configuration and where each value comes from.
    Config(Settings),
    /// Look after the databases' schemas.
    Migrate(Migrate),
    /// Look at the events and at those that could not be applied.
    Events(Events),
    /// Move an installation from its data directory to PostgreSQL, Kafka and S3.
    ///
    /// Copies and verifies everything; nothing is taken away from the data directory. The server must be stopped.
    /// What was interrupted goes on when the same command is given again.
    Promote(Promote),
    /// Write the installation of a data directory to one file, also while it runs.
    Backup(Backup),
    /// Make a data directory from a backup.
    Restore(Restore),
    /// Print an access token of a service, for scripts and grpcurl.
    Token(Token),
    /// The service accounts' keys.
    Keys(Keys),
    /// What administrators do.
    Admin(Admin),
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(Settings::default())
    }
}

/// Configuration: defaults < file < AGON_* environment < flags.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// Configuration file [default: agon.toml, when there is one]
    #[arg(long, value_name = "FILE", env = "AGON_CONFIG")]
    pub config: Option<PathBuf>,
    /// Roles that this process plays, such as auth,problem,challenge,judge,worker,gateway [default: all]
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
    /// Look of the logs: auto, pretty or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged, such as info,rpc=debug
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Any other setting by its key, such as auth.registration=invite (see `agon config`)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Which server a command talks to.
#[derive(Clone, Debug, Args)]
pub struct Remote {
    /// Address of the server's gRPC listener
    #[arg(long, env = "AGON_SERVER", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    pub server: String,
}

/// `agon login`
#[derive(Debug, Args)]
pub struct Login {
    #[command(flatten)]
    pub remote: Remote,
    /// Username or e-mail address [asked for when missing]
    pub identifier: Option<String>,
    /// Read the password from this file, instead of asking for it
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// `agon submit`
#[derive(Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    pub remote: Remote,
    /// Slug or id of the problem
    pub problem: String,
    /// The program's source
    pub file: PathBuf,
    /// Language [default: by the file's extension]
    #[arg(long, short)]
    pub language: Option<String>,
    /// Print the submission's id and leave, without waiting for the verdict
    #[arg(long)]
    pub no_wait: bool,
}

/// `agon problem`
#[derive(Debug, Args)]
pub struct Problem {
    #[command(subcommand)]
    pub command: ProblemCommand,
}

/// The commands about problems.
#[derive(Debug, Subcommand)]
pub enum ProblemCommand {
    /// Import an ICPC 2025-09 package and follow its verification to the end.
    Import(Import),
    /// Check an ICPC 2025-09 package without a server; programs are not run.
    ///
    /// Exit code 0: it can be imported; 1: it has errors.
    Verify {
        /// A directory, .zip, .tar, .tar.gz or .tgz
        path: PathBuf,
    },
}

/// `agon problem import`
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub remote: Remote,
    /// A directory, .zip, .tar, .tar.gz or .tgz
    pub path: PathBuf,
    /// Slug or id of the problem that gets a new version [default: the package's name]
    #[arg(long, default_value = "")]
    pub problem: String,
    /// Publish the version as soon as it is verified
    #[arg(long)]
    pub publish: bool,
}

/// `agon doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `agon migrate`
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(subcommand)]
    pub command: MigrateCommand,
}

/// The commands about schemas.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Show which migrations are applied.
    Status(Settings),
    /// Apply what is missing.
    Up(Settings),
    /// Undo migrations of one service, the newest first; what is in their tables is lost.
    Down(MigrateDown),
}

/// `agon migrate down`
#[derive(Debug, Args)]
pub struct MigrateDown {
    /// Whose database: auth, problem, judge or challenge
    pub service: String,
    /// The number of the migration that stays the last one, 0 for none [default: one step back]
    #[arg(long, value_name = "N")]
    pub to: Option<i64>,
    /// Undo migrations of the tables that every database has (folder `every`), not the service's own
    #[arg(long)]
    pub every: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub settings: Settings,
}

impl MigrateCommand {
    /// Where the databases are.
    pub fn settings(&self) -> &Settings {
        match self {
            Self::Status(settings) | Self::Up(settings) => settings,
            Self::Down(arguments) => &arguments.settings,
        }
    }
}

/// `agon events`
#[derive(Debug, Args)]
pub struct Events {
    #[command(subcommand)]
    pub command: EventsCommand,
}

/// The commands about events. All but `topics` ask a running server, as its operator.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print events as they come, one JSON object a line.
    Tail(EventsTail),
    /// Print the topics; with --apply, make those that are missing on Kafka.
    Topics(EventsTopics),
    /// Dead letters: events that a consumer could not apply.
    #[command(subcommand)]
    Dlq(DlqCommand),
}

/// `agon events tail`
#[derive(Debug, Args)]
pub struct EventsTail {
    #[command(flatten)]
    pub remote: Remote,
    /// Only of this topic, such as agon.submission.v1; may be given several times
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only of this aggregate
    #[arg(long, value_name = "ID", default_value = "")]
    pub key: String,
    /// Begin with the first event that is kept, not with the next one
    #[arg(long)]
    pub from_start: bool,
    #[command(flatten)]
    pub settings: Settings,
}

/// `agon events topics`
#[derive(Debug, Args)]
pub struct EventsTopics {
    /// Make the topics that are missing
    #[arg(long)]
    pub apply: bool,
    #[command(flatten)]
    pub settings: Settings,
}

/// The commands about dead letters.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Print them, the oldest first, one JSON object a line.
    List(DlqList),
    /// Hand a consumer its dead letters of one key again, in order.
    Replay(DlqReplay),
}

/// `agon events dlq list`
#[derive(Debug, Args)]
pub struct DlqList {
    #[command(flatten)]
    pub remote: Remote,
    /// Only of this consumer
    #[arg(long, default_value = "")]
    pub consumer: String,
    #[command(flatten)]
    pub settings: Settings,
}

/// `agon events dlq replay`
#[derive(Debug, Args)]
pub struct DlqReplay {
    #[command(flatten)]
    pub remote: Remote,
    /// The consumer
    pub consumer: String,
    /// The key
    pub key: String,
    #[command(flatten)]
    pub settings: Settings,
}

/// `agon promote`
#[derive(Debug, Args)]
pub struct Promote {
    /// The postgres:// URL of the database that gets the data; it must be empty
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// The s3:// URL of the bucket that gets the test data, with `--set problem.objects.endpoint=…` and
    /// others [default: it stays where it is]
    #[arg(long, value_name = "URL")]
    pub objects: Option<String>,
    #[command(flatten)]
    pub settings: Settings,
}

/// `agon backup`
#[derive(Debug, Args)]
pub struct Backup {
    /// The file to write, such as agon.tar; it must not exist
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    #[command(flatten)]
    pub settings: Settings,
}

/// `agon restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// A file that `agon backup` wrote
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// The data directory to make; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// `agon token`
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

/// `agon keys`
#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// The commands about keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print an account's private key (PKCS#8 PEM), to be put into a process's `keys` directory as ACCOUNT.pem.
    Export(KeysExport),
}

/// `agon keys export`
#[derive(Debug, Args)]
pub struct KeysExport {
    /// Name of the service account, such as worker
    pub account: String,
    #[command(flatten)]
    pub settings: Settings,
}

/// `agon admin`
#[derive(Debug, Args)]
pub struct Admin {
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// The administrators' commands.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make a one-time code with which USER can set a new password.
    ResetPassword(ResetPassword),
}

/// `agon admin reset-password`
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
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn migrations_are_undone_with_care() {
        let cli = Cli::parse_from(["agon", "migrate", "down", "auth", "--to", "1", "--data", "d"]);
        let Some(Command::Migrate(Migrate { command: MigrateCommand::Down(down) })) = cli.command
        else {
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
    fn a_promotion_says_where_to() {
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
    fn serves_without_arguments() {
        let cli = Cli::parse_from(["agon"]);
        assert!(matches!(cli.command.unwrap_or_default(), Command::Serve(_)));
    }
}
