//! The cases of WeChat Pay v2, for an endpoint whose `sign_type` is MD5: signatures and what they do not cover, XML that
//! reads in two ways, refunds cut together, and genuine things again.

use super::Case;
use super::scene::{Scene, Shot, Want};
use crate::sim::notify::Callback;
use crate::sim::pay_v2::sign::{self, SignType};
use crate::sim::pay_v2::{self, Members, Notice, sample};
use crate::sim::sample::Order;

/// How many copies come at once.
const COPIES: usize = 20;
const BOMB: &str = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>";

pub(super) const CASES: &[Case] = &[
    Case::refused("v2-unsigned", "no signature", |s| s.bent(|xml| cut(xml, "<sign>", "</sign>\n"))),
    Case::refused("v2-sign-empty", "an empty signature", |s| s.bent(|xml| inside(xml, "sign", |_| String::new()))),
    Case::refused("v2-sign-of-a-stranger", "signed with another key", |s| {
        let members = with_nonce(s.paid().members());
        s.body(pay_v2::signed(&members, "0123456789abcdef0123456789abcdef", SignType::Md5))
    }),
    Case::refused("v2-sign-in-lower-case", "the signature in lower case", |s| {
        s.bent(|xml| inside(xml, "sign", str::to_ascii_lowercase))
    }),
    Case::refused("v2-sign-cut", "half of the signature", |s| {
        s.bent(|xml| inside(xml, "sign", |sign| sign.chars().take(16).collect()))
    }),
    Case::refused("v2-sign-without-key", "a signature that needs no key", |s| {
        let members = with_nonce(s.paid().members());
        s.body(with_sign(&members, &sign::sign_text("", &sign::string_of(&members), SignType::Md5)))
    }),
    Case::refused("v2-sign-by-another-algorithm", "genuine, by HMAC-SHA256 where MD5 is configured", |s| {
        s.body(s.paid().body(&s.keys.merchant, SignType::HmacSha256))
    }),
    Case::refused("v2-sign-type-named", "the message names the algorithm", |s| {
        s.told(&s.paid().with("sign_type", "HMAC-SHA256"))
    }),
    Case::refused("v2-amount-changed", "another amount", |s| {
        s.bent(|xml| inside(xml, "total_fee", |_| "1".to_owned()))
    }),
    Case::refused("v2-order-changed", "another order", |s| {
        s.bent(|xml| inside(xml, "out_trade_no", |_| "T1".to_owned()))
    }),
    Case::refused("v2-member-added", "a member that was not signed", |s| {
        s.bent(|xml| xml.replace("</xml>", "<coupon_fee>1</coupon_fee></xml>"))
    }),
    Case::refused("v2-member-removed", "a member less", |s| s.bent(|xml| cut(xml, "<bank_type>", "</bank_type>\n"))),
    Case::refused("v2-members-hidden", "all members after attach written into it", |s| {
        s.hidden("attach", "out_trade_no")
    }),
    Case::refused("v2-member-hidden", "one optional member written into attach", |s| s.hidden("attach", "bank_type")),
    Case::refused("v2-time-hidden", "the time written into the member before it", |s| {
        s.hidden("return_code", "time_end")
    }),
    Case::refused("v2-return-code-fail", "WeChat's own failure, which nobody signs", |s| {
        s.body(b"<xml><return_code>FAIL</return_code><return_msg>x</return_msg></xml>".to_vec())
    }),
    Case::refused("v2-return-code-absent", "no return_code, signed", |s| s.told(&s.paid().without("return_code"))),
    Case::refused("v2-other-mchid", "another merchant's, signed", |s| s.told(&s.paid().with("mch_id", "1900000999"))),
    Case::refused("v2-other-appid", "another app's, signed", |s| s.told(&s.paid().with("appid", "wx9999999999999999"))),
    Case::refused("v2-no-transaction", "no transaction_id, signed", |s| s.told(&s.paid().without("transaction_id"))),
    Case::refused("v2-amount-negative", "a negative amount, signed", |s| s.told(&s.paid().with("total_fee", "-1"))),
    Case::refused("v2-amount-fraction", "a fraction of a fen, signed", |s| s.told(&s.paid().with("total_fee", "1.5"))),
    Case::refused("v2-doctype", "a DOCTYPE", |s| s.bent(|xml| format!("<!DOCTYPE xml>{xml}"))),
    Case::refused("v2-external-entity", "a file of the gateway's machine as an entity", |s| {
        s.bent(|xml| {
            let xml = inside(xml, "attach", |_| "]]>&x;<![CDATA[".to_owned());
            format!("<!DOCTYPE xml [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{xml}")
        })
    }),
    Case::refused("v2-entity-bomb", "entities that grow", |s| {
        s.bent(|xml| format!("{BOMB}{}", inside(xml, "attach", |_| "]]>&b;<![CDATA[".to_owned())))
    }),
    Case::refused("v2-comment-in-amount", "an amount that a comment divides", |s| {
        s.bent(|xml| inside(xml, "total_fee", |_| "1]]><!-- --><![CDATA[00".to_owned()))
    }),
    Case::refused("v2-instruction", "a processing instruction", |s| s.bent(|xml| xml.replace("<xml>", "<xml><?x y?>"))),
    Case::refused("v2-amount-twice", "two amounts, the second forged", |s| {
        s.bent(|xml| xml.replace("</xml>", "<total_fee>1</total_fee></xml>"))
    }),
    Case::refused("v2-amount-twice-first", "two amounts, the first forged", |s| {
        s.bent(|xml| xml.replace("<xml>", "<xml><total_fee>1</total_fee>"))
    }),
    Case::refused("v2-sign-twice", "two signatures", |s| s.bent(|xml| xml.replace("<xml>", "<xml><sign>0</sign>"))),
    Case::refused("v2-prefix", "an amount with a prefix", |s| {
        s.bent(|xml| xml.replace("</xml>", "<x:total_fee>1</x:total_fee></xml>"))
    }),
    Case::refused("v2-attribute", "an attribute", |s| s.bent(|xml| xml.replace("<total_fee>", "<total_fee a=\"1\">"))),
    Case::refused("v2-nested", "elements inside of an amount", |s| {
        s.bent(|xml| xml.replace("<total_fee>", "<total_fee><b>1</b>"))
    }),
    Case::refused("v2-deep", "a hundred thousand levels", |s| s.body("<a>".repeat(100_000).into_bytes())),
    Case::refused("v2-wide", "a hundred thousand elements", |s| {
        s.bent(|xml| xml.replace("</xml>", &format!("{}</xml>", "<a/>".repeat(100_000))))
    }),
    Case::refused("v2-trailing", "something after the document", |s| s.bent(|xml| format!("{xml}<xml/>"))),
    Case::refused("v2-cut", "half of the document", |s| s.bent(|xml| xml.chars().take(200).collect())),
    Case::refused("v2-other-root", "another root", |s| s.bent(|xml| xml.replace("xml>", "root>"))),
    Case::refused("v2-gbk", "an encoding other than UTF-8", |s| {
        s.bent(|xml| format!("<?xml version=\"1.0\" encoding=\"GBK\"?>{xml}"))
    }),
    Case::refused("v2-utf16", "UTF-16", |s| {
        let text = String::from_utf8_lossy(&s.paid().body(&s.keys.merchant, SignType::Md5)).into_owned();
        s.body(text.encode_utf16().flat_map(u16::to_le_bytes).collect())
    }),
    Case::refused("v2-json", "JSON", |s| s.body(b"{\"return_code\":\"SUCCESS\"}".to_vec())),
    Case::refused("v2-empty", "no body", |s| s.body(Vec::new())),
    Case::refused("v2-get", "another method", |s| {
        let callback = Callback { method: "GET".to_owned(), ..s.genuine_v2() };
        s.refused(&callback)
    }),
    Case::refused("v2-compressed", "a body that is said to be compressed", |s| {
        s.refused(&s.genuine_v2().with("Content-Encoding", "gzip"))
    }),
    Case::refused("v2-refund-of-a-stranger", "encrypted with another key", |s| {
        s.refund_bytes(sign::encrypt_refund("0123456789abcdef0123456789abcdef", &s.refund_text()))
    }),
    Case::refused("v2-refund-not-base64", "a ciphertext that is no base64", |s| {
        s.body(pay_v2::envelope_of(&s.keys.merchant, "not base64!"))
    }),
    Case::refused("v2-refund-empty", "an empty ciphertext", |s| s.body(pay_v2::envelope_of(&s.keys.merchant, ""))),
    Case::refused("v2-refund-block-dropped", "one block of the ciphertext less", |s| {
        s.refund_cut(|blocks| blocks.remove(3))
    }),
    Case::refused("v2-refund-block-repeated", "one block of the ciphertext twice", |s| {
        s.refund_cut(|blocks| {
            let block = blocks.get(3).copied().unwrap_or_default();
            blocks.insert(3, block);
            block
        })
    }),
    Case::refused("v2-refund-cut", "the ciphertext ends too early", |s| {
        s.refund_cut(|blocks| blocks.pop().unwrap_or_default())
    }),
    Case::refused("v2-refund-in-the-clear", "a refund that is neither signed nor encrypted", |s| {
        s.body(pay_v2::document(
            "xml",
            &[s.refunded().members().as_slice(), &[text("return_code", "SUCCESS")]].concat(),
        ))
    }),
    Case::refused("v2-refund-doctype", "a DOCTYPE, encrypted", |s| {
        s.refund_plain(&format!("{BOMB}{}", String::from_utf8_lossy(&s.refund_text())))
    }),
    Case::refused("v2-refund-too-much", "more refunded than was paid, encrypted", |s| {
        s.told(&s.refunded().with("refund_fee", "999999"))
    }),
    Case::refused("v2-refund-other-mchid", "another merchant's refund", |s| {
        let body = s.refunded().body(&s.keys.merchant, SignType::Md5);
        let text = String::from_utf8_lossy(&body).replace(&s.keys.merchant.mchid, "1900000999");
        s.body(text.into_bytes())
    }),
    Case::delivered("v2-replayed", "captured bytes again: the event is known by its identity", |s| {
        let genuine = s.genuine_v2();
        [0, 1, 2].map(|_| s.shot(&genuine, Want::Success)).into()
    }),
    Case::delivered("v2-replayed-at-once", "captured bytes, twenty times at once", |s| {
        let genuine = s.genuine_v2();
        (0..COPIES).map(|_| s.shot(&genuine, Want::SuccessOrBusy)).collect()
    })
    .at_once(),
    Case::delivered("v2-written-again", "captured, in another order and layout, with an empty member", |s| {
        let members = with_nonce(s.paid().members());
        let sign = sign::sign(&s.keys.merchant.api_v2_key, &members, SignType::Md5);
        let other: Members = members.iter().rev().cloned().chain([text("device_info", "")]).collect();
        let bodies = [with_sign(&members, &sign), with_sign(&other, &sign)];
        bodies.map(|body| s.shot(&pay_v2::callback(s.path, body), Want::Success)).into()
    }),
    Case::delivered("v2-retried", "WeChat's own retry: another nonce_str, signed afresh", |s| {
        let notice = s.paid();
        [0, 1, 2].map(|_| s.shot(&s.callback_of(&notice), Want::Success)).into()
    }),
    Case::delivered("v2-id-reused", "another amount for a payment that was delivered: kept for a person", |s| {
        let (first, second) = (s.paid(), s.paid().with("total_fee", "1"));
        let id = |notice: &Notice| notice.members().iter().find(|(n, _)| n == "transaction_id").map(|(_, v)| v.clone());
        let second = second.with("transaction_id", &id(&first).unwrap_or_default());
        [first, second].map(|notice| s.shot(&s.callback_of(&notice), Want::Success)).into()
    }),
    Case::delivered(
        "v2-forged-before-genuine",
        "a forgery of the same payment comes first: it must use nothing up",
        |s| {
            let genuine = s.genuine_v2();
            let mut forged = genuine.clone();
            forged.body = inside(&String::from_utf8_lossy(&forged.body), "total_fee", |_| "1".to_owned()).into_bytes();
            vec![s.shot(&forged, Want::Refusal), s.shot(&genuine, Want::Success)]
        },
    ),
    Case::delivered("v2-refund-replayed", "a captured refund again", |s| {
        let genuine = s.callback_of(&s.refunded());
        [0, 1].map(|_| s.shot(&genuine, Want::Success)).into()
    }),
];

