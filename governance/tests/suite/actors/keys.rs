//! Keys in files.

use holdfast_governance::actor::{By, keys};

#[test]
fn le1_keys_are_read_as_openssl_and_ssh_keygen_write_them() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    let home = tempfile::tempdir().unwrap();
    let (private, public) = (home.path().join("k.pem"), home.path().join("k.pub"));
    let openssl = |args: &[&str]| {
        let done = Command::new("openssl").args(args).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    let (private_text, public_text) = (private.to_str().unwrap(), public.to_str().unwrap());
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", private_text]);
    openssl(&["pkey", "-in", private_text, "-pubout", "-out", public_text]);
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o600)).unwrap();
    let by = By::signing("ana", keys::read_private(&private).unwrap());
    assert_eq!(
        keys::read_public(&public).unwrap(),
        by.public_key().unwrap()
    );
    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&private, PermissionsExt::from_mode(mode)).unwrap();
        let error = keys::read_private(&private).unwrap_err();
        assert!(matches!(error, keys::KeyError::Open { .. }), "{error}");
        assert!(error.hint().contains("chmod 600"), "{}", error.hint());
    }
    // An OpenSSH key is the same 32 bytes behind two lengths (RFC 8709).
    let raw = base64_decode(&by.public_key().unwrap());
    let mut blob = vec![0, 0, 0, 11];
    blob.extend_from_slice(b"ssh-ed25519\0\0\0\x20");
    blob.extend_from_slice(&raw);
    let line = format!("ssh-ed25519 {} ana@laptop\n", base64_encode(&blob));
    let ssh = home.path().join("ssh.pub");
    std::fs::write(&ssh, &line).unwrap();
    assert_eq!(keys::read_public(&ssh).unwrap(), by.public_key().unwrap());
    for broken in [
        "ssh-ed25519 AAAA x",
        "ssh-ed25519",
        "not a key",
        "ssh-rsa AAAAB3NzaC1yc2E x",
    ] {
        std::fs::write(&ssh, broken).unwrap();
        let error = keys::read_public(&ssh).unwrap_err();
        assert!(error.hint().contains("ssh-keygen"), "{broken}: {error}");
    }
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
