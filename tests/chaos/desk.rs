//! The admin API, as a person at the end of a campaign uses it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use wxgate::sim::wire;

const WITHIN: Duration = Duration::from_secs(5);

/// Asks; none if there is no answer, or it is no success.
pub(crate) async fn ask(admin: SocketAddr, method: &str, path: &str) -> Option<Value> {
    // Without a token the API is for callers who know this machine by its address.
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let answer = wire::exchange(admin, request.as_bytes(), WITHIN).await.ok()?;
    (answer.status == 200).then(|| serde_json::from_slice(&answer.body).expect("JSON"))
}

/// A row of a queue, as lists show it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) reason: String,
    pub(crate) is_quarantined: bool,
}

/// Every row of a queue; none if it could not be read to its end.
pub(crate) async fn rows(admin: SocketAddr, queue: &str) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = ask(admin, "GET", &format!("/v1/{queue}?limit=1000{cursor}")).await?;
        for row in page["rows"].as_array()? {
            let text = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
            let is_quarantined = row["quarantined"].as_bool().unwrap_or_default();
            rows.push(Row { id: text("id"), reason: text("reason"), is_quarantined });
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(rows),
        }
    }
}

/// Lets a held event go.
pub(crate) async fn release(admin: SocketAddr, row: &Row) -> bool {
    ask(admin, "POST", &format!("/v1/held/{}/release", row.id)).await.is_some()
}

/// The id that WeChat gave the event of a row.
pub(crate) async fn event_id(admin: SocketAddr, row: &Row) -> Option<String> {
    let shown = ask(admin, "GET", &format!("/v1/held/{}", row.id)).await?;
    shown["event"]["id"].as_str().map(str::to_owned)
}
