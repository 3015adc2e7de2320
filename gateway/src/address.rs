//! Whose request it is: the peer's address, or what a trusted proxy says of it.

use std::net::IpAddr;

use http::HeaderMap;

/// A trusted proxy is not an address or a network.
#[derive(Debug, thiserror::Error)]
#[error("rest.trusted_proxies: {0:?} is not an address or a network such as 10.0.0.0/8")]
pub struct ProxyError(String);

/// The networks of trusted proxies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<(IpAddr, u8)>);

impl Proxies {
    pub(crate) fn parse(texts: &[String]) -> Result<Self, ProxyError> {
        let network = |text: &String| network(text).ok_or_else(|| ProxyError(text.clone()));
        texts.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, length)| within(address, *network, *length))
    }

    /// The client: the last address of `X-Forwarded-For` that no trusted proxy has.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer.to_canonical()) {
            return peer.to_canonical();
        }
        let mut client = peer.to_canonical();
        let values: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
        for text in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            let Ok(address) = text.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address.parse().ok()?, Some(length.parse().ok()?)),
        None => (text.parse().ok()?, None),
    };
    let most = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
    let length = length.unwrap_or(most);
    (length <= most).then_some((address, length))
}

fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (ours, theirs, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    let host_bits = width - u32::from(length);
    (ours ^ theirs).checked_shr(host_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(proxies: &[&str], peer: &str, forwarded: &[&str], client: &str) {
        let texts: Vec<String> = proxies.iter().map(|&text| text.into()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let found = Proxies::parse(&texts).unwrap().client(peer.parse().unwrap(), &headers);
        assert_eq!(found, client.parse::<IpAddr>().unwrap());
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        check(&[], "192.0.2.1", &["198.51.100.7"], "192.0.2.1");
        check(&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.7"], "192.0.2.1");
        check(&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.7"], "198.51.100.7");
        check(&["10.0.0.0/8"], "10.1.2.3", &["1.1.1.1, 198.51.100.7, 10.9.9.9"], "198.51.100.7");
        check(&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.7", "10.9.9.9"], "198.51.100.7");
        check(&["10.0.0.0/8"], "10.1.2.3", &["nonsense"], "10.1.2.3");
        check(&["10.0.0.0/8"], "10.1.2.3", &[], "10.1.2.3");
        check(&["0.0.0.0/0", "::/0"], "::ffff:192.0.2.1", &["2001:db8::1"], "2001:db8::1");
    }

    #[test]
    fn networks() {
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a", "10.0.0.1/-1"] {
            assert!(Proxies::parse(&[wrong.into()]).is_err(), "{wrong}");
        }
    }
}
