//! A gateway as a process: started, killed, started again on the same ports.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::site::{Addresses, Site, StoreLines};

/// Longest time for a node to come up, tries included.
const UP_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) callbacks: SocketAddr,
    pub(crate) admin: SocketAddr,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Node {
    pub(crate) fn new(site: &Site, name: &str, store: &StoreLines, at: &Addresses) -> Self {
        Self {
            name: name.to_owned(),
            callbacks: at.callbacks,
            admin: at.admin,
            config: site.write_config(name, store, at),
            log: site.path(&format!("{name}.log")),
            child: None,
        }
    }

    /// Starts it with a clock that is wrong by `offset` seconds, and again if it ends at once, as a supervisor does.
    /// Returns when it takes callbacks.
    pub(crate) async fn start(&mut self, offset: i64) {
        let begun = Instant::now();
        self.child = Some(self.spawn(offset));
        while TcpStream::connect(self.callbacks).await.is_err() {
            let log = || std::fs::read_to_string(&self.log).unwrap();
            assert!(begun.elapsed() < UP_WITHIN, "{} does not come up:\n{}", self.name, log());
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(300)).await;
                self.child = Some(self.spawn(offset));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn spawn(&self, offset: i64) -> Child {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        Command::new(env!("CARGO_BIN_EXE_wxgate"))
            .args(["run", "--log-json", &format!("--clock-offset={offset}s"), "--config"])
            .arg(&self.config)
            .env("WXGATE_LOG", "info")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    pub(crate) fn kill_9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it in good order and tells the exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap().code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill_9();
    }
}
