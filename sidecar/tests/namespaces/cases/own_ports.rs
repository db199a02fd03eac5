//! The sidecar's own ports, which the application can dial.

use shekara_policy::Reason;
use tokio::io::AsyncReadExt as _;

use crate::document::document;
use crate::place::{POD, Place};
use crate::wait::within;
use crate::world::CLINIC;

#[tokio::test]
async fn an_application_that_dials_the_proxy_itself_is_closed() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    for address in ["127.0.0.1", "::1"] {
        if let Some(mut stream) = place.dial_unless_reset(address, 15001).await {
            let read = within("the end", stream.read(&mut [0; 16])).await;
            assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        }
        let destination = address.parse().unwrap();
        let record = place.record(|record| record.destination == Some(destination)).await;
        assert_eq!((record.reason, record.port), (Some(Reason::SelfConnection), 15001));
    }
    // the proxy listens on loopback alone
    for address in POD {
        assert!(place.dial(address, 15001).await.is_err());
    }
    // and at the pod's own addresses for what comes in
    for address in POD {
        if let Some(mut stream) = place.dial_unless_reset(address, 15006).await {
            let read = within("the end", stream.read(&mut [0; 16])).await;
            assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        }
        let destination = address.parse().unwrap();
        let record = place.record(|record| record.destination == Some(destination)).await;
        assert_eq!((record.reason, record.port), (Some(Reason::SelfConnection), 15006));
    }
    let checkpoint = place.checkpoint(|checkpoint| !checkpoint.totals.is_empty()).await;
    assert_eq!(checkpoint.totals[0].reason, Some(Reason::SelfConnection));
}

#[tokio::test]
async fn the_administration_port_answers_reads_alone_and_tells_of_no_flow() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    place.curl(&["-4", &format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    place.curl(&["-4", &format!("http://{}/", crate::world::MAPS.name)]).await.failed();
    place.record(|record| record.reason == Some(Reason::CrossBorder)).await;
    for address in ["127.0.0.1", "[::1]", POD[0]] {
        let url = |path: &str| format!("http://{address}:15020{path}");
        let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
        let metrics = place.curl(&[&url("/metrics")]).await;
        assert!(metrics.out.contains("reason=\"CrossBorder\",verdict=\"deny\"} 1"), "{metrics:?}");
        for secret in ["example", "clinic", "maps", CLINIC.v4, "city", "faces"] {
            assert!(!metrics.out.contains(secret), "{secret} is in {}", metrics.out);
        }
        for (path, method, expected) in [
            ("/ready", "GET", "200"),
            ("/live", "GET", "200"),
            ("/metrics", "POST", "405"),
            ("/ready", "DELETE", "405"),
            ("/", "GET", "404"),
            ("/records", "GET", "404"),
            ("/quit", "POST", "404"),
        ] {
            let said = place.curl(&[&status[..], &["--request", method, &url(path)]].concat()).await;
            assert_eq!(said.out, expected, "{method} {path}");
        }
    }
}
