//! Commands of real clients.

use std::net::{IpAddr, Ipv4Addr};

use crate::scenario::AUTHORITY;

/// curl of a URL, with the test authority trusted: prints the status code, and fails where it is none of success.
#[must_use]
pub fn curl(url: &str) -> Vec<String> {
    curl_with(url, &[])
}

/// curl of a URL whose host is taken to be at an address, whatever DNS says.
#[must_use]
pub fn curl_at(url: &str, host: &str, port: u16, address: IpAddr) -> Vec<String> {
    curl_with(url, &["--resolve", &format!("{host}:{port}:{}", bracketed(address))])
}

/// curl with further options.
#[must_use]
pub fn curl_with(url: &str, options: &[&str]) -> Vec<String> {
    let begin =
        ["curl", "--silent", "--show-error", "--fail", "--max-time", "10", "--cacert", AUTHORITY, "--output", "/dev/null"];
    let end = ["--write-out", "%{http_code}", url];
    begin.iter().chain(options).chain(&end).map(ToString::to_string).collect()
}

/// curl of a URL that prints the body of the answer.
#[must_use]
pub fn curl_body(url: &str) -> Vec<String> {
    ["curl", "--silent", "--show-error", "--fail", "--max-time", "10", url].map(str::to_owned).into()
}

/// mosquitto_pub of a message that the broker keeps, on port 8883 over TLS: fails unless the broker has acknowledged it.
#[must_use]
pub fn publish(host: &str, port: u16, topic: &str, message: &str) -> Vec<String> {
    mqtt("mosquitto_pub", host, port, &["-t", topic, "-m", message, "-q", "1", "-r"])
}

/// mosquitto_sub of one message, on port 8883 over TLS: prints it, or fails when none comes.
#[must_use]
pub fn subscribe(host: &str, port: u16, topic: &str) -> Vec<String> {
    mqtt("mosquitto_sub", host, port, &["-t", topic, "-C", "1", "-W", "10"])
}

fn mqtt(program: &str, host: &str, port: u16, options: &[&str]) -> Vec<String> {
    let secured: &[&str] = if port == 8883 { &["--cafile", AUTHORITY] } else { &[] };
    // the program has no limit of its own for connecting
    let begin = ["timeout", "20", program, "-h", host, "-p", &port.to_string()].map(str::to_owned);
    begin.into_iter().chain(secured.iter().chain(options).map(ToString::to_string)).collect()
}

/// psql of a query that every database answers: prints `1`.
#[must_use]
pub fn psql(host: &str) -> Vec<String> {
    let database = format!("host={host} port=5432 user=reader password=reader dbname=city connect_timeout=10");
    ["psql", &database, "--no-psqlrc", "--tuples-only", "--no-align", "--command", "select 1"].map(str::to_owned).into()
}

