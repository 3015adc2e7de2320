//! The URL of a server.

use std::net::IpAddr;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::error::ConnectError;

/// The parts of a URL whose host may resolve to several servers.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        Self::read(url).ok_or_else(|| ConnectError::Address { url: url.to_owned() })
    }

    fn read(url: &str) -> Option<Self> {
        let parts = url.parse::<Uri>().ok()?.into_parts();
        let (scheme, authority) = (parts.scheme?, parts.authority?);
        let path = parts.path_and_query.map_or(String::new(), |path| path.to_string());
        if !matches!(path.as_str(), "" | "/") || authority.as_str().contains('@') {
            return None;
        }
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let port = match authority.port() {
            Some(_) => authority.port_u16()?,
            None => default_port,
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        (!host.is_empty()).then_some(Self { scheme, authority, host, port })
    }

    pub(crate) fn secure(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The IP address, if the host is one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed() {
        let target = Target::parse("http://judge.agon.svc:50051").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("judge.agon.svc", 50051));
        assert!(!target.secure() && target.ip().is_none());
        let target = Target::parse("https://[::1]/").unwrap();
        assert!(target.secure() && target.port == 443);
        assert!(target.ip().unwrap().is_loopback());
        for bad in ["", "judge:50051", "ftp://judge", "http://judge/path", "http://u:p@judge", "x"]
        {
            let error = Target::parse(bad).unwrap_err().to_string();
            assert!(error.contains("http://host:port"), "{error}");
        }
    }
}
