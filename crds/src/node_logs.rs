//! Which pods read what other containers of their node print.

use k8s_openapi::api::core::v1::Pod;

/// Where runtimes and the kubelet keep it: files of containers, the links to them, and the folder of Docker's.
const FOLDERS: [&str; 3] = ["/var/log/pods", "/var/log/containers", "/var/lib/docker/containers"];

/// Whether a pod mounts such a folder of its node, one above it, or one within it. Of it alone the pod's object speaks: a privileged
/// container, or one that shares the node's processes, finds them by other ways.
#[must_use]
pub fn are_read_by(pod: &Pod) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let paths = volumes.filter_map(|volume| volume.host_path.as_ref()).map(|mounted| parts(&mounted.path));
    paths.into_iter().any(|path| FOLDERS.iter().any(|folder| path.iter().zip(parts(folder)).all(|(one, other)| *one == other)))
}

/// The names in a path, as the node's kernel follows it.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::above("/var/log", true)]
    #[case::the_node("/", true)]
    #[case::itself("/var/log/pods/", true)]
    #[case::links("/var/log/containers", true)]
    #[case::of_docker("/var/lib/docker/containers", true)]
    #[case::within("/var/log/pods/city_faces-1_0/app", true)]
    #[case::in_other_words("/opt/.././var//log", true)]
    #[case::beside("/var/log/calico", false)]
    #[case::a_longer_name("/var/log/pods2", false)]
    #[case::elsewhere("/etc/cni/net.d", false)]
    fn folders_of_logs_are_known(#[case] path: &str, #[case] read: bool) {
        let pod = json!({"spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": path}}]}});
        assert_eq!(are_read_by(&serde_json::from_value(pod).unwrap()), read, "{path}");
    }
}
