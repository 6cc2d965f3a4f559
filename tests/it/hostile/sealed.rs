//! Pushes that are signed rightly around what no honest sender makes: ciphertexts cut short, padding that is none, lengths
//! beyond their end. From outside all of them read like a wrong signature.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use wxgate::sim::notify::{Callback, unix_now};
use wxgate::sim::push::{Account, Family};

use super::{Shot, Target, all_are_refused};
use crate::http_client::Response;

/// Pushes of one account.
pub(super) struct Pushes {
    account: Account,
    path: &'static str,
}

impl Pushes {
    pub(super) fn to_safe() -> Self {
        Self { account: Account::sample(Family::Message), path: "/push/safe" }
    }

    pub(super) fn to_wecom() -> Self {
        Self { account: Account::sample(Family::WeCom), path: "/push/wecom" }
    }

    pub(super) fn to_plain() -> Self {
        Self { account: Account::sample(Family::Message), path: "/push/plain" }
    }

    fn signature(&self, parts: &[&str]) -> String {
        let mut parts = parts.to_vec();
        parts.push(&self.account.token);
        parts.sort_unstable();
        let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes());
        sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Any body under a signature over `encrypted`; without it, of plain mode.
    pub(super) fn signed(&self, encrypted: Option<&str>, body: Vec<u8>) -> Callback {
        static NONCES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let nonce = NONCES.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        let timestamp = unix_now().to_string();
        let query = match encrypted {
            None => format!("signature={}", self.signature(&[&timestamp, &nonce])),
            Some(encrypted) => {
                let signature = self.signature(&[&timestamp, &nonce, encrypted]);
                format!("encrypt_type=aes&msg_signature={signature}")
            }
        };
        Callback {
            method: "POST".to_owned(),
            path: format!("{}?{query}&timestamp={timestamp}&nonce={nonce}", self.path),
            headers: vec![("Content-Type".to_owned(), "text/xml".to_owned())],
            body,
        }
    }

    /// `encrypted` in the envelope, signed.
    pub(super) fn of(&self, encrypted: &str) -> Callback {
        let body = format!("<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>");
        self.signed(Some(encrypted), body.into_bytes())
    }

    /// A message as WeChat packs it.
    pub(super) fn message(&self, message: &[u8]) -> Callback {
        self.of(&self.encrypted(&self.packed(message, |_| {})))
    }

    /// What passes as it is.
    pub(super) fn genuine(&self) -> Callback {
        let message = b"<xml><MsgType>text</MsgType><MsgId>1</MsgId></xml>";
        if self.path == "/push/plain" { self.signed(None, message.to_vec()) } else { self.message(message) }
    }

    /// `random | length | message | receive id | padding`, then spoiled.
    fn packed(&self, message: &[u8], spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let mut blocks = [&[7; 16][..], &length, message, self.account.receive_id.as_bytes()].concat();
        let padding = 32 - blocks.len() % 32;
        blocks.extend(std::iter::repeat_n(u8::try_from(padding).unwrap(), padding));
        spoil(&mut blocks);
        blocks
    }

    fn encrypted(&self, blocks: &[u8]) -> String {
        let key = base64_simd::forgiving_decode_to_vec(self.account.encoding_aes_key.as_bytes()).unwrap();
        let iv: [u8; 16] = key[..16].try_into().unwrap();
        let cipher = EncryptingKey::cbc(UnboundCipherKey::new(&AES_256, &key).unwrap()).unwrap();
        let mut blocks = blocks.to_vec();
        cipher.less_safe_encrypt(&mut blocks, EncryptionContext::Iv128(iv.into())).unwrap();
        base64_simd::STANDARD.encode_to_string(blocks)
    }
}

/// What is wrong inside, under a signature that holds: what to name it, and the text of `Encrypt`.
fn spoiled(pushes: &Pushes) -> Vec<(String, String)> {
    let text = br"<xml><MsgType>text</MsgType><MsgId>1</MsgId><FromUserName>a</FromUserName></xml>";
    let whole = pushes.encrypted(&pushes.packed(text, |_| {}));
    let mut all = vec![
        ("no ciphertext at all".to_owned(), "=".to_owned()),
        ("no base64".to_owned(), "?????".to_owned()),
        ("base64 without its padding".to_owned(), whole.trim_end_matches('=').to_owned() + "A"),
        ("base64 with a line feed".to_owned(), whole[..40].to_owned() + "\n" + &whole[40..]),
        ("base64 of the other alphabet".to_owned(), "-_-_".repeat(16)),
        ("one block".to_owned(), pushes.encrypted(&[7; 16])),
        ("nothing but padding".to_owned(), pushes.encrypted(&[32; 32])),
    ];
    for cut in [1, 15, 16, 17, 32] {
        let bytes = base64_simd::STANDARD.decode_to_vec(&whole).unwrap();
        let cut_short = base64_simd::STANDARD.encode_to_string(&bytes[..bytes.len() - cut]);
        all.push((format!("{cut} bytes cut off"), cut_short));
    }
    for padding in [0, 33, 48, 255] {
        let spoil = |blocks: &mut Vec<u8>| *blocks.last_mut().unwrap() = padding;
        all.push((format!("padding of {padding}"), pushes.encrypted(&pushes.packed(text, spoil))));
    }
    let uneven = |blocks: &mut Vec<u8>| {
        let last = blocks.len() - 2;
        blocks[last] ^= 1;
    };
    all.push(("padding that is not all the same".to_owned(), pushes.encrypted(&pushes.packed(b"12345678901", uneven))));
    for length in [u32::MAX, u32::MAX - 19, 1 << 31, 4096] {
        let spoil = |blocks: &mut Vec<u8>| blocks[16..20].copy_from_slice(&length.to_be_bytes());
        all.push((format!("a message of {length} bytes"), pushes.encrypted(&pushes.packed(text, spoil))));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_decrypt_reads_like_a_wrong_signature() {
    let mut shots = Vec::new();
    for pushes in [Pushes::to_safe(), Pushes::to_wecom()] {
        for (name, encrypted) in spoiled(&pushes) {
            shots.push(Shot::new(format!("{}: {name}", pushes.path), 401, "bad-ciphertext", pushes.of(&encrypted)));
        }
        for more in [1, u8::MAX] {
            // The message takes a byte of the id, or leaves one of its own to it.
            let spoil = |blocks: &mut Vec<u8>| blocks[19] = blocks[19].wrapping_add(more);
            let encrypted = pushes.encrypted(&pushes.packed(b"{}", spoil));
            shots.push(Shot::new(format!("{}: an id cut", pushes.path), 401, "appid-mismatch", pushes.of(&encrypted)));
        }
    }
    let answers = all_are_refused(Target::start().await, &shots).await;
    let alike = |answer: &Response| (answer.status, &answer.body) == (answers[0].status, &answers[0].body);
    assert!(answers.iter().all(alike), "a stranger can tell them apart: {answers:?}");
}
