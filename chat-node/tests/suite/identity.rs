//! Tokens of an identity provider (JWKS), TLS, and the program itself.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_chat_node::auth::{Claims, Jwks, Tokens};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

fn claims(extra: &serde_json::Value) -> serde_json::Value {
    let mut claims = serde_json::json!({"sub": "u-1", "name": "Ana", "exp": 4_000_000_000_u64});
    claims
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    claims
}

struct Provider {
    key: EncodingKey,
    url: url::Url,
    asked: Arc<AtomicUsize>,
}

/// An identity provider with one key, `k1`.
async fn provider() -> Provider {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("k1".into());
    let keys = serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let app = axum::Router::new().route(
        "/jwks",
        axum::routing::get(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let keys = keys.clone();
            async move { keys }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Provider { key, url, asked }
}

fn sign(provider: &Provider, kid: Option<&str>, claims: &serde_json::Value) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &provider.key).unwrap()
}

#[tokio::test]
async fn tokens_of_a_provider_are_checked_with_its_keys() {
    let provider = provider().await;
    let jwks = Jwks::new(provider.url.clone()).unwrap();
    let tokens = Tokens::jwks(
        jwks,
        Some("https://id.example".into()),
        Some("holdfast".into()),
    );
    let good = claims(&serde_json::json!({"iss": "https://id.example", "aud": "holdfast"}));
    assert_eq!(
        tokens
            .check(&sign(&provider, Some("k1"), &good))
            .await
            .unwrap()
            .sub,
        "u-1"
    );
    assert_eq!(
        tokens
            .check(&sign(&provider, None, &good))
            .await
            .unwrap()
            .sub,
        "u-1",
        "there is one key only"
    );
    for wrong in [
        claims(&serde_json::json!({"iss": "https://other.example", "aud": "holdfast"})),
        claims(&serde_json::json!({"iss": "https://id.example", "aud": "another"})),
        claims(&serde_json::json!({"iss": "https://id.example", "aud": "holdfast", "exp": 1})),
        claims(
            &serde_json::json!({"iss": "https://id.example", "aud": "holdfast", "nbf": 3_900_000_000_u64}),
        ),
    ] {
        assert!(
            tokens
                .check(&sign(&provider, Some("k1"), &wrong))
                .await
                .is_err(),
            "{wrong}"
        );
    }
    // Neither a key that is not there, nor the public key taken for a shared secret; and forged tokens do not flood the provider.
    for _attempt in 0..20 {
        assert!(
            tokens
                .check(&sign(&provider, Some("k2"), &good))
                .await
                .is_err()
        );
    }
    let public = reqwest::get(provider.url.clone())
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("k1".into());
    let confused =
        jsonwebtoken::encode(&header, &good, &EncodingKey::from_secret(public.as_bytes())).unwrap();
    assert!(tokens.check(&confused).await.is_err());
    assert_eq!(
        provider.asked.load(Ordering::SeqCst),
        2,
        "once by the node, once by this test"
    );
}

struct Program {
    child: std::process::Child,
    address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn serve(folder: &std::path::Path, more: &[&str]) -> Program {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast-chat"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder)
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line
        .trim()
        .strip_prefix("listening on ")
        .expect("the address")
        .to_owned();
    Program { child, address }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_alone_is_a_whole_node_and_its_files_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("chat");
    let mut program = serve(&data, &[]);
    for (name, mode) in [
        ("", 0o700),
        ("secret", 0o600),
        ("chat.db", 0o600),
        ("files", 0o700),
    ] {
        let found = std::fs::metadata(data.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(found, mode, "{name}: {found:o}");
    }
    let token = Command::new(env!("CARGO_BIN_EXE_holdfast-chat"))
        .args([
            "token",
            "--sub",
            "u-7",
            "--name",
            "Ana Pérez",
            "--role",
            "admin",
            "--data",
        ])
        .arg(&data)
        .output()
        .unwrap();
    assert!(token.status.success());
    let token = String::from_utf8(token.stdout).unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let me = client
        .get(format!("http://{}/v1/me", program.address))
        .bearer_auth(token.trim())
        .send()
        .await
        .unwrap();
    assert_eq!(
        me.json::<serde_json::Value>().await.unwrap()["name"],
        "Ana Pérez"
    );
    // Asked to end, it ends with 0.
    Command::new("kill")
        .arg(program.child.id().to_string())
        .status()
        .unwrap();
    let ended =
        tokio::task::spawn_blocking(move || program.child.wait().map(|status| (status, program)))
            .await
            .unwrap()
            .unwrap()
            .0;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_clients_connect_by_tls_only() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let data = folder.path().join("chat");
    let program = serve(
        &data,
        &[
            "--tls-cert",
            cert.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ],
    );
    let port = program.address.rsplit(':').next().unwrap();
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let health = client
        .get(format!("https://localhost:{port}/healthz"))
        .send()
        .await
        .unwrap();
    assert_eq!(health.text().await.unwrap(), "ok\n");
    assert!(
        client
            .get(format!("http://localhost:{port}/healthz"))
            .send()
            .await
            .is_err()
    );
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(
        stranger
            .get(format!("https://localhost:{port}/healthz"))
            .send()
            .await
            .is_err(),
        "not signed by anybody known"
    );
}

#[test]
fn mistakes_end_with_2_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let config = folder.path().join("chat.toml");
    std::fs::write(&config, "pool = \"main\"\nsurprise = 1\n").unwrap();
    let config = config.display().to_string();
    for arguments in [
        &["serve"][..],
        &["serve", "--data", &data, "--database", "mysql://x"],
        &["serve", "--data", &data, "--pool", "no name"],
        &["serve", "--data", &data, "--peer-listen", "127.0.0.1:0"],
        &["serve", "--data", &data, "--config", &config],
        &["serve", "--data", &data, "--listen", "192.0.2.1:1"],
        &["token", "--sub", "u-1"],
        &["token", "--data", "/nonexistent", "--sub", "u-1"],
        &[
            "migrate",
            "--from",
            "/nonexistent",
            "--to",
            "postgres://localhost/x",
        ],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_holdfast-chat"))
            .args(arguments)
            .env_remove("HOLDFAST_CHAT_DATA")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains("error: "), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_token_says_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let secret =
        holdfast_chat_node::auth::Secret::load_or_create(&folder.path().join("secret")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-chat"))
        .args([
            "token", "--sub", "bot-1", "--kind", "bot", "--group", "legal", "--group", "hr",
            "--hours", "1", "--data",
        ])
        .arg(folder.path())
        .output()
        .unwrap();
    let token = String::from_utf8(output.stdout).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let claims: Claims = runtime
        .block_on(Tokens::shared(&secret).check(token.trim()))
        .unwrap();
    assert_eq!(
        (claims.sub.as_str(), claims.kind.as_deref(), claims.groups),
        ("bot-1", Some("bot"), vec!["legal".into(), "hr".into()])
    );
}
