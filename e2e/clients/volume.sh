#!/bin/bash
# volume.sh URL BYTES: so many bytes up to a new file below URL and down again, by curl. Prints the seconds of each way, and the sums of
# what was sent and of what came back.
set -euo pipefail
url=$1 bytes=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { curl --silent --show-error --fail --cacert /authority/ca.pem --write-out '%{time_total}\n' "$@"; }

head -c "$bytes" /dev/zero | openssl enc -aes-128-ctr -K "$(openssl rand -hex 16)" -iv "$(openssl rand -hex 16)" >"$work/sent"
echo "up $(fetch --output /dev/null --upload-file "$work/sent" "$url/${work##*/}")"
echo "down $(fetch --output "$work/back" "$url/${work##*/}")"
echo "sent $(sha256sum <"$work/sent")"
echo "back $(sha256sum <"$work/back")"
fetch --output /dev/null --request DELETE "$url/${work##*/}" >/dev/null