impl Scene<'_> {
    /// A payment of an order of this merchant.
    fn paid(&self) -> Notice {
        self.notice("v2-payment-native")
    }

    fn refunded(&self) -> Notice {
        self.notice("v2-refund-success")
    }

    fn notice(&self, sample: &str) -> Notice {
        let sample = sample::find(sample).expect("a sample of this name is in the list");
        sample.notice(&Order::new(&self.keys.merchant, self.now))
    }

    fn callback_of(&self, notice: &Notice) -> Callback {
        notice.callback(&self.keys.merchant, SignType::Md5, self.path)
    }

    /// A callback in which nothing is wrong.
    fn genuine_v2(&self) -> Callback {
        self.callback_of(&self.paid())
    }

    /// Genuinely signed or encrypted, whatever it says.
    fn told(&self, notice: &Notice) -> Vec<Shot> {
        self.refused(&self.callback_of(notice))
    }

    fn body(&self, body: Vec<u8>) -> Vec<Shot> {
        self.refused(&pay_v2::callback(self.path, body))
    }

    /// A genuine document whose text was changed after it was signed.
    fn bent(&self, change: impl FnOnce(&str) -> String) -> Vec<Shot> {
        let body = self.paid().body(&self.keys.merchant, SignType::Md5);
        self.body(change(&String::from_utf8_lossy(&body)).into_bytes())
    }

    /// A genuine payment whose members up to `until` are written into the value of `from`: it signs the same.
    fn hidden(&self, from: &str, until: &str) -> Vec<Shot> {
        let mut members = with_nonce(self.paid().members());
        members.sort();
        let sign = sign::sign(&self.keys.merchant.api_v2_key, &members, SignType::Md5);
        let mut written: Members = Vec::new();
        for (name, value) in members {
            match written.last_mut() {
                Some((known, last)) if known == from && name.as_str() <= until => {
                    last.extend(["&", &name, "=", &value]);
                }
                _ => written.push((name, value)),
            }
        }
        self.body(with_sign(&written, &sign))
    }

    fn refund_text(&self) -> Vec<u8> {
        pay_v2::document("root", self.refunded().members())
    }

    fn refund_plain(&self, plaintext: &str) -> Vec<Shot> {
        self.body(pay_v2::envelope(&self.keys.merchant, plaintext.as_bytes()))
    }

    fn refund_bytes(&self, ciphertext: Vec<u8>) -> Vec<Shot> {
        let req_info = base64_simd::STANDARD.encode_to_string(ciphertext);
        self.body(pay_v2::envelope_of(&self.keys.merchant, &req_info))
    }

    /// A genuine refund whose blocks were changed.
    fn refund_cut(&self, change: fn(&mut Vec<[u8; 16]>) -> [u8; 16]) -> Vec<Shot> {
        let ciphertext = sign::encrypt_refund(&self.keys.merchant.api_v2_key, &self.refund_text());
        let mut blocks = ciphertext.as_chunks().0.to_vec();
        change(&mut blocks);
        self.refund_bytes(blocks.concat())
    }
}

fn text(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn with_nonce(members: &Members) -> Members {
    members.iter().cloned().chain([text("nonce_str", &crate::sim::sign::random_text::<32>())]).collect()
}

fn with_sign(members: &[(String, String)], sign: &str) -> Vec<u8> {
    pay_v2::document("xml", &[members, &[text("sign", sign)]].concat())
}

/// The document with what stands in one member changed.
fn inside(xml: &str, name: &str, change: impl FnOnce(&str) -> String) -> String {
    let (begin, end) = (format!("<{name}><![CDATA["), format!("]]></{name}>"));
    let parts = xml.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let (before, (value, after)) = parts.expect("the document has this member");
    [before, &begin, &change(value), &end, after].concat()
}

/// The document without what stands from `begin` to the end of `end`.
fn cut(xml: &str, begin: &str, end: &str) -> String {
    let parts = xml.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?)));
    let (before, (_, after)) = parts.expect("the document has this member");
    [before, after].concat()
}
