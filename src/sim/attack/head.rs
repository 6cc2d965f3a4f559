//! Heads that lack, repeat or bend what the signature needs: the window, the headers, the route, the method.

use super::Case;
use super::scene::{Scene, Want};
use crate::sim::notify::Callback;

pub(super) const CASES: &[Case] = &[
    Case::refused("unsigned", "an event with no header of WeChat's", |s| {
        let mut callback = s.genuine();
        callback.headers.retain(|(name, _)| !name.starts_with("Wechatpay-"));
        s.refused(&callback)
    }),
    Case::refused("stale", "signed an hour ago", |s| s.refused(&at(s, -3600))),
    Case::refused("stale-by-a-second", "signed just before the window", |s| s.refused(&at(s, -301))),
    Case::refused("future", "signed an hour ahead", |s| s.refused(&at(s, 3600))),
    Case::refused("future-by-seconds", "signed just after the window", |s| s.refused(&at(s, 305))),
    Case::refused("timestamp-zero", "the time zero, signed", |s| s.refused(&s.stamped("0"))),
    Case::refused("timestamp-milliseconds", "milliseconds for seconds, signed", |s| {
        s.refused(&s.stamped(&format!("{}000", s.now)))
    }),
    Case::refused("timestamp-with-plus", "a plus sign, signed", |s| s.refused(&s.stamped(&format!("+{}", s.now)))),
    Case::refused("timestamp-negative", "a minus sign, signed", |s| s.refused(&s.stamped(&format!("-{}", s.now)))),
    Case::refused("timestamp-with-zero", "a leading zero, signed", |s| s.refused(&s.stamped(&format!("0{}", s.now)))),
    Case::refused("timestamp-hexadecimal", "hexadecimal digits, signed", |s| {
        s.refused(&s.stamped(&format!("0x{:x}", s.now)))
    }),
    Case::refused("timestamp-decimal", "a fraction, signed", |s| s.refused(&s.stamped(&format!("{}.0", s.now)))),
    Case::refused("timestamp-exponent", "an exponent, signed", |s| s.refused(&s.stamped("1e9"))),
    Case::refused("timestamp-word", "no number, signed", |s| s.refused(&s.stamped("now"))),
    Case::refused("timestamp-full-width", "full-width digits, signed", |s| {
        let wide = |c: char| char::from_u32(u32::from(c).saturating_add(0xfee0)).unwrap_or(c);
        s.refused(&s.stamped(&s.now.to_string().chars().map(wide).collect::<String>()))
    }),
    Case::refused("timestamp-overflow", "more than 64 bits, signed", |s| s.refused(&s.stamped("99999999999999999999"))),
    Case::refused("timestamp-minimum", "the smallest of 64 bits, signed", |s| {
        s.refused(&s.stamped("-9223372036854775808"))
    }),
    Case::refused("missing-timestamp", "no timestamp", |s| s.refused(&s.genuine().without("Wechatpay-Timestamp"))),
    Case::refused("missing-nonce", "no nonce", |s| s.refused(&s.genuine().without("Wechatpay-Nonce"))),
    Case::refused("missing-serial", "no serial", |s| s.refused(&s.genuine().without("Wechatpay-Serial"))),
    Case::refused("missing-signature", "no signature", |s| s.refused(&s.genuine().without("Wechatpay-Signature"))),
    Case::refused("empty-timestamp", "an empty timestamp", |s| s.refused(&s.genuine().with("Wechatpay-Timestamp", ""))),
    Case::refused("empty-nonce", "an empty nonce", |s| s.refused(&s.genuine().with("Wechatpay-Nonce", ""))),
    Case::refused("empty-serial", "an empty serial", |s| s.refused(&s.genuine().with("Wechatpay-Serial", ""))),
    Case::refused("empty-signature", "an empty signature", |s| s.refused(&s.genuine().with("Wechatpay-Signature", ""))),
    Case::refused("null-signature", "the word null as a signature", |s| {
        s.refused(&s.genuine().with("Wechatpay-Signature", "null"))
    }),
    Case::refused("repeated-timestamp", "the timestamp twice, both the same", |s| {
        s.refused(&twice(s, "Wechatpay-Timestamp"))
    }),
    Case::refused("repeated-nonce", "the nonce twice, both the same", |s| s.refused(&twice(s, "Wechatpay-Nonce"))),
    Case::refused("repeated-serial", "the serial twice, both the same", |s| s.refused(&twice(s, "Wechatpay-Serial"))),
    Case::refused("repeated-signature", "the signature twice, both the same", |s| {
        s.refused(&twice(s, "Wechatpay-Signature"))
    }),
    Case::refused("second-signature-bad", "a genuine signature, then a bad one", |s| {
        s.refused(&s.genuine().and("wechatpay-signature", "AAAA"))
    }),
    Case::refused("second-timestamp", "a genuine timestamp, then a fresher one", |s| {
        s.refused(&s.genuine().and("WECHATPAY-TIMESTAMP", &s.now.saturating_add(1).to_string()))
    }),
    Case::refused("joined-nonce", "two nonces in one header, as a proxy joins them", |s| {
        let genuine = s.genuine();
        let nonce = genuine.header("wechatpay-nonce").unwrap_or_default().to_owned();
        s.refused(&genuine.with("Wechatpay-Nonce", &format!("{nonce}, {nonce}")))
    }),
    Case::refused("long-nonce", "a nonce of four thousand letters", |s| {
        s.refused(&s.genuine().with("Wechatpay-Nonce", &"A".repeat(4000)))
    }),
    Case::refused("signature-type-sm2", "another signature type, the signature left as it was", |s| {
        s.refused(&s.genuine().with("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"))
    }),
    Case::refused("signature-type-brand", "the signature type of another platform", |s| {
        s.refused(&s.genuine().with("Wechatpay-Signature-Type", "WECHATPAY-BRAND-SHA256-RSA2048"))
    }),
    Case::refused("signature-type-none", "the signature type that needs no signature", |s| {
        s.refused(&s.genuine().with("Wechatpay-Signature-Type", "none"))
    }),
    Case::refused("content-encoding", "a body that says it is compressed", |s| {
        s.refused(&s.genuine().and("Content-Encoding", "gzip"))
    }),
    Case::refused("method-get", "a genuine callback by GET", |s| {
        s.refused(&Callback { method: "GET".to_owned(), ..s.genuine() })
    }),
    Case::refused("method-put", "a genuine callback by PUT", |s| {
        s.refused(&Callback { method: "PUT".to_owned(), ..s.genuine() })
    }),
    Case::refused("method-override", "a GET that says it is a POST", |s| {
        let get = Callback { method: "GET".to_owned(), ..s.genuine() };
        s.refused(&get.and("X-HTTP-Method-Override", "POST"))
    }),
    Case::refused("other-path", "a path that is no endpoint", |s| s.refused(&on_path(s, "/admin"))),
    Case::refused("path-with-slash", "the endpoint's path and a slash", |s| {
        s.refused(&on_path(s, &format!("{}/", s.path)))
    }),
    Case::refused("path-with-dots", "the endpoint's path by a detour", |s| {
        s.refused(&on_path(s, &format!("/x/..{}", s.path)))
    }),
    Case::refused("path-doubled-slash", "the endpoint's path after two slashes", |s| {
        s.refused(&on_path(s, &format!("/{}", s.path)))
    }),
    Case::refused("path-in-capitals", "the endpoint's path in capitals", |s| {
        s.refused(&on_path(s, &s.path.to_uppercase()))
    }),
    Case::delivered("spoofed-headers", "a genuine callback with the headers that a gateway sets", |s| {
        let mut callback = s.genuine();
        for name in [
            "webhook-id",
            "webhook-signature",
            "ce-id",
            "ce-type",
            "wxgate-endpoint",
            "wxgate-risk-score",
            "x-wx-openid",
        ] {
            callback = callback.and(name, "spoofed");
        }
        vec![s.shot(&callback, Want::Success)]
    }),
    Case::delivered(
        "content-type-html",
        "a genuine callback that says it is HTML: the signature counts, not the label",
        |s| vec![s.shot(&s.genuine().with("Content-Type", "text/html"), Want::Success)],
    ),
    Case::delivered(
        "names-in-lower-case",
        "a genuine callback with header names in lower case, as HTTP/2 has them",
        |s| {
            let mut callback = s.genuine();
            callback.headers.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
            vec![s.shot(&callback, Want::Success)]
        },
    ),
    Case::delivered("no-signature-type", "a genuine callback that names no signature type", |s| {
        vec![s.shot(&s.genuine().without("Wechatpay-Signature-Type"), Want::Success)]
    }),
];

fn at(scene: &Scene<'_>, offset: i64) -> Callback {
    scene.stamped(&scene.now.saturating_add(offset).to_string())
}

fn twice(scene: &Scene<'_>, name: &str) -> Callback {
    let genuine = scene.genuine();
    let value = genuine.header(name).unwrap_or_default().to_owned();
    genuine.and(name, &value)
}

fn on_path(scene: &Scene<'_>, path: &str) -> Callback {
    Callback { path: path.to_owned(), ..scene.genuine() }
}
