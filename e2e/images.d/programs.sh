# shellcheck shell=bash
# The programs of ours that go into images: static, so that they need nothing of the image. Read by e2e/images.

declare -A crates=([sidecar]="shekara-sidecar kubectl-shekara" [operator]=shekara-operator [cli]=kubectl-shekara)

build_programs() { # IMAGE...
  [[ " $* " != *" moreclients "* ]] || build_go
  build_crates "$@"
}

# net/http as a client: the same program from the same source, wherever it is built
build_go() {
  say "building the client in Go"
  mkdir -p "$images/bin"
  (cd "$here/clients/go" && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$images/bin/go" .) ||
    die "the client in Go could not be built"
}

build_crates() { # IMAGE...
  local name crate packages=()
  for name; do
    for crate in ${crates[$name]:-}; do packages+=(--package "$crate"); done
  done
  [ ${#packages[@]} -gt 0 ] || return 0
  target=$(rustc --version --verbose | sed -n 's/^host: //p')
  say "building the programs"
  # with --target the flags do not touch build scripts and macros
  (cd "$root" && RUSTFLAGS="-C target-feature=+crt-static" cargo build --quiet --locked --release --target "$target" "${packages[@]}") ||
    die "the programs could not be built"
}

program() { echo "$CARGO_TARGET_DIR/$target/release/$1"; }
