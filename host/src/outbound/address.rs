//! What kind of address this is, by the IANA special-purpose registries, and ranges that open it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The kind of an address. Only [`Class::Public`] may be dialled without being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Globally reachable unicast.
    Public,
    /// Link-local IPv4 and the addresses at which clouds hand out credentials: never opened.
    Metadata,
    /// This machine.
    Loopback,
    /// RFC 1918.
    Private,
    /// fe80::/10 and the former site-local range.
    LinkLocal,
    /// Carrier-grade NAT, RFC 6598.
    Shared,
    /// fc00::/7.
    UniqueLocal,
    /// Multicast of either family.
    Multicast,
    /// Unspecified, documentation, benchmarking, broadcast, not yet assigned.
    Reserved,
}

impl Class {
    /// The kind of this address. An address that carries another one (IPv4-mapped, 6to4, Teredo,
    /// NAT64) is of the worst kind of all that it carries.
    pub fn of(address: IpAddr) -> Class {
        match address {
            IpAddr::V4(v4) => Class::of_v4(v4),
            IpAddr::V6(v6) => {
                let carried = carried(v6);
                match carried.as_slice() {
                    [] => Class::of_v6(v6),
                    carried => carried
                        .iter()
                        .map(|v4| Class::of_v4(*v4))
                        .max_by_key(|class| match class {
                            Class::Public => 0,
                            Class::Metadata => 2,
                            _ => 1,
                        })
                        .unwrap_or(Class::Reserved),
                }
            }
        }
    }

    fn of_v4(address: Ipv4Addr) -> Class {
        // 168.63.129.16, 192.0.0.192 and 100.100.100.200 are clouds' own services in ranges that
        // are otherwise public, reserved or shared.
        const RANGES: &[(Ipv4Addr, u8, Class)] = &[
            (Ipv4Addr::new(169, 254, 0, 0), 16, Class::Metadata),
            (Ipv4Addr::new(100, 100, 100, 200), 32, Class::Metadata),
            (Ipv4Addr::new(192, 0, 0, 192), 32, Class::Metadata),
            (Ipv4Addr::new(168, 63, 129, 16), 32, Class::Metadata),
            (Ipv4Addr::new(127, 0, 0, 0), 8, Class::Loopback),
            (Ipv4Addr::new(10, 0, 0, 0), 8, Class::Private),
            (Ipv4Addr::new(172, 16, 0, 0), 12, Class::Private),
            (Ipv4Addr::new(192, 168, 0, 0), 16, Class::Private),
            (Ipv4Addr::new(100, 64, 0, 0), 10, Class::Shared),
            (Ipv4Addr::new(224, 0, 0, 0), 4, Class::Multicast),
            (Ipv4Addr::new(0, 0, 0, 0), 8, Class::Reserved),
            (Ipv4Addr::new(192, 0, 0, 0), 24, Class::Reserved),
            (Ipv4Addr::new(192, 0, 2, 0), 24, Class::Reserved),
            (Ipv4Addr::new(192, 88, 99, 0), 24, Class::Reserved),
            (Ipv4Addr::new(198, 18, 0, 0), 15, Class::Reserved),
            (Ipv4Addr::new(198, 51, 100, 0), 24, Class::Reserved),
            (Ipv4Addr::new(203, 0, 113, 0), 24, Class::Reserved),
            (Ipv4Addr::new(240, 0, 0, 0), 4, Class::Reserved),
        ];
        RANGES
            .iter()
            .find(|(base, bits, _)| under_v4(address, *base, *bits))
            .map_or(Class::Public, |(_, _, class)| *class)
    }

    fn of_v6(address: Ipv6Addr) -> Class {
        const RANGES: &[([u16; 3], u8, Class)] = &[
            ([0xfe80, 0, 0], 10, Class::LinkLocal),
            ([0xfec0, 0, 0], 10, Class::LinkLocal),
            ([0xfc00, 0, 0], 7, Class::UniqueLocal),
            ([0xff00, 0, 0], 8, Class::Multicast),
            ([0x2001, 0, 0], 23, Class::Reserved),
            ([0x2001, 0x0db8, 0], 32, Class::Reserved),
            ([0x3fff, 0, 0], 20, Class::Reserved),
            // Globally assigned unicast is this eighth and nothing else.
            ([0x2000, 0, 0], 3, Class::Public),
        ];
        const METADATA: [Ipv6Addr; 3] = [
            Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
            Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
            Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        ];
        if METADATA.contains(&address) {
            return Class::Metadata;
        }
        if address.is_loopback() {
            return Class::Loopback;
        }
        RANGES
            .iter()
            .find(|([a, b, c], bits, _)| {
                let base = Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0);
                under_v6(address, base, *bits)
            })
            .map_or(Class::Reserved, |(_, _, class)| *class)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Public => "public",
            Class::Metadata => "link-local or metadata",
            Class::Loopback => "loopback",
            Class::Private => "private",
            Class::LinkLocal => "link-local",
            Class::Shared => "carrier-grade NAT",
            Class::UniqueLocal => "unique local",
            Class::Multicast => "multicast",
            Class::Reserved => "reserved",
        })
    }
}

