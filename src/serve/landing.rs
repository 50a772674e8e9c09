//! The page for people: what this is, where the metrics are, how the pool does.
//!
//! Owns its text and looks. Shows the outcome of a pass and decides nothing.

use std::fmt::{self, Write};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use headcount_collect::collector::Collection;
use headcount_collect::report::FileState;

use crate::pool::{Census, count_workers};
use crate::print::Grouped;
use crate::serve::Site;

/// Renders the page over a fresh pass.
pub(super) async fn page(State(site): State<Arc<Site>>) -> Response {
    let telemetry_path = site.telemetry_path.clone();
    let rendered = site.pool.scrape(move |pass| {
        let page = Page {
            collection: &pass.collection,
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
        self.write_trouble(html)?;
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
        html.push_str("<section>\n<h2>Pool</h2>\n<dl>\n");
        for (name, count) in [
            ("workers running", live),
            ("workers ended", dead),
            ("workers, not known", unknown),
            ("families", families),
            ("series", series),
        ] {
            writeln!(html, "<div><dt>{name}</dt><dd>{count}</dd></div>")?;
        }
        html.push_str("</dl>\n</section>\n");
        Ok(())
    }

    fn write_directories(&self, html: &mut String) -> fmt::Result {
        html.push_str(
            "<section>\n<h2>Directories</h2>\n<table>\n<thead><tr><th>Directory</th>\
             <th>State</th><th class=\"number\">Files</th><th class=\"number\">Bytes</th></tr>\
             </thead>\n<tbody>\n",
        );
        for directory in &self.collection.directories {
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

    fn write_trouble(&self, html: &mut String) -> fmt::Result {
        let files = self.collection.files.iter();
        let damaged = files.filter_map(|file| match &file.state {
            FileState::Damaged(damage) => Some((file.path.to_string_lossy(), damage.to_string())),
            FileState::EarlierBoot => Some((
                file.path.to_string_lossy(),
                String::from("written before this machine last started, so not in the sums"),
            )),
            _ => None,
        });
        let files: Vec<_> = damaged.collect();
        let conflicts = &self.collection.conflicts;
        if files.is_empty() && conflicts.is_empty() {
            return Ok(());
        }
        html.push_str("<section>\n<h2>Findings</h2>\n<ul>\n");
        for (path, trouble) in files.iter().take(SHOWN) {
            writeln!(
                html,
                "<li><code>{}</code>: {}</li>",
                Escaped(path),
                Escaped(trouble)
            )?;
        }
        for conflict in conflicts.iter().take(SHOWN) {
            writeln!(html, "<li>{}</li>", Escaped(&conflict.to_string()))?;
        }
        let hidden = files.len().saturating_sub(SHOWN) + conflicts.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(
                html,
                "<li>and {hidden} more, which <code>headcount check</code> lists</li>"
            )?;
        }
        html.push_str("</ul>\n</section>\n");
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

/// How many lines of trouble the page has room for, of each kind.
const SHOWN: usize = 20;

const STYLE: &str = include_str!("landing.css");

#[cfg(test)]
mod tests {
    use headcount_collect::collector::DirectoryReport;

    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_the_page() {
        let directory = DirectoryReport {
            path: "/<script>".into(),
            error: Some("\"gone\" & lost".into()),
            replaced: 0,
            files_left_out: 0,
        };
        let collection = Collection {
            families: Vec::new(),
            files: Vec::new(),
            conflicts: Vec::new(),
            directories: vec![directory],
        };
        let mut html = String::new();
        let page = Page {
            collection: &collection,
            telemetry_path: "/metrics",
        };
        page.write(&mut html).unwrap();
        assert!(html.contains("/&lt;script&gt;") && html.contains("&quot;gone&quot; &amp; lost"));
        assert!(!html.contains("<script>"));
    }
}
