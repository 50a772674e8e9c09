//! Who wrote a store: an incarnation, and the boot in which it lived.
//!
//! Owns where both come from. A pid identifies nobody and appears nowhere here.

use std::fmt;
#[cfg(target_os = "linux")]
use std::io;

/// One life of one worker: 128 random bits, new for every store.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Incarnation(pub [u8; 16]);

impl Incarnation {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When the operating system has no random bytes to give.
    #[cfg(target_os = "linux")]
    pub fn random() -> io::Result<Incarnation> {
        let mut bytes = [0; 16];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += rustix::rand::getrandom(
                &mut bytes[filled..],
                rustix::rand::GetRandomFlags::empty(),
            )?;
        }
        Ok(Incarnation(bytes))
    }

    /// The one that 32 lower-case hexadecimal digits name.
    pub fn parse(digits: &str) -> Option<Incarnation> {
        parse_digits(digits).map(Incarnation)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits(&self.0, formatter)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits(&self.0, formatter)
    }
}

/// One boot of one machine; all zeros where the system does not tell.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// The boot that this process runs in; all zeros where `/proc` does not tell.
    pub fn current() -> BootId {
        let Ok(text) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
            return BootId::default();
        };
        let digits: String = text.trim().chars().filter(|&digit| digit != '-').collect();
        BootId(parse_digits(&digits).unwrap_or_default())
    }

    /// Whether a store of the boot `self` is certainly not of the boot `other`.
    pub fn differs_from(self, other: BootId) -> bool {
        let unknown = BootId::default();
        self != unknown && other != unknown && self != other
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits(&self.0, formatter)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits(&self.0, formatter)
    }
}

fn parse_digits(digits: &str) -> Option<[u8; 16]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != 32 || !digits.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(digits, 16)
        .ok()
        .map(|number| std::array::from_fn(|index| (number >> (120 - 8 * index)) as u8))
}

fn write_digits(bytes: &[u8; 16], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes
        .iter()
        .try_for_each(|byte| write!(formatter, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_reads_back_from_its_digits() {
        let digits = "00ff102030405060708090a0b0c0d0e1";
        let incarnation = Incarnation::parse(digits).unwrap();
        assert_eq!(incarnation.0[1], 0xff);
        assert_eq!(incarnation.to_string(), digits);
        assert_eq!(Incarnation::parse(&digits.to_uppercase()), None);
        assert_eq!(Incarnation::parse("+0ff102030405060708090a0b0c0d0e1"), None);
    }

    #[test]
    fn an_unknown_boot_differs_from_none() {
        let (one, two) = (BootId([1; 16]), BootId([2; 16]));
        assert!(one.differs_from(two));
        assert!(!one.differs_from(one));
        assert!(!one.differs_from(BootId::default()));
        assert!(!BootId::default().differs_from(one));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn two_incarnations_differ() {
        assert_ne!(
            Incarnation::random().unwrap(),
            Incarnation::random().unwrap()
        );
    }
}
