//! Documents that are made to hurt their reader: bombs, depths, breadths, encodings. In bodies as anybody sends them, and
//! inside of what is signed and encrypted rightly.

use wxgate::sim::keys::SignedBy;
use wxgate::sim::notify::{Callback, Stamp, signed, unix_now};
use wxgate::sim::pay_v2 as sim_v2;

use super::sealed::Pushes;
use super::{MAX_BODY, Shot, Target, all_are_refused};
use crate::gateway::{PATH, Site};
use crate::pay_v2;

/// A name and a document.
type Document = (&'static str, Vec<u8>);

/// Pay v3's callback with this body, signed.
fn v3(site: &Site, body: Vec<u8>) -> Callback {
    static NONCES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let nonce = format!("hostile-{}", NONCES.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let now = unix_now().to_string();
    signed(&site.keys, Stamp { by: SignedBy::PublicKey, timestamp: &now, nonce: &nonce }, PATH, body)
}

/// Up to the largest body that is taken.
fn filled(begin: &str, piece: &str, end: &str) -> Vec<u8> {
    let room = MAX_BODY - begin.len() - end.len();
    [begin, &piece.repeat(room / piece.len()), end].concat().into_bytes()
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

fn xml_documents() -> Vec<Document> {
    let text = |text: &str| text.as_bytes().to_vec();
    let lol = "<!DOCTYPE xml [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\
               <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]>";
    let xxe = "<!DOCTYPE xml [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><xml><a>&x;</a></xml>";
    vec![
        ("a billion laughs", format!("{lol}<xml><return_code>&c;</return_code></xml>").into_bytes()),
        ("an external entity", text(xxe)),
        ("an external subset", text("<!DOCTYPE xml SYSTEM \"http://127.0.0.1:1/x.dtd\"><xml/>")),
        ("a parameter entity", text("<!DOCTYPE xml [<!ENTITY % p SYSTEM \"file:///dev/random\">%p;]><xml/>")),
        ("an entity that nobody declared", text("<xml><a>&nbsp;</a></xml>")),
        ("a DOCTYPE in another encoding", utf16(xxe)),
        ("a DOCTYPE behind an encoding of seven bits", text("<?xml version=\"1.0\" encoding=\"UTF-7\"?><xml/>")),
        ("GBK that says so", b"<?xml version=\"1.0\" encoding=\"GBK\"?><xml><a>\xd6\xd0</a></xml>".to_vec()),
        ("GBK that does not", b"<xml><a>\xd6\xd0\xce\xc4</a></xml>".to_vec()),
        ("an overlong character", b"<xml><a>\xc0\xbcb\xc0\xbe</a></xml>".to_vec()),
        ("half of a surrogate", b"<xml><a>\xed\xa0\x80</a></xml>".to_vec()),
        ("a zero byte", text("<xml><a>\0</a></xml>")),
        ("a byte order mark", text("\u{feff}<xml/>")),
        ("processing instructions", text("<?xml-stylesheet href=\"x\"?><xml/>")),
        ("a comment inside of a number", text("<xml><total_fee>1<!-- -->00</total_fee></xml>")),
        ("attributes", filled("<xml ", "a=\"b\" ", "/>")),
        ("a million letters as a name", filled("<", "a", ">")),
        ("depth", filled("", "<a>", "")),
        ("depth that closes", [filled("", "<a>", "")[..300_000].to_vec(), b"</a>".repeat(100_000)].concat()),
        ("breadth", filled("<xml>", "<a/>", "</xml>")),
        (
            "breadth of a hundred groups",
            format!("<xml>{}</xml>", format!("<g>{}</g>", "<a/>".repeat(250)).repeat(100)).into(),
        ),
        ("references without end", filled("<xml><a>", "&amp;", "")),
        ("a reference without end", filled("<xml><a>&", "a", "</a></xml>")),
        ("ampersands", filled("<xml><a>", "&", "</a></xml>")),
        ("a CDATA without end", filled("<xml><a><![CDATA[", "]", "")),
        ("CDATAs without end", filled("<xml><a>", "<![CDATA[]]>", "")),
        ("blanks", filled("", " ", "")),
        ("a second document", text("<xml></xml><xml></xml>")),
        ("nothing", Vec::new()),
    ]
}

fn json_documents() -> Vec<Document> {
    let text = |text: &str| text.as_bytes().to_vec();
    let many_names: String = (0..60_000).map(|n| format!("\"k{n}\":0,")).collect();
    vec![
        ("depth of arrays", filled("{\"a\":", "[", "")),
        ("depth of objects", filled("", "{\"a\":", "")),
        ("depth that closes", format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)).into()),
        ("depth of sixty-five", format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64)).into()),
        ("a name twice among sixty thousand", format!("{{{many_names}\"k59999\":1}}").into()),
        ("a name twice, once escaped", text("{\"id\":\"a\",\"\\u0069d\":\"b\"}")),
        ("a number of a million digits", filled("{\"a\":", "9", "x}")),
        ("an exponent of a million digits", filled("{\"a\":1e", "9", "}")),
        ("a text without end", filled("{\"a\":\"", "\\u0041", "")),
        ("half of a surrogate", text("{\"a\":\"\\ud800\"}")),
        ("a byte that is no UTF-8", b"{\"a\":\"\xff\"}".to_vec()),
        ("GBK", b"{\"summary\":\"\xd6\xa7\xb8\xb6\"}".to_vec()),
        ("UTF-16", utf16("{\"a\":1}")),
        ("a byte order mark", text("\u{feff}{}")),
        ("NaN", text("{\"a\":NaN}")),
        ("a comment", text("{/* a */}")),
        ("a second document", text("{}{}")),
        ("a list", text("[]")),
        ("nothing", Vec::new()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_that_is_made_to_hurt_is_refused_everywhere() {
    let target = Target::start().await;
    let keys = &target.site.keys;
    let mut shots = Vec::new();
    for (name, document) in xml_documents() {
        let encrypted = || Some("AAAA");
        let (plain, safe, wecom) = (Pushes::to_plain(), Pushes::to_safe(), Pushes::to_wecom());
        let mut shot = |place: &str, status, callback| {
            shots.push(Shot::new(format!("{name}, {place}"), status, "bad-xml", callback));
        };
        shot("as a notification of v2", 400, sim_v2::callback(pay_v2::PATH, document.clone()));
        shot("as an envelope", 400, safe.signed(encrypted(), document.clone()));
        shot("as WeCom's envelope", 400, wecom.signed(encrypted(), document.clone()));
        shot("as a plain message", 400, plain.signed(None, document.clone()));
        // Base64 needs room too.
        if document.len() < MAX_BODY / 2 && !document.is_empty() {
            shot("sealed", 400, safe.message(&document));
            let refund = sim_v2::callback(pay_v2::PATH, sim_v2::envelope(&keys.merchant, &document));
            if document.starts_with(b"<") {
                shot("as a refund", 400, refund);
            }
        }
    }
    all_are_refused(target, &shots).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_made_to_hurt_is_refused_everywhere() {
    let target = Target::start().await;
    let site = &target.site;
    let mut shots = Vec::new();
    for (name, document) in json_documents() {
        shots.push(Shot::new(format!("{name}, signed"), 400, "bad-json", v3(site, document.clone())));
        if document.len() < MAX_BODY / 2 {
            let (nonce, mut event) = ("0123456789ab", site.event());
            "transaction".clone_into(&mut event.associated_data);
            let sealed = seal(&site.keys.merchant.api_v3_key, nonce, &document);
            let sealed = v3(site, event.envelope(nonce, &sealed));
            shots.push(Shot::new(format!("{name}, sealed"), 400, "bad-json", sealed));
        }
        if document.starts_with(b"{") {
            let plain = Pushes::to_plain();
            shots.push(Shot::new(format!("{name}, pushed"), 400, "bad-json", plain.signed(None, document)));
        }
    }
    all_are_refused(target, &shots).await;
}

/// As WeChat seals a resource.
fn seal(key: &[u8], nonce: &str, plaintext: &[u8]) -> String {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut sealed = plaintext.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_bytes()).unwrap();
    key.seal_in_place_append_tag(nonce, Aad::from(b"transaction"), &mut sealed).unwrap();
    base64_simd::STANDARD.encode_to_string(sealed)
}

/// Bodies of the largest size, each of which makes its reader keep as much as it can.
pub(super) fn largest(site: &Site) -> Vec<Callback> {
    let groups = format!("<g>{}</g>", "<a/>".repeat(250));
    vec![
        v3(site, filled("{\"a\":\"", "\\u0041", "\"}")),
        v3(site, filled("{", "\"name\":0,", "}")),
        v3(site, filled("{\"a\":", "[", "")),
        sim_v2::callback(pay_v2::PATH, filled("<xml><a>", "&lt;", "</a></xml>")),
        sim_v2::callback(pay_v2::PATH, filled("<xml>", &groups, "</xml>")),
        Pushes::to_safe().signed(Some("AAAA"), filled("<xml><Encrypt>", "AAAA", "</Encrypt></xml>")),
        Pushes::to_wecom().signed(Some("AAAA"), filled("{\"encrypt\":\"", "\\u0041", "\"}")),
        Pushes::to_plain().signed(None, filled("<xml>", &groups, "</xml>")),
    ]
}
