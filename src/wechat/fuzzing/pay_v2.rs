//! Pay v2: bodies that are signed here over what they say, and refunds that are encrypted here.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{NOW, base64, chosen, secret, through, verified};
use crate::wechat::biz_msg_crypt::hex;
use crate::wechat::crypto::{self, Aes256Ecb};
use crate::wechat::key::ApiV2Key;
use crate::wechat::pay_v2::{self as protocol, PayV2, SignType};
use crate::wechat::{Protocol, Received};

const KEY: &str = "wxgateTESTapiv2keyNotForProducti";

pub(super) static ENDPOINT: LazyLock<Protocol> = LazyLock::new(|| {
    Protocol::PayV2(PayV2::new(protocol::Settings {
        api_v2: vec![key()],
        sign_type: SignType::Either,
        mchids: Vec::new(),
        appids: Vec::new(),
        max_age: None,
    }))
});

fn key() -> ApiV2Key {
    ApiV2Key::new(&secret(KEY)).expect("32 letters and digits")
}

/// The body with a signature of what it says at its end, if it is a document that can have one; and whether it has to pass.
pub(super) fn signed(body: &[u8], is_hmac: bool) -> Option<(Vec<u8>, bool)> {
    let (sign, passes) = protocol::sign_for_fuzzing(body, &key(), is_hmac)?;
    let (said, end) = body.split_at_checked(body.len().checked_sub("</xml>".len())?)?;
    (end == b"</xml>").then(|| ([said, format!("<sign>{sign}</sign>").as_bytes(), end].concat(), passes))
}

/// A notification of a refund that says this.
pub(super) fn refund(plaintext: &[u8]) -> Vec<u8> {
    let key = hex(&crypto::md5([KEY.as_bytes()]));
    let sealed = base64(&Aes256Ecb::seal(key.as_bytes(), plaintext));
    format!(
        "<xml><return_code>SUCCESS</return_code><appid>wx1</appid><mch_id>1</mch_id><nonce_str>n</nonce_str>\
         <req_info>{sealed}</req_info></xml>"
    )
    .into_bytes()
}

/// By the first byte: a body as it is, a body signed by either algorithm, the plaintext of a refund.
pub fn pay_v2(data: &[u8]) {
    let Some((choice, data)) = chosen(data) else { return };
    let headers = HeaderMap::new();
    let received = Received { method: &Method::POST, path: "/", query: "", headers: &headers };
    let body = match choice & 3 {
        0 => {
            let body = Bytes::copy_from_slice(data);
            if let Protocol::PayV2(pay) = &*ENDPOINT {
                drop(pay.diagnose(received, &body, NOW));
            }
            body
        }
        1 | 2 => {
            let Some((signed, passes)) = signed(data, choice & 3 == 1) else { return };
            let signed = Bytes::from(signed);
            let outcome = verified(&ENDPOINT, received, &signed);
            assert!(outcome.is_ok() || !passes, "a right signature was refused: {outcome:?}");
            signed
        }
        _ => Bytes::from(refund(data)),
    };
    drop(through(&ENDPOINT, received, &body));
}