/// A range of addresses, `10.0.0.0/8` or `fd00::/8`; a bare address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

/// What is wrong with a text that should be a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found `{found}`, expected a range of addresses like `10.0.0.0/8` or `fd00::/8`")]
pub struct CidrError {
    found: String,
}

impl Cidr {
    /// Whether the address, or an IPv4 address that it carries, lies in this range.
    pub fn covers(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(v4)) => under_v4(v4, base, self.bits),
            (IpAddr::V6(base), IpAddr::V6(v6)) => under_v6(v6, base, self.bits),
            (IpAddr::V4(base), IpAddr::V6(v6)) => {
                let carried = carried(v6);
                !carried.is_empty() && carried.iter().all(|v4| under_v4(*v4, base, self.bits))
            }
            (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let error = || CidrError {
            found: text.to_owned(),
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| error())?;
        let bits_max = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| error())?,
            None => bits_max,
        };
        if bits > bits_max {
            return Err(error());
        }
        Ok(Cidr { base, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl serde::Serialize for Cidr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cidr, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The IPv4 addresses that dialling this one may end at: the mapped, translated or tunnelled one
/// (RFC 4291, 6052, 8215, 3056, 4380). Teredo carries its server and, inverted, its client.
fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = address.octets();
    let v4 = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
    let base = |segments: [u16; 6]| {
        let [a, b, c, d, e, f] = segments;
        Ipv6Addr::new(a, b, c, d, e, f, 0, 0)
    };
    if under_v6(address, base([0, 0, 0, 0, 0, 0xffff]), 96)
        || under_v6(address, base([0x64, 0xff9b, 0, 0, 0, 0]), 96)
    {
        return vec![v4(12)];
    }
    // Local-use NAT64: the length of its prefix is the network's own affair, so each place where
    // the address may stand counts.
    if under_v6(address, base([0x64, 0xff9b, 1, 0, 0, 0]), 48) {
        let split = Ipv4Addr::new(octets[6], octets[7], octets[9], octets[10]);
        return vec![v4(12), split];
    }
    if under_v6(address, base([0x2002, 0, 0, 0, 0, 0]), 16) {
        return vec![v4(2)];
    }
    if under_v6(address, base([0x2001, 0, 0, 0, 0, 0]), 32) {
        let client = !u32::from(v4(12));
        return vec![v4(4), Ipv4Addr::from(client)];
    }
    Vec::new()
}

fn under_v4(address: Ipv4Addr, base: Ipv4Addr, bits: u8) -> bool {
    let mask = u32::MAX
        .checked_shl(32 - u32::from(bits))
        .unwrap_or_default();
    (u32::from(address) ^ u32::from(base)) & mask == 0
}

fn under_v6(address: Ipv6Addr, base: Ipv6Addr, bits: u8) -> bool {
    let mask = u128::MAX
        .checked_shl(128 - u32::from(bits))
        .unwrap_or_default();
    (u128::from(address) ^ u128::from(base)) & mask == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Class {
        Class::of(text.parse().expect("an address"))
    }

    fn covers(range: &str, address: &str) -> bool {
        let range: Cidr = range.parse().expect("a range");
        range.covers(address.parse().expect("an address"))
    }

    #[test]
    fn each_special_range_is_known() {
        let cases = [
            ("93.184.215.14", Class::Public),
            ("2606:2800:21f:cb07::1", Class::Public),
            ("127.0.0.1", Class::Loopback),
            ("127.255.255.255", Class::Loopback),
            ("::1", Class::Loopback),
            ("0.0.0.0", Class::Reserved),
            ("::", Class::Reserved),
            ("10.1.2.3", Class::Private),
            ("172.16.0.1", Class::Private),
            ("172.31.255.255", Class::Private),
            ("172.32.0.1", Class::Public),
            ("192.168.1.1", Class::Private),
            ("100.64.0.1", Class::Shared),
            ("100.128.0.1", Class::Public),
            ("100.100.100.200", Class::Metadata),
            ("169.254.169.254", Class::Metadata),
            ("169.254.1.1", Class::Metadata),
            ("168.63.129.16", Class::Metadata),
            ("fd00:ec2::254", Class::Metadata),
            ("fd12::1", Class::UniqueLocal),
            ("fe80::1", Class::LinkLocal),
            ("fec0::1", Class::LinkLocal),
            ("224.0.0.1", Class::Multicast),
            ("ff02::1", Class::Multicast),
            ("255.255.255.255", Class::Reserved),
            ("198.19.0.1", Class::Reserved),
            ("203.0.113.9", Class::Reserved),
            ("2001:db8::1", Class::Reserved),
            ("2001:2::1", Class::Reserved),
            ("4000::1", Class::Reserved),
            ("::7f00:1", Class::Reserved),
        ];
        for (address, expected) in cases {
            assert_eq!(class(address), expected, "{address}");
        }
    }

    #[test]
    fn a_range_is_closed_from_its_first_to_its_last_address() {
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", Class::Reserved),
            ("10.0.0.0", "10.255.255.255", Class::Private),
            ("100.64.0.0", "100.127.255.255", Class::Shared),
            ("127.0.0.0", "127.255.255.255", Class::Loopback),
            ("168.63.129.16", "168.63.129.16", Class::Metadata),
            ("169.254.0.0", "169.254.255.255", Class::Metadata),
            ("172.16.0.0", "172.31.255.255", Class::Private),
            ("192.0.0.0", "192.0.0.255", Class::Reserved),
            ("192.0.0.192", "192.0.0.192", Class::Metadata),
            ("192.0.2.0", "192.0.2.255", Class::Reserved),
            ("192.88.99.0", "192.88.99.255", Class::Reserved),
            ("192.168.0.0", "192.168.255.255", Class::Private),
            ("198.18.0.0", "198.19.255.255", Class::Reserved),
            ("198.51.100.0", "198.51.100.255", Class::Reserved),
            ("203.0.113.0", "203.0.113.255", Class::Reserved),
            ("224.0.0.0", "239.255.255.255", Class::Multicast),
            ("240.0.0.0", "255.255.255.255", Class::Reserved),
            ("2001:db8::", "2001:db8:ffff:ffff::ffff", Class::Reserved),
            ("3fff::", "3fff:fff:ffff::ffff", Class::Reserved),
            ("fc00::", "fdff:ffff::ffff", Class::UniqueLocal),
            ("fd00:ec2::23", "fd00:ec2::23", Class::Metadata),
            ("fd20:ce::254", "fd20:ce::254", Class::Metadata),
            ("fe80::", "febf:ffff::ffff", Class::LinkLocal),
            ("fec0::", "feff:ffff::ffff", Class::LinkLocal),
            ("ff00::", "ffff:ffff::ffff", Class::Multicast),
        ] {
            assert_eq!(class(first), expected, "{first}");
            assert_eq!(class(last), expected, "{last}");
        }
        for beside in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "203.0.114.0",
            "223.255.255.255",
            "2001:db7:ffff::1",
            "2001:200::1",
            "3ffe::1",
        ] {
            assert_eq!(class(beside), Class::Public, "{beside}");
        }
    }

    #[test]
    fn an_embedded_address_decides() {
        let cases = [
            ("::ffff:127.0.0.1", Class::Loopback),
            ("::ffff:169.254.169.254", Class::Metadata),
            ("::ffff:93.184.215.14", Class::Public),
            ("64:ff9b::10.0.0.1", Class::Private),
            ("64:ff9b::93.184.215.14", Class::Public),
            ("64:ff9b:1::169.254.169.254", Class::Metadata),
            ("64:ff9b:1:a9fe:a9:fe00::", Class::Metadata),
            ("64:ff9b:1::93.184.215.14", Class::Reserved),
            ("2002:7f00:1::", Class::Loopback),
            ("2002:5db8:d70e::", Class::Public),
            // Teredo: a public server, and 127.0.0.1 as the client.
            ("2001:0:5db8:d70e:0:0:80ff:fffe", Class::Loopback),
            ("2001:0:a9fe:a9fe:0:0:a247:28f1", Class::Metadata),
        ];
        for (address, expected) in cases {
            assert_eq!(class(address), expected, "{address}");
        }
    }

    #[test]
    fn a_range_covers_what_lies_in_it() {
        assert!(covers("127.0.0.0/8", "127.9.9.9"));
        assert!(covers("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(!covers("127.0.0.0/8", "128.0.0.1"));
        assert!(covers("0.0.0.0/0", "8.8.8.8"));
        assert!(!covers("0.0.0.0/0", "2606:2800::1"));
        assert!(covers("::1", "::1"));
        assert!(!covers("::1", "::2"));
        assert!(!covers("::/0", "127.0.0.1"));
    }

    #[test]
    fn a_bad_range_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/-1",
            "example.com",
            "10/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
