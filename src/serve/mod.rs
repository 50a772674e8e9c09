//! The HTTP server, and the command that runs it.
//!
//! Owns the routes, when the server is ready, and how it ends. Must not know how a scrape is
//! merged or written out.

mod connections;
mod exposition;
mod landing;
pub(crate) mod listen;
mod negotiate;
mod reload;
pub(crate) mod telemetry_path;

use std::fmt::{self, Write};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::cli::{ServeOptions, WebOptions};
use crate::directories::{self, DirectoryError};
use crate::fold::FoldOptions;
use crate::pool::Pool;
use crate::rules::RulesError;
use crate::serve::listen::ListenError;
use crate::serve::reload::Reloads;
use crate::serve::telemetry_path::TelemetryPath;
use crate::settings::Settings;
use crate::signals::{self, Termination};
use crate::{fail, limits, runtime, watch};

/// `headcount serve`.
pub(crate) fn execute(options: ServeOptions) -> ExitCode {
    limits::raise_open_files();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&StartError::System(error)),
    };
    let served = runtime.block_on(serve(options));
    // A merge that is under way must not hold up the end.
    runtime.shutdown_background();
    served.unwrap_or_else(|error| fail(&error))
}

async fn serve(options: ServeOptions) -> Result<ExitCode, StartError> {
    let directories = directories::given(options.directories)?;
    examine(&directories)?;
    let settings = Settings::read(&options.settings, &directories)?;
    let mut termination = Termination::new()?;
    let reloads = Reloads::new()?;
    let fold = settings.fold(&options.fold);
    let server = Server::bind(&options.web, directories, settings, fold)
        .await?
        .start();
    let reloading = tokio::spawn(reloads.done_to(Arc::clone(server.pool())));
    termination.next().await;
    reloading.abort();
    let outcome = server.finish(&mut termination).await;
    Ok(outcome.map_or(ExitCode::SUCCESS, |signal| {
        signals::exit_code(signal).into()
    }))
}

/// A directory may come later; one that is there must be fit.
fn examine(directories: &[PathBuf]) -> Result<(), DirectoryError> {
    for path in directories {
        match directories::examine(path) {
            Err(missing @ DirectoryError::Missing { .. }) => {
                error!(reason = %missing, "A directory is missing; it is used once it is there.");
            }
            Err(error) => return Err(error),
            Ok(_) => watch::warn_of(path),
        }
    }
    Ok(())
}

/// Why a server did not start. The message says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum StartError {
    /// A directory cannot be used.
    Directory(DirectoryError),
    /// The address cannot be had.
    Listen(ListenError),
    /// The rules file cannot be used.
    Rules(RulesError),
    /// The operating system gives no thread, signal or descriptor.
    System(io::Error),
}

/// Listens, and answers nobody yet.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    site: Arc<Site>,
}

/// Answers until it is told to finish.
#[derive(Debug)]
pub(crate) struct RunningServer {
    address: SocketAddr,
    site: Arc<Site>,
    stop: sync::watch::Sender<bool>,
    serving: JoinHandle<()>,
    watching: JoinHandle<()>,
}

/// What every request sees.
#[derive(Debug)]
struct Site {
    pool: Arc<Pool>,
    telemetry_path: TelemetryPath,
}

impl Server {
    /// Listens where `options` say, for the pool of `directories`.
    ///
    /// # Errors
    ///
    /// When that address cannot be had.
    pub(crate) async fn bind(
        options: &WebOptions,
        directories: Vec<PathBuf>,
        settings: Settings,
        fold: FoldOptions,
    ) -> Result<Server, StartError> {
        let listener = options.listen_address.bind().await?;
        let address = listener.local_addr()?;
        let pool = Arc::new(Pool::new(directories, settings, fold));
        let site = Site {
            pool,
            telemetry_path: options.telemetry_path.clone(),
        };
        Ok(Server {
            listener,
            address,
            site: Arc::new(site),
        })
    }

    /// Answers from now on, and watches the directories.
    pub(crate) fn start(self) -> RunningServer {
        let Server {
            listener,
            address,
            site,
        } = self;
        let (stop, stopped) = sync::watch::channel(false);
        let serving = tokio::spawn(connections::serve(listener, router(&site), stopped));
        let watching = tokio::spawn(watch::watch(Arc::clone(&site.pool)));
        info!(%address, path = %site.telemetry_path, "Listening.");
        RunningServer {
            address,
            site,
            stop,
            serving,
            watching,
        }
    }
}

impl RunningServer {
    /// Where it listens, with the port that the operating system chose for port 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.site.pool
    }

    /// Accepts nobody more, and waits for the scrapes in flight. Yields the signal that came
    /// meanwhile: whoever sends a second one does not want to wait.
    pub(crate) async fn finish(self, termination: &mut Termination) -> Option<i32> {
        self.watching.abort();
        self.stop.send_replace(true);
        info!("Ending; scrapes in flight are answered first.");
        tokio::select! {
            served = self.serving => {
                if let Err(error) = served {
                    error!(%error, "The server failed.");
                }
                None
            }
            () = sleep(PATIENCE) => {
                warn!("Left a scrape unanswered: its client took too long.");
                None
            }
            signal = termination.next() => Some(signal),
        }
    }
}

fn router(site: &Arc<Site>) -> Router {
    Router::new()
        .route(site.telemetry_path.as_str(), get(exposition::pool))
        .route(&site.telemetry_path.own(), get(exposition::own))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/", get(landing::page))
        .fallback(not_found)
        .with_state(Arc::clone(site))
}

async fn healthy() -> &'static str {
    "Healthy.\n"
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    // Whoever asks before the first look at the directories is not told to come back.
    let looked = if site.pool.is_ready() {
        Ok(())
    } else {
        site.pool.attend().await.map(drop)
    };
    if looked.is_ok() && site.pool.is_ready() {
        return "Ready.\n".into_response();
    }
    let mut text =
        String::from("Not ready: not every directory has been read yet, or a ledger cannot be.\n");
    for directory in site.pool.directories() {
        if let Err(error) = directories::examine(directory) {
            let _ = writeln!(text, "{error}");
        }
    }
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn not_found(State(site): State<Arc<Site>>) -> (StatusCode, String) {
    let text = format!(
        "Nothing is here; the metrics are at {}.\n",
        site.telemetry_path
    );
    (StatusCode::NOT_FOUND, text)
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Directory(error) => error.fmt(formatter),
            StartError::Listen(error) => error.fmt(formatter),
            StartError::Rules(error) => error.fmt(formatter),
            StartError::System(error) => write!(
                formatter,
                "the operating system refuses a thread, a signal handler or a descriptor: {error}; \
                 raise the limits of this process (ulimit -a shows them)",
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Directory(error) => Some(error),
            StartError::Listen(error) => Some(error),
            StartError::Rules(error) => Some(error),
            StartError::System(error) => Some(error),
        }
    }
}

impl From<DirectoryError> for StartError {
    fn from(error: DirectoryError) -> StartError {
        StartError::Directory(error)
    }
}

impl From<ListenError> for StartError {
    fn from(error: ListenError) -> StartError {
        StartError::Listen(error)
    }
}

impl From<RulesError> for StartError {
    fn from(error: RulesError) -> StartError {
        StartError::Rules(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> StartError {
        StartError::System(error)
    }
}

/// How long the end waits for clients that are slow to take their answer.
const PATIENCE: Duration = Duration::from_secs(10);
