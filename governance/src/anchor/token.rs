//! A time-stamp token: imprint, nonce, signature (RFC 5652, section 5.4) and the chain to a trusted authority.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cms::cert::CertificateChoices;
use cms::cert::x509::der::asn1::{ObjectIdentifier, OctetString};
use cms::cert::x509::der::{Any, Decode, Encode};
use cms::cert::x509::{Certificate, ext::pkix::SubjectKeyIdentifier};
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use holdfast_schemas::ledger::Digest;
use holdfast_schemas::ledger::anchor::Stamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::aws_lc_rs as algorithms;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_tsp::TstInfo;

use super::error::AnchorError;
use super::tsa::SHA_256;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// id-kp-timeStamping, 1.3.6.1.5.5.7.3.8, as DER has it without its header.
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// What a valid time stamp says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// When, UTC microseconds, by the authority's clock.
    pub time_us: i64,
    /// The certificate's subject.
    pub authority: String,
}

/// Verifies a time stamp over `bytes`: imprint, nonce, signature, and the chain to one of the certificates in `authorities`
/// (PEM), valid for time stamping at the time stamped.
///
/// # Errors
/// [`AnchorError::Token`] when any of it does not hold; [`AnchorError::Authorities`] when the file cannot be used.
pub fn verify(stamp: &Stamp, bytes: &[u8], authorities: &Path) -> Result<Stamped, AnchorError> {
    let token = BASE64.decode(&stamp.token).map_err(AnchorError::token)?;
    let nonce = hex::decode(&stamp.nonce).map_err(AnchorError::token)?;
    let token = matches(&token, &Digest::of(bytes), &nonce)?;
    let signer = signer_of(&token.signed)?;
    let certificates = certificates(&token.signed)?;
    let certificate = certificates
        .iter()
        .find(|(certificate, _)| is_signer(certificate, &signer.sid))
        .ok_or_else(|| AnchorError::token("the signer's certificate is not in it"))?;
    let signed = signed_bytes(signer, &token.content)?;
    let der = CertificateDer::from(certificate.1.as_slice());
    let signer_cert = EndEntityCert::try_from(&der).map_err(AnchorError::token)?;
    let signature = signer.signature.as_bytes();
    let valid = algorithms_of(signer).into_iter().any(|algorithm| {
        signer_cert
            .verify_signature(algorithm, &signed, signature)
            .is_ok()
    });
    if !valid {
        return Err(AnchorError::token("its signature is not the signer's"));
    }
    let trusted = trusted(authorities)?;
    let anchors: Vec<_> = trusted
        .iter()
        .filter_map(|certificate| anchor_from_trusted_cert(certificate).ok())
        .collect();
    let others: Vec<_> = certificates
        .iter()
        .map(|(_, der)| CertificateDer::from(der.as_slice()))
        .collect();
    let since = token.info.gen_time.to_unix_duration();
    signer_cert
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &others,
            UnixTime::since_unix_epoch(Duration::from_secs(since.as_secs())),
            KeyUsage::required(TIME_STAMPING),
            None,
            None,
        )
        .map_err(|e| {
            AnchorError::token(format!(
                "the authority is not one of `{}`: {e}",
                authorities.display()
            ))
        })?;
    Ok(Stamped {
        time_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        authority: certificate.0.tbs_certificate.subject.to_string(),
    })
}

/// A token taken apart.
pub(super) struct Token {
    signed: SignedData,
    /// The bytes that are signed: DER of [`Token::info`].
    content: Vec<u8>,
    info: TstInfo,
}

/// Takes a token apart and compares what it stamps.
pub(super) fn matches(token: &[u8], imprint: &Digest, nonce: &[u8]) -> Result<Token, AnchorError> {
    let token = take_apart(token)?;
    let said = &token.info.message_imprint;
    if said.hash_algorithm.oid != SHA_256 || said.hashed_message.as_bytes() != imprint.0 {
        return Err(AnchorError::token("it stamps something else"));
    }
    if token.info.nonce.as_ref().map(|said| said.as_bytes()) != Some(nonce) {
        return Err(AnchorError::token("its nonce is not the request's"));
    }
    Ok(token)
}

