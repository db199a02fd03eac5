#!/bin/bash
# idle.sh HOST SECONDS: connections over which the application says nothing for so long, with the keepalives that each client has. Prints
# a line of each that still works then; and `still` now and then, so that nobody takes this for dead.
set -euo pipefail
host=$1 seconds=$2
authority=/authority/ca.pem
work=$(mktemp -d)
topic=idle/${work##*/}
trap 'rm -rf "$work"; kill "$still"' EXIT
# the pause itself holds no output: it outlives the loop by moments
while sleep 30 >/dev/null 2>&1; do echo still; done &
still=$!

psql "host=$host user=reader password=reader dbname=city sslmode=verify-full sslrootcert=$authority keepalives_idle=60" \
  --no-psqlrc --tuples-only --no-align --command "select 'psql' from pg_sleep($seconds)" &
clients=($!)
ssh -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="$work/known" -o LogLevel=ERROR -o ServerAliveInterval=60 \
  "visitor@$host" "sleep $seconds && echo ssh" &
clients+=($!)
mosquitto_sub -h "$host" -t "$topic" -k 60 -C 1 -W $((seconds + 60)) &
clients+=($!)
python3 - "$host" "$seconds" "$authority" <<'PROGRAM' &
import http.client, socket, ssl, sys, time
host, seconds, authority = sys.argv[1], float(sys.argv[2]), sys.argv[3]

def keep_alive(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)

def get(web):
    web.request("GET", "/")
    answer = web.getresponse()
    answer.read()
    assert answer.status == 200, answer.status

def ask(redis):
    redis.sendall(b"PING\r\n")
    assert redis.recv(64) == b"+PONG\r\n"

web = http.client.HTTPSConnection(host, context=ssl.create_default_context(cafile=authority), timeout=10)
get(web)
connection = web.sock
keep_alive(connection)
redis = socket.create_connection((host, 6379), 10)
keep_alive(redis)
ask(redis)
time.sleep(seconds)
get(web)
assert web.sock is connection, "the connection was made anew"
print("https")
ask(redis)
print("redis")
PROGRAM
clients+=($!)
sleep "$seconds"
mosquitto_pub -h "$host" -t "$topic" -m mqtt -q 1
for client in "${clients[@]}"; do wait "$client"; done
