//! Keys and signatures of another program: OpenSSL's command line, where it is installed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use secrecy::{ExposeSecret, SecretString};
use thv_jose::algorithm::Algorithm;
use thv_jose::key::{KeyError, SigningKey};
use thv_jose::verify::verify;

use crate::{claims, expected, key, parts};

#[test]
fn a_key_survives_its_pem_and_verifies_what_the_original_signed() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256] {
        let original = key(algorithm);
        let read = SigningKey::from_pem(&original.to_pem().unwrap()).unwrap();
        assert_eq!((read.kid(), read.algorithm()), (original.kid(), algorithm));
        let token = original.sign("at+jwt", &claims()).unwrap();
        assert_eq!(verify::<serde_json::Value>(&token, read.public(), &expected()).unwrap(), claims());
        let (header, payload, _) = parts(&token);
        assert_eq!(header, serde_json::json!({ "alg": algorithm, "typ": "at+jwt", "kid": original.kid() }));
        assert_eq!(payload, claims());
    }
}

#[test]
fn a_pem_file_holds_exactly_one_private_key() {
    let pem = key(Algorithm::ES256).to_pem().unwrap().expose_secret().to_owned();
    let refused = |pem: String| SigningKey::from_pem(&SecretString::from(pem)).unwrap_err();
    assert_eq!(refused(String::new()), KeyError::NoPem);
    assert_eq!(refused(pem.replace("PRIVATE", "PUBLIC")), KeyError::NoPem);
    assert_eq!(refused(pem.repeat(2)), KeyError::SeveralKeys);
    let damaged = "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----\n";
    assert_eq!(refused(damaged.to_owned()), KeyError::Unsupported);
}

fn openssl(args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new("openssl");
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    // Commands that make a key read nothing, and may have ended already.
    let _ = child.stdin.take()?.write_all(input);
    let output = child.wait_with_output().ok()?;
    assert!(output.status.success(), "openssl {args:?}");
    Some(output.stdout)
}

#[test]
fn keys_that_openssl_makes_are_read_in_all_their_forms() {
    let cases: [(&[&str], Result<Algorithm, KeyError>); 9] = [
        (&["ecparam", "-name", "prime256v1", "-genkey"], Ok(Algorithm::ES256)),
        (&["ecparam", "-name", "secp384r1", "-genkey", "-noout"], Ok(Algorithm::ES384)),
        (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], Ok(Algorithm::ES256)),
        (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], Ok(Algorithm::ES384)),
        (&["genpkey", "-algorithm", "ED25519"], Ok(Algorithm::EdDSA)),
        (&["genrsa", "-traditional", "2048"], Ok(Algorithm::RS256)),
        (&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], Ok(Algorithm::RS256)),
        (&["genrsa", "1024"], Err(KeyError::Unsupported)),
        (&["ecparam", "-name", "secp521r1", "-genkey"], Err(KeyError::Unsupported)),
    ];
    for (args, wanted) in cases {
        let Some(pem) = openssl(args, b"") else {
            return eprintln!("openssl is not installed: its keys are not tested here");
        };
        let read = SigningKey::from_pem(&SecretString::from(String::from_utf8(pem).unwrap()));
        assert_eq!(read.map(|key| key.algorithm()), wanted, "openssl {args:?}");
    }
}

#[test]
fn openssl_verifies_an_es256_token() {
    let signer = key(Algorithm::ES256);
    let Some(public) = openssl(&["pkey", "-pubout"], signer.to_pem().unwrap().expose_secret().as_bytes())
    else {
        return eprintln!("openssl is not installed: it does not verify our signature here");
    };
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    };
    let token = signer.sign("at+jwt", &claims()).unwrap();
    let (input, _) = token.rsplit_once('.').unwrap();
    let public = file("public.pem", &public);
    let signature = file("signature.der", &der(&parts(&token).2));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let args = ["dgst", "-sha256", "-verify", &text(&public), "-signature", &text(&signature)];
    assert_eq!(openssl(&args, input.as_bytes()).unwrap(), b"Verified OK\n");
}

/// The DER form of a fixed-size ECDSA signature, which is what OpenSSL's command line reads.
fn der(fixed: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut number: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        if number.first().is_none_or(|byte| byte & 0x80 != 0) {
            number.insert(0, 0);
        }
        [&[2, number.len() as u8], &number[..]].concat()
    };
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let body = [integer(r), integer(s)].concat();
    [&[0x30, body.len() as u8], &body[..]].concat()
}
