//! A broker that wants TLS and a password: its certificates are made here, by an authority that nobody else knows.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::kafka::{Broker, Topic};

/// The user that the broker knows.
pub const USER: &str = "holdfast";

/// A broker with a second listener, for SASL (PLAIN and SCRAM-SHA-512) over TLS.
#[derive(Debug)]
pub struct SecureBroker {
    /// The broker. What is made and looked at by a test itself goes through its plain listener.
    pub broker: Broker,
    address: String,
    folder: TempDir,
    password: String,
}

impl SecureBroker {
    /// Starts one; it ends when dropped.
    ///
    /// # Panics
    /// It cannot be started; the message says why.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a folder for certificates");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file of the broker");
        };
        let authority = Authority::new("the broker's");
        write("ca.pem", &authority.pem);
        write("other-ca.pem", &Authority::new("somebody else's").pem);
        write("broker.pem", &authority.broker());
        let password = format!("s3cret-{}", uuid::Uuid::now_v7().simple());
        write("password", &password);
        let path = folder.path().to_string_lossy().into_owned();
        let (broker, printed) = Broker::start(&["--secure", &path]);
        Self {
            broker,
            address: printed.value("KAFKA_SECURE"),
            folder,
            password,
        }
    }

    /// The certificate of the authority that the broker's is signed by.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A certificate of another authority.
    #[must_use]
    pub fn other_ca(&self) -> PathBuf {
        self.file("other-ca.pem")
    }

    /// The password of [`USER`].
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// A topic as seen through the listener with TLS.
    #[must_use]
    pub fn behind_tls(&self, topic: &Topic) -> Topic {
        Topic::at(&self.address, &topic.name, topic.partitions)
    }

    /// librdkafka's settings for this listener, but for the password.
    #[must_use]
    pub fn settings(&self, mechanism: &str, ca: &Path) -> [(&'static str, String); 4] {
        [
            ("security.protocol", "SASL_SSL".to_owned()),
            ("sasl.mechanism", mechanism.to_owned()),
            ("sasl.username", USER.to_owned()),
            ("ssl.ca.location", ca.display().to_string()),
        ]
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Private key and certificate of a broker on this machine.
    fn broker(&self) -> String {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        [key.serialize_pem(), signed.pem()].concat()
    }
}