fn take_apart(token: &[u8]) -> Result<Token, AnchorError> {
    let info = ContentInfo::from_der(token).map_err(AnchorError::token)?;
    if info.content_type != SIGNED_DATA {
        return Err(AnchorError::token("it is no signed data"));
    }
    let signed: SignedData = info.content.decode_as().map_err(AnchorError::token)?;
    if signed.encap_content_info.econtent_type != TST_INFO {
        return Err(AnchorError::token("what it signs is no time stamp"));
    }
    let content: OctetString = signed
        .encap_content_info
        .econtent
        .as_ref()
        .ok_or_else(|| AnchorError::token("it signs nothing"))?
        .decode_as()
        .map_err(AnchorError::token)?;
    let content = content.as_bytes().to_vec();
    let info = TstInfo::from_der(&content).map_err(AnchorError::token)?;
    Ok(Token {
        signed,
        content,
        info,
    })
}

/// RFC 3161, section 2.4.2: a token has one signature, the authority's.
fn signer_of(signed: &SignedData) -> Result<&SignerInfo, AnchorError> {
    match signed.signer_infos.0.as_slice() {
        [signer] => Ok(signer),
        other => Err(AnchorError::token(format!(
            "it has {} signatures",
            other.len()
        ))),
    }
}

/// The certificates in a token, each with its DER.
fn certificates(signed: &SignedData) -> Result<Vec<(Certificate, Vec<u8>)>, AnchorError> {
    let set = signed.certificates.iter().flat_map(|set| set.0.iter());
    set.filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate),
        CertificateChoices::Other(_) => None,
    })
    .map(|certificate| {
        let der = certificate.to_der().map_err(AnchorError::token)?;
        Ok((certificate.clone(), der))
    })
    .collect()
}

fn is_signer(certificate: &Certificate, sid: &SignerIdentifier) -> bool {
    let tbs = &certificate.tbs_certificate;
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(said) => {
            said.issuer == tbs.issuer && said.serial_number == tbs.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(said) => {
            matches!(tbs.get::<SubjectKeyIdentifier>(), Ok(Some((_, id))) if id == *said)
        }
    }
}

/// What the signature is over: the signed attributes as a SET OF, once they are known to speak of this content.
fn signed_bytes(signer: &SignerInfo, content: &[u8]) -> Result<Vec<u8>, AnchorError> {
    let attributes = signer
        .signed_attrs
        .as_ref()
        .ok_or_else(|| AnchorError::token("it has no signed attributes"))?;
    let value = |oid: ObjectIdentifier| -> Option<&Any> {
        let attribute = attributes.iter().find(|attribute| attribute.oid == oid)?;
        match attribute.values.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    };
    let digest: Vec<u8> = match signer.digest_alg.oid {
        SHA_256 => Sha256::digest(content).to_vec(),
        SHA_384 => Sha384::digest(content).to_vec(),
        SHA_512 => Sha512::digest(content).to_vec(),
        other => {
            return Err(AnchorError::token(format!(
                "its digest {other} is not known"
            )));
        }
    };
    let said = value(MESSAGE_DIGEST).and_then(|value| value.decode_as::<OctetString>().ok());
    if said.is_none_or(|said| said.as_bytes() != digest) {
        return Err(AnchorError::token("what it signs was changed"));
    }
    let kind = value(CONTENT_TYPE).and_then(|value| value.decode_as::<ObjectIdentifier>().ok());
    if kind != Some(TST_INFO) {
        return Err(AnchorError::token("what it signs is no time stamp"));
    }
    attributes.to_der().map_err(AnchorError::token)
}

/// Algorithms that a signer's can be; which of them fits its key shows when they are tried.
fn algorithms_of(signer: &SignerInfo) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    let oid = signer.signature_algorithm.oid.to_string();
    let digest = signer.digest_alg.oid;
    match (oid.as_str(), digest) {
        ("1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.11", SHA_256) => {
            vec![algorithms::RSA_PKCS1_2048_8192_SHA256]
        }
        ("1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.12", SHA_384) => {
            vec![algorithms::RSA_PKCS1_2048_8192_SHA384]
        }
        ("1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.13", SHA_512) => {
            vec![algorithms::RSA_PKCS1_2048_8192_SHA512]
        }
        ("1.2.840.10045.4.3.2", _) => {
            vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256]
        }
        ("1.2.840.10045.4.3.3", _) => {
            vec![algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384]
        }
        ("1.3.101.112", _) => vec![algorithms::ED25519],
        _ => vec![],
    }
}

/// The certificates of a PEM file.
fn trusted(path: &Path) -> Result<Vec<CertificateDer<'static>>, AnchorError> {
    let problem = |problem: String| AnchorError::Authorities {
        path: path.display().to_string(),
        problem,
    };
    let text = std::fs::read(path).map_err(|e| problem(e.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|e| problem(e.to_string()))?;
    if found.is_empty() {
        return Err(problem("there is none in it".to_owned()));
    }
    Ok(found)
}
