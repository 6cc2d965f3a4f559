//! The whole way of a callback through the protocols, of each of them: made as WeChat makes it around a content that is
//! anything, then changed on its way by anybody.
//!
//! `which byte | where byte | how byte | query \n headers… \n\n content`. If `how` is not 0, the byte at `where` (in 256ths of
//! the body) is changed by it after the signature was made.

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{add_headers, halves, pay_v2, pay_v3, push, through, verified};
use crate::wechat::{Protocol, Received};

/// See the module.
pub fn entry(data: &[u8]) {
    let Some(([which, place, how], data)) = data.split_first_chunk() else { return };
    let (head, content) = halves(data);
    let (query, lines) = head.iter().position(|byte| *byte == b'\n').map_or((head, &[][..]), |at| head.split_at(at));
    let query = std::str::from_utf8(query).unwrap_or_default();
    let Made { protocol, query, mut headers, body } = Made::of(*which, query, content);
    add_headers(&mut headers, lines);
    let sent = changed(&body, *place, *how);
    let body = Bytes::from(body);
    let post = Received { method: &Method::POST, path: "/", query: &query, headers: &headers };
    push::diagnose(protocol, post, &sent);
    drop(through(protocol, post, &sent));
    let is_v3 = matches!(protocol, Protocol::PayV3(_));
    let passes = || verified(protocol, post, &sent).is_ok();
    assert!(!is_v3 || sent == body || !passes(), "a changed body passed under the signature of another");
    for method in [Method::GET, Method::PUT] {
        let received = Received { method: &method, ..post };
        assert!(through(protocol, received, &sent).is_err(), "only POST is a callback");
        drop(protocol.echo(received, super::NOW));
    }
}

/// A callback as it leaves WeChat.
struct Made {
    protocol: &'static Protocol,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Made {
    fn of(which: u8, more: &str, content: &[u8]) -> Self {
        let form = which >> 3;
        let sealed = |protocol| {
            let sealed = push::sealed(content);
            let (query, body) = (push::query(Some(&sealed), more), push::envelope(form, &sealed));
            Self { protocol, query, headers: HeaderMap::new(), body }
        };
        let plain = |protocol, body| Self { protocol, query: more.to_owned(), headers: HeaderMap::new(), body };
        match which & 7 {
            0 => {
                let body = if form & 1 == 0 { pay_v3::envelope(content) } else { content.to_vec() };
                Self { headers: pay_v3::signed(&body), ..plain(&pay_v3::ENDPOINT, body) }
            }
            1 => {
                let signed = pay_v2::signed(content, form & 1 == 0);
                plain(&pay_v2::ENDPOINT, signed.map_or_else(|| content.to_vec(), |(signed, _)| signed))
            }
            2 => plain(&pay_v2::ENDPOINT, pay_v2::refund(content)),
            3 => {
                let query = push::query(None, more);
                Self { query, ..plain(&push::ENDPOINTS[0], content.to_vec()) }
            }
            4 => sealed(&push::ENDPOINTS[1]),
            5 => sealed(&push::ENDPOINTS[2]),
            6 => sealed(&push::ENDPOINTS[3]),
            _ => sealed(&push::WECOM),
        }
    }
}

fn changed(body: &[u8], place: u8, how: u8) -> Bytes {
    let mut sent = body.to_vec();
    let at = sent.len() * usize::from(place) / 256;
    if let Some(byte) = sent.get_mut(at) {
        *byte ^= how;
    }
    Bytes::from(sent)
}
