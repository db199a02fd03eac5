//! Commands of real clients.

use std::net::IpAddr;

use crate::scenario::AUTHORITY;

/// curl of a URL, with the test authority trusted: prints the status code, and fails where there is no answer.
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
    let begin = ["curl", "--silent", "--show-error", "--max-time", "10", "--cacert", AUTHORITY, "--output", "/dev/null"];
    let end = ["--write-out", "%{http_code}", url];
    begin.iter().chain(options).chain(&end).map(ToString::to_string).collect()
}

/// A program of Python that opens a TCP connection, sends a line and waits for an answer. Prints `answer` or fails.
#[must_use]
pub fn tcp(address: IpAddr, port: u16) -> String {
    format!(
        "import socket\n\
         s = socket.create_connection(('{address}', {port}), 5)\n\
         s.settimeout(5)\n\
         s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n\
         assert s.recv(1), 'closed without an answer'\n\
         print('answer')\n"
    )
}

/// A program of Python that sends a UDP datagram, and does not wait.
#[must_use]
pub fn udp(address: IpAddr, port: u16) -> String {
    let family = if address.is_ipv4() { "AF_INET" } else { "AF_INET6" };
    format!("import socket\nsocket.socket(socket.{family}, socket.SOCK_DGRAM).sendto(b'datagram', ('{address}', {port}))\n")
}

/// A program of Python that begins an SCTP association, or where the kernel has no SCTP sends the protocol's number raw.
#[must_use]
pub fn sctp(address: IpAddr) -> String {
    let family = if address.is_ipv4() { "AF_INET" } else { "AF_INET6" };
    format!(
        "import socket\n\
         try:\n\
         \x20   s = socket.socket(socket.{family}, socket.SOCK_STREAM, 132)\n\
         \x20   s.setblocking(False)\n\
         \x20   s.connect_ex(('{address}', 9))\n\
         except OSError:\n\
         \x20   socket.socket(socket.{family}, socket.SOCK_RAW, 132).sendto(bytes(12), ('{address}', 0))\n"
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
}
