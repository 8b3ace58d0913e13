//! Asking a time-stamp authority (RFC 3161) over HTTP.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cms::cert::x509::der::asn1::{Int, Null, ObjectIdentifier, OctetString};
use cms::cert::x509::der::{Any, Decode, Encode};
use cms::cert::x509::spki::AlgorithmIdentifier;
use holdfast_schemas::ledger::Digest;
use holdfast_schemas::ledger::anchor::Stamp;
use uuid::Uuid;
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion};

use super::error::AnchorError;
use super::token;

/// SHA-256 (RFC 5754).
pub(super) const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// Bytes of an answer, at most: a token with its chain has a few thousand.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long an authority may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Has bytes stamped. The answer's imprint and nonce are compared at once; signature and chain when it is verified,
/// against the authorities that the verifier trusts.
///
/// # Errors
/// The authority is not reached, refuses, or answers for something else.
pub async fn stamp(url: &str, bytes: &[u8]) -> Result<Stamp, AnchorError> {
    let problem = |problem: String| AnchorError::Authority {
        url: url.to_owned(),
        problem,
    };
    let nonce = nonce();
    let request = request(bytes, &nonce).map_err(AnchorError::token)?;
    let answer = ask(url, request).await.map_err(problem)?;
    let answer = TimeStampResp::from_der(&answer)
        .map_err(|e| problem(format!("its answer is no time stamp: {e}")))?;
    let Some(token) = &answer.time_stamp_token else {
        let status = format!("{:?}", answer.status.status);
        return Err(problem(format!(
            "it gave no time stamp, its status is {status}"
        )));
    };
    let token = token.to_der().map_err(AnchorError::token)?;
    token::matches(&token, &Digest::of(bytes), &nonce)?;
    Ok(Stamp {
        tsa: url.to_owned(),
        nonce: hex::encode(nonce),
        token: BASE64.encode(token),
    })
}

/// Eight bytes, positive and without leading zeros as DER writes integers.
fn nonce() -> [u8; 8] {
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&Uuid::new_v4().as_bytes()[..8]);
    nonce[0] = nonce[0] & 0x3f | 0x40;
    nonce
}

fn request(bytes: &[u8], nonce: &[u8]) -> cms::cert::x509::der::Result<Vec<u8>> {
    let request = TimeStampReq {
        version: TspVersion::V1,
        message_imprint: MessageImprint {
            hash_algorithm: AlgorithmIdentifier {
                oid: SHA_256,
                parameters: Some(Any::from(Null)),
            },
            hashed_message: OctetString::new(Digest::of(bytes).0)?,
        },
        req_policy: None,
        nonce: Some(Int::new(nonce)?),
        cert_req: true,
        extensions: None,
    };
    request.to_der()
}

/// RFC 3161, section 3.4.
async fn ask(url: &str, request: Vec<u8>) -> Result<Vec<u8>, String> {
    use futures::StreamExt;
    let client = reqwest::Client::builder()
        .timeout(ANSWER_TIME_MAX)
        .build()
        .map_err(|e| e.to_string())?;
    let answer = client
        .post(url)
        .header("content-type", "application/timestamp-query")
        .body(request)
        .send()
        .await
        .map_err(|e| chain(&e))?;
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    let mut bytes = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part.map_err(|e| chain(&e))?);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err("its answer is larger than a megabyte".to_owned());
        }
    }
    Ok(bytes)
}

/// An error with its causes: the outermost alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
