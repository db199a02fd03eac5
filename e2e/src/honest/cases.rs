//! Which clients there are.

/// A client and what is promised of it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The function of e2e/clients/clients.sh.
    pub client: &'static str,
    /// The client and what it speaks, in words.
    pub what: &'static str,
    /// What comes of it with the listed party.
    pub listed: Listed,
}

/// What comes of a client with the listed party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It gets the same bytes as without a sidecar.
    Reached,
    /// It is refused: what it speaks could carry, unread, requests to others.
    Refused,
}

const fn reached(client: &'static str, what: &'static str) -> Case {
    Case { client, what, listed: Listed::Reached }
}

const fn refused(client: &'static str, what: &'static str) -> Case {
    Case { client, what, listed: Listed::Refused }
}

/// Those that start in no time, of the image `clients`.
pub const QUICK: &[Case] = &[
    reached("curl_http", "curl, HTTP/1.1"),
    reached("curl_https", "curl, HTTP/1.1 over TLS"),
    reached("curl_http2", "curl, HTTP/2 over TLS"),
    reached("curl_upgrade", "curl, HTTP with an upgrade to h2c"),
    reached("curl_h2c", "curl, h2c, endpoint listed as TCP"),
    refused("curl_h2c_read", "curl, h2c, endpoint listed as HTTP"),
    reached("curl_expect", "curl, upload with Expect: 100-continue"),
    reached("curl_chunked", "curl, upload in chunks over TLS"),
    reached("curl_proxy", "curl, http_proxy set, HTTP"),
    refused("curl_connect", "curl, https_proxy set, CONNECT"),
    reached("openssl_s_client", "openssl s_client"),
    reached("python_requests", "Python requests, HTTP over TLS"),
    reached("psql_tls", "psql, TLS by SSLRequest"),
    reached("mariadb_plain", "mariadb"),
    reached("mariadb_tls", "mariadb, TLS"),
    reached("redis_cli", "redis-cli"),
    reached("mqtt_plain", "mosquitto_pub and _sub"),
    reached("mqtt_tls", "mosquitto_pub and _sub, TLS"),
    reached("ssh_cat", "ssh"),
    reached("curl_smtp", "curl, SMTP with STARTTLS"),
    reached("half_close", "half-closed TCP, by hand"),
];

/// Those of the image `moreclients`.
pub const MORE: &[Case] = &[
    reached("go_http1", "Go net/http, HTTP/1.1 over TLS"),
    reached("go_http2", "Go net/http, HTTP/2 over TLS"),
    reached("go_h2c", "Go net/http, h2c, endpoint listed as TCP"),
    reached("java_http", "Java HttpClient, HTTP with an upgrade to h2c"),
    reached("java_https", "Java HttpClient, HTTP/2 over TLS"),
    reached("node_http", "Node fetch, HTTP"),
    reached("node_https", "Node fetch, HTTP over TLS"),
    reached("python_websocket", "Python websockets"),
    reached("python_websocket_tls", "Python websockets, TLS"),
    reached("grpc_tls", "gRPC, TLS"),
    reached("grpc_plain", "gRPC without TLS, endpoint listed as TCP"),
    reached("mqtt_websocket", "paho, MQTT over WebSocket"),
    reached("mqtt_websocket_tls", "paho, MQTT over WebSocket, TLS"),
    reached("git_https", "git over HTTPS"),
    reached("git_ssh", "git over SSH"),
    reached("rsync_ssh", "rsync over SSH"),
    reached("msmtp_tls", "msmtp, SMTP with STARTTLS"),
];

#[cfg(test)]
mod tests {
    use super::super::SCRIPT;
    use super::*;

    #[test]
    fn the_script_has_every_client_and_the_document_a_row_for_it() {
        let document = include_str!("../../../docs/clients.md");
        for case in QUICK.iter().chain(MORE) {
            assert!(SCRIPT.contains(&format!("\n{}() {{", case.client)), "clients.sh has no {}", case.client);
            assert!(document.contains(&format!("\n| {} |", case.what)), "docs/clients.md has no row of {}", case.what);
        }
    }
}
