//! The page for people: what this is, where the metrics are, how the pool does.
//!
//! Owns its text and looks. Shows the outcome of a pass and decides nothing.

use std::fmt::{self, Write};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use headcount_collect::budget::Budget;
use headcount_collect::collector::Collection;
use headcount_collect::report::{FileReport, FileState, LedgerReport};

use crate::findings::{Finding, Findings, Item, Kind};
use crate::pool::{Census, FoldState, count_workers};
use crate::print::Grouped;
use crate::serve::Site;

/// Renders the page over a fresh pass.
pub(super) async fn page(State(site): State<Arc<Site>>) -> Response {
    let telemetry_path = site.telemetry_path.clone();
    let rendered = site.pool.scrape(move |pass| {
        let page = Page {
            collection: &pass.collection,
            findings: Findings::of_pass(&pass),
            folds: &pass.folds,
            telemetry_path: telemetry_path.as_str(),
        };
        let mut html = String::new();
        page.write(&mut html).map(|()| html)
    });
    match rendered.await {
        Ok(Ok(html)) => Html(html).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

struct Page<'a> {
    collection: &'a Collection,
    findings: Findings,
    /// By directory.
    folds: &'a [FoldState],
    telemetry_path: &'a str,
}

impl Page<'_> {
    fn write(&self, html: &mut String) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        let path = self.telemetry_path;
        write!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>headcount</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <header>\n<h1>headcount</h1>\n<p>One set of metrics for a whole pool of worker \
             processes. Version {version}.</p>\n</header>\n\
             <nav>\n\
             <a href=\"{path}\"><b>Metrics</b><span>{path}</span></a>\n\
             <a href=\"{path}/self\"><b>headcount's own</b><span>{path}/self</span></a>\n\
             <a href=\"/-/healthy\"><b>Healthy</b><span>/-/healthy</span></a>\n\
             <a href=\"/-/ready\"><b>Ready</b><span>/-/ready</span></a>\n\
             </nav>\n",
        )?;
        self.write_pool(html)?;
        self.write_directories(html)?;
        self.write_findings(html)?;
        html.push_str("</main>\n</body>\n</html>\n");
        Ok(())
    }

    fn write_pool(&self, html: &mut String) -> fmt::Result {
        let Census {
            dead,
            live,
            unknown,
        } = count_workers(self.collection);
        let families = self.collection.families.len();
        let series: usize = self
            .collection
            .families
            .iter()
            .map(|each| each.series.len())
            .sum();
        let is_aside = |file: &&FileReport| {
            matches!(file.state, FileState::Damaged(_) | FileState::EarlierBoot)
        };
        let aside = self.collection.files.iter().filter(is_aside).count();
        html.push_str("<section>\n<h2>Pool</h2>\n<dl>\n");
        for (name, count) in [
            ("workers running", live),
            ("workers ended", dead),
            ("workers, not known", unknown),
            ("families", families),
            ("series", series),
            ("files set aside", aside),
        ] {
            let count = Grouped(count as u64);
            writeln!(html, "<div><dt>{name}</dt><dd>{count}</dd></div>")?;
        }
        html.push_str("</dl>\n</section>\n");
        Ok(())
    }

    fn write_directories(&self, html: &mut String) -> fmt::Result {
        html.push_str(
            "<section>\n<h2>Directories</h2>\n<table>\n<thead><tr><th>Directory</th>\
             <th>State</th><th>Dead workers</th><th class=\"number\">Files</th>\
             <th class=\"number\">Bytes</th></tr></thead>\n<tbody>\n",
        );
        for (number, directory) in self.collection.directories.iter().enumerate() {
            let files = self.collection.files.iter();
            let inside = files.filter(|file| file.path.parent() == Some(&*directory.path));
            let (mut count, mut bytes) = (0_u64, 0);
            for file in inside {
                count += 1;
                bytes += file.bytes;
            }
            let path = directory.path.to_string_lossy();
            write!(html, "<tr><td><code>{}</code></td>", Escaped(&path))?;
            match &directory.error {
                None => html.push_str("<td class=\"good\">read</td>"),
                Some(error) => write!(html, "<td class=\"bad\">{}</td>", Escaped(error))?,
            }
            write_fold(&directory.ledger, self.folds.get(number), html)?;
            writeln!(
                html,
                "<td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
                Grouped(count),
                Grouped(bytes),
            )?;
        }
        html.push_str("</tbody>\n</table>\n</section>\n");
        Ok(())
    }

    fn write_findings(&self, html: &mut String) -> fmt::Result {
        for section in SECTIONS {
            let mut findings = self.findings.iter();
            if !findings.any(|finding| (section.holds)(finding.kind)) {
                continue;
            }
            let Section { title, about, .. } = section;
            write!(
                html,
                "<section>\n<h2>{title}</h2>\n<p class=\"soft\">{about}</p>\n"
            )?;
            let findings = self.findings.iter();
            for finding in findings.filter(|finding| (section.holds)(finding.kind)) {
                write_finding(finding, html)?;
            }
            html.push_str("</section>\n");
        }
        Ok(())
    }
}

