"""mqtt.py HOST PORT [AUTHORITY]: MQTT over WebSocket by paho: publishes 16 KiB and gets them back; prints their SHA-256."""
import hashlib
import random
import sys
import threading
import time

from paho.mqtt import client as mqtt

WITHIN = 10  # seconds


def main(host, port, authority=None):
    sent, topic = random.Random(1).randbytes(1 << 14), f"clients/{time.time_ns()}"
    got, done = [], threading.Event()
    client = mqtt.Client(transport="websockets")
    if authority:
        client.tls_set(authority)

    def on_connect(client, data, flags, code):
        client.subscribe(topic, 1)

    def on_subscribe(client, data, number, granted):
        client.publish(topic, sent, 1)

    def on_message(client, data, message):
        got.append(message.payload)
        done.set()

    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    client.connect(host, int(port))
    client.loop_start()
    came = done.wait(WITHIN)
    client.disconnect()
    client.loop_stop()
    if not came:
        sys.exit("the message did not come back")
    print(hashlib.sha256(got[0]).hexdigest())


begin = time.monotonic()
try:
    main(*sys.argv[1:])
except (OSError, mqtt.WebsocketConnectionError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
finally:
    print("took", time.monotonic() - begin, file=sys.stderr)
