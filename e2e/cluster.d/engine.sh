# shellcheck shell=bash
# Which Docker engine the cluster runs on, and how commands run where it can be reached. Read by e2e/cluster.

# The node images of kind v0.33.0 by Kubernetes version (1.33: of kind v0.32.0, which was the last with one).
declare -A published=(
  [1.37]=kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5
  [1.36]=kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed
  [1.35]=kindest/node:v1.35.8@sha256:07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0
  [1.34]=kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d
  [1.33]=kindest/node:v1.33.12@sha256:3f5c8443c620245e4d355cfe09e96a91ead32ceaa569d3f1ca9edf0cb2fe2ff4
)
# The versions that e2e/engine builds; any other is built when its full number is asked for, as KUBERNETES=1.36.1.
declare -A built=([1.36]=v1.36.3 [1.35]=v1.35.4 [1.34]=v1.34.4 [1.33]=v1.33.13)
kubectl_module=kubernetes-v1.36.3 # of the kubectl for a Docker engine of the machine's own

own_engine=$here/engine/engine
programs=$cache/engine/programs

# Sets `engine` (docker: one that answers; own: e2e/engine), `node_image`, and `environment`, in which commands run.
choose_engine() {
  engine=$(cat "$state/engine" 2>/dev/null) || { if docker_answers; then engine=docker; else engine=own; fi; }
  local kubectl
  if [ "$engine" = docker ]; then
    node_image=${published[$kubernetes]:-kindest/node:v$kubernetes}
    kubectl=$programs/kubectl
  else
    node_image=local/node:${built[$kubernetes]:-v$kubernetes}
    kubectl=$programs/kubernetes-$(version_of "$(cat "$state/node-image" 2>/dev/null || echo "$node_image")")
  fi
  environment=("KUBECONFIG=$kubeconfig" "PATH=$programs/kind:$programs/helm:$kubectl:$PATH:/usr/sbin:/sbin")
}

docker_answers() {
  [[ ${DOCKER_HOST:-} != */shekara-engine/* ]] && command -v docker >/dev/null && timeout 20 docker version >/dev/null 2>&1
}

version_of() { # IMAGE: as in v1.36.3
  local version=${1#*:}
  echo "${version%@*}"
}

# Engine, programs, and the node image where the cluster has to be made.
prepare_engine() {
  local program
  for program in go jq curl; do command -v "$program" >/dev/null || die "$program is missing: see tools/prerequisites"; done
  local needed=(kind helm)
  if [ "$engine" = docker ]; then
    needed+=("$kubectl_module:kubectl")
  elif is_recorded; then
    start_engine
  else
    "$own_engine" node-image "$(version_of "$node_image")"
  fi
  "$here/engine/build-programs" "$programs" "${needed[@]}"
}

start_engine() { "$own_engine" up; }

engine_is_there() { # or has containers left from before the machine was restarted
  [ "$engine" = docker ] || [ -e /run/netns/shekara-engine ] ||
    [ -n "$(find "$cache/engine/docker/containers" -mindepth 1 -maxdepth 1 2>/dev/null)" ]
}

release_engine() { [ "$engine" = docker ] || [ "$(id -u)" != 0 ] || "$own_engine" release; }

inside() {
  if [ "$engine" = docker ]; then env "${environment[@]}" "$@"; else "$own_engine" exec env "${environment[@]}" "$@"; fi
}

become_inside() {
  if [ "$engine" = docker ]; then exec env "${environment[@]}" "$@"; else exec "$own_engine" exec env "${environment[@]}" "$@"; fi
}
