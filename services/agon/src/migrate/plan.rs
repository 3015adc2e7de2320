//! Source and target configuration of a promotion.

use crate::cli::arguments::Promote;
use crate::config::Config;
use crate::failure::Failure;

#[derive(Debug)]
pub struct Plan {
    pub source: Config,
    pub target: Config,
    /// Whether objects are copied.
    pub objects: bool,
}

impl Plan {
    pub fn new(config: &Config, arguments: &Promote) -> Result<Self, Failure> {
        if arguments.settings.database.is_some() {
            let text = "--database: must not be set; the source is --data, the target is --to";
            return Err(Failure::usage(text));
        }
        let to = &arguments.to;
        if !to.starts_with("postgres://") && !to.starts_with("postgresql://") {
            return Err(Failure::usage(
                "--to: must be the URL of a PostgreSQL database, such as postgres://user:password@host/agon",
            ));
        }
        let mut source = config.clone();
        source.database.url = "sqlite:".into();
        source.events = bus::KafkaConfig::default();
        let mut target = config.clone();
        target.database.url.clone_from(to);
        if let Some(url) = &arguments.objects {
            if !url.starts_with("s3://") {
                let text = "--objects: must be the URL of a bucket, such as s3://bucket/prefix";
                return Err(Failure::usage(text));
            }
            if source.services.problem.objects.url.starts_with("s3://") {
                return Err(Failure::usage(
                    "--objects: must not be set, because problem.objects.url is a bucket already",
                ));
            }
            target.services.problem.objects.url.clone_from(url);
        }
        source.check()?;
        target.check()?;
        Ok(Self { source, target, objects: arguments.objects.is_some() })
    }

    /// The flags of `agon serve` for the target, without passwords.
    pub fn flags(&self) -> Vec<String> {
        let (to, default) = (&self.target, Config::default());
        let mut flags = vec![format!("--database '{}'", without_password(&to.database.url))];
        if to.events.is_kafka() {
            flags.push(format!("--events '{}'", to.events.url));
        }
        let objects = &to.services.problem.objects;
        let partitions = to.events.partitions.to_string();
        let default_partitions = default.events.partitions.to_string();
        let pairs = [
            ("database.schema_prefix", &to.database.schema_prefix, ""),
            ("events.prefix", &to.events.prefix, default.events.prefix.as_str()),
            ("events.partitions", &partitions, default_partitions.as_str()),
            ("problem.objects.url", &objects.url, default.services.problem.objects.url.as_str()),
            ("problem.objects.endpoint", &objects.endpoint, ""),
            ("problem.objects.region", &objects.region, ""),
            ("problem.objects.access_key", &objects.access_key, ""),
        ];
        for (key, value, default) in pairs {
            if value != default {
                flags.push(format!("--set {key}='{value}'"));
            }
        }
        if objects.allow_http {
            flags.push("--set problem.objects.allow_http=true".into());
        }
        if !objects.secret_key.is_empty() {
            flags.push("--set problem.objects.secret_key=…".into());
        }
        flags
    }
}

/// Replaces the password of a URL by `…`.
pub fn without_password(url: &str) -> String {
    let redacted = || {
        let (scheme, rest) = url.split_once("://")?;
        let (account, host) = rest.rsplit_once('@')?;
        let (name, _) = account.split_once(':')?;
        Some(format!("{scheme}://{name}:…@{host}"))
    };
    redacted().unwrap_or_else(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments::Settings;

    fn plan(to: &str, objects: Option<&str>, change: impl Fn(&mut Config)) -> Result<Plan, String> {
        let settings = Settings::default();
        let arguments = Promote { to: to.into(), objects: objects.map(Into::into), settings };
        let mut config = Config::default();
        change(&mut config);
        Plan::new(&config, &arguments).map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_select_the_target_without_passwords() {
        let plan = plan("postgres://a:hush@h/d", Some("s3://tests/x"), |config| {
            config.events.url = "kafka://h:9092".into();
        })
        .unwrap();
        assert_eq!(plan.source.database.url, "sqlite:");
        assert!(!plan.source.events.is_kafka() && plan.target.events.is_kafka());
        let flags = plan.flags().join(" ");
        assert!(flags.contains("--database 'postgres://a:…@h/d'"), "{flags}");
        assert!(flags.contains("--set problem.objects.url='s3://tests/x'"), "{flags}");
        assert!(!flags.contains("hush") && !flags.contains("partitions"), "{flags}");
    }

    #[test]
    fn errors_name_the_flag() {
        assert!(plan("mysql://h/d", None, |_| {}).unwrap_err().starts_with("--to: "));
        assert!(plan("postgres://h/d", Some("file:"), |_| {}).unwrap_err().contains("--objects: "));
        let bucket = plan("postgres://h/d", Some("s3://b"), |config| {
            config.services.problem.objects.url = "s3://a".into();
        });
        assert!(bucket.unwrap_err().starts_with("--objects: "));
        let wrong = plan("postgres://h/d", None, |config| config.events.url = "amqp://h".into());
        assert!(wrong.unwrap_err().starts_with("events."));
    }

    #[test]
    fn passwords_are_redacted() {
        assert_eq!(without_password("postgres://a:b@c@h/d"), "postgres://a:…@h/d");
        assert_eq!(without_password("postgres://a@h/d"), "postgres://a@h/d");
        assert_eq!(without_password("postgres://h:5432/d"), "postgres://h:5432/d");
    }
}
