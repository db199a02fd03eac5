"""Repositories of git, and the account `visitor` through which they are reached: over SSH without a password, and behind the web."""
import pathlib
import shutil

from commands import run
from hosts import PORTS

FOLDER = "/srv/git"
PORT = 9000  # of the gateway behind the web, on loopback

OWNER = "visitor"
AS_OWNER = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", "env", f"HOME=/home/{OWNER}"]

SSH = """\
HostKey {folder}/key
UsePAM no
PasswordAuthentication yes
PermitEmptyPasswords yes
AllowUsers {owner}
MaxStartups 200
PrintMotd no
PidFile none
"""


def configure(world, data, folder):
    """Makes the repository `city.git` with the data in it, and the configuration of SSH; returns the commands."""
    if not world.serving("git", "ssh"):
        return []
    make(data)
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
    # sshd wants it, and systemd would make it
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    listens = "".join(f"ListenAddress {address}\n" for address in world.addresses_of("ssh"))
    (folder / "sshd.conf").write_text(f"Port {PORTS['ssh']}\n" + listens + SSH.format(folder=folder, owner=OWNER))
    return [
        ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd.conf")],
        [*AS_OWNER, "fcgiwrap", "-c", "2", "-s", f"tcp:127.0.0.1:{PORT}"],
    ]


def make(data):
    """The repository, with one commit, which is the same in every world."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    pathlib.Path(FOLDER).mkdir(parents=True)
    shutil.chown(FOLDER, OWNER, OWNER)
    bare = f"{FOLDER}/city.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", bare)
    git("-C", bare, "config", "http.receivepack", "true")
    content = git("-C", bare, "hash-object", "-w", "--stdin", given=data)
    tree = git("-C", bare, "mktree", given=f"100644 blob {content}\tdata\n".encode())
    identity = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME=city", "EMAIL=city@services.example.kz", "DATE=1700000000 +0000")]
    commit = run(*AS_OWNER, *identity, "git", "-C", bare, "commit-tree", "-m", "data", tree)
    git("-C", bare, "update-ref", "refs/heads/main", commit)


def git(*arguments, given=None):
    return run(*AS_OWNER, "git", *arguments, given=given)
