//! Connections: which servers are asked, and how a request reaches the one that has its keys.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode, Value,
};

use super::settings::{Address, RedisSettings, Topology};
use crate::secret::Secret;

/// How many requests may wait to be written; what is more waits before it.
const PIPELINE: usize = 1024;

/// How often a request is sent anew in a Cluster, within its time: to where its keys have moved, or to who took over.
const CLUSTER_RETRIES: u32 = 3;

/// A connection to whoever serves. Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends a command and waits for its answer; the caller bounds the wait.
    pub(super) async fn send(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => cmd.query_async(connection).await,
            Self::Cluster(connection) => cmd.query_async(connection).await,
        }
    }
}

/// Connects.
pub(super) struct Dialer {
    settings: RedisSettings,
}

impl Dialer {
    /// Looks whether the settings make sense; connects to nothing.
    pub(super) fn new(settings: RedisSettings) -> RedisResult<Self> {
        let dialer = Self { settings };
        match &dialer.settings.topology {
            Topology::Single(address) => drop(dialer.client(address)?),
            Topology::Sentinel { .. } => drop(dialer.sentinel()?.build()?),
            Topology::Cluster(nodes) => drop(dialer.cluster(nodes)?),
        }
        Ok(dialer)
    }

    /// Whether keys of different tags may lie on different servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.settings.topology, Topology::Cluster(_))
    }

    /// Connects to whoever serves now. A Sentinel is asked anew each time.
    pub(super) async fn dial(&self, within: Duration) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(within))
            .set_response_timeout(None) // each request has its own deadline
            .set_pipeline_buffer_size(PIPELINE);
        match &self.settings.topology {
            Topology::Single(address) => {
                let client = self.client(address)?;
                Ok(Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
            Topology::Sentinel { .. } => {
                let mut client = self.sentinel()?.build()?;
                Ok(Connection::One(client.get_async_connection_with_config(&config).await?))
            }
            Topology::Cluster(nodes) => Ok(Connection::Cluster(self.cluster(nodes)?.get_async_connection().await?)),
        }
    }

    fn client(&self, address: &Address) -> RedisResult<Client> {
        let info = self.info(address)?;
        match self.certificates() {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        }
    }

    fn cluster(&self, nodes: &[Address]) -> RedisResult<ClusterClient> {
        let timeout = self.settings.timeout;
        let nodes = nodes.iter().map(|node| self.info(node)).collect::<RedisResult<Vec<_>>>()?;
        let mut builder = ClusterClient::builder(nodes)
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(5)
            .max_retry_wait(50)
            .connection_timeout(timeout)
            .response_timeout(timeout);
        if let Some(certificates) = self.certificates() {
            builder = builder.tls(TlsMode::Secure).certs(certificates);
        }
        builder.build()
    }

    fn sentinel(&self) -> RedisResult<SentinelClientBuilder> {
        let Topology::Sentinel { sentinels, master } = &self.settings.topology else {
            return Err(RedisError::from((ErrorKind::InvalidClientConfig, "no Sentinels are named")));
        };
        let sentinels = sentinels.iter().map(|address| self.address(address));
        let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
            .set_client_to_redis_db(self.settings.database.into());
        if let Some(user) = &self.settings.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.settings.password {
            builder = builder.set_client_to_redis_password(text(password)?);
        }
        if let Some(password) = &self.settings.sentinel_password {
            builder = builder.set_client_to_sentinel_password(text(password)?);
        }
        if let Some(certificates) = self.certificates() {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        Ok(builder)
    }

    fn info(&self, address: &Address) -> RedisResult<ConnectionInfo> {
        let mut redis = RedisConnectionInfo::default()
            .set_db(self.settings.database.into())
            .set_lib_name("wxgate", env!("CARGO_PKG_VERSION"));
        if let Some(user) = &self.settings.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &self.settings.password {
            redis = redis.set_password(text(password)?);
        }
        Ok(self.address(address).into_connection_info()?.set_redis_settings(redis))
    }

    fn address(&self, address: &Address) -> ConnectionAddr {
        let Address { host, port } = address.clone();
        match &self.settings.tls {
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        }
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let tls = self.settings.tls.as_ref()?;
        let root_cert = tls.authorities.as_ref().map(|pem| pem.as_bytes().to_vec());
        Some(TlsCertificates { client_tls: None, root_cert })
    }
}

/// The crate takes passwords as text.
fn text(secret: &Secret) -> RedisResult<&str> {
    let not_text = |_| RedisError::from((ErrorKind::InvalidClientConfig, "the password is not text"));
    std::str::from_utf8(secret.expose()).map_err(not_text)
}
