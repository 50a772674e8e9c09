//! Files of prometheus_client 0.18 to 0.26, byte by byte.

/// One file, as its worker has it mapped: the bytes in use, without the zeros behind them.
#[derive(Clone, Debug)]
pub(crate) struct PythonFile {
    pub(crate) bytes: Vec<u8>,
    /// Where the value of each entry stands.
    pub(crate) places: Vec<usize>,
}

impl PythonFile {
    // [python.header]
    pub(crate) fn new() -> PythonFile {
        PythonFile {
            bytes: vec![8, 0, 0, 0, 0, 0, 0, 0],
            places: Vec::new(),
        }
    }

    /// An entry whose key is `key`, with a value and the time at which it was set.
    // [python.entry]
    pub(crate) fn entry(mut self, key: &str, value: f64, time: f64) -> PythonFile {
        self.bytes.extend((key.len() as u32).to_le_bytes());
        self.bytes.extend(key.as_bytes());
        self.bytes.push(b' ');
        while !self.bytes.len().is_multiple_of(8) {
            self.bytes.push(b' ');
        }
        self.places.push(self.bytes.len());
        self.bytes.extend(value.to_le_bytes());
        self.bytes.extend(time.to_le_bytes());
        let used = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&used.to_le_bytes());
        self
    }

    /// A counter, whose labels are given as JSON.
    pub(crate) fn counter(self, name: &str, labels: &str, value: f64) -> PythonFile {
        let key = format!(r#"["{name}", "{name}_total", {labels}, "Things."]"#);
        self.entry(&key, value, 0.0)
    }

    pub(crate) fn gauge(self, name: &str, labels: &str, value: f64, time: f64) -> PythonFile {
        let key = format!(r#"["{name}", "{name}", {labels}, "A level."]"#);
        self.entry(&key, value, time)
    }

    /// A histogram without labels: the sum, and buckets that are not cumulative.
    pub(crate) fn histogram(self, name: &str, sum: f64, buckets: &[(&str, f64)]) -> PythonFile {
        let key = format!(r#"["{name}", "{name}_sum", {{}}, "Seconds."]"#);
        let mut file = self.entry(&key, sum, 0.0);
        for (le, count) in buckets {
            let key = format!(r#"["{name}", "{name}_bucket", {{"le": "{le}"}}, "Seconds."]"#);
            file = file.entry(&key, *count, 0.0);
        }
        file
    }

    pub(crate) fn summary(self, name: &str, count: f64, sum: f64) -> PythonFile {
        let key = |part| format!(r#"["{name}", "{name}_{part}", {{}}, "Bytes."]"#);
        self.entry(&key("count"), count, 0.0)
            .entry(&key("sum"), sum, 0.0)
    }

    pub(crate) fn set(&mut self, entry: usize, value: f64) {
        let place = self.places[entry];
        self.bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// The file as it is on disk: 64 KiB, a multiple of two when that is not enough.
    pub(crate) fn on_disk(&self) -> Vec<u8> {
        let mut size = 1 << 16;
        while size < self.bytes.len() {
            size *= 2;
        }
        let mut bytes = self.bytes.clone();
        bytes.resize(size, 0);
        bytes
    }
}

/// A file with one counter `name` without labels.
pub(crate) fn counter(name: &str, value: f64) -> Vec<u8> {
    PythonFile::new().counter(name, "{}", value).on_disk()
}

/// A file with one gauge `name` without labels, set at `time`.
pub(crate) fn gauge(name: &str, value: f64, time: f64) -> Vec<u8> {
    PythonFile::new().gauge(name, "{}", value, time).on_disk()
}

/// A file with one histogram `name` without labels.
pub(crate) fn histogram(name: &str, sum: f64, buckets: &[(&str, f64)]) -> Vec<u8> {
    PythonFile::new().histogram(name, sum, buckets).on_disk()
}
