//! A real Prometheus that scrapes what the tests serve, and its queries.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use super::processes::{Finished, Process, run_with_input};
use super::{TempDir, eventually, http};

/// A running server with one target.
#[derive(Debug)]
pub(crate) struct Prometheus {
    _process: Process,
    _data: TempDir,
    address: SocketAddr,
    started: f64,
}

/// The labels of a series, its name among them.
pub(crate) type Labels = BTreeMap<String, String>;

impl Prometheus {
    /// Starts a server that scrapes each second, and waits until its first scrape of `target` went
    /// well.
    pub(crate) fn scraping(target: SocketAddr) -> Prometheus {
        Prometheus::scraping_every("1s", target)
    }

    /// As [`Prometheus::scraping`], at another interval, as Prometheus writes it.
    pub(crate) fn scraping_every(interval: &str, target: SocketAddr) -> Prometheus {
        let data = TempDir::new();
        let config = data.join("prometheus.yml");
        let scrape = format!(
            "global:\n  scrape_interval: {interval}\n  scrape_timeout: {interval}\nscrape_configs:\n\
             - job_name: pool\n  static_configs:\n  - targets: ['{target}']\n"
        );
        fs::write(&config, scrape).expect("the configuration can be written");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                data.join("tsdb").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0");
        let started = now();
        let process = Process::start(command);
        let line = process.wait_for_line("Prometheus' address", |line| {
            line.contains("msg=\"Listening on\"")
        });
        let address = line
            .split("address=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        let server = Prometheus {
            _process: process,
            _data: data,
            address,
            started,
        };
        eventually("Prometheus to be ready", || {
            let response = http::get(address, "/-/ready", &[]).ok()?;
            (response.status == 200).then_some(())
        });
        eventually("Prometheus' first scrape", || {
            let answer = server.api("/api/v1/targets?state=active");
            (answer["activeTargets"][0]["health"] == "up").then_some(())
        });
        server
    }

    /// The values of an instant query, by the labels of their series.
    pub(crate) fn query(&self, query: &str) -> Vec<(Labels, f64)> {
        let answer = self.api(&format!(
            "/api/v1/query?query={}",
            http::percent_encode(query)
        ));
        let series = answer["result"]
            .as_array()
            .expect("a query yields a vector");
        series
            .iter()
            .map(|series| (labels(series), value(&series["value"])))
            .collect()
    }

    /// The value of a query that yields one series, or none yet.
    pub(crate) fn single(&self, query: &str) -> Option<f64> {
        let series = self.query(query);
        assert!(series.len() <= 1, "{query} yields {series:?}");
        series.first().map(|series| series.1)
    }

    /// The values of a query at each second since the server started, by the labels of their
    /// series.
    pub(crate) fn range(&self, query: &str) -> Vec<(Labels, Vec<f64>)> {
        let answer = self.api(&format!(
            "/api/v1/query_range?query={}&start={}&end={}&step=1",
            http::percent_encode(query),
            self.started,
            now()
        ));
        let series = answer["result"]
            .as_array()
            .expect("a range query yields a matrix");
        let values = |series: &Value| -> Vec<f64> {
            series["values"]
                .as_array()
                .expect("a series has values")
                .iter()
                .map(value)
                .collect()
        };
        series
            .iter()
            .map(|series| (labels(series), values(series)))
            .collect()
    }

    fn api(&self, target: &str) -> Value {
        let response = http::get(self.address, target, &[]).expect("Prometheus answers");
        let mut answer: Value =
            serde_json::from_str(&response.text()).expect("the API speaks JSON");
        assert_eq!(answer["status"], "success", "{target}: {answer}");
        answer["data"].take()
    }
}

/// What `promtool check metrics` says of a text.
pub(crate) fn promtool_check_metrics(text: &str) -> Finished {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    run_with_input(command, text.as_bytes())
}

fn labels(series: &Value) -> Labels {
    let labels = series["metric"].as_object().expect("a series has labels");
    let string = |value: &Value| value.as_str().expect("a label is a string").to_owned();
    labels
        .iter()
        .map(|(name, value)| (name.clone(), string(value)))
        .collect()
}

fn value(pair: &Value) -> f64 {
    let value = pair[1].as_str().expect("a value is a string");
    value.parse().expect("a value is a number")
}

fn now() -> f64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("the clock is past 1970")
        .as_secs_f64()
}
