//! Connections: accepted, bounded in number and in patience, and ended.
//!
//! Owns the accept loop. A client that opens connections and says nothing, or half a request, costs
//! a bounded number of descriptors for a bounded time, and does not hold up the end. Must not know
//! what is served.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower_service::Service;
use tracing::{debug, warn};

use crate::limits;

/// Answers whoever connects until `stop` says so; then ends when every request that has come is
/// answered. Whoever has not sent a whole request by then gets none.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(limits::connections()));
    let mut connections = JoinSet::new();
    let mut stopped = stop.clone();
    let mut is_short = false;
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                is_short = false;
                let connection = answer(stream, router.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut is_short, true) {
                    warn!(%error, "Cannot accept connections; this process may open too few files.");
                }
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // An exposition is sent in few large writes, the last of which must not wait for an answer.
    let _ = stream.set_nodelay(true);
    Ok((stream, place))
}

/// Answers what comes over one connection.
async fn answer(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let has_request = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&has_request);
    let service = service_fn(move |request: Request<Incoming>| {
        noted.store(true, Ordering::Relaxed);
        let mut router = router.clone();
        async move {
            let response: Result<Response<Body>, Infallible> = router.call(request).await;
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopped => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None if has_request.load(Ordering::Relaxed) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        None => return,
    };
    if let Err(error) = ended {
        debug!(%error, "A connection ended early.");
    }
}

/// How long a client may take to send the head of a request, and to begin the next one.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(200);
