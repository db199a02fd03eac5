"""Certificates of the hosts, signed by the test authority, by openssl."""
import pathlib
import shutil

from commands import run

# the certificate of servers that are one for many hosts and ask for no name
SHARED = "shared"


def issue(world, authority, folder):
    """A certificate and a key, NAME.pem and NAME.key, for each host, with its other names, and one with the names of all."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for host in world.hosts:
        if host.serves:
            issue_one(host.name, world.names(host), pathlib.Path(authority), folder)
    names = [name for host in world.hosts if host.serves for name in world.names(host)]
    issue_one(SHARED, names, pathlib.Path(authority), folder)


def issue_one(host, names, authority, folder):
    extensions = folder / f"{host}.extensions"
    extensions.write_text(
        f"subjectAltName = {', '.join('DNS:' + name for name in names)}\n"
        "basicConstraints = critical, CA:FALSE\n"
        "keyUsage = critical, digitalSignature\n"
        "extendedKeyUsage = serverAuth\n"
        "subjectKeyIdentifier = hash\n"
        "authorityKeyIdentifier = keyid\n"
    )
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", folder / f"{host}.key")
    request = openssl("req", "-new", "-key", folder / f"{host}.key", "-subj", f"/CN={host}")
    openssl(
        "x509", "-req", "-days", "365", "-sha256", "-CA", authority / "ca.pem", "-CAkey", authority / "ca.key",
        "-extfile", extensions, "-out", folder / f"{host}.pem", given=request.encode(),
    )
    # Mosquitto reads it as its own user
    (folder / f"{host}.key").chmod(0o644)


def give_shared(certificates, folder):
    """The certificate and key of servers that are one for many hosts, as server.pem and server.key of the folder."""
    for kind in ("pem", "key"):
        shutil.copy(f"{certificates}/{SHARED}.{kind}", folder / f"server.{kind}")


def openssl(*arguments, given=None):
    return run("openssl", *map(str, arguments), given=given)
