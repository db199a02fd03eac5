"""The message brokers: a Mosquitto of its own for each host, without passwords."""
import pathlib

from hosts import PORTS


def configure(world, certificates, folder):
    """Writes the configurations; returns the commands."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    commands = []
    for host in world.serving("mqtt", "mqtts"):
        path = folder / f"{host.name}.conf"
        path.write_text(configuration(host, certificates))
        commands.append(["mosquitto", "-c", str(path)])
    return commands


def configuration(host, certificates):
    text = "user mosquitto\nallow_anonymous true\nset_tcp_nodelay true\nlog_dest stdout\n"
    for address in host.addresses:
        for service in host.serves:
            text += f"listener {PORTS[service]} {address}\n"
            if service == "mqtts":
                text += f"certfile {certificates}/{host.name}.pem\nkeyfile {certificates}/{host.name}.key\n"
    return text
