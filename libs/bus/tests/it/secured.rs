//! A broker that requires mutual TLS and a password.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bus::{Bus, KafkaConfig, KafkaMechanism, KafkaSasl, KafkaTls};

use crate::kafka::Broker;
use crate::world::{TOPICS, World, kafka_url};

/// A CA, and certificates of it for the broker (`broker.pem`, with its key) and a client.
fn create_certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        let output = command.current_dir(directory).args(arguments.split(' ')).output();
        let output = output.expect("the openssl command is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    openssl(&format!("{key} -out ca.key"));
    openssl("req -x509 -new -key ca.key -subj /CN=ca -days 2 -out ca.pem");
    std::fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for name in ["server", "client"] {
        openssl(&format!("{key} -out {name}.key"));
        openssl(&format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile names -out {name}.pem"
        ));
    }
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    std::fs::write(directory.join("broker.pem"), read("server.key") + &read("server.pem")).unwrap();
}

/// The broker, and a valid configuration for its clients.
struct SecuredBroker {
    config: KafkaConfig,
    _broker: Broker,
}

impl SecuredBroker {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        create_certificates(directory.path());
        let path = directory.path().to_owned();
        let at = |name: &str| Some(path.join(name));
        let tls =
            KafkaTls { ca: at("ca.pem"), certificate: at("client.pem"), key: at("client.key") };
        let sasl = KafkaSasl {
            mechanism: KafkaMechanism::ScramSha512,
            username: Some("agon".into()),
            password: Some("hush".into()),
        };
        let _broker = Broker::start_in(directory);
        db::testing::eventually("the broker is configured", || async {
            std::fs::read_to_string(path.join("url")).is_ok_and(|url| url.ends_with('\n'))
        })
        .await;
        let url = std::fs::read_to_string(path.join("url")).unwrap();
        let config = KafkaConfig { tls, sasl, ..KafkaConfig::new(url.trim()) };
        let deadline = Instant::now() + Duration::from_secs(90);
        while let Err(error) = connect(&config).await {
            assert!(Instant::now() < deadline, "{error}");
        }
        Self { config, _broker }
    }
}

async fn connect(config: &KafkaConfig) -> Result<(), bus::Error> {
    let bus = Bus::kafka(config.clone(), &[TOPICS])?;
    bus.create_topics(&[]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_published_and_applied_over_tls_and_sasl() {
    if kafka_url().is_none() {
        return;
    }
    let secured = SecuredBroker::start().await;
    for mechanism in [KafkaMechanism::ScramSha512, KafkaMechanism::Plain] {
        let mut config = secured.config.clone();
        config.sasl.mechanism = mechanism;
        let Some(world) = World::on_cluster(config).await else { return };
        let (relay, consumer) = (world.relay(), world.start());
        let user = world.user().await;
        world.update(user).await;
        world.all_applied(&[]).await;
        world.stop_and_check([relay, consumer]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_and_untrusted_brokers_are_refused() {
    if kafka_url().is_none() {
        return;
    }
    let secured = SecuredBroker::start().await;
    let wrong = |change: &dyn Fn(&mut KafkaConfig)| {
        let mut config = secured.config.clone();
        change(&mut config);
        config
    };
    // Each attempt takes until a timeout, so run all of them concurrently.
    let refused = [
        ("Authentication failed", wrong(&|config| config.sasl.password = Some("guess".into()))),
        ("SSL", wrong(&|config| (config.tls.certificate, config.tls.key) = (None, None))),
        // The broker closes the connection without an error.
        ("Timed out", wrong(&|config| config.sasl = KafkaSasl::default())),
        ("certificate verify failed", wrong(&|config| config.tls.ca = None)),
    ];
    let attempts = refused.map(|(expected, config)| async move {
        let error = connect(&config).await.unwrap_err().to_string();
        (expected, error)
    });
    for (expected, error) in futures_util::future::join_all(attempts).await {
        assert!(error.contains(expected), "no {expected:?} in {error:?}");
    }
}
