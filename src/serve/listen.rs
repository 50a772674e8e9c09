//! Where the server listens.
//!
//! Owns how an address is written on the command line, and the words for why it cannot be had.
//! Knows nothing of what is served there.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use tokio::net::TcpListener;

/// An address as exporters write it: `HOST:PORT`, or `:PORT` for every interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ListenAddress {
    /// Empty for every interface; without brackets.
    host: String,
    port: u16,
}

/// Why a text is no address.
#[derive(Debug)]
pub(crate) struct MalformedAddress;

/// Why there is no listener.
#[derive(Debug)]
pub(crate) struct ListenError {
    address: ListenAddress,
    error: io::Error,
}

impl ListenAddress {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// When the address is taken, not allowed, or not this machine's.
    pub(crate) async fn bind(&self) -> Result<TcpListener, ListenError> {
        let bound = if self.host.is_empty() {
            match TcpListener::bind((Ipv6Addr::UNSPECIFIED, self.port)).await {
                // A machine without IPv6.
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port)).await
                }
                bound => bound,
            }
        } else {
            TcpListener::bind((&*self.host, self.port)).await
        };
        bound.map_err(|error| ListenError {
            address: self.clone(),
            error,
        })
    }
}

impl FromStr for ListenAddress {
    type Err = MalformedAddress;

    fn from_str(text: &str) -> Result<ListenAddress, MalformedAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(MalformedAddress)?;
        let host = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(bracketed) => bracketed,
            // An IPv6 address without brackets: which colon is the port's?
            None if host.contains(':') => return Err(MalformedAddress),
            None => host,
        };
        let port = port.parse().map_err(|_| MalformedAddress)?;
        Ok(ListenAddress {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for MalformedAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("write HOST:PORT, [IPV6]:PORT, or :PORT for every interface")
    }
}

impl std::error::Error for MalformedAddress {}

impl fmt::Display for ListenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        write!(formatter, "cannot listen on {address}: ")?;
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(
                formatter,
                "another process listens there; end it, or choose another address with \
                 --web.listen-address",
            ),
            io::ErrorKind::PermissionDenied => write!(
                formatter,
                "this user may not listen there; choose a port above 1023 with \
                 --web.listen-address",
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                formatter,
                "this machine does not have that address; choose one that it has with \
                 --web.listen-address, or :{} for all of them",
                address.port,
            ),
            _ => write!(
                formatter,
                "{}; choose another address with --web.listen-address",
                self.error
            ),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_exporters_write_them() {
        for text in [
            "127.0.0.1:14323",
            ":9100",
            "localhost:0",
            "[::1]:14323",
            "[::]:1",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in [
            "14323",
            "::1:14323",
            "localhost:http",
            "localhost:65536",
            "localhost",
            "",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_with_the_flag_to_change() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = address
            .parse::<ListenAddress>()
            .unwrap()
            .bind()
            .await
            .unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&address), "{message}");
        assert!(message.contains("--web.listen-address"), "{message}");
    }
}
