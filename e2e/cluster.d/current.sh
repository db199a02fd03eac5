# shellcheck shell=bash
# CLUSTER=current: whatever KUBECONFIG names. It has no world beside it, and nothing of it is made or removed here but Shekara.
# Read by e2e/cluster.

current() {
  local command=$1
  shift
  find_programs
  case "$command $#" in
  "up 0")
    kubectl get --raw /readyz >/dev/null || die "the API server of KUBECONFIG does not answer"
    say "$(kubectl config current-context); scenarios that need the world will not be run"
    ;;
  "load "*) say "images have to be where the cluster pulls them from; SHEKARA_IMAGES is a file with their names" ;;
  "install 0") upgrade env "${SHEKARA_NETWORKS:-}" ;;
  "kubeconfig 0") echo "${KUBECONFIG:-$HOME/.kube/config}" ;;
  "down 0")
    helm uninstall shekara --namespace shekara-system --ignore-not-found --wait >/dev/null
    kubectl delete namespace shekara-system --ignore-not-found >/dev/null
    say "Shekara is gone; its CustomResourceDefinitions and the objects of users stay"
    ;;
  "exec "[1-9]*)
    unset SHEKARA_WORLD_URL SHEKARA_WORLD_FILE SHEKARA_TEST_CA
    export SHEKARA_IMAGES=${SHEKARA_IMAGES:-$images/images.env}
    exec "$@"
    ;;
  *) die "there is no such command: e2e/cluster explains them" ;;
  esac
}

find_programs() {
  export PATH=$PATH:$programs/helm:$programs/kubectl
  command -v kubectl >/dev/null || "$here/engine/build-programs" "$programs" "$kubectl_module:kubectl"
  command -v helm >/dev/null || "$here/engine/build-programs" "$programs" helm
}
