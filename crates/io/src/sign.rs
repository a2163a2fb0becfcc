//! RSA signatures with the cryptography that TLS brings along.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use secrecy::{ExposeSecret, SecretString};

const PKCS1: &str = "RSA PRIVATE KEY";
const PKCS8: &str = "PRIVATE KEY";

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
    let (label, der) = der(pem)?;
    let pair = match label {
        PKCS1 => RsaKeyPair::from_der(&der),
        PKCS8 => RsaKeyPair::from_pkcs8(&der),
        other => return Err(format!("the PEM holds a {other}, expected an {PKCS1} or a {PKCS8}")),
    };
    pair.map_err(|rejected| format!("it is no usable RSA private key ({rejected})"))
}

/// The first block of a PEM text (RFC 7468): its label and its bytes.
fn der(pem: &str) -> Result<(&str, Vec<u8>), String> {
    let no_pem = || format!("it is no PEM text; it begins with -----BEGIN {PKCS1}-----, with its line breaks kept");
    let (_, rest) = pem.split_once("-----BEGIN ").ok_or_else(no_pem)?;
    let (label, rest) = rest.split_once("-----").ok_or_else(no_pem)?;
    let (body, _) = rest.split_once("-----END ").ok_or_else(|| "its end is missing".to_owned())?;
    let text: String = body.split_ascii_whitespace().collect();
    // Not the decoder's own words: they quote a byte of the key.
    let bytes = STANDARD.decode(text).map_err(|_| "its PEM text is damaged".to_owned())?;
    Ok((label, bytes))
}

#[cfg(test)]
mod tests;
