//! What goes over the wire: formats by negotiation, compression, paths, and the log.

use serde_json::Value;

use crate::support::TempDir;
use crate::support::exposition::Exposition;
use crate::support::http::Connection;
use crate::support::python::{Corpus, parse_openmetrics};
use crate::support::sidecar::{Sidecar, collect};

#[test]
fn each_client_gets_the_format_that_it_prefers() {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve(&pool.directory);
    for (client, accept, content_type) in CLIENTS {
        let headers: &[(&str, &str)] = if accept.is_empty() {
            &[]
        } else {
            &[("Accept", accept)]
        };
        let response = sidecar.get_with("/metrics", headers);
        assert_eq!(response.status, 200, "{client}");
        let answer = response.header("content-type").unwrap_or_default();
        assert!(answer.starts_with(content_type), "{client}: {answer}");
        let ended = response.text().ends_with("# EOF\n");
        assert_eq!(ended, content_type == OPENMETRICS, "{client}");
        assert_eq!(
            response.header("content-encoding"),
            None,
            "{client} did not ask for gzip"
        );
    }
}

#[test]
fn both_formats_hold_what_collect_prints() {
    let pool = Corpus::start("types");
    let sidecar = Sidecar::serve(&pool.directory);
    let collected = Exposition::parse(&collect(&pool.directory, "text"));
    assert!(sidecar.serves(&collected));
    let accept = [("Accept", "application/openmetrics-text;version=1.0.0")];
    let served = parse_openmetrics(&sidecar.get_with("/metrics", &accept).text());
    for (sample, value) in &collected.samples {
        let served = served
            .samples
            .get(sample)
            .unwrap_or_else(|| panic!("no {sample}"));
        assert_eq!(
            served.to_string(),
            value.parse::<f64>().unwrap().to_string(),
            "{sample}"
        );
    }
}

#[test]
fn gzip_is_sent_to_those_who_take_it() {
    let pool = Corpus::start("grown");
    let sidecar = Sidecar::serve(&pool.directory);
    let plain = sidecar.get("/metrics");
    for (accepted, compressed) in [
        ("gzip", true),
        ("deflate, gzip;q=0.5", true),
        ("*", true),
        ("identity", false),
        ("gzip;q=0", false),
        ("zstd", false),
    ] {
        let response = sidecar.get_with("/metrics", &[("Accept-Encoding", accepted)]);
        let coding = response.header("content-encoding");
        // A client that takes anything may be sent either.
        if accepted != "*" {
            assert_eq!(coding, compressed.then_some("gzip"), "{accepted}");
        }
        let unpacked = Exposition::parse(&response.text());
        let wanted = pool.exposition();
        assert!(
            wanted
                .samples
                .iter()
                .all(|(sample, value)| { unpacked.samples.get(sample) == Some(value) })
        );
        if coding.is_some() {
            assert!(response.body.len() < plain.body.len() / 4, "{accepted}");
            let vary = response
                .header("vary")
                .unwrap_or_default()
                .to_ascii_lowercase();
            assert!(
                vary.contains("accept-encoding"),
                "a cache must know: {vary:?}"
            );
        }
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve(&pool.directory);
    let mut connection = Connection::open(sidecar.address).unwrap();
    let head = connection.request("HEAD", "/metrics", &[]).unwrap();
    // A body after all would be taken for the next answer.
    let get = connection.request("GET", "/metrics", &[]).unwrap();
    assert_eq!((head.status, get.status), (200, 200));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert!(head.body.is_empty() && !get.body.is_empty());
}

#[test]
fn the_landing_page_links_to_what_there_is() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    let page = sidecar.get("/");
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    let text = page.text();
    let links = text
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let links: Vec<_> = links.filter(|link| link.starts_with('/')).collect();
    for wanted in ["/metrics", "/metrics/self", "/-/healthy", "/-/ready"] {
        assert!(links.contains(&wanted), "{wanted} is not in {links:?}");
    }
    for link in links {
        assert_eq!(sidecar.get(link).status, 200, "{link}");
    }
}

#[test]
fn elsewhere_there_is_nothing() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    for path in [
        "/nothing",
        "/metrics/",
        "/metrics/nothing",
        "/-/quit",
        "/../etc/passwd",
        "//",
    ] {
        assert_eq!(sidecar.get(path).status, 404, "{path}");
    }
}

#[test]
fn only_reading_is_allowed() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    for method in ["POST", "PUT", "DELETE"] {
        let mut connection = Connection::open(sidecar.address).unwrap();
        let response = connection
            .request(method, "/metrics", &[("Content-Length", "0")])
            .unwrap();
        assert_eq!(response.status, 405, "{method}");
    }
}

