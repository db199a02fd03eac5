"""The message brokers: a Mosquitto of its own for each host, without passwords."""
import pathlib

from hosts import PORTS

LISTENERS = ("mqtt", "mqtts")

# of the one broker for all hosts that is reached over WebSocket, behind the web: Mosquitto cannot bind that to an address, and does
# not start without another listener
WEBSOCKET, OTHER = 9001, 9002

SETTINGS = "user mosquitto\nallow_anonymous true\nset_tcp_nodelay true\nlog_dest stdout\n"


def configure(world, certificates, folder):
    """Writes the configurations; returns the commands."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    commands = []
    if world.serving("mqtt-websocket"):
        path = folder / "websocket.conf"
        path.write_text(SETTINGS + f"listener {OTHER} 127.0.0.1\nlistener {WEBSOCKET}\nprotocol websockets\n")
        commands.append(["mosquitto", "-c", str(path)])
    for host in world.serving(*LISTENERS):
        path = folder / f"{host.name}.conf"
        path.write_text(configuration(host, certificates))
        commands.append(["mosquitto", "-c", str(path)])
    return commands


def configuration(host, certificates):
    text = SETTINGS
    for address in host.addresses:
        for service in [service for service in host.serves if service in LISTENERS]:
            text += f"listener {PORTS[service]} {address}\n"
            if service == "mqtts":
                text += f"certfile {certificates}/{host.name}.pem\nkeyfile {certificates}/{host.name}.key\n"
    return text
