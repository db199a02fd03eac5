"""The Redis of the hosts that serve one, which keeps nothing on disk."""


def configure(world):
    """Returns the command, or None where no host serves one."""
    addresses = [str(address) for host in world.serving("redis") for address in host.addresses]
    if not addresses:
        return None
    as_owner = ["setpriv", "--reuid=redis", "--regid=redis", "--init-groups"]
    return [*as_owner, "redis-server", "--bind", *addresses, "--protected-mode", "no", "--save", "", "--daemonize", "no"]
