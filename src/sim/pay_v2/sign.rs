//! The cryptography of WeChat Pay v2 on WeChat's side, of the packages `md-5`, `hmac`, `sha2` and `aes-gcm`.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use hmac::{Hmac, Mac as _};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::sim::sign::hex;

/// Bytes of a block of AES.
const BLOCK: usize = 16;

/// By what a notification is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignType {
    /// MD5.
    Md5,
    /// HMAC-SHA256.
    HmacSha256,
}

/// The string that is signed, without the key at its end: what is not empty but `sign`, in the order of the names.
pub fn string_of(members: &[(String, String)]) -> String {
    let mut signed: Vec<_> = members.iter().filter(|(name, value)| name != "sign" && !value.is_empty()).collect();
    signed.sort();
    let pairs: Vec<String> = signed.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The `sign` of these members: upper-case hexadecimal.
pub fn sign(key: &str, members: &[(String, String)], by: SignType) -> String {
    sign_text(key, &format!("{}&key={key}", string_of(members)), by)
}

/// The signature of a text as it is.
///
/// # Panics
///
/// Never: HMAC takes keys of any length.
pub fn sign_text(key: &str, text: &str, by: SignType) -> String {
    let code = match by {
        SignType::Md5 => hex(&Md5::digest(text)),
        SignType::HmacSha256 => {
            let mut code = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
            code.update(text.as_bytes());
            hex(&code.finalize().into_bytes())
        }
    };
    code.to_ascii_uppercase()
}

/// AES-256-ECB with PKCS#7 under the lower-case hexadecimal MD5 of the APIv2 key.
pub fn encrypt_refund(key: &str, plaintext: &[u8]) -> Vec<u8> {
    encrypt(hex(&Md5::digest(key)).as_bytes(), plaintext)
}

/// AES-256-ECB with PKCS#7.
///
/// # Panics
///
/// If the key has not 32 bytes.
pub fn encrypt(key: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let cipher = Aes256::new_from_slice(key).expect("a key of AES-256 has 32 bytes");
    let (whole, last) = plaintext.as_chunks::<BLOCK>();
    let padding = BLOCK.saturating_sub(last.len());
    let mut end = [u8::try_from(padding).unwrap_or_default(); BLOCK];
    for (slot, byte) in end.iter_mut().zip(last) {
        *slot = *byte;
    }
    let blocks = whole.iter().chain([&end]);
    let encrypted = blocks.map(|block| {
        let mut block = (*block).into();
        cipher.encrypt_block(&mut block);
        <[u8; BLOCK]>::from(block)
    });
    encrypted.flatten().collect()
}
