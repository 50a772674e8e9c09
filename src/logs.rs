//! Where log messages go: standard error, one line each.
//!
//! Owns the choice of format and level. Knows no message.

use std::io;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::cli::{LogFormat, LogLevel};

/// Sends every message from now on to standard error.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let filter = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Logfmt => {
            let layer = tracing_logfmt::builder().with_target(false).layer();
            Box::new(layer.with_writer(io::stderr))
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_target(false);
            Box::new(
                layer
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(io::stderr),
            )
        }
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .init();
}
