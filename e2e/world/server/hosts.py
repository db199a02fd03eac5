"""The declaration of the test hosts, hosts.yaml, checked."""
import ipaddress
from dataclasses import dataclass

import yaml

# what a host can serve, and on which ports: what stands behind a path of the web is on the ports of HTTP and HTTPS, and on those
# of h2c, which is HTTP/2 without TLS from the first byte
PORTS = {
    "http": 80, "http-alt": 8080, "https": 443, "h2c": 8082, "h2c-alt": 8083,
    "files": 443, "git": 443, "websocket": 443, "mqtt-websocket": 443, "grpc": 443,
    "proxy": 8888, "mqtt": 1883, "mqtts": 8883,
    "postgresql": 5432, "mariadb": 3306, "redis": 6379, "ssh": 22, "smtp": 25, "echo": 7,
}

# the ranges for documentation (RFC 5737, RFC 3849): nothing else may be declared, so that nothing else is ever reached
NETWORKS = [ipaddress.ip_network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]

DEFAULT_TTL = 60


@dataclass(frozen=True)
class Host:
    """A test host: a name with addresses, or another name (alias) of a host."""

    name: str
    addresses: tuple  # of ipaddress.IPv4Address and IPv6Address
    alias: str | None
    serves: tuple
    ttl: int  # of its DNS records, in seconds


@dataclass(frozen=True)
class World:
    """All of them, and the addresses of the DNS servers."""

    hosts: tuple
    resolvers: tuple

    def serving(self, *services):
        """The hosts that serve one of these."""
        return [host for host in self.hosts if set(services) & set(host.serves)]

    def addresses_of(self, service):
        """Where it is served, as text."""
        return [str(address) for host in self.serving(service) for address in host.addresses]

    def names(self, host):
        """The host's name and its other names."""
        return [host.name] + [other.name for other in self.hosts if other.alias == host.name]

    def addresses(self):
        """Every declared address."""
        return [*self.resolvers, *(address for host in self.hosts for address in host.addresses)]


def read(path):
    """Reads the file; raises ValueError with what is wrong about it."""
    with open(path, encoding="utf-8") as file:
        content = yaml.safe_load(file)
    refuse_unknown("the file", content, {"hosts", "resolvers"})
    world = World(tuple(host(entry) for entry in content["hosts"]), tuple(address(text) for text in content["resolvers"]))
    names = [entry.name for entry in world.hosts]
    refuse_twice(names)
    refuse_twice(world.addresses())
    for entry in world.hosts:
        if entry.alias is not None and entry.alias not in names:
            raise ValueError(f"{entry.name}: there is no host {entry.alias}")
        if (entry.alias is None) == (not entry.addresses):
            raise ValueError(f"{entry.name}: either addresses or an alias is expected")
    return world


def host(entry):
    refuse_unknown(entry.get("name"), entry, {"name", "addresses", "alias", "serves", "ttl"})
    for placed in entry.get("addresses", []):
        refuse_unknown(entry["name"], placed, {"address", "country"})
    serves = tuple(entry.get("serves", []))
    refuse_unknown(entry["name"], dict.fromkeys(serves), PORTS)
    addresses = tuple(address(placed["address"]) for placed in entry.get("addresses", []))
    return Host(entry["name"], addresses, entry.get("alias"), serves, int(entry.get("ttl", DEFAULT_TTL)))


def address(text):
    parsed = ipaddress.ip_address(text)
    if not any(parsed in network for network in NETWORKS):
        raise ValueError(f"{text} is not an address for documentation")
    return parsed


def refuse_unknown(where, entry, known):
    unknown = set(entry) - set(known)
    if unknown:
        raise ValueError(f"{where}: {', '.join(sorted(unknown))} is not known")


def refuse_twice(values):
    twice = {value for value in values if values.count(value) > 1}
    if twice:
        raise ValueError(f"declared twice: {', '.join(sorted(map(str, twice)))}")


def bracketed(parsed):
    """An address as a URL and most configurations write it."""
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)
