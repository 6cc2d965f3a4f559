//! What WeChat calls the message crypt (WXBizMsgCrypt): how message push and WeCom sign and encrypt, both ways. Which
//! parameters and bodies carry it is the protocols' own business.
//!
//! A signature is `SHA1(concat(sort(token, timestamp, nonce, Encrypt)))` in lower-case hex (protocol 3.1, 3.2). Encrypted is
//! `random(16) | length(4, big endian) | message | receive id`, padded to blocks of 32 by the number of bytes added, 1 to
//! 32, under AES-256-CBC (protocol 3.3). The cipher has no integrity: nothing is decrypted before its signature holds.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::crypto::{self, BLOCK};
use super::key::{EncodingAesKey, Token};

/// What the padding fills up to, in bytes. Twice the cipher's own block.
const PADDED: usize = 32;
/// Bytes of random text before the message.
const RANDOM: usize = 16;

/// Tokens and keys of one endpoint, each several while it rotates.
#[derive(Clone, Debug)]
pub(super) struct Crypt {
    /// Any of them may sign; each with the name that records have for it.
    tokens: Vec<(Token, Arc<str>)>,
    /// Newest first.
    keys: Vec<EncodingAesKey>,
    /// The ids that may stand at the end of a message: app id, component app id, corp id, suite id, or the empty text.
    receive_ids: Vec<Arc<str>>,
}

/// Bytes of an encrypted message that are not the message, for [`super::fuzzing`].
#[cfg(fuzzing)]
pub(super) const BLOCKS_OF_PADDING: usize = RANDOM + 4 + 1;

/// Which token signed.
#[derive(Clone, Debug)]
pub(super) struct SignedBy {
    token: Token,
    name: Arc<str>,
}

/// What a message was encrypted with. Its reply has to be as well.
#[derive(Clone, Debug)]
pub(super) struct SealedBy {
    token: Token,
    key: EncodingAesKey,
    receive_id: Arc<str>,
}

/// A message out of its encryption.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) message: Vec<u8>,
    pub(super) by: SealedBy,
}

/// Why something signed does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No base64, no whole blocks, or with no key a length and padding that can be.
    Ciphertext,
    /// Whole, but for somebody else.
    ReceiveId,
}

impl Crypt {
    pub(super) fn new(tokens: Vec<Token>, keys: Vec<EncodingAesKey>, receive_ids: Vec<String>) -> Self {
        let named = |(place, token)| (token, Arc::from(format!("token-{place}")));
        let tokens = (1..).zip(tokens).map(named).collect();
        Self { tokens, keys, receive_ids: receive_ids.into_iter().map(Arc::from).collect() }
    }

    /// Whose signature this is of the parts, if it is one's. All tokens are tried, whichever holds.
    pub(super) fn signer(&self, parts: &[&str], signature: &str) -> Option<SignedBy> {
        let mut signer = None;
        for (token, name) in &self.tokens {
            let holds: bool = sign(token, parts).as_bytes().ct_eq(signature.as_bytes()).into();
            if holds {
                signer = Some(SignedBy { token: token.clone(), name: Arc::clone(name) });
            }
        }
        signer
    }

    /// Decrypts what was signed: the newest key first, for after a change messages under the old one still come.
    pub(super) fn open(&self, signer: &SignedBy, encrypted: &str) -> Result<Opened, Fault> {
        let blocks = base64_simd::STANDARD.decode_to_vec(encrypted.as_bytes()).map_err(|_| Fault::Ciphertext)?;
        if blocks.len() < PADDED || !blocks.len().is_multiple_of(BLOCK) {
            return Err(Fault::Ciphertext);
        }
        let mut fault = Fault::Ciphertext;
        for key in &self.keys {
            let Some(plaintext) = key.decrypt(blocks.clone()) else { continue };
            let Some((message, receive_id)) = unpack(&plaintext) else { continue };
            // The whole remainder, exactly: a prefix or a trimmed id is somebody else's (protocol 3.3).
            match self.receive_ids.iter().find(|id| id.as_bytes() == receive_id) {
                Some(id) => {
                    let by = SealedBy { token: signer.token.clone(), key: key.clone(), receive_id: Arc::clone(id) };
                    return Ok(Opened { message: message.to_vec(), by });
                }
                None => fault = Fault::ReceiveId,
            }
        }
        Err(fault)
    }
}

