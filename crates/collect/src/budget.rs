//! How much a pool may hold before something is left out (`spec/merge.md`, chapter 6).
//!
//! Owns the limits. What is left out, and that it is whole series over all workers, is the business
//! of whoever takes series in.

/// How much a collector takes in: `[merge.budget.whole]`. Each default is far beyond a normal
/// pool's needs; it is there for the one that has gone wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Budgets {
    /// `[merge.budget.files]`: files, over all directories; zero admits none.
    pub files: usize,
    /// `[merge.budget.file-bytes]`: the size of a file, in bytes.
    pub file_bytes: u64,
    /// `[merge.budget.series]`: series, over all families; zero admits none.
    pub series: usize,
    /// `[merge.budget.family-series]`: series of one family.
    pub family_series: usize,
    /// `[merge.budget.labels]`: labels of one series; zero admits series without labels alone.
    pub labels: usize,
    /// `[merge.budget.label-bytes]`: names and values of the labels of one series together, in
    /// bytes.
    pub label_bytes: usize,
}

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets {
            files: 65_536,
            file_bytes: 256 << 20,
            series: 1_000_000,
            family_series: 200_000,
            labels: 64,
            label_bytes: 16 << 10,
        }
    }
}

/// What there is a budget for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Budget {
    /// [`Budgets::family_series`].
    FamilySeries,
    /// [`Budgets::file_bytes`].
    FileBytes,
    /// [`Budgets::files`].
    Files,
    /// [`Budgets::label_bytes`].
    LabelBytes,
    /// [`Budgets::labels`].
    Labels,
    /// [`Budgets::series`].
    Series,
}

impl Budget {
    /// All of them, in the order of their names.
    pub const ALL: [Budget; 6] = [
        Budget::FamilySeries,
        Budget::FileBytes,
        Budget::Files,
        Budget::LabelBytes,
        Budget::Labels,
        Budget::Series,
    ];

    /// The word for it in labels and messages.
    pub fn name(self) -> &'static str {
        match self {
            Budget::FamilySeries => "family_series",
            Budget::FileBytes => "file_bytes",
            Budget::Files => "files",
            Budget::LabelBytes => "label_bytes",
            Budget::Labels => "labels",
            Budget::Series => "series",
        }
    }
}
