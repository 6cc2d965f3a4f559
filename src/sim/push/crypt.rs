//! The message crypt as the official sample code has it (WXBizMsgCrypt), made of the `aes` and `sha1` packages.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{Block, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use sha1::{Digest as _, Sha1};

use super::sign;

/// Bytes of a block of AES.
const BLOCK: usize = 16;
/// What the padding fills up to.
const PADDED: usize = 32;

/// Lower-case hexadecimal SHA-1 of the parts, sorted and joined.
pub(super) fn signature(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    sign::hex(&Sha1::digest(parts.concat()))
}

/// Key and initialization vector of an EncodingAESKey. Its last symbol may hold two bits too many: they are cut off.
fn key(encoding_aes_key: &str) -> Option<[u8; 32]> {
    let bytes = base64_simd::forgiving_decode_to_vec(encoding_aes_key.as_bytes()).ok()?;
    bytes.try_into().ok().filter(|_| encoding_aes_key.len() == 43)
}

/// `random | length | message | receive id | padding` under AES-256-CBC, in base64.
pub(super) fn encrypt(encoding_aes_key: &str, random: [u8; 16], message: &[u8], receive_id: &str) -> Option<String> {
    let length = u32::try_from(message.len()).ok()?.to_be_bytes();
    let mut text = [&random[..], &length, message, receive_id.as_bytes()].concat();
    let padding = text.len().checked_add(1)?.next_multiple_of(PADDED).checked_sub(text.len())?;
    text.extend(std::iter::repeat_n(u8::try_from(padding).ok()?, padding));
    encrypt_blocks(encoding_aes_key, &text)
}

/// Whole blocks as they are, for what no honest sender makes.
pub(super) fn encrypt_blocks(encoding_aes_key: &str, text: &[u8]) -> Option<String> {
    let key = key(encoding_aes_key)?;
    let cipher = Aes256::new(&key.into());
    let mut previous: [u8; BLOCK] = *key.first_chunk()?;
    let mut encrypted = Vec::with_capacity(text.len());
    for block in text.chunks_exact(BLOCK) {
        let mixed: [u8; BLOCK] = std::array::from_fn(|place| xor(&previous, block, place));
        let mut block = Block::<Aes256>::from(mixed);
        cipher.encrypt_block(&mut block);
        previous = block.into();
        encrypted.extend_from_slice(&previous);
    }
    Some(base64_simd::STANDARD.encode_to_string(encrypted))
}

/// Message and receive id.
pub(super) fn decrypt(encoding_aes_key: &str, encrypted: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let key = key(encoding_aes_key)?;
    let cipher = Aes256::new(&key.into());
    let bytes = base64_simd::STANDARD.decode_to_vec(encrypted).ok()?;
    let mut previous: [u8; BLOCK] = *key.first_chunk()?;
    let mut text = Vec::with_capacity(bytes.len());
    for chunk in bytes.chunks_exact(BLOCK) {
        let chunk: [u8; BLOCK] = chunk.try_into().ok()?;
        let mut block = Block::<Aes256>::from(chunk);
        cipher.decrypt_block(&mut block);
        let block: [u8; BLOCK] = block.into();
        text.extend((0..BLOCK).map(|place| xor(&previous, &block, place)));
        previous = chunk;
    }
    let end = text.len().checked_sub(usize::from(*text.last()?))?;
    let length = u32::from_be_bytes(text.get(BLOCK..)?.first_chunk().copied()?);
    let message = BLOCK.checked_add(4)?..BLOCK.checked_add(4)?.checked_add(usize::try_from(length).ok()?)?;
    Some((text.get(message.clone())?.to_vec(), text.get(message.end..end)?.to_vec()))
}

fn xor(left: &[u8], right: &[u8], place: usize) -> u8 {
    left.get(place).copied().unwrap_or_default() ^ right.get(place).copied().unwrap_or_default()
}