#[test]
fn the_telemetry_path_can_be_moved() {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve_with(&pool.directory, &["--web.telemetry-path=/stats"]);
    let text = sidecar.get("/stats").text();
    assert_eq!(
        Exposition::parse(&text).value("jobs_total{queue=\"mail\"}"),
        Some(6.0)
    );
    assert_eq!(sidecar.get("/stats/self").status, 200);
    assert_eq!(sidecar.get("/metrics").status, 404);
    assert!(sidecar.get("/").text().contains("\"/stats\""));
}

#[test]
fn the_sidecar_tells_of_itself() {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve(&pool.directory);
    sidecar.metrics();
    let own = sidecar.self_metrics();
    // Three workers with five files each: counter, two gauges, histogram, summary.
    let good = ["dialect=\"python\"", "state=\"good\""];
    assert_eq!(own.sum("headcount_files", &good), 15.0, "{own:?}");
    assert_eq!(own.sum("headcount_bad_files", &[]), 0.0, "{own:?}");
    assert_eq!(
        own.sum("headcount_build_info", &["version="]),
        1.0,
        "{own:?}"
    );
    for sample in own.samples.keys() {
        assert!(sample.starts_with("headcount_"), "{sample}");
    }
    // Where no name clashes, the pool's page has them too; collect has only the pool's.
    assert!(
        sidecar
            .metrics()
            .samples
            .keys()
            .any(|name| name.starts_with("headcount_files{"))
    );
    assert!(!collect(&pool.directory, "text").contains("headcount_"));
}

#[test]
fn healthy_and_ready_answer() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    assert_eq!(sidecar.get("/-/healthy").status, 200);
    assert_eq!(sidecar.get("/-/ready").status, 200);
}

#[test]
fn two_scrapers_see_the_same() {
    let pool = Corpus::start("types");
    let sidecar = Sidecar::serve(&pool.directory);
    let samples = |exposition: Exposition| {
        let pools = |sample: &String| !sample.starts_with("headcount_");
        exposition
            .samples
            .into_iter()
            .filter(|(name, _)| pools(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(samples(sidecar.metrics()), samples(sidecar.metrics()));
}

#[test]
fn json_logs_are_one_object_a_line() {
    let directory = TempDir::new();
    std::fs::write(directory.join("counter_1.db"), [1, 2, 3]).unwrap();
    let flags = ["--log.format=json", "--log.level=debug"];
    let mut sidecar = Sidecar::serve_with(directory.path(), &flags);
    sidecar.metrics();
    sidecar.process.signal(rustix::process::Signal::TERM);
    let finished = sidecar.process.wait();
    let mut told = false;
    for line in finished.stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
        let object = line.as_object().unwrap();
        told |= object.values().any(|value| value == "Listening.")
            || line["fields"]
                .as_object()
                .is_some_and(|f| f.values().any(|v| v == "Listening."));
    }
    assert!(told, "{}", finished.stderr);
}

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What clients really send (Prometheus 3 from its source), and what each gets as long as there
/// is no protobuf.
const CLIENTS: [(&str, &str, &str); 14] = [
    (
        "Prometheus 2.42",
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
         q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
    ),
    (
        "Prometheus 2.42 with native histograms",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
         encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
         application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
    ),
    (
        "Prometheus 2.53",
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
         version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
    ),
    (
        "Prometheus 2.53 with native histograms",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
         encoding=delimited;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,\
         application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        OPENMETRICS,
    ),
    (
        "Prometheus 3",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
         escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
    ),
    (
        "VictoriaMetrics",
        "text/plain;version=0.0.4;q=1,*/*;q=0.1",
        TEXT,
    ),
    ("curl", "*/*", TEXT),
    ("nobody in particular", "", TEXT),
    (
        "a browser",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        TEXT,
    ),
    (
        "one who wants text first",
        "application/openmetrics-text;q=0.2,text/plain;q=0.9",
        TEXT,
    ),
    (
        "one who refuses OpenMetrics",
        "application/openmetrics-text;version=1.0.0;q=0,*/*",
        TEXT,
    ),
    ("one who refuses everything", "*/*;q=0", TEXT),
    (
        "garbage",
        ";;;,,q=,/;q=x;,application/openmetrics-text/;q=2,\"",
        TEXT,
    ),
    (
        "one with odd spaces and case",
        " Application/OpenMetrics-Text ; Version=1.0.0 ; Q=1.0 ",
        OPENMETRICS,
    ),
];
