//! WeChat Pay v2 as WeChat makes it: XML documents with their signature inside, and refunds encrypted.
//!
//! Source: WeChat Pay v2, "Payment result notification" and "Refund result notification". [`sign`] is the cryptography,
//! [`sample`] what merchants see most.

pub mod sample;
pub mod sign;

use super::keys::Merchant;
use super::notify::Callback;
use sign::SignType;

/// Names and values in the order of the document.
pub type Members = Vec<(String, String)>;

/// Something that WeChat tells a merchant by v2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Told in the open, and signed.
    Signed(Members),
    /// Encrypted as `req_info` of an envelope that is not signed.
    Encrypted(Members),
}

impl Notice {
    /// The body of a callback: a new `nonce_str`, and the signature or the ciphertext.
    pub fn body(&self, merchant: &Merchant, by: SignType) -> Vec<u8> {
        let nonce = ("nonce_str".to_owned(), super::sign::random_text::<32>());
        match self {
            Self::Signed(members) => {
                let members = [members.as_slice(), &[nonce]].concat();
                signed(&members, &merchant.api_v2_key, by)
            }
            Self::Encrypted(members) => envelope(merchant, &document("root", members)),
        }
    }

    /// One try.
    pub fn callback(&self, merchant: &Merchant, by: SignType, path: &str) -> Callback {
        callback(path, self.body(merchant, by))
    }

    /// What it says.
    pub fn members(&self) -> &Members {
        match self {
            Self::Signed(members) | Self::Encrypted(members) => members,
        }
    }

    /// The same with other values; what it does not say yet comes last.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let (Self::Signed(members) | Self::Encrypted(members)) = &mut self;
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => members.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// The same without a member.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        let (Self::Signed(members) | Self::Encrypted(members)) = &mut self;
        members.retain(|(known, _)| known != name);
        self
    }
}

/// The document of these members with its `sign`.
pub fn signed(members: &[(String, String)], key: &str, by: SignType) -> Vec<u8> {
    let sign = ("sign".to_owned(), sign::sign(key, members, by));
    document("xml", &[members, &[sign]].concat())
}

/// A refund's envelope around this plaintext.
pub fn envelope(merchant: &Merchant, plaintext: &[u8]) -> Vec<u8> {
    let req_info = sign::encrypt_refund(&merchant.api_v2_key, plaintext);
    envelope_of(merchant, &base64_simd::STANDARD.encode_to_string(req_info))
}

/// A refund's envelope with this `req_info`.
pub fn envelope_of(merchant: &Merchant, req_info: &str) -> Vec<u8> {
    let nonce = super::sign::random_text::<32>();
    let members = [
        ("return_code", "SUCCESS"),
        ("appid", &merchant.appid),
        ("mch_id", &merchant.mchid),
        ("nonce_str", &nonce),
        ("req_info", req_info),
    ];
    document("xml", &owned(&members))
}

/// XML as WeChat writes it: every value in CDATA.
pub fn document(root: &str, members: &[(String, String)]) -> Vec<u8> {
    let mut text = format!("<{root}>");
    for (name, value) in members {
        let value = value.replace("]]>", "]]]]><![CDATA[>");
        text.extend(["<", name, "><![CDATA[", &value, "]]></", name, ">\n"]);
    }
    text.extend(["</", root, ">"]);
    text.into_bytes()
}

/// A callback of v2: nothing of it stands in the head.
pub fn callback(path: &str, body: Vec<u8>) -> Callback {
    let headers = [("User-Agent", "Mozilla/4.0"), ("Content-Type", "text/xml"), ("Accept", "*/*")];
    Callback {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body,
    }
}

fn owned(members: &[(&str, &str)]) -> Members {
    members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The vectors of other implementations that are accepted: their signatures must be ours.
    #[test]
    fn every_accepted_vector_is_signed_as_the_simulator_signs() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/pay_v2.json")).unwrap();
        let mut compared = 0;
        for vector in vectors.iter().filter(|vector| vector["expect"]["verdict"] == "accept") {
            let members = vector["expect"]["event"].as_object().unwrap().iter();
            let members: Members =
                members.map(|(name, value)| (name.clone(), value.as_str().unwrap().into())).collect();
            let Some((_, told)) = members.iter().find(|(name, _)| name == "sign") else { continue };
            let by = if vector["keys"]["sign_type"] == "MD5" { SignType::Md5 } else { SignType::HmacSha256 };
            let key = vector["keys"]["api_key"].as_str().unwrap();
            assert_eq!(sign::sign(key, &members, by), *told, "{}", vector["name"]);
            compared += 1;
        }
        assert!(compared >= 15, "{compared}");
    }

    #[test]
    fn refunds_encrypt_as_others_encrypt_them() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/crypt.json")).unwrap();
        let mut compared = 0;
        for vector in vectors.iter().filter(|v| v["op"] == "v2-req-info" && v["expect"]["verdict"] == "accept") {
            let text = |value: &Value| base64_simd::STANDARD.decode_to_vec(value.as_str().unwrap()).unwrap();
            let key = vector["input"]["api_key"].as_str().unwrap();
            let ours = sign::encrypt_refund(key, &text(&vector["expect"]["plaintext_b64"]));
            assert_eq!(ours, text(&vector["input"]["req_info"]), "{}", vector["name"]);
            compared += 1;
        }
        assert!(compared >= 3, "{compared}");
    }
}
