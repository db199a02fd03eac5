"""The DNS server: NSD is authoritative for everything, since its one zone is the root; what is not declared does not exist."""
import pathlib

SERVER = "dns.example.com"


def configure(world, folder):
    """Writes zone and configuration; returns the command."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "root.zone").write_text(zone(world))
    (folder / "nsd.conf").write_text(configuration(world, folder))
    return ["nsd", "-d", "-c", str(folder / "nsd.conf")]


def zone(world):
    """The zone: an answer that there is nothing is kept for 5 s."""
    lines = [f". 60 IN SOA {SERVER}. hostmaster.{SERVER}. 1 3600 600 86400 5", f". 60 IN NS {SERVER}."]
    lines += [record(SERVER, 60, address) for address in world.resolvers]
    for host in world.hosts:
        if host.alias:
            lines.append(f"{host.name}. {host.ttl} IN CNAME {host.alias}.")
        lines += [record(host.name, host.ttl, address) for address in host.addresses]
    return "\n".join(lines) + "\n"


def record(name, ttl, address):
    kind = "A" if address.version == 4 else "AAAA"
    return f"{name}. {ttl} IN {kind} {address}"


def configuration(world, folder):
    addresses = "".join(f"  ip-address: {address}\n" for address in world.resolvers)
    return (
        "server:\n"
        f"{addresses}"
        "  server-count: 1\n"
        f'  username: nsd\n  chroot: ""\n  zonesdir: "{folder}"\n  database: ""\n'
        f'  pidfile: ""\n  xfrdfile: ""\n  zonelistfile: "{folder}/zone.list"\n'
        "  round-robin: yes\n  rrl-ratelimit: 0\n  hide-version: yes\n"
        "remote-control:\n  control-enable: no\n"
        'zone:\n  name: "."\n  zonefile: "root.zone"\n'
    )
