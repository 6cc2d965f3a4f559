//! Real Redis servers: a primary that writes down every change before it answers, and a replica of it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::ports;

/// Longest time for a server to answer, for a replica to catch up, for a failover.
const WITHIN: Duration = Duration::from_secs(20);

/// A primary and a replica; which is which changes.
pub(crate) struct Pair {
    servers: [Server; 2],
    primary: usize,
}

struct Server {
    address: SocketAddr,
    dir: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Pair {
    /// Starts both in folders of their own below `dir`.
    pub(crate) async fn start(dir: PathBuf) -> Self {
        let server = |name| {
            let dir = dir.join(name);
            std::fs::create_dir_all(&dir).unwrap();
            Server { address: ports::free(), dir, child: Mutex::default() }
        };
        let pair = Self { servers: [server("redis-0"), server("redis-1")], primary: 0 };
        pair.servers[0].start(None).await;
        let primary = pair.primary();
        pair.servers[1].start(Some(primary)).await;
        pair.replicates().await;
        pair
    }

    pub(crate) fn primary(&self) -> SocketAddr {
        self.servers[self.primary].address
    }

    pub(crate) fn kill_primary(&self) {
        self.servers[self.primary].kill_9();
    }

    /// The primary comes back with what it had written down.
    pub(crate) async fn restart_primary(&self) {
        self.servers[self.primary].start(None).await;
        self.replicates().await;
    }

    /// Stops the primary as a debugger would: it answers nothing and refuses nothing.
    pub(crate) fn freeze_primary(&self) {
        self.servers[self.primary].signal("-STOP");
    }

    pub(crate) fn thaw_primary(&self) {
        self.servers[self.primary].signal("-CONT");
    }

    /// A failover as one plans it: the primary takes no more writes until the replica has them all, then they change
    /// places. No write that was answered is lost.
    pub(crate) async fn fail_over(&mut self) {
        self.replicates().await;
        let replica = self.servers[1 - self.primary].address;
        let (host, port) = (replica.ip().to_string(), replica.port().to_string());
        let reply = command(self.primary(), &["FAILOVER", "TO", &host, &port, "TIMEOUT", "10000"]).await.unwrap();
        assert_eq!(reply, "OK");
        until("the replica is promoted", async || replication(replica).await.contains("role:master")).await;
        self.primary = 1 - self.primary;
    }

    /// Waits until the replica has every write so far, then kills the primary. Without the wait, what was answered in the last
    /// moment may be lost with it: docs/chaos.md.
    pub(crate) async fn kill_replicated_primary(&self) {
        let mut stream = BufReader::new(TcpStream::connect(self.primary()).await.unwrap());
        assert_eq!(ask(&mut stream, &["SET", "chaos:last", "1"]).await.unwrap(), "OK");
        assert_eq!(ask(&mut stream, &["WAIT", "1", "10000"]).await.unwrap(), "1", "the replica follows");
        self.kill_primary();
    }

    /// A failover after the death of the primary: the replica takes over with what had reached it, and the old primary comes
    /// back as a replica, whatever it knows.
    pub(crate) async fn replace_primary(&mut self) {
        let replica = self.servers[1 - self.primary].address;
        assert_eq!(command(replica, &["REPLICAOF", "NO", "ONE"]).await.unwrap(), "OK");
        let dead = self.primary;
        self.primary = 1 - self.primary;
        self.servers[dead].start(Some(replica)).await;
        self.replicates().await;
    }

    /// Waits until the replica follows the primary. The primary is asked: a replica may not have seen yet that it was away.
    pub(crate) async fn replicates(&self) {
        let primary = self.primary();
        let follows = |line: &str| line.starts_with("slave0:") && line.contains("state=online");
        until("the replica follows", async || replication(primary).await.lines().any(follows)).await;
    }
}

impl Server {
    async fn start(&self, replica_of: Option<SocketAddr>) {
        let mut server = Command::new("redis-server");
        let port = self.address.port().to_string();
        server.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--loglevel", "notice"]);
        // Answered is written: what docs/chaos.md says of production.
        server.args(["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]);
        server.args(["--repl-diskless-sync-delay", "0", "--repl-timeout", "10", "--logfile", "redis.log"]);
        if let Some(primary) = replica_of {
            server.args(["--replicaof", &primary.ip().to_string(), &primary.port().to_string()]);
        }
        let server = server.arg("--dir").arg(&self.dir).current_dir(&self.dir);
        let child = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        *self.child.lock() = Some(child.expect("redis-server is installed: scripts/tools test"));
        let address = self.address;
        until("redis-server answers", async || command(address, &["PING"]).await.is_ok_and(|pong| pong == "PONG"))
            .await;
    }

    fn kill_9(&self) {
        if let Some(mut child) = self.child.lock().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.lock().as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_9();
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a server says of its replication; nothing, if it says nothing.
async fn replication(server: SocketAddr) -> String {
    command(server, &["INFO", "replication"]).await.unwrap_or_default()
}

/// One command on a connection of its own. An error reply is an error.
pub(crate) async fn command(server: SocketAddr, words: &[&str]) -> io::Result<String> {
    ask(&mut BufReader::new(TcpStream::connect(server).await?), words).await
}

async fn ask(stream: &mut BufReader<TcpStream>, words: &[&str]) -> io::Result<String> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.extend(["$", &word.len().to_string(), "\r\n", word, "\r\n"]);
    }
    stream.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("+" | ":", reply)) => Ok(reply.to_owned()),
        Some(("$", length)) => {
            let length: usize = length.parse().map_err(|_| io::Error::other("no such key"))?;
            let mut reply = vec![0; length + 2];
            stream.read_exact(&mut reply).await?;
            reply.truncate(length);
            Ok(String::from_utf8_lossy(&reply).into_owned())
        }
        _ => Err(io::Error::other(format!("redis answers {line:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_answered_outlives_kill_9_and_failovers() {
        let dir = tempfile::tempdir().unwrap();
        let mut pair = Pair::start(dir.path().to_owned()).await;
        let first = pair.primary();
        command(first, &["SET", "a", "1"]).await.unwrap();
        pair.kill_primary();
        assert!(command(first, &["PING"]).await.is_err());
        pair.restart_primary().await;
        assert_eq!(command(first, &["GET", "a"]).await.unwrap(), "1");

        command(first, &["SET", "b", "2"]).await.unwrap();
        pair.fail_over().await;
        let second = pair.primary();
        assert_ne!(first, second);
        assert_eq!(command(second, &["GET", "b"]).await.unwrap(), "2");
        assert!(command(first, &["SET", "c", "3"]).await.unwrap_err().to_string().contains("READONLY"));
        command(second, &["SET", "c", "3"]).await.unwrap();
        pair.kill_primary();
        pair.restart_primary().await;
        assert_eq!(command(second, &["GET", "c"]).await.unwrap(), "3");

        command(second, &["SET", "d", "4"]).await.unwrap();
        pair.kill_replicated_primary().await;
        pair.replace_primary().await;
        assert_eq!(pair.primary(), first);
        assert_eq!(command(first, &["GET", "d"]).await.unwrap(), "4");
    }
}
