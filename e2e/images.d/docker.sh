# shellcheck shell=bash
# Building by a Docker engine of the machine's own, which pulls the base image. Read by e2e/images.

docker_answers() {
  [[ ${DOCKER_HOST:-} != */shekara-engine/* ]] && command -v docker >/dev/null && timeout 20 docker version >/dev/null 2>&1
}

prepare_docker() { :; }

release_docker() { :; }

build_with_docker() { # NAME CONTEXT REFERENCE ARCHIVE
  local arguments=() variable
  for variable in http_proxy https_proxy no_proxy; do
    [ -z "${!variable:-}" ] || arguments+=(--build-arg "$variable")
  done
  DOCKER_BUILDKIT=1 docker build --progress plain --target "$1" --tag "$3" --file "$here/Containerfile" \
    --build-arg VERSION="$version" "${arguments[@]}" "$2" || return
  docker save --output "$4" "$3"
}
