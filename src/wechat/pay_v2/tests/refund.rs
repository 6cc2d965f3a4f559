//! Refunds: authentic by their encryption alone, which has no integrity.

use proptest::prelude::*;

use super::*;

#[test]
fn a_refund_speaks_in_the_words_of_apiv3_and_its_envelope_is_not_believed() {
    let refund = judge_case(case("v2-refund-success")).unwrap();
    let event = refund.event();
    assert_eq!(
        (event.id.as_str(), event.kind.as_str()),
        ("50000408942018111907145868882-SUCCESS", "wechatpay.refund.success")
    );
    assert_eq!((event.amount_total, event.amount_refund, event.amount_payer_refund), (Some(3960), Some(3960), None));
    assert_eq!(
        (event.subject.as_deref(), event.refund_status.as_deref()),
        (Some("131811191610442717309"), Some("SUCCESS"))
    );
    assert_eq!(event.success_time, Some(UnixTime::from_secs(1_542_615_853)));
    assert_eq!(event.mchid.as_deref(), Some("10000100"));
    assert_eq!(&**refund.signed_by(), "keys.api_v2[0] AES-256-ECB");
    assert_eq!(refund.scheme(), None, "nobody signed it");
    let closed = judge_case(case("v2-refund-close")).unwrap().event().clone();
    assert_eq!((closed.kind.as_str(), closed.refund_status.as_deref()), ("wechatpay.refund.closed", Some("CLOSED")));
    assert!(closed.success_time.is_none() && closed.id.ends_with("-REFUNDCLOSE"));
    let partner = judge_case(case("v2-refund-partner")).unwrap().event().clone();
    assert_eq!(partner.sub_mchid, None, "it stands in the envelope alone, which anybody may write");
}

/// WeChat's own way to encrypt a refund, by another implementation of AES.
fn sealed(plaintext: &[u8]) -> String {
    format!(
        "<xml><return_code>SUCCESS</return_code><appid>wx2421b1c4370ec43b</appid><mch_id>10000100</mch_id>\
         <nonce_str>n</nonce_str><req_info>{}</req_info></xml>",
        base64_simd::STANDARD.encode_to_string(encrypted(plaintext)),
    )
}

fn encrypted(plaintext: &[u8]) -> Vec<u8> {
    use aes_gcm::aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
    let cipher = aes_gcm::aes::Aes256::new_from_slice(md5_hex(API_KEY).as_bytes()).unwrap();
    let padding = 16_usize.saturating_sub(plaintext.len() % 16);
    let padded = [plaintext, &vec![u8::try_from(padding).unwrap(); padding]].concat();
    let encrypt = |block: &[u8]| {
        let mut block = block.try_into().unwrap();
        cipher.encrypt_block(&mut block);
        block.to_vec()
    };
    padded.chunks(16).flat_map(encrypt).collect()
}

fn refund() -> String {
    "<root><out_refund_no>R1</out_refund_no><out_trade_no>T1</out_trade_no><refund_fee>10</refund_fee>\
     <refund_id>500001</refund_id><refund_status>SUCCESS</refund_status><total_fee>10</total_fee>\
     <transaction_id>420001</transaction_id><success_time>2025-10-09 16:53:18</success_time></root>"
        .to_owned()
}

#[test]
fn a_refund_is_whole_or_refused() {
    assert_eq!(judge(sealed(refund().as_bytes())).unwrap().event().id, "500001-SUCCESS");
    for (from, to, reason) in [
        ("<refund_id>500001</refund_id>", "", Reason::MissingField),
        ("500001", "", Reason::MissingField),
        (
            "<out_refund_no>R1</out_refund_no>",
            "<out_refund_no>R1</out_refund_no><out_refund_no>R2</out_refund_no>",
            Reason::BadXml,
        ),
        ("<refund_fee>10", "<refund_fee>11", Reason::BadXml),
        ("<refund_fee>10", "<refund_fee>1x", Reason::BadXml),
        ("root>", "xml>", Reason::BadXml),
        ("<root>", "<root><a><b/></a>", Reason::BadXml),
        ("<root>", "<!DOCTYPE root><root>", Reason::BadXml),
        ("</root>", "</root><root/>", Reason::BadXml),
        ("</root>", "", Reason::BadXml),
        ("<root>", "\u{feff}<root>", Reason::BadCiphertext),
    ] {
        let plaintext = refund().replace(from, to);
        assert_ne!(plaintext, refund(), "{from}");
        assert_eq!(judge(sealed(plaintext.as_bytes())).err(), Some(reason), "{from} -> {to}");
    }
    assert_eq!(judge(sealed(b"")).err(), Some(Reason::BadCiphertext));
    for (from, to, reason) in [
        ("10000100", "10000101", Reason::MchidMismatch),
        ("wx2421b1c4370ec43b", "wx2421b1c4370ec43c", Reason::AppidMismatch),
        ("<mch_id>10000100</mch_id>", "", Reason::MissingField),
        ("<appid>wx2421b1c4370ec43b</appid>", "", Reason::MissingField),
        ("SUCCESS", "FAIL", Reason::ReturnCodeFail),
        ("<xml>", "<xml><sign/>", Reason::BadSignature),
        ("<xml>", "<xml><sign>0</sign>", Reason::BadSignature),
        ("<req_info>", "<req_info>=", Reason::BadCiphertext),
        ("<req_info>", "<req_info>\n", Reason::BadCiphertext),
    ] {
        assert_eq!(judge(sealed(refund().as_bytes()).replacen(from, to, 1)).err(), Some(reason), "{from} -> {to}");
    }
}

/// What ECB does not protect (protocol 2.4). Most of what can be cut together is no XML or lacks a member; what is left
/// is a refund whose values were all WeChat's once.
#[test]
fn blocks_of_a_refund_that_are_dropped_or_repeated_do_not_pass() {
    let ciphertext = encrypted(refund().as_bytes());
    let envelope = |blocks: &[&[u8]]| {
        let text = base64_simd::STANDARD.encode_to_string(blocks.concat());
        let genuine = base64_simd::STANDARD.encode_to_string(&ciphertext);
        sealed(refund().as_bytes()).replace(&genuine, &text)
    };
    let blocks: Vec<&[u8]> = ciphertext.chunks(16).collect();
    assert!(judge(envelope(&blocks)).is_ok());
    for place in 0..blocks.len() {
        let mut dropped = blocks.clone();
        dropped.remove(place);
        assert!(judge(envelope(&dropped)).is_err(), "without block {place}");
        let mut twice = blocks.clone();
        twice.insert(place, blocks[place]);
        assert!(judge(envelope(&twice)).is_err(), "block {place} twice");
        for other in 0..place {
            let mut swapped = blocks.clone();
            swapped.swap(place, other);
            assert!(judge(envelope(&swapped)).is_err(), "blocks {other} and {place} swapped");
        }
    }
}

proptest! {
    #[test]
    fn a_refund_of_any_bytes_is_refused_and_never_panics(plaintext in prop::collection::vec(any::<u8>(), 0..200)) {
        let reason = judge(sealed(&plaintext)).err();
        prop_assert!(matches!(reason, Some(Reason::BadCiphertext | Reason::BadXml)));
        let reason = judge(sealed(&[b"<root>", &plaintext[..], b"</root>"].concat())).err();
        prop_assert!(matches!(reason, Some(Reason::MissingField | Reason::BadXml)));
    }
}
