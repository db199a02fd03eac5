# shellcheck shell=bash
# Shekara itself, by its chart. Read by e2e/cluster.

install_chart() {
  load # what was built since the cluster came up is what is installed
  upgrade inside "$(networks)"
}

upgrade() { # RUN NETWORKS: RUN is the command that helm is run by
  local operator sidecar values more=()
  operator=$(image_named OPERATOR_IMAGE)
  sidecar=$(image_named SIDECAR_IMAGE)
  values=$(jq -n --arg operator "$operator" --arg sidecar "$sidecar" --arg networks "$2" '{
    images: {operator: $operator, sidecar: $sidecar, pullPolicy: "IfNotPresent"},
    enforcement: {filter: "Auto"}, # scenarios have namespaces of every level of PodSecurity
    keys: {overlap: 60}, # scenarios see keys replaced to the end
    cluster: ({domain: "cluster.local"} + if $networks == "" then {} else {networks: ($networks | split("[,\\s]+"; "") | map(select(. != "")))} end)}')
  [ -z "${SHEKARA_VALUES:-}" ] || more=(--values "$SHEKARA_VALUES")
  say "installing Shekara"
  # what an interrupted installation left: helm would wait for its end
  "$1" kubectl --namespace shekara-system delete secret --ignore-not-found \
    --selector 'owner=helm,name=shekara,status in (pending-install,pending-upgrade,pending-rollback)' >/dev/null 2>&1
  if ! "$1" helm upgrade --install shekara "$root/charts/shekara" --namespace shekara-system --create-namespace --wait --timeout 3m \
    --values <(echo "$values") "${more[@]}" >/dev/null; then
    "$1" kubectl --namespace shekara-system get pods,events >&2
    die "Shekara is not ready"
  fi
}

networks() { # of pods and Services, as kubeadm was told; of nodes, as Docker knows
  inside kubectl -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}' |
    awk '$1 == "podSubnet:" || $1 == "serviceSubnet:" { print $2 }'
  inside docker network inspect kind -f '{{range .IPAM.Config}}{{println .Subnet}}{{end}}'
}
