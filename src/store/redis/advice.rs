//! What an operator should hear about his Redis: that it may forget what it must not.

use redis::Value;

use super::link::Link;

/// Looks at the server's settings once it is there, and warns of those that break promises. A user without the right to
/// ask is no trouble: then nothing is said.
pub(super) async fn give(link: Link) {
    if link.until_up().await.is_err() {
        return;
    }
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    let Ok(Value::BulkString(text)) = link.command("info", b"", &info).await else { return };
    if let Some(warning) = warning(&String::from_utf8_lossy(&text)) {
        tracing::warn!("{warning}");
    }
}

fn warning(info: &str) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let policy = field("maxmemory_policy")?;
    let is_bounded = field("maxmemory").is_some_and(|bytes| bytes != "0");
    (is_bounded && policy != "noeviction").then(|| {
        format!(
            "Redis drops keys when its memory is full (maxmemory-policy {policy}): an event that is dropped is delivered \
             again. Set maxmemory-policy to noeviction"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::warning;

    #[test]
    fn a_server_that_may_forget_is_warned_of() {
        let info = |policy: &str, most: &str| format!("# Memory\r\nmaxmemory:{most}\r\nmaxmemory_policy:{policy}\r\n");
        assert!(warning(&info("allkeys-lru", "1000")).unwrap().contains("maxmemory-policy allkeys-lru"));
        assert_eq!(warning(&info("noeviction", "1000")), None);
        assert_eq!(warning(&info("allkeys-lru", "0")), None);
        assert_eq!(warning(""), None);
    }
}
