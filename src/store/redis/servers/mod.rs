//! Real servers for tests: `redis-server` processes on free ports, alone, with TLS and an ACL user, in a group that a
//! Sentinel watches, or as a Cluster of three. Another binary is named by `WXGATE_REDIS_SERVER` (`valkey-server`).
//!
//! None installed is a failure, never a skip. A server ends with the test that started it, however that ends: a shell
//! waits on a pipe that only the test's process holds open, and kills the server when the pipe closes.
//!
//! Nothing of the crate is used here, so that tests outside of it can take this file too.

#![allow(clippy::arithmetic_side_effects, reason = "a test may panic")]

pub(crate) mod groups;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to start, or a group to agree. Tests of a busy machine wait; nothing here is measured.
const PATIENCE: Duration = Duration::from_secs(30);

/// `$0` is the binary. The first line of output tells the server's process id.
const KEEPER: &str = r#""$0" "$@" >server.log 2>&1 & server=$!; echo $server; read -r _; kill -9 $server 2>/dev/null"#;

/// One running server, with a directory of its own.
pub(crate) struct Server {
    pub(crate) port: u16,
    dir: TempDir,
    arguments: Vec<String>,
    process: Option<Process>,
}

struct Process {
    keeper: Child,
    id: u32,
}

/// The binary that is tested against.
pub(crate) fn binary() -> String {
    std::env::var("WXGATE_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Server {
    /// A server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::start_with(|port, _| vec!["--port".to_owned(), port.to_string()])
    }

    /// A server that has every answered write on disk.
    pub(crate) fn start_durable() -> Self {
        let durable = ["--appendonly", "yes", "--appendfsync", "always"].map(str::to_owned);
        Self::start_with(|port, _| [vec!["--port".to_owned(), port.to_string()], durable.to_vec()].concat())
    }

    /// A server with arguments of its own, which are made of a free port and the server's directory.
    pub(crate) fn start_with(arguments: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        let mut log = String::new();
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let port = free_port();
            let arguments = arguments(port, dir.path());
            let mut server = Self { port, dir, arguments, process: None };
            if server.run() {
                return server;
            }
            log = server.log(); // the port was taken in between, for one
        }
        panic!("{} does not start: {log}; is it installed? `scripts/tools test` does", binary());
    }

    /// Starts the process. False: it ended before it answered.
    fn run(&mut self) -> bool {
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg(binary());
        let usual = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", ".", "--unixsocket", "socket"];
        let is_sentinel = self.arguments.iter().any(|argument| argument == "--sentinel");
        if !is_sentinel {
            keeper.args(usual);
        }
        keeper.args(&self.arguments).current_dir(self.dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().expect("a shell starts");
        let mut id = String::new();
        let mut byte = [0];
        let output = keeper.stdout.as_mut().expect("it is piped");
        while output.read(&mut byte).is_ok_and(|read| read == 1) && byte != *b"\n" {
            id.push(char::from(byte[0]));
        }
        let id = id.parse().expect("a shell tells the id of what it starts");
        self.process = Some(Process { keeper, id });
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.tell(&["PING"]).is_some_and(|answer| !answer.starts_with("-LOADING")) {
                return true;
            }
            if !is_alive(id) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        false
    }

    /// Kills it as a failing machine does.
    pub(crate) fn kill(&mut self) {
        if let Some(Process { mut keeper, .. }) = self.process.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait(); // the shell ends when the server has
        }
    }

    /// Starts it again on the same port, with what is on its disk.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let started = Instant::now();
        while !self.run() {
            assert!(started.elapsed() < PATIENCE, "{} does not start again: {}", binary(), self.log());
        }
    }

    /// It takes connections and answers nothing, until [`Server::resume`].
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("the server runs");
        let status = Command::new("kill").args([signal, &process.id.to_string()]).status();
        assert!(status.expect("kill is installed").success());
    }

    /// Sends a command and gives its answer as it came (RESP); none if there was none.
    pub(crate) fn tell(&self, command: &[&str]) -> Option<String> {
        let mut socket = UnixStream::connect(self.dir.path().join("socket")).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let mut request = format!("*{}\r\n", command.len());
        for part in command {
            let _ = write!(request, "${}\r\n{part}\r\n", part.len()); // a string takes everything
        }
        socket.write_all(request.as_bytes()).ok()?;
        // The server answers and hangs up, so that an answer can be read without being understood.
        socket.shutdown(Shutdown::Write).ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned()).filter(|answer| !answer.is_empty())
    }

    /// One field of `INFO`.
    pub(crate) fn info(&self, section: &str, field: &str) -> String {
        let info = self.tell(&["INFO", section]).expect("the server runs");
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("INFO {section} has no {field}: {info}")).trim().to_owned()
    }

    /// What the server said about itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_alive(id: u32) -> bool {
    // A zombie has no command line: the shell has not yet waited for it.
    fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty())
        || (!PathBuf::from("/proc").is_dir()
            && Command::new("kill").args(["-0", &id.to_string()]).status().is_ok_and(|s| s.success()))
}

/// Waits until `holds`.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
