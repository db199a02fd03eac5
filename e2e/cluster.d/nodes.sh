# shellcheck shell=bash
# The nodes of the cluster: made, repaired, removed. Read by e2e/cluster.

# Destinations that are to see the addresses of pods: those of the world's hosts.
world_networks=192.0.2.0/24,198.51.100.0/24,203.0.113.0/24,2001:db8::/32

is_recorded() { [ -s "$state/made" ]; }

# Whether the nodes are those that an `up` finished: it wrote down the identifier of the control plane.
is_made() {
  is_recorded || return 1
  local control
  control=$(nodes --no-trunc --filter label=io.x-k8s.kind.role=control-plane)
  [ "$control" = "$(cat "$state/made")" ] || return 1
  [ "$(cat "$state/node-image")" = "$node_image" ] ||
    die "runs $(cat "$state/node-image"), not $node_image: remove it first (e2e/cluster down), or take another name (CLUSTER=…)"
}

nodes() { inside docker ps -aq --filter "label=io.x-k8s.kind.cluster=$name" "$@"; }

create() {
  local log=$state/create.log
  remove_nodes
  rm -rf "$state"
  mkdir -p "$state"
  echo "$engine" >"$state/engine"
  echo "$node_image" >"$state/node-image"
  say "making two nodes with Kubernetes $(version_of "$node_image")"
  inside docker network inspect kind >/dev/null 2>&1 || touch "$cache/clusters/network-is-ours"
  if ! inside kind create cluster --name "$name" --image "$node_image" --config "$here/cluster.d/kind.yaml" --wait 180s >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die "kind could not make it, see $log"
  fi
  [ "$engine" = own ] || keep_pod_addresses
  nodes --no-trunc --filter label=io.x-k8s.kind.role=control-plane >"$state/made"
}

# kindnetd masquerades every destination outside POD_SUBNET. Pod subnets themselves it learns from the nodes.
keep_pod_addresses() {
  local subnets
  subnets=$(inside kubectl -n kube-system get daemonset kindnet -o 'jsonpath={..env[?(@.name=="POD_SUBNET")].value}')
  inside kubectl -n kube-system set env daemonset/kindnet "POD_SUBNET=$subnets,$world_networks" >/dev/null
  inside kubectl -n kube-system rollout status daemonset/kindnet --timeout=120s >/dev/null
}

revive() { # nodes that stand still after a restart of the machine, or after a test that was interrupted
  local still
  mapfile -t still < <(nodes --filter status=paused)
  [ ${#still[@]} = 0 ] || inside docker unpause "${still[@]}" >/dev/null
  mapfile -t still < <(nodes --filter status=exited --filter status=created)
  [ ${#still[@]} = 0 ] || inside docker start "${still[@]}" >/dev/null
}

wait_until_ready() {
  local end=$((SECONDS + 180))
  until inside kubectl get --raw /readyz >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "the API server does not answer"
    sleep 1
  done
  until [ "$(addresses_in_docker)" = "$(addresses_in_cluster)" ]; do # nodes may come back with other addresses
    [ $SECONDS -lt $end ] || die "a node does not say which addresses it has now"
    sleep 0.5
  done
  inside kubectl wait --for=condition=Ready node --all --timeout=180s >/dev/null || die "a node is not ready"
}

addresses_in_docker() {
  local all
  mapfile -t all < <(nodes)
  inside docker inspect -f '{{.Name}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}' "${all[@]}" |
    sed 's#^/##; s# $##' | sort
}

addresses_in_cluster() {
  inside kubectl get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}' | sort
}

# After a restart nodes and pods are called ready from before. What proves that they are: every node reaches the cluster's DNS,
# several times in a row since there are several pods behind its Service.
wait_for_dns() {
  local end=$((SECONDS + 180)) service node all
  service=$(inside kubectl -n kube-system get service kube-dns -o 'jsonpath={.spec.clusterIP}')
  mapfile -t all < <(inside kind get nodes -q --name "$name")
  for node in "${all[@]}"; do
    until inside docker exec "$node" bash -c "for i in 1 2 3 4; do timeout 2 bash -c '</dev/tcp/$service/53' || exit; done" 2>/dev/null; do
      [ $SECONDS -lt $end ] || die "$node does not reach the cluster's DNS at $service"
      sleep 0.5
    done
  done
}

remove_nodes() {
  local found
  mapfile -t found < <(nodes)
  [ ${#found[@]} = 0 ] || inside docker rm -f -v "${found[@]}" >/dev/null
  [ "$engine" = docker ] || [ ! -s "$kubeconfig" ] || "$own_engine" unforward "$(api_port)"
}

# kind leaves its network behind. It goes with the last cluster if it came with one of ours.
remove_network() {
  [ -e "$cache/clusters/network-is-ours" ] || return 0
  [ -z "$(inside docker ps -aq --filter label=io.x-k8s.kind.cluster)" ] || return 0
  inside docker network rm kind >/dev/null 2>&1 || true
  rm -f "$cache/clusters/network-is-ours"
}

api_port() { sed -n 's#^ *server: https://127\.0\.0\.1:\([0-9]*\)$#\1#p' "$kubeconfig" | head -n 1; }