/// A cell: what the ledger holds, and where nothing is folded into it, why.
fn write_fold(ledger: &LedgerReport, fold: Option<&FoldState>, html: &mut String) -> fmt::Result {
    let series = Grouped(ledger.series as u64);
    match fold.map(|fold| (fold.name, &*fold.detail)) {
        None | Some(("waits", _)) => html.push_str("<td>"),
        Some(("folds", _)) => html.push_str("<td class=\"good\">folded"),
        Some(("elsewhere", detail)) => {
            write!(html, "<td title=\"{}\">folded by another", Escaped(detail))?;
        }
        Some(("memory", detail)) => {
            write!(html, "<td title=\"{}\">kept in memory", Escaped(detail))?;
        }
        Some((_, detail)) => write!(html, "<td class=\"bad\">{}", Escaped(detail))?,
    }
    match ledger.series {
        0 => html.push_str("</td>"),
        _ => write!(html, ", {series} series</td>")?,
    }
    Ok(())
}

/// A heading of the page, and the findings that stand under it.
struct Section {
    title: &'static str,
    about: &'static str,
    holds: fn(Kind) -> bool,
}

const SECTIONS: [Section; 5] = [
    Section {
        title: "Trouble",
        about: "Counts are lost now, or not served.",
        holds: |kind| matches!(kind, Kind::Ledger | Kind::Shared),
    },
    Section {
        title: "Quarantine",
        about: "Files that are set aside, the worst first. Everything else is served; what was read \
                of them before stays in the sums, and a file that heals comes back by itself.",
        holds: |kind| matches!(kind, Kind::Damaged(_) | Kind::LeftOut(Budget::FileBytes)),
    },
    Section {
        title: "Left out",
        about: "Not served, since there is no room: from the first sample on, so that no total falls.",
        holds: |kind| match kind {
            Kind::LeftOut(budget) => budget != Budget::FileBytes,
            kind => kind == Kind::Refused,
        },
    },
    Section {
        title: "Conflicts",
        about: "Workers that do not agree about a metric, and what is served.",
        holds: |kind| matches!(kind, Kind::Conflict(_)),
    },
    Section {
        title: "Notes",
        about: "Not in the sums, and nothing that is counted now is missing.",
        holds: |kind| matches!(kind, Kind::EarlierBoot | Kind::PassedOver),
    },
];

