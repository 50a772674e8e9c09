//! SIGHUP, at which the rules file is read again.
//!
//! Owns what is said of it. That no pass sees half of it is the pool's business.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::pool::{Pool, Reload};

/// Hears SIGHUP.
#[derive(Debug)]
pub(super) struct Reloads(Signal);

impl Reloads {
    /// From now on the signal does not end the process.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub(super) fn new() -> io::Result<Reloads> {
        Ok(Reloads(signal(SignalKind::hangup())?))
    }

    /// Has `pool` read its rules file again at each signal, until it is dropped. Signals that come
    /// during a reload lead to one more.
    pub(super) async fn done_to(mut self, pool: Arc<Pool>) {
        while self.0.recv().await.is_some() {
            match pool.reload().await {
                Ok(Reload::Done(file)) => {
                    let (path, rules) = (file.path().display(), file.rules().rules.len());
                    info!(%path, rules, "Read the rules file again; it applies from the next scrape on.");
                }
                Ok(Reload::NoFile) => {
                    warn!("There is nothing to reload: no --rules.file was given at the start.");
                }
                Ok(Reload::Refused(error)) => {
                    error!(%error, "Kept the rules as they were: the rules file cannot be used.");
                }
                Err(error) => error!(%error, "Could not reload the rules."),
            }
        }
    }
}
