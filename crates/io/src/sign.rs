//! RSA signatures with the cryptography that TLS brings along.

use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls_pki_types::pem::{Error, PemObject, SectionKind};
use secrecy::{ExposeSecret, SecretString};

/// Signs with RSASSA-PKCS1-v1_5 and SHA-256.
///
/// # Errors
/// What is wrong with the key, without showing it.
pub(crate) fn rs256(key: &SecretString, message: &[u8]) -> Result<Vec<u8>, String> {
    let pair = pair(key.expose_secret())?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| "the key cannot sign".to_owned())?;
    Ok(signature)
}

fn pair(pem: &str) -> Result<RsaKeyPair, String> {
    // Not the reader's own words: they quote what may be the key.
    let (kind, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(pem.trim_start().as_bytes()).map_err(|error| match error {
        Error::MissingSectionEnd { .. } => "its end is missing, or its line breaks are",
        Error::Base64Decode(_) | Error::IllegalSectionStart { .. } => "its PEM text is damaged",
        _ => "it is no PEM text of an RSA key; it begins with -----BEGIN RSA PRIVATE KEY-----, with its line breaks kept",
    })?;
    let pair = match kind {
        SectionKind::RsaPrivateKey => RsaKeyPair::from_der(&der),
        SectionKind::PrivateKey => RsaKeyPair::from_pkcs8(&der),
        SectionKind::EcPrivateKey => return Err(holds("EC PRIVATE KEY")),
        SectionKind::PublicKey => return Err(holds("PUBLIC KEY")),
        SectionKind::Certificate => return Err(holds("CERTIFICATE")),
        _ => return Err(holds("text that is no key")),
    };
    pair.map_err(|rejected| format!("it is no usable RSA private key ({rejected})"))
}

fn holds(what: &str) -> String {
    format!("the PEM holds a {what}, expected an RSA PRIVATE KEY or a PRIVATE KEY")
}

#[cfg(test)]
mod tests;
