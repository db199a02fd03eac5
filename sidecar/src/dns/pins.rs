//! Pins: which names this pod was answered an address for. They are this pod's alone and end by the clock; of those that have ended it
//! stays known, as long as there is room, that there was one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use shekara_policy::HostName;
use tokio::time::Instant;

/// A pin lasts at least this long: applications dial a little after the answer's own time.
const FLOOR: Duration = Duration::from_secs(30);

/// A pin lasts at most this long, whatever the answer says.
const CEILING: Duration = Duration::from_secs(3600);

/// Pins that are kept; the one that ends first makes room.
const MOST: usize = 4096;

/// The pins of the pod.
#[derive(Debug, Default)]
pub struct Pins {
    ends: Mutex<BTreeMap<(IpAddr, HostName), Instant>>,
}

impl Pins {
    /// Pins a name to the addresses that it was answered with.
    pub fn pin(&self, name: &HostName, addresses: &[IpAddr], ttl: Duration, now: Instant) {
        let end = now + ttl.clamp(FLOOR, CEILING);
        let mut ends = self.ends.lock();
        for address in addresses {
            let kept = ends.entry((*address, name.clone())).or_insert(end);
            *kept = end.max(*kept);
        }
        if ends.len() > MOST {
            make_room(&mut ends);
        }
    }

    /// The names that are pinned to an address now, and those that were.
    #[must_use]
    pub fn names(&self, address: IpAddr, now: Instant) -> (Vec<HostName>, Vec<HostName>) {
        let ends = self.ends.lock();
        let of_it = ends.iter().filter(|((pinned, _), _)| *pinned == address);
        let (live, ended): (Vec<_>, Vec<_>) =
            of_it.map(|((_, name), end)| (name.clone(), *end > now)).partition(|(_, live)| *live);
        let names = |pins: Vec<(HostName, bool)>| pins.into_iter().map(|(name, _)| name).collect();
        (names(live), names(ended))
    }
}

fn make_room(ends: &mut BTreeMap<(IpAddr, HostName), Instant>) {
    while ends.len() > MOST {
        let Some(first) = ends.iter().min_by_key(|(_, end)| **end).map(|(pin, _)| pin.clone()) else { return };
        ends.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u16) -> IpAddr {
        std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
    }

    #[test]
    fn a_pin_lasts_its_time_between_floor_and_ceiling() {
        let (pins, now) = (Pins::default(), Instant::now());
        let name: HostName = "broker.example.kz".parse().unwrap();
        pins.pin(&name, &[address(1)], Duration::ZERO, now);
        pins.pin(&name, &[address(2)], Duration::from_secs(86_400), now);
        let pinned = |last, seconds| !pins.names(address(last), now + Duration::from_secs(seconds)).0.is_empty();
        assert!(pinned(1, 29) && !pinned(1, 30));
        assert!(pinned(2, 3599) && !pinned(2, 3600));
        assert!(!pinned(3, 0));
    }

    #[test]
    fn a_shorter_answer_does_not_shorten_a_pin() {
        let (pins, now) = (Pins::default(), Instant::now());
        let name: HostName = "broker.example.kz".parse().unwrap();
        pins.pin(&name, &[address(1)], Duration::from_secs(600), now);
        pins.pin(&name, &[address(1)], Duration::from_secs(1), now);
        assert_eq!(pins.names(address(1), now + Duration::from_secs(599)), (vec![name.clone()], vec![]));
        assert_eq!(pins.names(address(1), now + Duration::from_secs(600)), (vec![], vec![name]), "it stays known");
    }

    #[test]
    fn pins_are_bounded_and_those_that_end_first_make_room() {
        let (pins, now) = (Pins::default(), Instant::now());
        for number in 0..MOST as u64 + 50 {
            let name = format!("n{number}.example.kz").parse().unwrap();
            pins.pin(&name, &[address(1)], Duration::from_secs(60 + number % 3000), now);
        }
        assert_eq!(pins.ends.lock().len(), MOST);
        let names = pins.names(address(1), now).0;
        assert!(!names.iter().any(|name| name.as_str() == "n0.example.kz"));
        assert!(names.iter().any(|name| name.as_str() == "n2999.example.kz"));
    }
}
