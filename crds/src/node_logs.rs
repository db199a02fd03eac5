//! Which pods read what other containers of their node print.

use k8s_openapi::api::core::v1::Pod;

/// Where it is kept unless somebody says otherwise: the kubelet's files, its links to them, and the folder of Docker's.
const FOLDERS: [&str; 3] = ["/var/log/pods", "/var/log/containers", "/var/lib/docker/containers"];

/// Whether a pod mounts such a folder of its node, one above it, or one within it. Paths are compared as they are written: whoever moves
/// these folders, links to them, or mounts them by a PersistentVolume reads unseen, and so does a privileged container.
#[must_use]
pub fn are_read_by(pod: &Pod) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut paths = volumes.filter_map(|volume| volume.host_path.as_ref()).map(|mounted| parts(&mounted.path));
    paths.any(|path| FOLDERS.iter().any(|folder| path.iter().zip(parts(folder)).all(|(one, other)| *one == other)))
}

/// The names in a path, of which the API server takes none that goes back. The root of one of the node's own processes is the node's.
fn parts(path: &str) -> Vec<&str> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts.as_slice() {
        ["proc", _, "root", within @ ..] => within.to_vec(),
        _ => parts,
    }
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
    #[case::in_other_words("/./var//log", true)]
    #[case::by_a_process("/proc/1/root/var/log", true)]
    #[case::the_root_of_a_process("/proc/1/root", true)]
    #[case::processes("/proc", false)]
    #[case::beside("/var/log/calico", false)]
    #[case::a_longer_name("/var/log/pods2", false)]
    #[case::elsewhere("/etc/cni/net.d", false)]
    fn folders_of_logs_are_known(#[case] path: &str, #[case] read: bool) {
        let pod = json!({"spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": path}}]}});
        assert_eq!(are_read_by(&serde_json::from_value(pod).unwrap()), read, "{path}");
    }
}
