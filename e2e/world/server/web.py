"""The web hosts: nginx, on the hosts' own addresses and nowhere else.

Each address answers for its host, and for every other one with that one's certificate if a client asks for it by name: a
connection that ends at a wrong address is to be noticed by what arrived there, not by a failed handshake.
"""
import pathlib

from hosts import PORTS, bracketed

# what nginx serves, and what it is told more about it
MORE = {"http": "", "http-alt": "", "https": " ssl http2"}

HEADER = """\
user www-data;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log /dev/stdout;
  default_type text/plain;
  client_max_body_size 0;
  # flows last as long as their clients want
  keepalive_timeout 1h;
  keepalive_requests 1000000;
  client_header_timeout 1h;
  ssl_protocols TLSv1.2 TLSv1.3;
"""

SERVER = """\
  server {{
{listens}
    server_name {names};
    ssl_certificate {certificates}/{host}.pem;
    ssl_certificate_key {certificates}/{host}.key;
    location / {{ return 200 "{host} at $server_addr, asked by $remote_addr\\n"; }}
  }}
"""


def configure(world, certificates, folder):
    """Writes the configuration; returns the command."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    servers = [
        SERVER.format(listens=listens(world, host), names=" ".join(world.names(host)), host=host.name, certificates=certificates)
        for host in world.serving(*MORE)
    ]
    path = folder / "nginx.conf"
    path.write_text(HEADER.format(folder=folder) + "".join(servers) + "}\n")
    return ["nginx", "-e", "stderr", "-c", str(path)]


def listens(world, host):
    """The lines by which the host's server listens at every address of the web; at its own it is the default."""
    return "\n".join(
        f"    listen {bracketed(address)}:{PORTS[service]}{MORE[service]}{' default_server' if other is host else ''};"
        for other in world.serving(*MORE)
        for address in other.addresses
        for service in other.serves
        if service in MORE
    )
