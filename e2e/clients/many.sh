#!/bin/bash
# many.sh HOST NUMBER: so many downloads of a mebibyte at once, each on a connection of its own. Prints how often which sum came, and on
# standard error how long all of them took.
set -euo pipefail
host=$1 number=$2
authority=/authority/ca.pem
work=$(mktemp -d)
url=https://$host/upload/${work##*/}
fetch() { curl --silent --show-error --fail --cacert "$authority" --output /dev/null "$@"; }
trap 'fetch --request DELETE "$url" || true; rm -rf "$work"' EXIT

head -c 1048576 /dev/zero | openssl enc -aes-128-ctr -K "$(openssl rand -hex 16)" -iv "$(openssl rand -hex 16)" >"$work/sent"
fetch --upload-file "$work/sent" "$url"
echo "$number $(sha256sum <"$work/sent" | cut -d ' ' -f 1)"
/clients/go many "$number" "$url" "$authority"