impl Crypt {
    /// The id at the end of what was signed, for a diagnosis: for whom it is, when it is not expected. None if no key opens
    /// it, or the id cannot be one.
    pub(super) fn receive_id(&self, encrypted: &str) -> Option<String> {
        let blocks = base64_simd::STANDARD.decode_to_vec(encrypted.as_bytes()).ok()?;
        let whole = blocks.len() >= PADDED && blocks.len().is_multiple_of(BLOCK);
        let keys = self.keys.iter().filter(|_| whole);
        let mut ids = keys.filter_map(|key| {
            let plaintext = key.decrypt(blocks.clone())?;
            let (_, id) = unpack(&plaintext)?;
            let is_id =
                id.len() <= 64 && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            is_id.then(|| format!("\"{}\"", String::from_utf8_lossy(id)))
        });
        ids.next()
    }
}

impl SignedBy {
    /// The name that records have for the token: `token-1` is the first of them.
    pub(super) fn into_name(self) -> Arc<str> {
        self.name
    }
}

impl SealedBy {
    /// The id at the message's end.
    pub(super) fn receive_id(&self) -> &Arc<str> {
        &self.receive_id
    }

    /// Encrypts a reply; the result is base64. `random` must be new each time. None beyond 4 GiB.
    pub(super) fn seal(&self, message: &[u8], random: [u8; RANDOM]) -> Option<String> {
        let blocks = self.key.encrypt(pack(message, self.receive_id.as_bytes(), random)?)?;
        Some(base64_simd::STANDARD.encode_to_string(blocks))
    }

    /// The signature of a reply's parts.
    pub(super) fn sign(&self, parts: &[&str]) -> String {
        sign(&self.token, parts)
    }
}

/// Parts are sorted as bytes and joined with nothing between (protocol 3.1), so that the same text may be cut into other
/// parts: what is signed is the sum of them, and what tells a replay has to be the signature, not one part.
pub(super) fn sign(token: &Token, parts: &[&str]) -> String {
    let mut sorted: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    sorted.push(token.expose());
    sorted.sort_unstable();
    hex(&crypto::sha_1(&sorted))
}

/// Hexadecimal in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).filter_map(|n| char::from_digit(u32::from(n), 16)).collect()
}

pub(super) fn pack(message: &[u8], receive_id: &[u8], random: [u8; RANDOM]) -> Option<Vec<u8>> {
    let length = u32::try_from(message.len()).ok()?;
    let mut plaintext = [&random[..], &length.to_be_bytes(), message, receive_id].concat();
    let padding = PADDED.checked_sub(plaintext.len().checked_rem(PADDED)?)?;
    plaintext.extend(std::iter::repeat_n(u8::try_from(padding).ok()?, padding));
    Some(plaintext)
}

