"""The web hosts: nginx, on the hosts' own addresses and nowhere else.

Each address answers for its host, and for every other one with that one's certificate if a client asks for it by name: a
connection that ends at a wrong address is to be noticed by what arrived there, not by a failed handshake.
"""
import pathlib
import random
import shutil

import behind
import broker
import repository
from hosts import PORTS, bracketed

# 128 KiB in which nothing repeats, the same in every world
DATA = random.Random(1).randbytes(1 << 17)

# what nginx serves, and what it is told more about it
MORE = {"http": "", "http-alt": "", "https": " ssl http2", "h2c": " http2", "h2c-alt": " http2"}

WEBSOCKET = """\
    location {path} {{{{
      proxy_pass http://127.0.0.1:{port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_read_timeout 1h;
    }}}}
"""

# what stands behind a path: files that are given and taken, a repository, a broker, and the servers of behind.py
PATHS = {
    "files": """\
    location /files/ {{ root {folder}; }}
    location /upload/ {{ root {folder}; dav_methods PUT DELETE; }}
""",
    "git": """\
    location ~ ^/git(/.*)$ {{
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT {repositories};
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param PATH_INFO $1;
      fastcgi_pass 127.0.0.1:{git_port};
    }}
""",
    "websocket": WEBSOCKET.format(path="/websocket", port=behind.WEBSOCKET),
    "mqtt-websocket": WEBSOCKET.format(path="/mqtt", port=broker.WEBSOCKET),
    "grpc": """\
    location /shekara.test.Bytes/ {{ grpc_pass grpc://127.0.0.1:{grpc_port}; }}
""",
}

HEADER = """\
user www-data;
worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {folder}/nginx.pid;
# why a request is refused is told at this level and no other
error_log stderr info;
events {{ worker_connections 4096; }}
http {{
  access_log /dev/stdout;
  default_type text/plain;
  client_max_body_size 0;
  client_body_temp_path {folder}/bodies;
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
{paths}  }}
"""


def configure(world, certificates, folder):
    """Writes the configuration, and the file `files/data` that is served; returns the command."""
    folder = pathlib.Path(folder)
    for name in ("files", "upload", "bodies"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("upload", "bodies"):
        shutil.chown(folder / name, "www-data", "www-data")
    (folder / "files" / "data").write_bytes(DATA)
    places = {
        "folder": folder, "repositories": repository.FOLDER,
        "git_port": repository.PORT, "grpc_port": behind.GRPC,
    }
    servers = [
        SERVER.format(
            listens=listens(world, host), names=" ".join(world.names(host)), host=host.name, certificates=certificates,
            paths="".join(PATHS[service].format(**places) for service in host.serves if service in PATHS),
        )
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
