//! The rules file: what an operator wants otherwise than the workers say.
//!
//! Owns how the file is found, read and understood. Knows neither when it is read nor what a rule
//! does to a series: the first is the command's, the second the collector's.

mod error;
mod grammar;
mod yaml;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use headcount_collect::model::Labels;
use headcount_collect::rules::Rules;

pub(crate) use error::RulesError;

/// A rules file that was read and is valid as a whole.
#[derive(Debug)]
pub(crate) struct RulesFile {
    path: PathBuf,
    rules: Rules,
    /// For each directory that the file names, as the command line has it.
    labels: Vec<(PathBuf, Labels)>,
}

impl RulesFile {
    /// Reads the file at `path`, which may give labels to `directories` and to no other. `run`,
    /// whose directory has no name yet, has none.
    ///
    /// # Errors
    ///
    /// Every [`RulesError`]: there is no such thing as a half of a rules file.
    pub(crate) fn read(path: &Path, directories: &[PathBuf]) -> Result<RulesFile, RulesError> {
        let bytes = bytes_of(path)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
            RulesError::NotText {
                path: path.into(),
                line,
            }
        })?;
        let contents = yaml::parse(&text).and_then(|document| match document {
            Some(document) => grammar::understand(&document, directories),
            None => Ok(grammar::Contents::default()),
        });
        match contents {
            Ok(contents) => Ok(RulesFile {
                path: path.into(),
                rules: contents.rules,
                labels: contents.labels,
            }),
            Err(complaint) => Err(RulesError::Content {
                path: path.into(),
                complaint: Box::new(complaint),
            }),
        }
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The rules, in the order in which they stand.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The labels that every series of `directory` gets; `directory` as the command line has it.
    pub(crate) fn labels(&self, directory: &Path) -> Labels {
        let mut named = self.labels.iter();
        let found = named.find(|(path, _)| path == directory);
        found.map_or_else(Labels::default, |(_, labels)| labels.clone())
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, RulesError> {
    let failed = |error| RulesError::of(path, error);
    // A pipe would be waited for, and could not be read twice.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(RulesError::NotAFile { path: path.into() });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    // One byte more than may be tells a larger file, even one that grows meanwhile.
    io::copy(&mut file.take(MAX_BYTES + 1), &mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(RulesError::TooLarge { path: path.into() });
    }
    Ok(bytes)
}

/// A thousand rules take about 100 KiB.
const MAX_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests;
