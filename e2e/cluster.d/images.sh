# shellcheck shell=bash
# Images from the archives of e2e/images onto the nodes. Read by e2e/cluster.

# Loads what images.env names and a node does not have: NAME_IMAGE is in name.tar. The world's image runs beside the cluster,
# not in it, nor does the command line's, and what is for long scenarios alone is loaded where it is named.
load() { # NAME...
  local missing=()
  is_recorded || die "not up: e2e/cluster up"
  [ -s "$images/images.env" ] || die "there are no images: e2e/images build"
  # looked at again afterwards: a load that was disturbed on one node has been seen to end without an error
  for _ in 1 2 3; do
    mapfile -t missing < <(missing_images "$@")
    [ ${#missing[@]} != 0 ] || return 0
    say "loading ${missing[*]##*/}"
    inside kind load image-archive -q --name "$name" "${missing[@]}" || true
  done
  mapfile -t missing < <(missing_images "$@")
  [ ${#missing[@]} = 0 ] || die "these images cannot be loaded onto every node: ${missing[*]}"
}

missing_images() { # NAME...: the archives of images that not every node has
  local variable reference present wanted skipped=" world cli moreclients "
  for wanted; do skipped=${skipped/ $wanted / }; done
  present=$(images_on_nodes)
  while IFS='=' read -r variable reference; do
    variable=${variable%_IMAGE}
    [[ $skipped != *" ${variable,,} "* ]] && ! grep -qxF "$reference" <<<"$present" || continue
    echo "$images/${variable,,}.tar"
  done <"$images/images.env"
}

images_on_nodes() { # those that every node has
  local node all
  mapfile -t all < <(inside kind get nodes -q --name "$name")
  for node in "${all[@]}"; do
    inside docker exec "$node" crictl images -o json | jq -r '.images[].repoTags[]'
  done | sort | uniq -c | awk -v nodes=${#all[@]} '$1 == nodes { print $2 }'
}

image_named() { # VARIABLE, as OPERATOR_IMAGE
  sed -n "s/^$1=//p" "${SHEKARA_IMAGES:-$images/images.env}" | grep . || die "no $1 in ${SHEKARA_IMAGES:-$images/images.env}"
}
