//! The parts of an address by which limits tell clients apart.

use std::net::IpAddr;

use ipnet::IpNet;

/// The network of an address: /24 for IPv4 and /56 for IPv6. Failed log-ins to one account from one
/// network count together.
pub fn network(address: IpAddr) -> String {
    prefix(address, 24, 56)
}

/// The connection of one subscriber: an IPv4 address, or an IPv6 /64, in which one device changes its
/// address freely.
pub fn subscriber(address: IpAddr) -> String {
    prefix(address, 32, 64)
}

/// A large network, such as that of a provider: /16 for IPv4 and /32 for IPv6.
pub fn region(address: IpAddr) -> String {
    prefix(address, 16, 32)
}

fn prefix(address: IpAddr, v4: u8, v6: u8) -> String {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { v4 } else { v6 };
    let network = IpNet::new(address, length).expect("the length is within the address");
    network.trunc().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut_to_their_network() {
        let of = |text: &str, cut: fn(IpAddr) -> String| cut(text.parse().unwrap());
        assert_eq!(of("192.0.2.77", network), "192.0.2.0/24");
        assert_eq!(of("::ffff:192.0.2.77", network), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1:2ff:3::4", network), "2001:db8:1:200::/56");
        assert_eq!(of("192.0.2.77", subscriber), "192.0.2.77/32");
        assert_eq!(of("2001:db8:1:2ff:3::4", subscriber), "2001:db8:1:2ff::/64");
        assert_eq!(of("2001:db8:1:2ff:3::4", region), "2001:db8::/32");
    }
}
