//! The info.

use headcount_format::record::Label;

use crate::describe::{Kind, OpaqueHandle, sealed::FromHandle};
use crate::error::LabelError;
use crate::series::Handle;
use crate::validate;

/// Labels that tell what the worker is: a version, a commit, a mode of working.
///
/// ```
/// use headcount_writer::Registry;
///
/// let registry = Registry::private();
/// let build = registry.info("build", "What runs here.").register()?;
/// build.set([("version", "1.2.3"), ("commit", "abc")])?;
/// assert_eq!(build.get()[0], ("version".to_owned(), "1.2.3".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Info(Handle);

impl Info {
    /// Has the info tell `labels`, and nothing of what it told before.
    ///
    /// # Errors
    ///
    /// [`LabelError`] for labels that Prometheus would not take; the info then tells what it told
    /// before.
    pub fn set<'a>(
        &self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), LabelError> {
        let labels = labels.into_iter();
        let labels: Vec<Label> = labels
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let series = &self.0.series;
        let names = series.family.description.label_names.iter();
        let fixed = names.map(|name| (name.clone(), "".into()));
        let all: Vec<Label> = fixed
            .chain(self.0.core.labels.iter().cloned())
            .chain(labels.iter().cloned())
            .collect();
        validate::labels(&all)?;
        self.0.core.lock().set_info(&self.0.core, series, labels);
        Ok(())
    }

    /// What this process has set.
    pub fn get(&self) -> Vec<(String, String)> {
        let labels = self.0.core.lock().info(&self.0.series).unwrap_or_default();
        let owned = |(name, value): Label| (name.into_string(), value.into_string());
        labels.into_iter().map(owned).collect()
    }
}

impl FromHandle for Info {
    fn from_handle(handle: OpaqueHandle) -> Info {
        Info(handle.0)
    }
}

impl Kind for Info {}

#[cfg(test)]
mod tests {
    use crate::Registry;

    #[test]
    fn labels_that_prometheus_would_not_take_change_nothing() {
        let registry = Registry::private();
        let info = registry
            .info("i", "I.")
            .register_family(["zone"])
            .unwrap()
            .with(["a"]);
        info.set([("version", "1")]).unwrap();
        assert!(info.set([("a-b", "2")]).is_err());
        assert!(info.set([("zone", "2")]).is_err());
        assert_eq!(info.get(), [("version".to_owned(), "1".to_owned())]);
    }
}
