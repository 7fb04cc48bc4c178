//! Figures, for `make deck-net-bench`: what a published port costs, and a container's way in and out.

use crate::Case;
use crate::world::{HOST4, OUTSIDE, World, inside, tcp, v4};
use deck::net::ContainerNet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[("bench::throughput", throughput), ("bench::attach", attach)];

const BYTES: usize = 512 << 20;
const ROUNDS: usize = 5;

/// Sends [`BYTES`] to whoever connects.
fn source(place: Option<&Path>, port: u16) {
    let listener = inside(place, || TcpListener::bind(("0.0.0.0", port)).unwrap());
    thread::spawn(move || {
        let chunk = vec![0; 128 << 10];
        for mut stream in listener.incoming().flatten() {
            let mut left = BYTES;
            while left > 0 && stream.write_all(&chunk).is_ok() {
                left -= chunk.len();
            }
        }
    });
}

fn gigabits(place: Option<&Path>, address: SocketAddr) -> f64 {
    let mut stream = inside(place, || TcpStream::connect(address).unwrap());
    let (start, mut buffer, mut read) = (Instant::now(), vec![0; 128 << 10], 0);
    while read < BYTES {
        read += stream.read(&mut buffer).unwrap();
    }
    #[allow(clippy::cast_precision_loss)]
    let bits = (BYTES * 8) as f64;
    bits / start.elapsed().as_secs_f64() / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn throughput(world: &World) {
    let web = world.publishing("web", &["bridge"], &[tcp(80, Some((8080, 8080)))]);
    let outside = Some(Path::new(OUTSIDE));
    source(Some(&web.netns), 80);
    source(None, 9000);
    let ways = [
        ("host to the container's address", None, (web.ip("bridge"), 80).into()),
        ("host to the published port", None, v4(HOST4, 8080)),
        ("host to 127.0.0.1, published", None, v4("127.0.0.1", 8080)),
        ("outside to a process of the host", outside, v4(HOST4, 9000)),
        ("outside to the published port", outside, v4(HOST4, 8080)),
        ("the container to itself, published", Some(web.netns.as_path()), v4(HOST4, 8080)),
    ];
    let mut results = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for ((_, place, address), result) in ways.iter().zip(&mut results) {
            result.push(gigabits(*place, *address));
        }
    }
    for ((name, ..), result) in ways.iter().zip(results) {
        println!("  {name}: {:.1} Gbit/s", median(result));
    }
}

fn attach(world: &World) {
    world.network("front", false, &[]);
    world.container("keeps-front-up", &["front"]);
    let first = |ports| ContainerNet { ports, ..world.wish("first", &["bridge"]) };
    let cases: [(&str, &dyn Fn() -> ContainerNet); 4] = [
        ("first on the default bridge", &|| first(vec![])),
        ("the same with a port", &|| first(vec![tcp(80, None)])),
        ("one more on a user-defined network", &|| world.wish("more", &["front"])),
        ("none", &|| world.wish("none", &[])),
    ];
    for (name, wish) in cases {
        let mut parts = [vec![], vec![], vec![], vec![]];
        for _ in 0..20 {
            let mut last = Instant::now();
            let mut lap = |part: &mut Vec<f64>| {
                part.push(Duration::as_secs_f64(&last.elapsed()) * 1e3);
                last = Instant::now();
            };
            let wish = wish();
            lap(&mut parts[0]);
            world.networks.attach(&wish).unwrap();
            lap(&mut parts[1]);
            world.networks.detach(&wish.id).unwrap();
            lap(&mut parts[2]);
            world.networks.sweep().unwrap();
            lap(&mut parts[3]);
        }
        let [netns, attach, detach, sweep] = parts.map(median);
        println!(
            "  {name}: namespace {netns:.1}, attach {attach:.1}, detach {detach:.1}, \
             sweep {sweep:.1} ms"
        );
    }
}
