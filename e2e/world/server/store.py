"""The Redis of the hosts that serve one, which keeps nothing on disk."""


def configure(world):
    """Returns the command, or None where no host serves one."""
    addresses = world.addresses_of("redis")
    if not addresses:
        return None
    as_owner = ["setpriv", "--reuid=redis", "--regid=redis", "--init-groups"]
    return [*as_owner, "redis-server", "--bind", *addresses, "--protected-mode", "no", "--save", "", "--daemonize", "no"]
