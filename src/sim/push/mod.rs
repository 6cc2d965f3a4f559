//! Pushes as WeChat makes them: of official accounts, mini programs and open platforms, and WeCom's; plain or encrypted, in
//! XML or JSON, and the check of the URL. What an app replies is opened as WeChat opens it.
//!
//! Source: developers.weixin.qq.com, "Message push" and "Message encryption"; developer.work.weixin.qq.com, "Callback
//! configuration".

mod crypt;
pub mod sample;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::notify::Callback;
use super::sign;

/// How an account's console is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bodies are plain text.
    Plain,
    /// Bodies hold the plain text and the encrypted.
    Compatible,
    /// Bodies are encrypted.
    Safe,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The usual.
    Xml,
    /// A mini program's choice, and WeCom's bots.
    Json,
}

/// Whose pushes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// An official account's or a mini program's.
    Message,
    /// An open platform's.
    OpenPlatform,
    /// WeCom's.
    WeCom,
}

/// An account as its console shows it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Whose it is.
    pub family: Family,
    /// The token.
    pub token: String,
    /// The EncodingAESKey, 43 symbols.
    pub encoding_aes_key: String,
    /// What stands at the end of a message: app id, component app id, corp id or suite id.
    pub receive_id: String,
    /// Of the message's encryption. WeCom and open platforms have safe mode alone.
    pub mode: Mode,
    /// Of the messages.
    pub format: Format,
}

impl Account {
    /// An account with test keys.
    pub fn sample(family: Family) -> Self {
        let receive_id = match family {
            Family::Message => "wx5823bf96d3bd56c7",
            Family::OpenPlatform => "wx134c8103faa5a59e",
            Family::WeCom => "ww1436e0e65a779aee",
        };
        Self {
            family,
            token: "WxgateSimToken".to_owned(),
            encoding_aes_key: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned(),
            receive_id: receive_id.to_owned(),
            mode: Mode::Safe,
            format: Format::Xml,
        }
    }

    /// One push of this content, signed at `unix` seconds. None if the EncodingAESKey is none.
    pub fn push(&self, path: &str, unix: i64, content: &Value) -> Option<Callback> {
        let (timestamp, nonce) = (unix.to_string(), sign::random_digits::<10>());
        let message = self.write(content);
        let signature = crypt::signature(&[&self.token, &timestamp, &nonce]);
        let mut query = match self.family {
            Family::Message => {
                let openid = content["FromUserName"].as_str().unwrap_or_default();
                format!("signature={signature}&timestamp={timestamp}&nonce={nonce}&openid={openid}")
            }
            Family::OpenPlatform => format!("signature={signature}&timestamp={timestamp}&nonce={nonce}"),
            Family::WeCom => format!("timestamp={timestamp}&nonce={nonce}"),
        };
        let body = if self.mode == Mode::Plain {
            message
        } else {
            let encrypted =
                crypt::encrypt(&self.encoding_aes_key, sign::random(), message.as_bytes(), &self.receive_id)?;
            let signature = crypt::signature(&[&self.token, &timestamp, &nonce, &encrypted]);
            let encrypt_type = if self.family == Family::WeCom { "" } else { "&encrypt_type=aes" };
            query = format!("{query}{encrypt_type}&msg_signature={signature}");
            self.write(&self.envelope(content, &encrypted))
        };
        Some(self.callback("POST", path, &query, body))
    }

    /// The check of the URL, and what has to come back. None if the EncodingAESKey is none.
    pub fn check(&self, path: &str, unix: i64) -> Option<(Callback, String)> {
        let (timestamp, nonce, echo) = (unix.to_string(), sign::random_digits::<10>(), sign::random_digits::<19>());
        let query = if self.family == Family::WeCom {
            let sent = crypt::encrypt(&self.encoding_aes_key, sign::random(), echo.as_bytes(), &self.receive_id)?;
            let signature = crypt::signature(&[&self.token, &timestamp, &nonce, &sent]);
            let sent = sent.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            format!("msg_signature={signature}&timestamp={timestamp}&nonce={nonce}&echostr={sent}")
        } else {
            let signature = crypt::signature(&[&self.token, &timestamp, &nonce]);
            format!("signature={signature}&echostr={echo}&timestamp={timestamp}&nonce={nonce}")
        };
        Some((self.callback("GET", path, &query, String::new()), echo))
    }

