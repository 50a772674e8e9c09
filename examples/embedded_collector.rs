//! A program that merges a pool's directory by itself, without the sidecar.
//!
//! `headcount-collect` reads the stores of a pool, and the files of a Python pool beside them, and
//! yields families, which this program prints, or serves to whoever connects. There is no runtime
//! in it: one thread, and a listener of the standard library.
//!
//! ```sh
//! mkdir -p /dev/shm/pool
//! HEADCOUNT_DIR=/dev/shm/pool cargo run --example threaded_worker &
//! cargo run --example embedded_collector /dev/shm/pool                    # prints
//! cargo run --example embedded_collector /dev/shm/pool 127.0.0.1:9200     # serves
//! curl -s http://127.0.0.1:9200/metrics
//! ```

#![expect(clippy::print_stdout, reason = "prints the exposition")]
#![expect(clippy::print_stderr, reason = "says what is wrong with a file")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use headcount_collect::collector::{Collector, WorkerFile};
use headcount_collect::exposition::{Format, encode};
use headcount_collect::report::{Dialect, FileState, Liveness, Method, Verdict};
use headcount_format::identity::BootId;
use headcount_format::lease::{self, Lease};
use headcount_format::lock::{self, Probe};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .ok_or("usage: embedded_collector DIRECTORY [ADDRESS]")?;

    // It keeps what it has learned from pass to pass, so one serves for the life of the program.
    let mut collector = Collector::new();
    collector.set_boot(BootId::current());
    collector.add_directory(directory);

    let Some(address) = arguments.next() else {
        print!("{}", String::from_utf8(exposition(&mut collector))?);
        return Ok(());
    };
    let listener = TcpListener::bind(&address)?;
    println!("serving on http://{}/metrics", listener.local_addr()?);
    for connection in listener.incoming() {
        // One scraper that goes away must not end the service for the others.
        if let Err(error) = connection.and_then(|connection| serve(connection, &mut collector)) {
            eprintln!("a scrape has failed: {error}");
        }
    }
    Ok(())
}

/// Merges what all workers have counted up to now.
fn exposition(collector: &mut Collector) -> Vec<u8> {
    let collection = collector.collect(liveness);
    for directory in &collection.directories {
        if let Some(error) = &directory.error {
            eprintln!("{}: {error}", directory.path.display());
        }
    }
    // A damaged file costs itself alone.
    for file in &collection.files {
        if let FileState::Damaged(damage) = &file.state {
            eprintln!("{}: {damage}", file.path.display());
        }
    }
    let mut text = Vec::new();
    encode(&collection.families, Format::Text, &mut text);
    text
}

/// The collector is told who lives. The worker of a store holds a lock on it; of a file of another
/// client the kernel tells whether any process has it open for writing, which is as good on a local
/// disk or a tmpfs. A text file has no worker.
fn liveness(file: &WorkerFile<'_>) -> Verdict {
    let by = Verdict::by;
    match file.dialect {
        Some(Dialect::Text) => Liveness::Unknown.into(),
        Some(Dialect::Store) => match lock::probe(file.file, file.lock) {
            Probe::Held => by(Method::Lock, Liveness::Live),
            Probe::Free => by(Method::Lock, Liveness::Dead),
            Probe::Unknown => Liveness::Unknown.into(),
        },
        _ => match lease::probe(file.file) {
            Lease::Held => by(Method::Lease, Liveness::Live),
            Lease::Free => by(Method::Lease, Liveness::Dead),
            Lease::Untold(reason) => Verdict::unknown(reason.to_string()),
        },
    }
}

/// Answers one request, whatever it asks for.
fn serve(mut connection: TcpStream, collector: &mut Collector) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.set_write_timeout(Some(Duration::from_secs(5)))?;
    let request = BufReader::new((&connection).take(16 << 10));
    for line in request.lines() {
        if line?.is_empty() {
            break;
        }
    }
    let body = exposition(collector);
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    connection.write_all(&body)
}
