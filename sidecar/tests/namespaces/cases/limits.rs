//! Too much at once: refused with a reason, and the sidecar lives on.

use shekara_policy::Reason;
use shekara_policy::record::End;

use crate::document::document;
use crate::place::Place;
use crate::wait::within;
use crate::world::{CLINIC, HTTP};

#[tokio::test]
async fn without_file_descriptors_connections_are_refused_and_the_sidecar_lives_on() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    place.leave_open_files(3);
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.extend(place.dial_unless_reset(CLINIC.v4, HTTP).await);
    }
    let record = place.record(|record| record.reason == Some(Reason::DescriptorsExhausted)).await;
    assert_eq!((record.end, record.destination, record.port), (End::Refused, Some(CLINIC.v4.parse().unwrap()), HTTP));
    assert!(!place.reached(CLINIC.v4).await);
    drop(waiting);
    place.limit_open_files(20_000);
    let served = async {
        while !place
            .curl(&["--resolve", &format!("{}:80:{}", CLINIC.name, CLINIC.v4), &format!("http://{}/", CLINIC.name)])
            .await
            .ok
        {}
    };
    within("the sidecar to carry flows again", served).await;
}
