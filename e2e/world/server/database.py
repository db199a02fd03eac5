"""The databases: a PostgreSQL for the hosts that serve one, with the database `city` and the user and password `reader`."""
import glob
import pathlib
import shutil
import subprocess

from certificates import SHARED

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
    for kind in ("pem", "key"):
        shutil.copy(f"{certificates}/{SHARED}.{kind}", folder / f"server.{kind}")
    (folder / "server.key").chmod(0o600)
    run("chown", "-R", "postgres:postgres", str(folder))
    data = folder / "data"
    run(*as_owner(f"{programs}/initdb", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", "-D", str(data)))
    settings = ["-c", "fsync=off", "-c", f"unix_socket_directories={folder}"]
    for database, statement in (
        ("postgres", f"CREATE ROLE {USER} LOGIN PASSWORD '{USER}'"),
        ("postgres", f"CREATE DATABASE {DATABASE} OWNER {USER}"),
    ):
        run(*as_owner(f"{programs}/postgres", "--single", *settings, "-D", str(data), database), given=statement + "\n")
    with open(data / "pg_hba.conf", "a", encoding="utf-8") as file:
        file.write(f"host {DATABASE} {USER} all scram-sha-256\n")
    settings += ["-c", f"listen_addresses={','.join(addresses)}", "-c", "ssl=on"]
    settings += ["-c", f"ssl_cert_file={folder}/server.pem", "-c", f"ssl_key_file={folder}/server.key"]
    return as_owner(f"{programs}/postgres", "-D", str(data), *settings)


def as_owner(*command):
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]


def run(*command, given=None):
    ended = subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd="/")
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {ended.stdout}{ended.stderr}")
