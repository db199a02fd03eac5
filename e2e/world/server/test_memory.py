"""python3 -m unittest discover --start-directory e2e/world/server"""
import unittest

from memory import Incomplete, Memory
from packets import Packet


def packet(protocol="tcp", syn=False, destination="192.0.2.10"):
    return Packet("10.244.1.7", destination, protocol, 60, 40000, 443, syn, None)


class Remembered(unittest.TestCase):
    def times(self, memory, since, matches=lambda _: True):
        return [time for time, _ in memory.find(since, matches)]

    def test_packets_since_a_time_in_order(self):
        memory = Memory()
        for time, kind in ((1.0, "udp"), (2.0, "tcp"), (3.0, "udp"), (2.9, "udp")):
            memory.add(time, packet(kind))
        self.assertEqual(self.times(memory, 0), [1.0, 2.0, 2.9, 3.0])
        self.assertEqual(self.times(memory, 2.0), [2.0, 2.9, 3.0])
        self.assertEqual(self.times(memory, 0, lambda found: found.protocol == "tcp"), [2.0])

    def test_many_segments_push_out_no_first_packet(self):
        memory = Memory(capacity=10)
        memory.add(1.0, packet(syn=True))
        for time in range(2, 30):
            memory.add(float(time), packet())
        self.assertEqual(len(self.times(memory, 20.0)), 10)
        self.assertEqual(memory.rings["others"][0][0], 1.0)

    def test_no_answer_about_a_time_of_which_packets_are_missing(self):
        memory = Memory(capacity=10)
        for time in range(12):
            memory.add(float(time), packet())
        with self.assertRaises(Incomplete):
            memory.find(1.0, lambda _: True)
        self.assertEqual(len(self.times(memory, 1.5)), 10)
        memory.lose(5.0)
        with self.assertRaises(Incomplete):
            memory.find(4.0, lambda _: True)
        self.assertEqual(len(self.times(memory, 6.0)), 6)


if __name__ == "__main__":
    unittest.main()
