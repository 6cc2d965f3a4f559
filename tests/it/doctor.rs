//! `wxgate doctor --url` against a running gateway, straight and through what bends requests on their way.

use std::net::SocketAddr;
use std::process::Output;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::{Gateway, PATH};

type Bend = fn(&[u8]) -> Vec<u8>;

/// A proxy that takes one request a connection, changes its bytes, and passes the answer back.
async fn bent(target: SocketAddr, bend: Bend) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let request = read_request(&mut near).await;
                let mut far = TcpStream::connect(target).await.unwrap();
                far.write_all(&bend(&request)).await.unwrap();
                tokio::io::copy(&mut far, &mut near).await.ok();
            });
        }
    });
    address
}

async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let is_whole = length.map_or(body.ends_with("0\r\n\r\n"), |length: usize| body.len() >= length);
            if is_whole {
                return bytes;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return bytes;
        }
    }
}

async fn doctor(address: SocketAddr) -> (Output, Vec<serde_json::Value>) {
    let url = format!("http://{address}{PATH}");
    let run = move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_wxgate")).args(["doctor", "--json", "--url", &url]).output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let told =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output, told)
}

fn not_so(told: &[serde_json::Value]) -> Vec<&str> {
    told.iter().filter(|one| one["good"] == false).map(|one| one["probe"].as_str().unwrap()).collect()
}

/// No test is banned for what it probes.
const PATIENT: &str = r#"limits = { failures_per_ip = "1000/m" }"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_looked_at_straight_is_as_it_should_be() {
    let gateway = Gateway::with("memory:", PATIENT, wxgate::sim::shop::Behaviour::Healthy).await;
    let (output, told) = doctor(gateway.address()).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(told.len() >= 12, "{told:?}");
    let (_, shop) = gateway.stop().await;
    assert!(shop.deliveries().is_empty(), "a probe is no event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_bends_requests_on_their_way_is_named() {
    let gateway = Gateway::with("memory:", PATIENT, wxgate::sim::shop::Behaviour::Healthy).await;
    let bends: [(&str, Bend); 3] = [
        ("keeps-utf-8", |request| {
            let text = String::from_utf8(request.to_vec()).unwrap();
            let narrow = text.chars().map(|c| if c.is_ascii() { c } else { '?' });
            let (mut bent, length) = (narrow.collect::<String>(), text.len());
            // As long as before, so that the head stays true.
            while bent.len() < length {
                bent.push(' ');
            }
            bent.into_bytes()
        }),
        ("keeps-plus-and-percent", |request| {
            let text = String::from_utf8_lossy(request).into_owned();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            format!("{head}\r\n\r\n{}", body.replace("a+b", "a b")).into_bytes()
        }),
        ("keeps-lower-case-headers", |request| {
            let text = String::from_utf8_lossy(request).into_owned();
            text.replace("wechatpay-nonce", "x-nonce").into_bytes()
        }),
    ];
    for (named, bend) in bends {
        let proxy = bent(gateway.address(), bend).await;
        let (output, told) = doctor(proxy).await;
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(not_so(&told), [named]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_everything_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
    });
    let (output, told) = doctor(address).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(not_so(&told).contains(&"refuses-signature-probes") && not_so(&told).contains(&"refuses-strangers"));
}