/// Message and receive id, if the padding is whole and the length fits.
fn unpack(plaintext: &[u8]) -> Option<(&[u8], &[u8])> {
    let padding = usize::from(*plaintext.last()?);
    let (text, padded) = plaintext.split_at_checked(plaintext.len().checked_sub(padding)?)?;
    if !(1..=PADDED).contains(&padding) || padded.iter().any(|byte| usize::from(*byte) != padding) {
        return None;
    }
    let (_random, rest) = text.split_at_checked(RANDOM)?;
    let (length, rest) = rest.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn cases(op: &str) -> Vec<serde_json::Value> {
        let all: Vec<serde_json::Value> = serde_json::from_str(include_str!("../../tests/vectors/crypt.json")).unwrap();
        all.into_iter().filter(|case| case["op"] == op).collect()
    }

    fn key(text: &str) -> Option<EncodingAesKey> {
        EncodingAesKey::new(&Secret::new(text.as_bytes().to_vec())).ok()
    }

    fn token() -> Token {
        Token::new(&Secret::new(b"token".to_vec())).unwrap()
    }

    fn signer() -> SignedBy {
        SignedBy { token: token(), name: Arc::from("token-1") }
    }

    fn crypt(aes: &str, receive_id: &str) -> Crypt {
        Crypt::new(vec![token()], vec![key(aes).unwrap()], vec![receive_id.to_owned()])
    }

    const AES: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

    #[test]
    fn every_vector_of_the_cipher_opens_or_is_refused() {
        let cases = cases("wx-msg-decrypt");
        assert!(cases.len() >= 5);
        for case in cases {
            let text = |name: &str| case["input"][name].as_str().unwrap();
            let Some(key) = key(text("encoding_aes_key")) else {
                assert_eq!(case["expect"]["reason"], "bad-key", "{}", case["name"]);
                continue;
            };
            let crypt = Crypt::new(vec![token()], vec![key.clone()], vec![text("receive_id").to_owned()]);
            match crypt.open(&signer(), text("encrypt")) {
                Ok(opened) => {
                    let message = base64_simd::STANDARD.encode_to_string(&opened.message);
                    assert_eq!(Some(message.as_str()), case["expect"]["msg_b64"].as_str(), "{}", case["name"]);
                    let random = case["expect"]["random16"].as_str().and_then(|r| r.as_bytes().try_into().ok());
                    let again = opened.by.seal(&opened.message, random.unwrap());
                    assert_eq!(again.as_deref(), Some(text("encrypt")), "{}", case["name"]);
                }
                Err(fault) => {
                    assert_eq!(fault, Fault::ReceiveId, "{}", case["name"]);
                    assert_eq!(case["expect"]["reason"], "appid-mismatch", "{}", case["name"]);
                }
            }
        }
    }

    #[test]
    fn every_vector_of_the_signature_agrees() {
        let cases = cases("sha1-sorted");
        assert!(cases.len() >= 2);
        for case in cases {
            let parts: Vec<&str> =
                case["input"]["parts"].as_array().unwrap().iter().filter_map(|p| p.as_str()).collect();
            let mut sorted: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            sorted.sort_unstable();
            let hex = hex(&crypto::sha_1(&sorted));
            assert_eq!(Some(hex.as_str()), case["expect"]["sha1"].as_str(), "{}", case["name"]);
            if let [named, timestamp, nonce] = parts.as_slice()
                && let Ok(token) = Token::new(&Secret::new(named.as_bytes().to_vec()))
            {
                let crypt = Crypt::new(vec![token], Vec::new(), Vec::new());
                assert!(crypt.signer(&[timestamp, nonce], &hex).is_some(), "{}", case["name"]);
                assert!(crypt.signer(&[timestamp, nonce], &hex.to_uppercase()).is_none(), "{}", case["name"]);
            }
        }
    }

    #[test]
    fn a_length_or_padding_that_cannot_be_is_refused() {
        let good = pack(b"message", b"id", [0; RANDOM]).unwrap();
        assert_eq!(unpack(&good), Some((&b"message"[..], &b"id"[..])));
        let with = |place: usize, byte: u8| {
            let mut bad = good.clone();
            bad[place] = byte;
            unpack(&bad).is_some()
        };
        let last = good.len() - 1;
        for padding in [0, 2, 33, 255] {
            assert!(!with(last, padding), "{padding}");
        }
        assert!(!with(last - 1, 4), "a byte of the padding");
        assert!(!with(RANDOM, 1) && !with(RANDOM + 3, 10), "a length beyond the end");
        for length in 0..good.len() {
            assert_eq!(unpack(&good[..length]), None, "{length}");
        }
    }

    #[test]
    fn an_empty_receive_id_is_exactly_empty() {
        let sealed = crypt(AES, "").open(&signer(), &sealed(b"m", "")).unwrap();
        assert_eq!(&*sealed.message, b"m");
        assert_eq!(crypt(AES, "").open(&signer(), &self::sealed(b"m", "x")).err(), Some(Fault::ReceiveId));
        assert_eq!(crypt(AES, "x").open(&signer(), &self::sealed(b"m", "")).err(), Some(Fault::ReceiveId));
    }

    fn sealed(message: &[u8], receive_id: &str) -> String {
        let by = SealedBy { token: token(), key: key(AES).unwrap(), receive_id: Arc::from(receive_id) };
        by.seal(message, *b"0123456789abcdef").unwrap()
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_comes_out(message in prop::collection::vec(any::<u8>(), 0..200), id in "[a-z0-9]{0,40}") {
            let opened = crypt(AES, &id).open(&signer(), &sealed(&message, &id)).unwrap();
            prop_assert_eq!(opened.message, message);
        }

        #[test]
        fn no_plaintext_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some((message, id)) = unpack(&bytes) {
                prop_assert!(bytes.len().checked_sub(message.len()).and_then(|rest| rest.checked_sub(id.len())) > Some(RANDOM));
            }
        }

        #[test]
        fn no_ciphertext_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
            let encoded = base64_simd::STANDARD.encode_to_string(bytes);
            prop_assert!(crypt(AES, "id").open(&signer(), &encoded).is_err());
            prop_assert!(crypt(AES, "id").open(&signer(), &text).is_err());
        }
    }
}
