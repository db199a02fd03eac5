"""The MariaDB of the hosts that serve one, with the database `city` and the user and password `reader`."""
import pathlib
import shutil

from certificates import give_shared
from commands import run
from database import DATABASE, USER

OWNER = "mysql"


def configure(world, certificates, folder):
    """Makes the database anew; returns the command, or None where no host serves one."""
    addresses = world.addresses_of("mariadb")
    if not addresses:
        return None
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    give_shared(certificates, folder)
    (folder / "first.sql").write_text(
        f"CREATE DATABASE IF NOT EXISTS {DATABASE};\n"
        f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{USER}';\n"
        f"GRANT ALL ON {DATABASE}.* TO '{USER}'@'%';\n"
    )
    run("chown", "-R", f"{OWNER}:{OWNER}", str(folder))
    data = f"--datadir={folder}/data"
    as_owner = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
    run(*as_owner, "mariadb-install-db", "--no-defaults", data, "--skip-test-db", "--auth-root-authentication-method=normal")
    return [
        *as_owner, "mariadbd", "--no-defaults", data, f"--bind-address={','.join(addresses)}", f"--init-file={folder}/first.sql",
        f"--socket={folder}/socket", f"--pid-file={folder}/pid", f"--ssl-cert={folder}/server.pem", f"--ssl-key={folder}/server.key",
        # nobody asks this server for a name's sake, and reverse lookups would wait for one
        "--skip-name-resolve", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M",
        "--performance-schema=OFF", "--innodb-use-native-aio=OFF",
    ]
