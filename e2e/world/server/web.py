"""The web hosts: nginx, with a server for each host on the host's own addresses, and nothing on any other address."""
import pathlib

from hosts import PORTS, bracketed

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
        SERVER.format(listens=listens(host), names=" ".join(world.names(host)), host=host.name, certificates=certificates)
        for host in world.serving("http", "https")
    ]
    path = folder / "nginx.conf"
    path.write_text(HEADER.format(folder=folder) + "".join(servers) + "}\n")
    return ["nginx", "-e", "stderr", "-c", str(path)]


def listens(host):
    more = {"http": "", "https": " ssl http2"}
    return "\n".join(
        f"    listen {bracketed(address)}:{PORTS[service]}{more[service]};"
        for address in host.addresses
        for service in host.serves
        if service in more
    )
