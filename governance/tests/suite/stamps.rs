//! LE-1: anchors in files, and stamped by a time-stamp authority (openssl's, behind a small HTTP server).
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::*;
use holdfast_governance::actor::By;
use holdfast_governance::anchor::{self, AnchorError};
use holdfast_governance::ledger::verify::verify;
use holdfast_schemas::ledger::anchor::AnchorFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A time-stamp authority in a folder: its CA, its certificate, its key.
struct Authority {
    home: tempfile::TempDir,
}

fn openssl(folder: &Path, args: &[&str]) {
    let done = Command::new("openssl")
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "openssl {args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

impl Authority {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = home.path();
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        let ca = [
            &[
                "req",
                "-x509",
                "-days",
                "30",
                "-subj",
                "/CN=Test CA",
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
            ][..],
            &key,
        ];
        openssl(at, &ca.concat());
        let request = [
            &[
                "req",
                "-new",
                "-subj",
                "/O=Test/CN=Test TSA",
                "-keyout",
                "tsa.key",
                "-out",
                "tsa.csr",
            ][..],
            &key,
        ];
        openssl(at, &request.concat());
        std::fs::write(at.join("ext"), "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n").unwrap();
        openssl(
            at,
            &[
                "x509",
                "-req",
                "-in",
                "tsa.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "30",
                "-extfile",
                "ext",
                "-out",
                "tsa.pem",
            ],
        );
        std::fs::write(at.join("serial"), "01\n").unwrap();
        let config = "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\ncrypto_device=builtin\nsigner_cert=tsa.pem\ncerts=ca.pem\nsigner_key=tsa.key\nsigner_digest=sha256\ndefault_policy=1.2.3.4.1\ndigests=sha256\naccuracy=secs:1\ness_cert_id_alg=sha256\n";
        std::fs::write(at.join("tsa.cnf"), config).unwrap();
        Self { home }
    }

    fn ca(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    fn reply(&self, query: &[u8]) -> Vec<u8> {
        let at = self.home.path();
        std::fs::write(at.join("query"), query).unwrap();
        openssl(
            at,
            &[
                "ts",
                "-reply",
                "-config",
                "tsa.cnf",
                "-queryfile",
                "query",
                "-out",
                "reply",
            ],
        );
        std::fs::read(at.join("reply")).unwrap()
    }

    /// Answers one request.
    async fn serve(&self, listener: &TcpListener, change: impl Fn(Vec<u8>) -> Vec<u8>) {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        let body = loop {
            let mut part = [0; 4096];
            let n = socket.read(&mut part).await.unwrap();
            assert!(n > 0, "the request ends early");
            got.extend_from_slice(&part[..n]);
            let Some(end) = got.windows(4).position(|w| w == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&got[..end]).to_lowercase();
            assert!(
                head.contains("content-type: application/timestamp-query"),
                "{head}"
            );
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
            if got.len() >= end + 4 + length {
                break got[end + 4..end + 4 + length].to_vec();
            }
        };
        let reply = change(self.reply(&body));
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            reply.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&reply).await.unwrap();
        socket.shutdown().await.unwrap();
    }
}

/// An anchor of a small archive, stamped.
async fn stamped(authority: &Authority) -> (holdfast_archive::Archive, AnchorFile) {
    let (_, archive) = memory().await;
    let ledger = open(&archive).await;
    open_matter(&ledger, &By::claim("ana"), "M").await.unwrap();
    let mut file = anchor::make(&archive, &ledger.state(), 1).await.unwrap();
    let bytes = file.anchor.encode().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tsa", listener.local_addr().unwrap());
    let (stamp, ()) = tokio::join!(
        anchor::stamp(&url, &bytes),
        authority.serve(&listener, |reply| reply)
    );
    file.stamp = Some(stamp.unwrap());
    (archive, file)
}

