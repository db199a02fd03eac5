#!/bin/bash
# clients.sh CLIENT HOST: one exchange of a real client with a host that serves what services.example.kz of e2e/world/hosts.yaml does.
# Prints what came back, which is the same wherever the exchange works: sums of bytes above all. Where it does not work, standard
# error has the client's own words. The last line there is `took SECONDS`, of the exchange; a program that takes long to start says
# it itself, before that.
# shellcheck disable=SC2317 # the functions are called by name
set -euo pipefail
client=$1 host=$2
listed=services.example.kz
authority=/authority/ca.pem
export LC_ALL=C HOME=${HOME:-/root}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
id=${work##*/}

sum() { sha256sum | cut -d ' ' -f 1; }

# so many bytes in which nothing repeats, the same every time
payload() { head -c "$1" /dev/zero | openssl enc -aes-128-ctr -K "$(printf '0%.0s' {1..32})" -iv "$(printf '0%.0s' {1..32})"; }

# ---- the web ----------------------------------------------------------------------------------------------------------------

fetch() { curl --silent --show-error --fail --max-time 10 --cacert "$authority" "$@"; }
# the version of HTTP that was spoken, and the sum of the body
get() { fetch --output "$work/body" --write-out '%{http_version} ' "$@" && sum <"$work/body"; }
# takes up a file, and fetches it again
put() { # URL OPTION...
  payload 262144 >"$work/sent"
  fetch --output /dev/null --upload-file "$work/sent" "$@" && get "$1" && fetch --output /dev/null --request DELETE "$1"
}

curl_http() { get --http1.1 "http://$host/files/data"; }
curl_https() { get --http1.1 "https://$host/files/data"; }
curl_http2() { get --http2 "https://$host/files/data"; }
curl_upgrade() { get --http2 "http://$host/files/data"; }
curl_h2c() { get --http2-prior-knowledge "http://$host:8082/files/data"; }
curl_h2c_read() { get --http2-prior-knowledge "http://$host:8083/files/data"; }
curl_expect() { put "http://$host/upload/$id" --header 'Expect: 100-continue'; }
curl_chunked() { put "https://$host/upload/$id" --http1.1 --header 'Transfer-Encoding: chunked'; }
curl_proxy() { http_proxy=http://$listed:8888 get "http://$host/files/data"; }
curl_connect() { https_proxy=http://$listed:8888 get "https://$host/files/data"; }

openssl_s_client() {
  printf 'GET /files/data HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$host" |
    openssl s_client -connect "$host:443" -servername "$host" -CAfile "$authority" -verify_return_error -verify_hostname "$host" \
      -quiet -ign_eof >"$work/answer"
  sed '1,/^\r$/d' "$work/answer" | sum
}

python_requests() {
  python3 - "https://$host/files/data" "$authority" <<'PROGRAM'
import hashlib, sys, time
import requests
begin = time.monotonic()
try:
    answer = requests.get(sys.argv[1], verify=sys.argv[2], timeout=10)
    answer.raise_for_status()
    print(hashlib.sha256(answer.content).hexdigest())
except requests.RequestException as error:
    sys.exit(f"{type(error).__name__}: {error}")
finally:
    print("took", time.monotonic() - begin, file=sys.stderr)
PROGRAM
}

go_http1() { /clients/go 1 "https://$host/files/data" "$authority"; }
go_http2() { /clients/go 2 "https://$host/files/data" "$authority"; }
go_h2c() { /clients/go h2c "http://$host:8082/files/data" "$authority"; }
java_http() { java -cp /clients Fetch "http://$host/files/data" "$authority"; }
java_https() { java -cp /clients Fetch "https://$host/files/data" "$authority"; }
node_http() { node /clients/fetch.mjs "http://$host/files/data"; }
node_https() { NODE_EXTRA_CA_CERTS=$authority node /clients/fetch.mjs "https://$host/files/data"; }

python_websocket() { python3 /clients/websocket.py "ws://$host/websocket"; }
python_websocket_tls() { python3 /clients/websocket.py "wss://$host/websocket" "$authority"; }
grpc_tls() { python3 /clients/calls.py "$host:443" "$authority"; }
grpc_plain() { python3 /clients/calls.py "$host:8082"; }

# ---- databases and brokers --------------------------------------------------------------------------------------------------

psql_tls() {
  psql "host=$host user=reader password=reader dbname=city sslmode=verify-full sslrootcert=$authority connect_timeout=10" \
    --no-psqlrc --tuples-only --no-align --command 'select md5(number::text) from generate_series(1, 32768) number' | sum
}

maria() {
  mariadb --no-defaults --protocol tcp --host "$host" --user reader --password=reader --connect-timeout 10 --batch --skip-column-names \
    --execute 'select sha2(seq, 256) from seq_1_to_16384' "$@" city | sum
}
mariadb_plain() { maria --skip-ssl; }
mariadb_tls() { maria --ssl --ssl-ca "$authority" --ssl-verify-server-cert; }

redis_cli() {
  payload 131072 >"$work/sent"
  redis-cli -e -h "$host" -x set "$id" <"$work/sent"
  redis-cli -e -h "$host" get "$id" | sum
  redis-cli -e -h "$host" del "$id"
}

# a message that the broker keeps, read again, and taken away
mqtt() { # OPTION...
  payload 262144 >"$work/sent"
  mosquitto_pub -h "$host" -t "$id" -q 1 -r -f "$work/sent" "$@"
  mosquitto_sub -h "$host" -t "$id" -C 1 -W 10 -N "$@" | sum
  mosquitto_pub -h "$host" -t "$id" -q 1 -r -n "$@"
}
mqtt_plain() { mqtt -p 1883; }
mqtt_tls() { mqtt -p 8883 --cafile "$authority"; }
mqtt_websocket() { python3 /clients/mqtt.py "$host" 80; }
mqtt_websocket_tls() { python3 /clients/mqtt.py "$host" 443 "$authority"; }

# ---- shells, files and mail -------------------------------------------------------------------------------------------------

# what ssh says where its first words meet a reset is of the level INFO
ssh_options="-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=$work/known -o LogLevel=INFO -o ConnectTimeout=10"

# shellcheck disable=SC2086 # several words
ssh_cat() {
  payload 131072 >"$work/sent"
  ssh $ssh_options "visitor@$host" cat <"$work/sent" | sum
}

rsync_ssh() {
  payload 131072 >"$work/sent"
  rsync --rsh "ssh $ssh_options" "$work/sent" "visitor@$host:$id"
  rsync --rsh "ssh $ssh_options" --remove-source-files "visitor@$host:$id" "$work/back"
  sum <"$work/back"
}

# what is cloned, and a commit of our own that is pushed and seen there
clone_and_push() { # URL
  git clone --quiet "$1" "$work/clone"
  cd "$work/clone"
  sum <data
  payload 131072 >added
  git add added
  git -c user.name=client -c user.email=client@example.kz commit --quiet --date @1700000000 --message added
  git push --quiet origin "HEAD:refs/heads/$id"
  git fetch --quiet origin "$id"
  git show FETCH_HEAD:added | sum
  git push --quiet origin ":refs/heads/$id"
}
git_https() { GIT_SSL_CAINFO=$authority clone_and_push "https://$host/git/city.git"; }
git_ssh() { GIT_SSH_COMMAND="ssh $ssh_options" clone_and_push "ssh://visitor@$host/srv/git/city.git"; }

mail() { # 64 KiB in lines; without a date and an identifier it would be given new ones each time
  printf '%s\r\n' 'From: a@example.kz' 'Date: Tue, 14 Nov 2023 22:13:20 +0000' 'Message-ID: <faces@example.kz>' 'Subject: faces' ''
  payload 49152 | base64 | sed 's/$/\r/'
}
# the server says the sum of what it took
curl_smtp() {
  mail >"$work/mail"
  curl --silent --show-error --verbose --max-time 10 --ssl-reqd --cacert "$authority" --mail-from a@example.kz --mail-rcpt b@example.kz \
    --upload-file "$work/mail" "smtp://$host/client.example.kz" 2>"$work/said" || { grep '^curl:' "$work/said" >&2; return 1; }
  sed -n 's/^< 250 2\.0\.0 //p' "$work/said"
}
msmtp_tls() {
  mail | msmtp --file /dev/null --debug --host "$host" --port 25 --timeout 10 --tls=on --tls-starttls=on --tls-trust-file "$authority" \
    --from a@example.kz b@example.kz >"$work/said" 2>"$work/words" || { cat "$work/words" >&2; return 1; }
  sed -n 's/^<-- 250 2\.0\.0 //p' "$work/said"
}

# says all, then that it has said all, and reads until the other side has too; nc -N does the same, and says nothing of a reset
half_close() {
  payload 131072 >"$work/sent"
  python3 - "$host" "$work/sent" <<'PROGRAM'
import hashlib, socket, sys
try:
    connection = socket.create_connection((sys.argv[1], 7), 10)
    connection.sendall(open(sys.argv[2], "rb").read())
    connection.shutdown(socket.SHUT_WR)
    got = hashlib.sha256()
    while piece := connection.recv(65536):
        got.update(piece)
    print(got.hexdigest())
except OSError as error:
    sys.exit(f"{type(error).__name__}: {error}")
PROGRAM
}

# ---- what one of them came to -----------------------------------------------------------------------------------------------

begin=${EPOCHREALTIME/./}
set +e
(set -e; "$client")
code=$?
took=$((${EPOCHREALTIME/./} - begin))
printf 'took %d.%06d\n' $((took / 1000000)) $((took % 1000000)) >&2
exit "$code"