/// Of few each with its detail, of many the first names and one detail.
fn write_finding(finding: &Finding, html: &mut String) -> fmt::Result {
    let title = finding.title();
    let extent = finding.extent();
    let class = if finding.kind.is_trouble() {
        "bad"
    } else {
        "soft"
    };
    write!(
        html,
        "<article>\n<h3><span class=\"{class}\">{title}</span> {extent}</h3>\n"
    )?;
    if finding.is_few() {
        html.push_str("<ul>\n");
        for Item { name, detail } in &finding.first {
            let detail = Escaped(detail);
            match finding.details_name() {
                true => writeln!(html, "<li>{detail}</li>")?,
                false => writeln!(html, "<li><code>{}</code>: {detail}</li>", Escaped(name))?,
            }
        }
        html.push_str("</ul>\n");
    } else {
        html.push_str("<p>Such as ");
        for (index, name) in finding.examples().into_iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(html, "{comma}<code>{}</code>", Escaped(name))?;
        }
        match finding.first.first() {
            Some(first) => writeln!(html, ". The first: {}</p>", Escaped(&first.detail))?,
            None => html.push_str(".</p>\n"),
        }
    }
    let advice = finding.advice();
    if !advice.is_empty() {
        writeln!(html, "<p class=\"soft\">{}</p>", WithCode(advice))?;
    }
    html.push_str("</article>\n");
    Ok(())
}

/// Text in HTML, in which what stands between backticks is code.
struct WithCode<'a>(&'a str);

impl fmt::Display for WithCode<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.split('`').enumerate() {
            match index % 2 {
                0 => Escaped(part).fmt(formatter)?,
                _ => write!(formatter, "<code>{}</code>", Escaped(part))?,
            }
        }
        Ok(())
    }
}

/// Text that may hold anything, as text in HTML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                letter => formatter.write_char(letter)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = include_str!("landing.css");

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use headcount_collect::budget::Budgets;
    use headcount_collect::collector::DirectoryReport;
    use headcount_collect::report::{Damage, DamageReason, Liveness};

    use super::*;

    fn page(files: Vec<FileReport>, error: Option<String>) -> String {
        let directory = DirectoryReport {
            path: "/<script>".into(),
            error,
            replaced: 0,
            files_left_out: 0,
            ledger: Default::default(),
        };
        let collection = Collection {
            families: Vec::new(),
            files,
            conflicts: Vec::new(),
            directories: vec![directory],
        };
        let mut html = String::new();
        let page = Page {
            collection: &collection,
            findings: Findings::of(&collection, &Budgets::default()),
            folds: &[],
            telemetry_path: "/metrics",
        };
        page.write(&mut html).unwrap();
        html
    }

    fn truncated(name: String) -> FileReport {
        let damage = Damage {
            reason: DamageReason::Truncated,
            detail: "it ends after <3> bytes".into(),
        };
        FileReport {
            path: format!("/<script>/{name}").into(),
            dialect: None,
            state: FileState::Damaged(damage),
            worker: None,
            verdict: Liveness::Unknown.into(),
            bytes: 3,
            series: 0,
            refused: 0,
            client: "",
            left_out: BTreeMap::new(),
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_the_page() {
        let html = page(
            vec![truncated("<img>.db".into())],
            Some("\"gone\" & lost".into()),
        );
        assert!(html.contains("/&lt;script&gt;") && html.contains("&quot;gone&quot; &amp; lost"));
        assert!(html.contains("<code>&lt;img&gt;.db</code>: it ends after &lt;3&gt; bytes"));
        assert!(!html.contains("<script>") && !html.contains("<img>"));
    }

    #[test]
    fn the_page_is_as_long_for_five_thousand_bad_files_as_for_six() {
        let many = |count: u32| {
            let files = (0..count).map(|number| truncated(format!("counter_{number}.db")));
            page(files.collect(), None)
        };
        let (six, thousands) = (many(6), many(5000));
        assert!(six.contains("<h2>Quarantine</h2>") && six.contains("6 files"));
        assert_eq!(six.lines().count(), thousands.lines().count());
        assert!(thousands.len() < six.len() + 100);
    }

    #[test]
    fn a_clean_pool_has_no_quarantine() {
        assert!(!page(Vec::new(), None).contains("Quarantine"));
    }
}
