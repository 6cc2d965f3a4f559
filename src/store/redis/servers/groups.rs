//! Servers that belong together, and one behind TLS.

use std::fs;

use super::{Server, free_port, wait_until};

/// One server that is reached by TLS only, with an ACL user that may do what a gateway needs and nothing else.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    /// Of the authority that signed the server's certificate.
    pub(crate) authority: String,
}

impl Guarded {
    pub(crate) const USER: &str = "gateway";
    pub(crate) const PASSWORD: &str = "s3cret-of-the-gateway";
    /// As docs/configuration.md has it, for keys with the prefix of tests.
    const RIGHTS: &str = "on >s3cret-of-the-gateway ~{test-* resetchannels -@all +@read +@write +@scripting \
        +@connection -@dangerous +time +role +info +cluster|slots";

    pub(crate) fn start() -> Self {
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate is made");
        let (authority, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
        let server = Server::start_with(|port, dir| {
            fs::write(dir.join("server.pem"), &authority).unwrap();
            fs::write(dir.join("server.key"), &key).unwrap();
            let port = port.to_string();
            let mut arguments: Vec<String> = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]
                .into_iter()
                .chain(["--tls-cert-file", "server.pem", "--tls-key-file", "server.key"])
                .chain(["--tls-ca-cert-file", "server.pem", "--requirepass", "of-the-operator"])
                .map(str::to_owned)
                .collect();
            arguments.extend(["--user", Self::USER].map(str::to_owned));
            arguments.extend(Self::RIGHTS.split_whitespace().map(str::to_owned));
            arguments
        });
        Self { server, authority }
    }
}

/// A server, a replica of it, and a Sentinel that watches both and promotes the replica.
pub(crate) struct Watched {
    pub(crate) first: Server,
    pub(crate) second: Server,
    pub(crate) sentinel: Server,
}

impl Watched {
    pub(crate) const MASTER: &str = "gateways";

    pub(crate) fn start() -> Self {
        let quick = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"].map(str::to_owned);
        let arguments = |port: u16| [vec!["--port".to_owned(), port.to_string()], quick.to_vec()].concat();
        let first = Server::start_with(|port, _| arguments(port));
        let second = Server::start_with(|port, _| {
            let of = ["--replicaof".to_owned(), "127.0.0.1".to_owned(), first.port.to_string()];
            [arguments(port), of.to_vec()].concat()
        });
        wait_until("the replica follows", || second.info("replication", "master_link_status") == "up");
        let sentinel = Server::start_with(|port, dir| {
            let (master, watched) = (Self::MASTER, first.port);
            let lines = [
                format!("port {port}"),
                "bind 127.0.0.1".to_owned(),
                "unixsocket socket".to_owned(),
                format!("sentinel monitor {master} 127.0.0.1 {watched} 1"),
                format!("sentinel down-after-milliseconds {master} 400"),
                format!("sentinel failover-timeout {master} 2000"),
            ];
            fs::write(dir.join("sentinel.conf"), lines.join("\n")).unwrap();
            vec!["sentinel.conf".to_owned(), "--sentinel".to_owned()]
        });
        let group = Self { first, second, sentinel };
        wait_until("the Sentinel knows the replica", || group.describe().contains("num-slaves\r\n$1\r\n1\r\n"));
        group
    }

    /// Waits until the replica has what was written, and kills the first server; gives the one that takes over.
    pub(crate) fn fail_over(&mut self) -> &Server {
        let first = &self.first;
        wait_until("the replica has everything", || {
            let lag = first.info("replication", "slave0");
            let offset = first.info("replication", "master_repl_offset");
            lag.contains(&format!("offset={offset},"))
        });
        self.first.kill();
        let second = &self.second;
        wait_until("the replica is promoted", || second.info("replication", "role") == "master");
        second
    }

    fn describe(&self) -> String {
        self.sentinel.tell(&["SENTINEL", "MASTER", Self::MASTER]).unwrap_or_default()
    }
}

/// Three servers that share the slots.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let node = |_| {
            Server::start_with(|port, _| {
                let (port, bus) = (port.to_string(), free_port().to_string());
                let arguments = ["--port", &port, "--cluster-port", &bus, "--cluster-enabled", "yes"];
                arguments.into_iter().chain(["--cluster-node-timeout", "1000"]).map(str::to_owned).collect()
            })
        };
        let nodes: Vec<Server> = (0..3).map(node).collect();
        for (node, slots) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
            node.tell(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]).unwrap();
        }
        for (node, epoch) in nodes.iter().zip(["1", "2", "3"]) {
            node.tell(&["CLUSTER", "SET-CONFIG-EPOCH", epoch]).unwrap();
        }
        for node in &nodes[1..] {
            let bus = nodes[0].tell(&["CONFIG", "GET", "cluster-port"]).unwrap();
            let bus = bus.lines().last().unwrap().to_owned();
            node.tell(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port.to_string(), &bus]).unwrap();
        }
        let cluster = Self { nodes };
        cluster.wait_until_whole();
        cluster
    }

    /// Until every node has every slot in somebody's hands.
    pub(crate) fn wait_until_whole(&self) {
        for node in &self.nodes {
            wait_until("the Cluster agrees", || {
                let info = node.tell(&["CLUSTER", "INFO"]).unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
    }

    /// The slot of a key, and the numbers of the node that has it and of another one.
    pub(crate) fn place_of(&self, key: &str) -> (String, usize, usize) {
        let slot = self.nodes[0].tell(&["CLUSTER", "KEYSLOT", key]).unwrap();
        let slot = slot.trim().trim_start_matches(':').to_owned();
        let node = slot.parse::<usize>().unwrap() * 3 / 16384;
        (slot, node, (node + 1) % 3)
    }

    /// The name of a node in its Cluster.
    pub(crate) fn name(&self, node: usize) -> String {
        let answer = self.nodes[node].tell(&["CLUSTER", "MYID"]).unwrap();
        answer.lines().last().unwrap().to_owned()
    }

    /// Sends a command to one node.
    pub(crate) fn tell(&self, node: usize, command: &[&str]) -> String {
        self.nodes[node].tell(command).unwrap_or_default()
    }
}