#[tokio::test]
async fn le1_a_stamped_anchor_holds_and_whatever_is_changed_in_it_does_not() {
    let authority = Authority::new();
    let (archive, file) = stamped(&authority).await;
    let bytes = file.anchor.encode().unwrap();
    let stamp = file.stamp.clone().unwrap();
    let found = anchor::verify_token(&stamp, &bytes, &authority.ca()).unwrap();
    assert!(found.authority.contains("Test TSA"), "{found:?}");
    let now_us = jiff::Timestamp::now().as_microsecond();
    assert!((now_us - found.time_us).abs() < 3_600_000_000, "{found:?}");
    // Through a file, with the whole comparison.
    let home = tempfile::tempdir().unwrap();
    let place = anchor::put(&file, &format!("{}/", home.path().display()))
        .await
        .unwrap();
    let read = anchor::get(&place).await.unwrap();
    assert_eq!(read, file);
    let report = verify(&archive, options()).await.unwrap();
    let compared = anchor::check::check(&archive, &report, &read, Some(&authority.ca()))
        .await
        .unwrap();
    assert_eq!(
        (compared.problems, compared.stamped),
        (Vec::new(), Some(found))
    );
    // The same again is no mistake, another one in its place is.
    assert_eq!(anchor::put(&file, &place).await.unwrap(), place);
    let mut other = file.clone();
    other.anchor.time_us += 1;
    assert!(matches!(
        anchor::put(&other, &place).await,
        Err(AnchorError::Taken { .. })
    ));
    let compared = anchor::check::check(&archive, &report, &other, Some(&authority.ca()))
        .await
        .unwrap();
    assert!(
        compared.problems[0].contains("it stamps something else"),
        "{:?}",
        compared.problems
    );
    // A stamp is not believed unless somebody says whom to trust.
    let compared = anchor::check::check(&archive, &report, &file, None)
        .await
        .unwrap();
    assert!(
        compared.problems[0].contains("--tsa-ca"),
        "{:?}",
        compared.problems
    );

    let problem = |stamp, bytes: &[u8], ca: &Path| match anchor::verify_token(&stamp, bytes, ca) {
        Err(AnchorError::Token { problem }) => problem,
        other => panic!("{other:?}"),
    };
    let mut nonce = stamp.clone();
    nonce.nonce = "4011223344556677".to_owned();
    assert!(problem(nonce, &bytes, &authority.ca()).contains("nonce"));
    let stranger = Authority::new();
    assert!(problem(stamp.clone(), &bytes, &stranger.ca()).contains("the authority is not one of"));
    assert!(matches!(
        anchor::verify_token(&stamp, &bytes, Path::new("/nowhere")),
        Err(AnchorError::Authorities { .. })
    ));
    // Any changed byte of the token: nothing of it is accepted as this stamp with another time, signer or content.
    let token = base64_decode(&stamp.token);
    let mut accepted = Vec::new();
    for at in (0..token.len()).step_by(5) {
        let mut changed = token.clone();
        changed[at] ^= 1;
        let changed = holdfast_schemas::ledger::anchor::Stamp {
            token: base64_encode(&changed),
            ..stamp.clone()
        };
        if let Ok(still) = anchor::verify_token(&changed, &bytes, &authority.ca()) {
            accepted.push((at, still));
        }
    }
    let honest = anchor::verify_token(&stamp, &bytes, &authority.ca()).unwrap();
    assert!(
        accepted.iter().all(|(_, still)| *still == honest),
        "{accepted:?}"
    );
}

#[tokio::test]
async fn le1_an_answer_that_is_no_stamp_of_ours_is_refused_at_once() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tsa", listener.local_addr().unwrap());
    // A stamp of something else: an answer of earlier, replayed.
    let earlier = {
        let (stamp, ()) = tokio::join!(
            anchor::stamp(&url, b"first"),
            authority.serve(&listener, |reply| {
                std::fs::write(authority.home.path().join("replayed"), &reply).unwrap();
                reply
            })
        );
        stamp.unwrap();
        std::fs::read(authority.home.path().join("replayed")).unwrap()
    };
    let replay = |_: Vec<u8>| earlier.clone();
    let (stamp, ()) = tokio::join!(
        anchor::stamp(&url, b"first"),
        authority.serve(&listener, replay)
    );
    let error = stamp.unwrap_err();
    assert!(error.to_string().contains("nonce"), "{error}");
    let replay = |_: Vec<u8>| earlier.clone();
    let (stamp, ()) = tokio::join!(
        anchor::stamp(&url, b"second"),
        authority.serve(&listener, replay)
    );
    let error = stamp.unwrap_err();
    assert!(error.to_string().contains("something else"), "{error}");
    let (stamp, ()) = tokio::join!(
        anchor::stamp(&url, b"x"),
        authority.serve(&listener, |_| b"nonsense".to_vec())
    );
    assert!(matches!(stamp.unwrap_err(), AnchorError::Authority { .. }));
    drop(listener);
    assert!(matches!(
        anchor::stamp(&url, b"x").await.unwrap_err(),
        AnchorError::Authority { .. }
    ));
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

fn base64_encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
