//! The signs: a pure function of a pod. Names are taken from what is sold and published; who runs such a thing under another name is
//! not found, so that nothing found proves that nothing is there.

use k8s_openapi::api::core::v1::{Container, Pod};
use serde::Serialize;

/// A reason to ask the owner of a workload what it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sign {
    pub(super) kind: SignKind,
    /// What was seen.
    pub(super) seen: String,
    /// The category that such a system mostly holds.
    pub(super) suggests: &'static str,
}

/// What kind of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum SignKind {
    /// The image is called as a known recogniser of people or plates.
    Recogniser,
    /// The image is called as a known recorder of cameras, or the pod names a stream of a camera.
    Camera,
    /// It has a graphics processor and streams of cameras.
    VideoAnalytics,
    /// The image is called as a known platform of vehicles.
    Telematics,
    /// It serves MQTT, by which devices and vehicles mostly report.
    Broker,
    /// It has the credentials of an object store beside streams of cameras.
    CameraStore,
}

impl SignKind {
    /// In words.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Recogniser => "an image that recognises people or plates",
            Self::Camera => "streams of cameras",
            Self::VideoAnalytics => "a graphics processor and streams of cameras",
            Self::Telematics => "a platform of vehicles",
            Self::Broker => "a broker of devices",
            Self::CameraStore => "credentials of an object store beside streams of cameras",
        }
    }
}

/// Parts of names of images, and the category that such systems mostly hold.
const RECOGNISERS: &[(&str, &str)] = &[
    ("arcface", "biometric.face"),
    ("compreface", "biometric.face"),
    ("deepface", "biometric.face"),
    ("deepstack", "biometric.face"),
    ("double-take", "biometric.face"),
    ("face-recognition", "biometric.face"),
    ("facenet", "biometric.face"),
    ("facerecognition", "biometric.face"),
    ("findface", "biometric.face"),
    ("insightface", "biometric.face"),
    ("luna-platform", "biometric.face"),
    ("ntechlab", "biometric.face"),
    ("openface", "biometric.face"),
    ("recognizer", "biometric.face"),
    ("visionlabs", "biometric.face"),
    ("megamatcher", "biometric.finger"),
    ("neurotec", "biometric.finger"),
    ("sourceafis", "biometric.finger"),
    ("speaker-verification", "biometric.voice"),
    ("voiceprint", "biometric.voice"),
    ("alpr", "vehicle.identity"),
    ("anpr", "vehicle.identity"),
    ("plate-recog", "vehicle.identity"),
    ("platerecognizer", "vehicle.identity"),
];

/// Recorders of cameras.
const CAMERAS: &[&str] = &[
    "frigate",
    "go2rtc",
    "mediamtx",
    "motioneye",
    "rtsp-simple-server",
    "shinobi",
    "trassir",
    "zoneminder",
    "agentdvr",
    "viseron",
];

/// Platforms of vehicles.
const TELEMATICS: &[&str] =
    &["telematics", "traccar", "wialon", "gps-server", "gb32960", "openremote", "fleet-telemetry", "ocpp"];

/// Brokers of MQTT.
const BROKERS: &[&str] = &["mosquitto", "emqx", "hivemq", "vernemq", "nanomq"];

/// Ports of MQTT, plain and over TLS.
const MQTT: [i32; 2] = [1883, 8883];

/// Schemes of streams of cameras.
const STREAMS: [&str; 3] = ["rtsp://", "rtsps://", "onvif://"];

/// The credentials that clients of object stores read.
const STORES: [&str; 4] = ["AWS_SECRET_ACCESS_KEY", "S3_SECRET_KEY", "S3_SECRET_ACCESS_KEY", "MINIO_SECRET_KEY"];

/// The vendors of graphics processors, as their device plugins name resources.
const GRAPHICS: [&str; 3] = ["nvidia.com/", "amd.com/gpu", "gpu.intel.com/"];

/// Every sign of a pod.
pub(super) fn signs(pod: &Pod) -> Vec<Sign> {
    let spec = pod.spec.as_ref();
    let containers: Vec<&Container> = spec.into_iter().flat_map(|spec| spec.containers.iter()).collect();
    let mut signs = Vec::new();
    for container in &containers {
        let image = container.image.as_deref().unwrap_or_default();
        named(image, &mut signs);
        let served = container.ports.iter().flatten().find(|port| MQTT.contains(&port.container_port));
        if let Some(port) = served {
            signs.push(sign(
                SignKind::Broker,
                format!("port {} of {}", port.container_port, container.name),
                "vehicle.operation",
            ));
        }
    }
    let stream = containers.iter().find_map(|container| stream(container));
    if let Some(stream) = stream {
        let graphics = containers.iter().find_map(|container| graphics(container));
        signs.push(match graphics {
            Some(graphics) => sign(SignKind::VideoAnalytics, format!("{graphics}, and {stream}"), "biometric.face"),
            None => sign(SignKind::Camera, stream.clone(), "biometric.face"),
        });
        if let Some(store) = containers.iter().find_map(|container| store(container)) {
            signs.push(sign(SignKind::CameraStore, format!("the variable {store}, and {stream}"), "biometric.face"));
        }
    }
    signs.sort();
    signs.dedup();
    signs
}

