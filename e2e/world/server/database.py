"""The databases: a PostgreSQL for the hosts that serve one, with the database `city` and the user and password `reader`."""
import glob
import pathlib
import shutil

from certificates import give_shared
from commands import run

DATABASE, USER = "city", "reader"


def configure(world, certificates, folder):
    """Makes the database anew; returns the command, or None where no host serves one."""
    addresses = world.addresses_of("postgresql")
    if not addresses:
        return None
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    give_shared(certificates, folder)
    (folder / "server.key").chmod(0o600)
    run("chown", "-R", "postgres:postgres", str(folder))
    data = folder / "data"
    run(*as_owner(f"{programs}/initdb", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", "-D", str(data)))
    settings = ["-c", "fsync=off", "-c", f"unix_socket_directories={folder}"]
    for database, statement in (
        ("postgres", f"CREATE ROLE {USER} LOGIN PASSWORD '{USER}'"),
        ("postgres", f"CREATE DATABASE {DATABASE} OWNER {USER}"),
    ):
        run(*as_owner(f"{programs}/postgres", "--single", *settings, "-D", str(data), database), given=f"{statement}\n".encode())
    with open(data / "pg_hba.conf", "a", encoding="utf-8") as file:
        file.write(f"host {DATABASE} {USER} all scram-sha-256\n")
    settings += ["-c", f"listen_addresses={','.join(addresses)}", "-c", "ssl=on"]
    settings += ["-c", f"ssl_cert_file={folder}/server.pem", "-c", f"ssl_key_file={folder}/server.key"]
    return as_owner(f"{programs}/postgres", "-D", str(data), *settings)


def as_owner(*command):
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