/// A command as a shell reads it, each argument in quotes.
#[must_use]
pub fn shell(command: &[impl AsRef<str>]) -> String {
    let quoted = command.iter().map(|argument| format!("'{}'", argument.as_ref().replace('\'', "'\\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

/// A program of Python that opens a TCP connection, asks by HTTP and waits for an answer. Prints `answer`, or fails: also
/// where the answer is that it is forbidden, which is the sidecar's.
#[must_use]
pub fn tcp(address: IpAddr, port: u16) -> String {
    format!(
        "import socket\n\
         s = socket.create_connection(('{address}', {port}), 5)\n\
         s.settimeout(5)\n\
         s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n\
         answer = s.recv(64)\n\
         assert answer and b' 403 ' not in answer, answer\n\
         print('answer')\n"
    )
}

/// A program of Python that sends a UDP datagram, and does not wait.
#[must_use]
pub fn udp(address: IpAddr, port: u16) -> String {
    let family = if address.is_ipv4() { "AF_INET" } else { "AF_INET6" };
    format!("import socket\nsocket.socket(socket.{family}, socket.SOCK_DGRAM).sendto(b'datagram', ('{address}', {port}))\n")
}

/// A program of Python that asks for an echo by the socket that needs no capability, and waits for it.
#[must_use]
pub fn ping(address: IpAddr) -> String {
    let (family, protocol, request) =
        if address.is_ipv4() { ("AF_INET", "IPPROTO_ICMP", 8) } else { ("AF_INET6", "IPPROTO_ICMPV6", 128) };
    format!(
        "import socket, struct\n\
         s = socket.socket(socket.{family}, socket.SOCK_DGRAM, socket.{protocol})\n\
         s.settimeout(2)\n\
         s.sendto(struct.pack('!BBHHH', {request}, 0, 0, 0, 1), ('{address}', 0))\n\
         s.recv(64)\n"
    )
}

/// A program of Python that begins an SCTP association: by the kernel, or where that has no SCTP by hand, with a checksum that
/// routers find right.
#[must_use]
pub fn sctp(address: IpAddr) -> String {
    let family = if address.is_ipv4() { "AF_INET" } else { "AF_INET6" };
    format!(
        "import socket, struct\n\
         try: s = socket.socket(socket.{family}, socket.SOCK_STREAM, 132)\n\
         except OSError: s = None\n\
         if s:\n\
         \x20   s.settimeout(2)\n\
         \x20   s.connect_ex(('{address}', 9))\n\
         else:\n\
         \x20   chunk = struct.pack('!BBHIIHHI', 1, 0, 20, 1, 65535, 1, 1, 1)\n\
         \x20   sum = 0xffffffff\n\
         \x20   for byte in struct.pack('!HHII', 40000, 9, 0, 0) + chunk:\n\
         \x20       sum ^= byte\n\
         \x20       for _ in range(8): sum = sum >> 1 ^ (0x82f63b78 if sum & 1 else 0)\n\
         \x20   packet = struct.pack('!HHI', 40000, 9, 0) + struct.pack('<I', sum ^ 0xffffffff) + chunk\n\
         \x20   socket.socket(socket.{family}, socket.SOCK_RAW, 132).sendto(packet, ('{address}', 0))\n"
    )
}

/// A program of Python that sends the first segment of a TCP connection by hand, with a checksum that routers find right.
#[must_use]
pub fn raw_tcp(address: Ipv4Addr, port: u16) -> String {
    format!(
        "import socket, struct\n\
         probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         probe.connect(('{address}', 9))\n\
         ends = socket.inet_aton(probe.getsockname()[0]) + socket.inet_aton('{address}')\n\
         def segment(sum): return struct.pack('!HHIIBBHHH', 40000, {port}, 1, 0, 5 << 4, 2, 1024, sum, 0)\n\
         words = struct.unpack('!16H', ends + struct.pack('!HH', 6, 20) + segment(0))\n\
         sum = sum(words)\n\
         while sum >> 16: sum = (sum & 0xffff) + (sum >> 16)\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)\n\
         s.sendto(segment(sum ^ 0xffff), ('{address}', 0))\n"
    )
}

/// An address as a URL writes it.
#[must_use]
pub fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_six_is_bracketed() {
        let command = curl_at("https://a.example/", "a.example", 443, "2001:db8::1".parse().unwrap());
        assert!(command.windows(2).any(|pair| pair == ["--resolve", "a.example:443:[2001:db8::1]"]), "{command:?}");
        assert_eq!(command.last().unwrap(), "https://a.example/");
    }

    #[test]
    fn a_shell_reads_arguments_as_they_are() {
        assert_eq!(shell(&["echo", "it's", "$HOME"]), r"'echo' 'it'\''s' '$HOME'");
    }

    #[test]
    fn the_port_says_whether_mqtt_is_secured() {
        assert!(publish("b.example", 8883, "t", "m").contains(&"--cafile".to_owned()));
        assert!(!subscribe("b.example", 1883, "t").contains(&"--cafile".to_owned()));
    }
}
