//! A bad line: a TCP proxy that waits now and then, and hangs up in the middle of something.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often of a hundred chunks the line hangs up.
const CUTS: u32 = 2;
/// How often of a hundred chunks it waits.
const WAITS: u32 = 10;
/// Longest wait in milliseconds.
const LONGEST: u64 = 150;

/// A proxy that lives as long as the process.
pub(crate) struct Proxy {
    address: SocketAddr,
    cut: Arc<AtomicU32>,
}

impl Proxy {
    /// A line to `target`, an address such as `127.0.0.1:9000`.
    pub(crate) fn before(target: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, cut) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let (target, cuts) = (target.trim_end_matches('/').to_owned(), Arc::clone(&cut));
        std::thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming()) {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&target)) else { continue };
                for (from, to, side) in [(&client, &server, 0), (&server, &client, 1)] {
                    let (from, to, cuts) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&cuts));
                    let rng = StdRng::seed_from_u64(seed << 32 ^ number << 1 ^ side);
                    std::thread::spawn(move || carry(from, to, rng, &cuts));
                }
            }
        });
        Self { address, cut }
    }

    /// Where to connect to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it has hung up.
    pub(crate) fn cut(&self) -> u32 {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Carries bytes one way until one side ends, or the line does.
fn carry(mut from: TcpStream, mut to: TcpStream, mut rng: StdRng, cuts: &AtomicU32) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut chunk) {
        if rng.random_range(0..100) < WAITS {
            std::thread::park_timeout(Duration::from_millis(rng.random_range(1..=LONGEST)));
        }
        if count > 0 && rng.random_range(0..100) < CUTS {
            cuts.fetch_add(1, Ordering::Relaxed);
            // Half of it arrives.
            let _ = to.write_all(&chunk[..count / 2]);
            break;
        }
        if count == 0 || to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    // One side may be gone already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