fn sign(kind: SignKind, seen: String, suggests: &'static str) -> Sign {
    Sign { kind, seen, suggests }
}

/// Signs by the name of an image.
fn named(image: &str, signs: &mut Vec<Sign>) {
    // neither the host of a registry nor a digest says what an image does
    let path = image.split('@').next().unwrap_or_default().split_once('/').map_or(image, |(_, path)| path).to_ascii_lowercase();
    let seen = || format!("the image {image}");
    if let Some((_, category)) = RECOGNISERS.iter().find(|(name, _)| path.contains(name)) {
        signs.push(sign(SignKind::Recogniser, seen(), category));
    }
    for (kind, names, category) in [
        (SignKind::Camera, CAMERAS, "biometric.face"),
        (SignKind::Telematics, TELEMATICS, "vehicle.location"),
        (SignKind::Broker, BROKERS, "vehicle.operation"),
    ] {
        if names.iter().any(|name| path.contains(name)) {
            signs.push(sign(kind, seen(), category));
        }
    }
}

/// Where a container names a stream of a camera: its place, since the address may have a password.
fn stream(container: &Container) -> Option<String> {
    let is_stream = |text: &str| STREAMS.iter().any(|scheme| text.to_ascii_lowercase().contains(scheme));
    let mut words = container.command.iter().flatten().chain(container.args.iter().flatten());
    if words.any(|word| is_stream(word)) {
        return Some(format!("a stream among the arguments of {}", container.name));
    }
    let mut variables = container.env.iter().flatten();
    let variable = variables.find(|variable| variable.value.as_deref().is_some_and(is_stream))?;
    Some(format!("a stream in the variable {} of {}", variable.name, container.name))
}

fn graphics(container: &Container) -> Option<String> {
    let resources = container.resources.as_ref()?;
    let mut names = resources.limits.iter().flatten().chain(resources.requests.iter().flatten()).map(|(name, _)| name);
    names.find(|name| GRAPHICS.iter().any(|vendor| name.starts_with(vendor))).map(|name| format!("the resource {name}"))
}

fn store(container: &Container) -> Option<&str> {
    let mut variables = container.env.iter().flatten().map(|variable| variable.name.as_str());
    variables.find(|name| STORES.contains(name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn of(container: Value) -> Vec<(SignKind, &'static str)> {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [container]}})).unwrap();
        signs(&pod).into_iter().map(|sign| (sign.kind, sign.suggests)).collect()
    }

    #[rstest]
    #[case("registry.example.kz/vision/CompreFace-core:1.2", &[(SignKind::Recogniser, "biometric.face")])]
    #[case("ghcr.io/blakeblackshear/frigate:stable", &[(SignKind::Camera, "biometric.face")])]
    #[case("openalpr@sha256:1", &[(SignKind::Recogniser, "vehicle.identity")])]
    #[case("traccar/traccar", &[(SignKind::Telematics, "vehicle.location")])]
    #[case("eclipse-mosquitto:2", &[(SignKind::Broker, "vehicle.operation")])]
    #[case("nginx:1.29", &[])]
    #[case::the_host_says_nothing("visionlabs.example.kz/nginx", &[])]
    fn an_image_is_known_by_its_name(#[case] image: &str, #[case] expected: &[(SignKind, &str)]) {
        assert_eq!(of(json!({"name": "a", "image": image})), expected);
    }

    #[test]
    fn streams_count_more_beside_graphics_and_stores() {
        let stream = json!({"name": "SOURCE", "value": "rtsp://user:secret@198.51.100.7/1"});
        let camera = (SignKind::Camera, "biometric.face");
        assert_eq!(of(json!({"name": "a", "env": [stream]})), [camera]);
        assert_eq!(of(json!({"name": "a", "args": ["--in", "RTSP://198.51.100.7/1"]})), [camera]);
        let gpu = json!({"limits": {"nvidia.com/gpu": "1"}});
        assert_eq!(of(json!({"name": "a", "env": [stream], "resources": gpu})), [(SignKind::VideoAnalytics, "biometric.face")]);
        assert_eq!(of(json!({"name": "a", "resources": gpu})), [], "alone it says nothing");
        let store = json!({"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
        assert_eq!(of(json!({"name": "a", "env": [stream, store]})), [camera, (SignKind::CameraStore, "biometric.face")]);
        assert_eq!(of(json!({"name": "a", "env": [store]})), []);
    }

    #[test]
    fn what_is_seen_tells_no_secret() {
        let pod = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "SOURCE", "value": "rtsp://user:secret@198.51.100.7/1"}]}]}});
        let found = signs(&serde_json::from_value(pod).unwrap());
        assert_eq!(found[0].seen, "a stream in the variable SOURCE of a");
    }

    #[test]
    fn what_is_suggested_can_be_declared() {
        for (_, category) in RECOGNISERS {
            category.parse::<shekara_policy::Category>().unwrap();
        }
    }

    #[test]
    fn a_broker_is_known_by_its_port() {
        let ports = |port: i32| json!({"name": "a", "image": "x", "ports": [{"containerPort": port}]});
        assert_eq!(of(ports(1883)), [(SignKind::Broker, "vehicle.operation")]);
        assert_eq!(of(ports(80)), []);
    }
}
