//! A TCP proxy between a gateway and Redis that is told how bad the network is.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Clear,
    /// Every reply comes so much later.
    Slow(Duration),
    /// Nothing gets through, either way; what is on its way arrives when it is clear again, as TCP sends it again.
    BlackHole,
    /// Requests get through, replies do not: what was asked is done, and nobody hears of it. The connection breaks when
    /// it is clear again.
    HalfOpen,
    /// Connections break, and new ones break at once.
    Refuses,
}

#[derive(Clone, Copy, Debug)]
struct State {
    target: SocketAddr,
    weather: Weather,
    /// Connections of an earlier generation break.
    generation: u64,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    serving: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Reply,
}

impl Proxy {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = watch::channel(State { target, weather: Weather::Clear, generation: 0 });
        let serving = tokio::spawn(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(carry(stream, seen.clone()));
                }
            }
        });
        Self { address, state, serving }
    }

    pub(crate) fn be(&self, weather: Weather) {
        self.state.send_modify(|state| {
            let breaks = weather == Weather::Refuses || state.weather == Weather::HalfOpen;
            state.weather = weather;
            state.generation += u64::from(breaks);
        });
    }

    /// Breaks every connection, once.
    pub(crate) fn reset(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// From now on leads there; what led elsewhere breaks.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| {
            state.target = target;
            state.generation += 1;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn carry(client: TcpStream, mut state: watch::Receiver<State>) {
    let born = state.borrow().generation;
    breaks_when_dropped(&client);
    let until_clear = state.wait_for(|state| state.generation != born || state.weather != Weather::BlackHole).await;
    let Ok(State { target, weather, generation }) = until_clear.map(|state| *state) else { return };
    if generation != born || weather == Weather::Refuses {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    breaks_when_dropped(&server);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let seen = state.clone();
    tokio::select! {
        () = pump(from_client, to_server, Way::Request, seen.clone()) => {}
        () = pump(from_server, to_client, Way::Reply, seen) => {}
        _ = state.wait_for(|state| state.generation != born) => {}
    }
}

/// A reset, not an end in good order: what is still to be sent is thrown away.
fn breaks_when_dropped(stream: &TcpStream) {
    stream.set_nodelay(true).unwrap();
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let Ok(weather) = state.wait_for(|state| state.weather != Weather::BlackHole).await.map(|state| state.weather)
        else {
            return;
        };
        match (weather, way) {
            (Weather::Slow(by), Way::Reply) => tokio::time::sleep(by).await,
            (Weather::HalfOpen, Way::Reply) => continue,
            _ => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Answers each byte with the next one, and tells how many it saw.
    async fn server() -> (SocketAddr, watch::Receiver<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, counted) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let count = count.clone();
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        count.send_modify(|count| *count += 1);
                        stream.write_u8(byte + 1).await.unwrap();
                    }
                });
            }
        });
        (address, counted)
    }

    async fn ask(stream: &mut TcpStream, byte: u8) -> Option<u8> {
        stream.write_u8(byte).await.ok()?;
        tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await.ok()?.ok()
    }

    #[tokio::test]
    async fn each_weather_is_what_it_says() {
        let (address, counted) = server().await;
        let proxy = Proxy::start(address).await;
        let connect = async || TcpStream::connect(proxy.address).await.unwrap();
        let mut stream = connect().await;
        assert_eq!(ask(&mut stream, 1).await, Some(2));

        proxy.be(Weather::Slow(Duration::from_millis(100)));
        let begun = Instant::now();
        assert_eq!(ask(&mut stream, 2).await, Some(3));
        assert!(begun.elapsed() >= Duration::from_millis(100));

        proxy.be(Weather::BlackHole);
        assert_eq!(ask(&mut stream, 3).await, None);
        assert_eq!(*counted.borrow(), 2, "nothing arrived");
        proxy.be(Weather::Clear);
        assert_eq!(stream.read_u8().await.unwrap(), 4, "it arrives late");

        proxy.be(Weather::HalfOpen);
        assert_eq!(ask(&mut stream, 4).await, None);
        assert_eq!(*counted.borrow(), 4, "it arrived, and nobody hears of it");
        proxy.be(Weather::Clear);
        assert!(stream.read_u8().await.is_err(), "broken");

        let mut stream = connect().await;
        assert_eq!(ask(&mut stream, 5).await, Some(6));
        proxy.be(Weather::Refuses);
        assert!(stream.read_u8().await.is_err());
        assert_eq!(ask(&mut connect().await, 6).await, None);

        proxy.be(Weather::Clear);
        let mut stream = connect().await;
        assert_eq!(ask(&mut stream, 7).await, Some(8));
        let (other, other_counted) = server().await;
        proxy.lead_to(other);
        assert!(stream.read_u8().await.is_err());
        assert_eq!(ask(&mut connect().await, 8).await, Some(9));
        assert_eq!(*other_counted.borrow(), 1);
    }
}
