//! The cryptography of WeChat Pay APIv3 as WeChat and a merchant use it: RSA signatures, AES-256-GCM, random text. Made of
//! the `rsa`, `sha2` and `aes-gcm` packages; private keys here are test keys, for `rsa` is not constant time.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::signature::{SignatureEncoding as _, Signer as _, Verifier as _};
use rsa::traits::PublicKeyParts as _;

use sha2::Sha256;

/// The alphabet of nonces.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A private key that signs by RSASSA-PKCS1-v1_5 with SHA-256.
#[derive(Clone)]
pub struct PrivateKey {
    pem: String,
    signing: SigningKey<Sha256>,
}

impl PrivateKey {
    /// Reads a PKCS#8 PEM.
    pub fn from_pem(pem: &str) -> Result<Self, rsa::pkcs8::Error> {
        let key = rsa::PrivateKey::from_pkcs8_pem(pem)?;
        Ok(Self { pem: pem.to_owned(), signing: SigningKey::new(key) })
    }

    /// The PEM it was read from.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// As PKCS#8 DER, for other packages.
    pub fn to_der(&self) -> Option<Vec<u8>> {
        let text: String = self.pem.lines().filter(|line| !line.starts_with('-')).collect();
        base64_simd::STANDARD.decode_to_vec(text).ok()
    }

    /// Signs `message`; the result is base64.
    pub fn sign(&self, message: &[u8]) -> String {
        base64_simd::STANDARD.encode_to_string(self.signing.sign(message).to_bytes())
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let private: &rsa::PrivateKey = self.signing.as_ref();
        PublicKey(private.to_public_key())
    }
}

/// The public half.
#[derive(Clone)]
pub struct PublicKey(rsa::PublicKey);

impl PublicKey {
    /// As SubjectPublicKeyInfo PEM (`pub_key.pem`).
    pub fn to_pem(&self) -> Result<String, rsa::pkcs8::spki::Error> {
        self.0.to_public_key_pem(LineEnding::LF)
    }

    /// The modulus, big-endian.
    pub fn modulus(&self) -> Vec<u8> {
        self.0.n_bytes().into_vec()
    }

    /// Whether `signature` (base64) is of `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(signature) else { return false };
        let Ok(signature) = Signature::try_from(bytes.as_slice()) else { return false };
        VerifyingKey::<Sha256>::new(self.0.clone()).verify(message, &signature).is_ok()
    }
}

/// What WeChat signs of a callback and of an answer: `timestamp LF nonce LF body LF` (WeChat Pay APIv3, "Verify
/// signatures").
pub fn callback_message(timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", body, b"\n"].concat()
}

/// What a merchant signs of a request: `METHOD LF target LF timestamp LF nonce LF body LF` (WeChat Pay APIv3, "Generate
/// signatures").
pub fn request_message(method: &str, target: &str, timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    [format!("{method}\n{target}\n{timestamp}\n{nonce}\n").as_bytes(), body, b"\n"].concat()
}

/// AEAD_AES_256_GCM under an APIv3 key; the result is base64 of ciphertext and tag. `None` unless the nonce has 12 bytes.
pub fn seal(api_v3_key: &[u8; 32], nonce: &str, associated_data: &str, plaintext: &[u8]) -> Option<String> {
    let nonce = Nonce::try_from(nonce.as_bytes()).ok()?;
    let payload = Payload { msg: plaintext, aad: associated_data.as_bytes() };
    let sealed = Aes256Gcm::new(api_v3_key.into()).encrypt(&nonce, payload).ok()?;
    Some(base64_simd::STANDARD.encode_to_string(sealed))
}

/// The reverse of [`seal`].
pub fn open(api_v3_key: &[u8; 32], nonce: &str, associated_data: &str, ciphertext: &str) -> Option<Vec<u8>> {
    let sealed = base64_simd::STANDARD.decode_to_vec(ciphertext).ok()?;
    let nonce = Nonce::try_from(nonce.as_bytes()).ok()?;
    let payload = Payload { msg: &sealed, aad: associated_data.as_bytes() };
    Aes256Gcm::new(api_v3_key.into()).decrypt(&nonce, payload).ok()
}

/// Hexadecimal, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Random bytes of the system.
///
/// # Panics
///
/// On a system without randomness, which cannot even connect.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("a system that runs this has randomness");
    bytes
}

/// Random text of capital letters and digits.
pub fn random_text<const N: usize>() -> String {
    let letter = |byte: u8| ALPHABET.get(usize::from(byte & 31)).map_or('A', |letter| char::from(*letter));
    random::<N>().into_iter().map(letter).collect()
}

/// Random decimal digits.
pub fn random_digits<const N: usize>() -> String {
    let digit = |byte: u8| char::from_digit(u32::from(byte).checked_rem(10).unwrap_or_default(), 10).unwrap_or('0');
    random::<N>().into_iter().map(digit).collect()
}
