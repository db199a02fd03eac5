"""The packets that are remembered: a bounded number, the newest, and from when on nothing is forgotten or lost."""
import collections
import threading

# Enough for every test at once. Segments of established connections have a memory of their own, so that a large transfer
# never pushes out a first packet.
CAPACITY = 100_000

# Packets of several processors are stamped, and then queued, in an order that may differ by this many seconds.
DISORDER = 1.0


class Incomplete(Exception):
    """The question reaches back to where packets were forgotten or lost, so that no answer would be true."""


class Memory:
    def __init__(self, capacity=CAPACITY):
        self.rings = {kind: collections.deque(maxlen=capacity) for kind in ("segments", "others")}
        self.complete_since = float("-inf")
        self.lock = threading.Lock()

    def add(self, time, packet):
        kind = "segments" if packet.protocol == "tcp" and not packet.syn and packet.name is None else "others"
        ring = self.rings[kind]
        with self.lock:
            if len(ring) == ring.maxlen:
                self.complete_since = max(self.complete_since, ring[0][0])
            ring.append((time, packet))

    def lose(self, time):
        """Packets until this time may be missing."""
        with self.lock:
            self.complete_since = max(self.complete_since, time)

    def find(self, since, matches):
        """The packets since a time that match, with their times, in order."""
        with self.lock:
            if since <= self.complete_since:
                raise Incomplete(f"packets until {self.complete_since} are forgotten or lost: ask only since a later time")
            found = [entry for ring in self.rings.values() for entry in newer(ring, since) if matches(entry[1])]
        return sorted(found, key=lambda entry: entry[0])


def newer(ring, since):
    """The entries since a time. A deque is slow in its middle, and questions are about its end."""
    for time, packet in reversed(ring):
        if time < since - DISORDER:
            break
        if time >= since:
            yield time, packet
