"""The first process of the world's container: owns the addresses, starts every server, and ends when one of them ends."""
import json
import os
import pathlib
import signal
import subprocess
import sys

import broker
import certificates
import database
import hosts
import mariadb
import names
import repository
import store
import web

HERE = pathlib.Path(__file__).parent
DECLARATION = HERE.parent / "hosts.yaml"
AUTHORITY = "/authority"
RUN = pathlib.Path("/run/world")
SNIFFER_PORT = 8053


def main():
    world = hosts.read(DECLARATION)
    own_addresses(world)
    RUN.mkdir(exist_ok=True)
    start([sys.executable, str(HERE / "sniffer.py"), link_address(), str(SNIFFER_PORT)])
    start(names.configure(world, RUN / "names"))
    issued = RUN / "certificates"
    certificates.issue(world, AUTHORITY, issued)
    start(web.configure(world, issued, RUN / "web"))
    for command in broker.configure(world, issued, RUN / "broker"):
        start(command)
    for command in repository.configure(world, web.DATA, RUN / "repository"):
        start(command)
    start(store.configure(world))
    start([sys.executable, str(HERE / "echo.py"), *world.addresses_of("echo")])
    start([sys.executable, str(HERE / "proxy.py"), str(DECLARATION), *world.addresses_of("proxy")])
    mail = [f"{host.name}={address}" for host in world.serving("smtp") for address in host.addresses]
    start([sys.executable, str(HERE / "mail.py"), str(issued), *mail])
    start([sys.executable, str(HERE / "behind.py")])
    start(database.configure(world, issued, "/var/lib/postgresql/world"))
    start(mariadb.configure(world, issued, "/var/lib/mysql/world"))
    supervise()


def own_addresses(world):
    """The declared addresses, and every other one of the networks too: what is sent to it arrives here and is seen."""
    for address in world.addresses():
        ip("address", "replace", str(address), "dev", "lo")
    for network in hosts.NETWORKS:
        ip(f"-{network.version}", "route", "replace", "local", str(network), "dev", "lo")


def link_address():
    """The container's own address, on which the sniffer is asked."""
    links = json.loads(ip("-4", "-json", "address", "show", "scope", "global"))
    entries = [entry for link in links if link.get("ifname") != "lo" for entry in link["addr_info"]]
    return entries[0]["local"]


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


CHILDREN = {}


def start(command):
    if command is not None:
        process = subprocess.Popen(command, cwd="/")
        CHILDREN[process.pid] = command


def supervise():
    """As the container's first process: takes leave of every process that ends, and ends with the first of its own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        pid, status = os.wait()
        if pid in CHILDREN:
            sys.exit(f"{' '.join(CHILDREN[pid])} ended with {os.waitstatus_to_exitcode(status)}")


main()
