//! Files of entries of Python's and Ruby's clients, byte by byte.

/// How a client lays out its entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// JSON, and a value: GitLab's gem, and `prometheus_client` before 0.18.
    Json8,
    /// JSON, a value and a time: `prometheus_client` since 0.18.
    Json16,
    /// The query of an address, and a value: `DirectFileStore` before 2.1.
    Query8,
    /// The query of an address, a value and a time: `DirectFileStore` since 2.1.
    Query16,
}

/// One file: the bytes in use, without the zeros behind them.
#[derive(Clone, Debug)]
pub(crate) struct Entries {
    pub(crate) bytes: Vec<u8>,
    /// Where the value of each entry stands.
    pub(crate) places: Vec<usize>,
    form: Form,
}

impl Entries {
    // [python.header]
    pub(crate) fn new(form: Form) -> Entries {
        Entries {
            bytes: vec![8, 0, 0, 0, 0, 0, 0, 0],
            places: Vec::new(),
            form,
        }
    }

    pub(crate) fn entry(self, key: &str, value: f64) -> Entries {
        self.timed(key, value, 0.0)
    }

    // [gitlab.entry] [direct.entry] [python.entry]
    pub(crate) fn timed(mut self, key: &str, value: f64, time: f64) -> Entries {
        let start = self.bytes.len();
        self.bytes.extend((key.len() as u32).to_le_bytes());
        self.bytes.extend(key.as_bytes());
        self.bytes.push(b' ');
        while !self.bytes.len().is_multiple_of(8) {
            self.bytes.push(b' ');
        }
        if matches!(self.form, Form::Query8 | Form::Query16) {
            // The padding is counted.
            let length = (self.bytes.len() - start - 4) as u32;
            self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
        self.places.push(self.bytes.len());
        self.bytes.extend(value.to_le_bytes());
        if matches!(self.form, Form::Json16 | Form::Query16) {
            self.bytes.extend(time.to_le_bytes());
        }
        let used = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&used.to_le_bytes());
        self
    }

    pub(crate) fn set(&mut self, entry: usize, value: f64) {
        let place = self.places[entry];
        self.bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// With zeros behind it, as all of these clients leave them.
    pub(crate) fn on_disk(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(self.bytes.len().next_multiple_of(1 << 12), 0);
        bytes
    }
}

/// A file of GitLab's gem, with these keys and values.
pub(crate) fn gitlab(entries: &[(&str, f64)]) -> Vec<u8> {
    filled(Form::Json8, entries)
}

/// A file of `DirectFileStore` since 2.1, with these keys and values, none of which has a time.
pub(crate) fn direct(entries: &[(&str, f64)]) -> Vec<u8> {
    filled(Form::Query16, entries)
}

/// A file of this form, with these keys and values.
pub(crate) fn filled(form: Form, entries: &[(&str, f64)]) -> Vec<u8> {
    let file = entries
        .iter()
        .fold(Entries::new(form), |file, (key, value)| {
            file.entry(key, *value)
        });
    file.on_disk()
}
