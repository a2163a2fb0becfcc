use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;

/// A key of no use, made for these tests with `openssl genrsa`.
const KEYS: [&str; 2] = [include_str!("pkcs1.pem"), include_str!("pkcs8.pem")];

#[test]
fn signs_as_openssl_does() {
    let expected = include_str!("signature.base64").trim();
    for key in KEYS {
        for key in [key.to_owned(), format!("  {}", key.trim()), key.replace('\n', "\r\n")] {
            let signature = rs256(&key.into(), b"header.claims").unwrap();
            assert_eq!(STANDARD.encode(signature), expected);
        }
    }
}

#[test]
fn a_bad_key_is_described_and_not_shown() {
    let good = KEYS[0];
    let cut = &good[..good.len() / 2];
    for (key, part) in [
        ("", "no PEM text"),
        ("hunter2", "no PEM text"),
        (cut, "its end is missing"),
        (&good.replacen("MII", "MI!", 1), "damaged"),
        (&good.replacen("RSA PRIVATE", "EC PRIVATE", 2), "holds a EC PRIVATE KEY, expected an RSA PRIVATE KEY"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no usable RSA private key"),
        ("-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----", "no usable RSA private key"),
    ] {
        let error = rs256(&key.into(), b"x").unwrap_err();
        assert!(error.contains(part), "{error} lacks {part}");
        assert!(!error.contains("hunter2") && !error.contains("MI"), "{error}");
    }
}
