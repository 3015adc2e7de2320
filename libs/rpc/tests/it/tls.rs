//! TLS between clients and servers, and its error messages.

use std::path::PathBuf;
use std::process::Command;

use rpc::{Channel, Peer, Resilience, ServerTls, Tls};
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::node::{Client, Node, list};

/// Certificates created with the `openssl` command.
struct Certificates(TempDir);

impl Certificates {
    /// CAs `ours` and `theirs`, and a server certificate of `ours` for 127.0.0.1.
    fn new() -> Self {
        let certificates = Self(tempfile::tempdir().unwrap());
        for ca in ["ours", "theirs"] {
            certificates.key(ca);
            let subject = format!("/CN={ca}");
            certificates.openssl(&format!(
                "req -x509 -new -key {ca}.key -subj {subject} -days 2 -out {ca}.pem"
            ));
        }
        certificates.issue("server", "ours", "IP:127.0.0.1,DNS:localhost");
        certificates
    }

    fn issue(&self, name: &str, ca: &str, names: &str) {
        self.key(name);
        let extensions = format!("subjectAltName={names}\n");
        std::fs::write(self.0.path().join("extensions"), extensions).unwrap();
        self.openssl(&format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 2 \
             -extfile extensions -out {name}.pem"
        ));
    }

    fn key(&self, name: &str) {
        let curve = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
        self.openssl(&format!("genpkey {curve} -out {name}.key"));
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.current_dir(self.0.path()).args(arguments.split(' '));
        let output = command.output().expect("the openssl command is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        (!name.is_empty()).then(|| self.0.path().join(name))
    }

    /// An empty name omits the file.
    fn tls(&self, ca: &str, name: &str) -> Tls {
        let part = |suffix| self.file(&format!("{name}.{suffix}")).filter(|_| !name.is_empty());
        let ca = self.file(ca).map(|path| path.with_extension("pem"));
        Tls { ca, certificate: part("pem"), key: part("key") }
    }

    async fn node(&self, ca: &str, name: &str) -> Node {
        Node::new(Some(ServerTls::new(&self.tls(ca, name)).unwrap())).await
    }
}

async fn call(scheme: &str, node: &Node, tls: Tls) -> Result<(), Status> {
    let resilience = Resilience { tries: 1, ..Resilience::default() };
    let peer = Peer { urls: vec![format!("{scheme}://{}", node.address)], tls, resilience };
    let mut client = Client::new(Channel::connect_peer(&peer).unwrap());
    client.list_invitations(list("")).await.map(drop)
}

#[track_caller]
fn assert_error(result: Result<(), Status>, message: &str) {
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(format!("{status:?}").contains(message), "no {message:?} in {status:?}");
}

#[tokio::test]
async fn server_certificate_is_verified() {
    let certificates = Certificates::new();
    let node = certificates.node("", "server").await;
    call("https", &node, certificates.tls("ours", "")).await.unwrap();
    let failed = call("https", &node, certificates.tls("theirs", "")).await;
    assert_error(failed, "not signed by tls.ca");
    certificates.issue("elsewhere", "ours", "DNS:elsewhere.test");
    let elsewhere = certificates.node("", "elsewhere").await;
    let failed = call("https", &elsewhere, certificates.tls("ours", "")).await;
    assert_error(failed, "host is not in the server's certificate");
}

#[tokio::test]
async fn client_certificate_is_verified() {
    let certificates = Certificates::new();
    certificates.issue("client", "ours", "DNS:client");
    certificates.issue("stranger", "theirs", "DNS:client");
    let node = certificates.node("ours", "server").await;
    call("https", &node, certificates.tls("ours", "client")).await.unwrap();
    let failed = call("https", &node, certificates.tls("ours", "")).await;
    assert_error(failed, "set tls.certificate and tls.key");
    let failed = call("https", &node, certificates.tls("ours", "stranger")).await;
    assert_error(failed, "does not trust the certificate");
    assert_eq!(node.calls(), 1);
}

#[tokio::test]
async fn tls_on_one_side_fails() {
    let certificates = Certificates::new();
    let node = certificates.node("", "server").await;
    assert_error(call("http", &node, Tls::default()).await, "https://");
    let plain = Node::start().await;
    assert_error(call("https", &plain, certificates.tls("ours", "")).await, "http://");
}

#[test]
fn invalid_files_are_named() {
    let certificates = Certificates::new();
    certificates.issue("other", "ours", "DNS:other");
    let good = certificates.tls("", "server");
    let check = |change: fn(&mut Tls, &Certificates), expected: &str| {
        let mut tls = good.clone();
        change(&mut tls, &certificates);
        let error = ServerTls::new(&tls).err().expect("the configuration is invalid").to_string();
        assert!(error.contains(expected), "no {expected:?} in {error:?}");
    };
    check(|tls, files| tls.certificate = files.file("gone.pem"), "tls.certificate");
    check(|tls, files| tls.certificate = files.file("gone.pem"), "gone.pem");
    check(|tls, files| tls.certificate = files.file("server.key"), "server.key has no certificate");
    check(|tls, files| tls.key = files.file("server.pem"), "server.pem has no private key");
    check(|tls, files| tls.key = files.file("other.key"), "other.key is not the key of");
    check(|tls, _| tls.key = None, "tls.key is missing");
    check(|tls, _| *tls = Tls::default(), "needs tls.certificate");

    let peer = |url: &str, tls| Peer { urls: vec![url.into()], tls, ..Peer::default() };
    let refused = |peer| Channel::connect_peer(&peer).err().expect("refused").to_string();
    assert!(refused(peer("https://judge", Tls::default())).contains("tls.ca"));
    assert!(refused(peer("http://judge", certificates.tls("ours", ""))).contains("https://"));
    assert!(refused(Peer::default()).contains("url"));
}
