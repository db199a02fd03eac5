"""python3 -m unittest discover --start-directory e2e/world/server"""
import ipaddress
import struct
import unittest

from packets import parse

QUERY = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x01A\x07Example\x00" + struct.pack("!HH", 1, 1)


def v4(number, payload, fragment=0):
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment, 64, number, 0)
    return header + ipaddress.ip_address("10.244.1.7").packed + ipaddress.ip_address("192.0.2.10").packed + payload


def v6(number, payload):
    header = struct.pack("!IHBB", 6 << 28, len(payload), number, 64)
    return header + ipaddress.ip_address("fd00::7").packed + ipaddress.ip_address("2001:db8::10").packed + payload


def udp(port, data):
    return struct.pack("!HHHH", 40000, port, 8 + len(data), 0) + data


def tcp(port, data, flags=0x18):
    return struct.pack("!HHIIBBHHH", 40000, port, 1, 1, 5 << 4, flags, 0, 0, 0) + data


class Packets(unittest.TestCase):
    def said(self, data):
        packet = parse(data, len(data))
        return packet.source, packet.destination, packet.protocol, packet.port

    def test_both_families_and_all_protocols(self):
        for number, name in ((1, "icmp"), (58, "icmpv6"), (132, "sctp"), (136, "136"), (6, "tcp"), (17, "udp")):
            port = 443 if number in (6, 17, 132, 136) else None
            payload = tcp(443, b"") if number == 6 else udp(443, b"")
            self.assertEqual(self.said(v4(number, payload)), ("10.244.1.7", "192.0.2.10", name, port))
            self.assertEqual(self.said(v6(number, payload)), ("fd00::7", "2001:db8::10", name, port))

    def test_a_packet_cut_short_is_still_an_arrival(self):
        self.assertEqual(self.said(v4(132, b"")), ("10.244.1.7", "192.0.2.10", "sctp", None))
        self.assertEqual(self.said(v4(6, b"\x01")), ("10.244.1.7", "192.0.2.10", "tcp", None))
        self.assertIsNone(parse(b"", 0))
        self.assertIsNone(parse(b"\x45\x00", 2))

    def test_extension_headers_are_passed(self):
        options = struct.pack("!BB6x", 44, 0)
        first = struct.pack("!BxHI", 17, 1, 1)
        later = struct.pack("!BxHI", 17, 8, 1)
        self.assertEqual(self.said(v6(0, options + first + udp(53, QUERY))), ("fd00::7", "2001:db8::10", "udp", 53))
        self.assertEqual(self.said(v6(44, later + b"\x00\x35\x00\x35")), ("fd00::7", "2001:db8::10", "udp", None))

    def test_a_later_fragment_has_no_ports(self):
        self.assertEqual(self.said(v4(17, b"\x00\x35\x00\x35", fragment=0x2001)), ("10.244.1.7", "192.0.2.10", "udp", None))

    def test_the_first_packet_of_a_connection_is_known(self):
        self.assertTrue(parse(v4(6, tcp(443, b"", flags=0x02)), 60).syn)
        self.assertFalse(parse(v4(6, tcp(443, b"", flags=0x12)), 60).syn)

    def test_questions_over_udp_and_tcp(self):
        def asked(data):
            return parse(data, len(data)).name

        framed = struct.pack("!H", len(QUERY)) + QUERY
        for data in (v4(17, udp(53, QUERY)), v6(17, udp(53, QUERY)), v4(6, tcp(53, framed)), v4(6, tcp(53, QUERY))):
            self.assertEqual(asked(data), "a.example")
        for data in (v4(17, udp(5353, QUERY)), v4(17, udp(53, b"x" * 40)), v4(17, udp(53, QUERY[:15])), v4(6, tcp(53, b""))):
            self.assertIsNone(asked(data))


if __name__ == "__main__":
    unittest.main()