    /// What an encrypted reply holds, if it is signed and for this account.
    pub fn open(&self, reply: &str) -> Option<String> {
        let field = |names: [&str; 2]| names.iter().find_map(|name| member(reply, name));
        let encrypted = field(["Encrypt", "encrypt"])?;
        let (timestamp, nonce) = (field(["TimeStamp", "timestamp"])?, field(["Nonce", "nonce"])?);
        let signature = field(["MsgSignature", "msgsignature"])?;
        if crypt::signature(&[&self.token, &timestamp, &nonce, &encrypted]) != signature {
            return None;
        }
        let (message, receive_id) = crypt::decrypt(&self.encoding_aes_key, &encrypted)?;
        if receive_id == self.receive_id.as_bytes() { String::from_utf8(message).ok() } else { None }
    }

    fn envelope(&self, content: &Value, encrypted: &str) -> Value {
        let to = content["ToUserName"].as_str().unwrap_or(&self.receive_id);
        match (self.family, self.format) {
            (Family::WeCom, Format::Json) => json!({"tousername": to, "encrypt": encrypted, "agentid": 218}),
            (Family::WeCom, Format::Xml) => json!({"ToUserName": to, "Encrypt": encrypted, "AgentID": "218"}),
            (Family::OpenPlatform, _) if content["InfoType"].is_string() => {
                json!({"AppId": self.receive_id, "Encrypt": encrypted})
            }
            (Family::Message | Family::OpenPlatform, _) => {
                let copies = if self.mode == Mode::Compatible { content.clone() } else { json!({"ToUserName": to}) };
                sample::joined(copies, json!({"Encrypt": encrypted}))
            }
        }
    }

    fn write(&self, content: &Value) -> String {
        match self.format {
            Format::Json => content.to_string(),
            Format::Xml => {
                let mut text = String::new();
                write_xml(&mut text, "xml", content);
                text
            }
        }
    }

    fn callback(&self, method: &str, path: &str, query: &str, body: String) -> Callback {
        let content_type = match self.format {
            Format::Xml => "text/xml",
            Format::Json => "application/json",
        };
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut headers = vec![("User-Agent", "Mozilla/4.0"), ("Accept", "*/*"), ("Pragma", "no-cache")];
        if !body.is_empty() {
            headers.push(("Content-Type", content_type));
        }
        Callback {
            method: method.to_owned(),
            path: format!("{path}{separator}{query}"),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: body.into_bytes(),
        }
    }
}

/// Texts as CDATA, numbers bare, lists as elements that repeat, as WeChat writes them.
fn write_xml(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| write_xml(text, name, item)),
        Value::Object(members) => {
            text.extend(["<", name, ">"]);
            members.iter().for_each(|(name, member)| write_xml(text, name, member));
            text.extend(["</", name, ">"]);
        }
        Value::String(value) => {
            let value = value.replace("]]>", "]]]]><![CDATA[>");
            text.extend(["<", name, "><![CDATA[", &value, "]]></", name, ">"]);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            text.extend(["<", name, ">", &value.to_string(), "</", name, ">"]);
        }
    }
}

/// The text of a member of a flat document in either form. No parser: it reads what this module's counterpart writes.
fn member(document: &str, name: &str) -> Option<String> {
    if document.starts_with('{') {
        let object: Value = serde_json::from_str(document).ok()?;
        let value = object.get(name)?;
        return Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")).unwrap_or(text).to_owned())
}
