# shellcheck shell=bash
# Building without a Docker engine and without a registry. Read by e2e/images.
#
# RUN lines use the network and the package mirrors of the machine: /etc/apt is mounted while they run, and is not in the image.

base=docker.io/library/debian:bookworm-slim
apt=$images/apt

# What the image says about mirrors, wherever its packages came from.
sources='deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main'

prepare_buildah() {
  [ -z "${driver:-}" ] || return 0
  [ "$(id -u)" = 0 ] || die "without a Docker engine images are built by root"
  "$root/tools/prerequisites" buildah mmdebstrap
  driver=overlay
  buildah_here info >/dev/null 2>&1 || driver=vfs
  recipe=$({ echo "$sources"; declare -f make_base; } | sha256sum | cut -c1-16)
  [ "$(buildah_here inspect --type image --format '{{index .OCIv1.Config.Labels "recipe"}}' "$base" 2>/dev/null)" = "$recipe" ] || make_base
}

buildah_here() {
  buildah --root "$images/storage" --runroot "$images/run" --storage-driver "$driver" "$@"
}

# Debian's slim image, as its makers would make it, under its usual name.
make_base() {
  local container archive=$images/base.root mirrors
  say "making $base"
  mapfile -t mirrors < <(debian_mirrors)
  [ ${#mirrors[@]} -gt 0 ] || die "apt of this machine knows no mirror of Debian bookworm"
  # shellcheck disable=SC2016 # the hook's own shell is meant; "$1" is the root
  SOURCES=$sources "$root/tools/mmdebstrap" --quiet --format=tar --variant=minbase --include=usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt=force-unsafe-io \
    --customize-hook='printf "%s\n" "$SOURCES" >"$1/etc/apt/sources.list"' \
    bookworm "$archive" "${mirrors[@]}" >"$images/base.log" 2>&1 ||
    { tail -n 30 "$images/base.log" >&2; die "the base image could not be made, see $images/base.log"; }
  container=$(buildah_here from scratch)
  buildah_here add --quiet "$container" "$archive" / >/dev/null
  # packages do not start their services while they are installed
  printf '#!/bin/sh\nexit 101\n' >"$images/policy-rc.d"
  buildah_here copy --quiet --chmod 755 "$container" "$images/policy-rc.d" /usr/sbin/policy-rc.d >/dev/null
  rm -f "$images/policy-rc.d"
  buildah_here config --cmd bash --label recipe="$recipe" "$container"
  buildah_here commit --quiet --rm "$container" "$base" >/dev/null
  rm -f "$archive"
}

# The lines of sources.list for Debian bookworm that apt of this machine uses.
debian_mirrors() {
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format '$(CODENAME) deb $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    sed -n 's/^bookworm[a-z-]* //p' | sort -u
}

# A folder in the place of /etc/apt, for one build: mirrors, proxies and passwords of this machine, and that apt keeps nothing.
make_apt() {
  rm -rf "$apt"
  mkdir -p "$apt"/{apt.conf.d,preferences.d,sources.list.d,trusted.gpg.d,auth.conf.d}
  debian_mirrors >"$apt/sources.list"
  printf '%s\n' 'Acquire::Languages "none";' 'Dir::Cache::pkgcache "";' 'Dir::Cache::srcpkgcache "";' \
    'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };' >"$apt/apt.conf.d/50image"
  apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries)' >"$apt/apt.conf.d/50machine" || true
  cp -r /etc/apt/trusted.gpg.d/. "$apt/trusted.gpg.d/" 2>/dev/null || true
  cp -r /etc/apt/auth.conf.d/. "$apt/auth.conf.d/" 2>/dev/null || true
}

build_with_buildah() { # NAME CONTEXT REFERENCE ARCHIVE
  local old
  make_apt
  buildah_here bud --isolation chroot --network host --layers --pull-never --target "$1" --tag "$3" --file "$here/Containerfile" \
    --volume "$apt:/etc/apt" --build-arg VERSION="$version" "$2" || return
  buildah_here push --quiet "$3" "docker-archive:$4:$3" || return
  for old in $(buildah_here images --format '{{.Name}}:{{.Tag}}' | grep "^${3%:*}:" | grep -vxF "$3"); do
    buildah_here rmi "$old" || true
  done
}

# The storage leaves mounts of its folders, and an interrupted build more of them.
release_buildah() {
  local mounted
  rm -rf "$apt"
  mapfile -t mounted < <(awk -v folder="$images/" 'index($5, folder) == 1 { print $5 }' /proc/self/mountinfo | tac)
  [ ${#mounted[@]} = 0 ] || umount "${mounted[@]}"
}
