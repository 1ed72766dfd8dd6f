#!/usr/bin/env bash
# Speed and memory of the release build, each figure beside its target and what it is compared to.
#
#   run.sh [PART…]        ingest boundary start memory sizes calls sockets upkeep; without a part all of them in turn
#
# ROUNDS (5) and SECONDS_EACH (5) set how long each ingest comparison takes. BENCH_DIR says where
# the database lies while it is measured: the sync of that disk is part of the figure.
set -euo pipefail
cd "$(dirname "$0")/../.."

parts=(ingest boundary start memory sizes calls sockets upkeep)
chosen=("${@:-${parts[@]}}")
for part in "${chosen[@]}"; do
  [[ " ${parts[*]} " == *" $part "* ]] || { echo "no part \"$part\"; there is: ${parts[*]}" >&2; exit 2; }
done

rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-5}
providers=(github nextcloud google)
# Threads that were needed at the start alone end within ten seconds.
settled=15
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
triggerd=$target/release/triggerd
body=plugins/github/tests/fixtures/examples/push._.04.json
secret=bench-secret-0123456789
signature=sha256=$(openssl dgst -sha256 -hmac "$secret" -r "$body" | cut -d' ' -f1)

mkdir -p "${BENCH_DIR:-$target}"
work=$(mktemp -d "${BENCH_DIR:-$target}/bench.XXXXXX")
children=()
end() {
  for child in "${children[@]}"; do kill -KILL "$child" 2>/dev/null || true; done
  rm -rf "$work"
}
trap end EXIT

heading() { printf '\n== %s\n' "$*"; }
median() { sort -n | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
# The value of KEY in the object that holds "name": NAME, in a list as the client prints it.
field() { tr -d '\n' | sed 's/},\?/}\n/g' | grep "\"name\": *\"$1\"" | grep -oE "\"$2\": *\"[^\"]*\"" | head -1 | cut -d'"' -f4; }

# start DATA: a host with all providers that lie in $work. Sets url, host.
start() {
  rm -f "$work/stdout" && mkfifo "$work/stdout"
  "$triggerd" serve --listen 127.0.0.1:0 --data "$1" --plugins "$work/plugins" \
    --manifests "$work/manifests" --command-dir "$work/commands" >"$work/stdout" 2>"$work/log" &
  host=$!
  children+=("$host")
  # Held open, or the host's next line would have no reader.
  exec 3<"$work/stdout"
  read -r line <&3
  export TRIGGERD_URL=http://${line##*http://}
  TRIGGERD_TOKEN=$(cat "$1/admin.token")
  export TRIGGERD_TOKEN
}

stop() {
  kill -TERM "$host"
  wait "$host"
  exec 3<&-
}

# load ADDRESS: requests a second, p50 and p99 in ms, failures.
load() {
  wrk -t2 -c64 -d"${seconds}s" -s host/benches/push.lua "$1" -- "$body" "$signature" \
    "$(openssl rand -hex 2)" | awk '/^RESULT/ {print $2, $3, $4, $5}'
}

# compare ADDRESS ROUNDS: rounds of bare axum and the host in turn, and the median of their fractions.
compare() {
  local b b99 o o50 o99 failed
  load "$bare" >/dev/null && load "$1" >/dev/null
  : >"$work/fractions"
  for round in $(seq "$2"); do
    read -r b _ b99 _ < <(load "$bare")
    read -r o o50 o99 failed < <(load "$1")
    awk -v o="$o" -v b="$b" 'BEGIN {printf "%.3f\n", o / b}' >>"$work/fractions"
    echo "round $round: bare axum $b/s (p99 $b99 ms), triggerd $o/s (p50 $o50, p99 $o99 ms, $failed failed), fraction $(tail -1 "$work/fractions")"
  done
  echo "median fraction of bare axum: $(median <"$work/fractions")   (first target 0.25, then 0.45)"
}

# path SUBSCRIPTION: its endpoint, without the host.
path() { field "$1" endpoint_url <"$work/subscriptions" | grep -o '/webhooks/.*'; }

# provide NAME…: places these providers' libraries and manifests in the folders.
provide() {
  for provider in "$@"; do
    install -m 755 "$target/release/libprovider_$provider.so" "$work/plugins/"
    cp "manifests/$provider.yaml" "$work/manifests/"
  done
}

# A data folder with subscriptions, a trigger that fires and one that does not.
prepare() {
  printf '#!/bin/sh\necho done\n' >"$work/commands/done.sh"
  chmod 755 "$work/commands/done.sh"
  cat >"$work/bench.yaml" <<YAML
workspace: default
runnables:
- {path: f/bench/done, command: {argv: [./done.sh]}}
subscriptions:
- {name: plain, provider: github, manual: {webhook_secret: $secret}}
- {name: watched, provider: github, manual: {webhook_secret: $secret}}
- {name: firing, provider: github, manual: {webhook_secret: $secret}}
triggers:
- {name: elsewhere, subscription: watched, event: push, parameters: {branches: [no-such-branch]}, runnable: f/bench/done}
- {name: fires, subscription: firing, event: push, runnable: f/bench/done}
YAML
  start "$work/prepared"
  "$triggerd" apply -f "$work/bench.yaml" >/dev/null
  "$triggerd" subscriptions --json >"$work/subscriptions"
  stop
}

measure_ingest() {
  cp -r "$work/prepared" "$work/data"
  start "$work/data"
  "$target/release/examples/bare_axum" 127.0.0.1:0 >"$work/bare" &
  children+=($!)
  until [ -s "$work/bare" ]; do read -rt 0.05 <> <(:) || true; done
  bare=$(cat "$work/bare")/webhooks/github/bench
  heading "Ingest of a genuine push of $(stat -c %s "$body") bytes, 64 connections: verified, logged, synced"
  compare "$TRIGGERD_URL$(path plain)" "$rounds"
  heading "The same with a trigger whose parameters are matched against each event behind it"
  compare "$TRIGGERD_URL$(path watched)" 3
  stop
}

measure_boundary() {
  heading "A dispatch across the boundary, beside the same called directly (target: ratio at most 1.05)"
  cargo bench --locked -q -p trigger-plugin-api --bench boundary
}

measure_start() {
  heading "From the start of the process: ready, first webhook answered, its job done (ms)"
  for _ in $(seq "$rounds"); do
    rm -rf "$work/fresh" && cp -r "$work/prepared" "$work/fresh"
    "$target/release/examples/first_trigger" "$triggerd" "$work/fresh" "$work/plugins" \
      "$work/manifests" "$work/commands" "$(path firing)" "$body" "$signature"
  done | tee "$work/starts"
  echo "median until the job was done: $(awk '{print $3}' "$work/starts" | median) ms   (target 300)"
}

# resident WHAT: of the running host, when what its start needed was given back.
resident() {
  sleep "$settled"
  awk -v what="$1" '/^(VmRSS|RssAnon|RssFile)/ {mb[$1] = $2 * 1024 / 1e6} END {
    printf "%s: %.1f MB resident, of which %.1f MB its own and %.1f MB files mapped (programs, libraries)\n",
      what, mb["VmRSS:"], mb["RssAnon:"], mb["RssFile:"]}' "/proc/$host/status"
}

measure_memory() {
  heading "Memory of an idle host (target: 40 MB with three providers)"
  mv "$work/plugins" "$work/plugins.all" && mkdir -m 755 "$work/plugins"
  start "$work/memory"
  resident "without a provider"
  stop
  rm -r "$work/plugins" && mv "$work/plugins.all" "$work/plugins"
  start "$work/memory"
  resident "${providers[*]}"
  "$triggerd" provider list
  stop
}

measure_sizes() {
  heading "Sizes"
  for file in "$triggerd" "$target"/release/libprovider_*.so; do
    awk -v size="$(stat -c %s "$file")" -v name="${file##*/}" 'BEGIN {printf "%6.2f MB  %s\n", size / 1e6, name}'
  done
}

. host/benches/calls.sh

measure_sockets() {
  heading "Connections to one server on loopback: memory of each, messages a second"
  cargo bench --locked -q -p triggerd --bench sockets
}

measure_upkeep() {
  cargo bench --locked -q -p triggerd --bench upkeep
}

# What `make build` makes, and apart from it what only measures.
cargo build --release --locked
cargo build --release --locked -p triggerd --examples
mkdir -m 755 "$work"/{plugins,manifests,commands}
provide "${providers[@]}"
prepare
for part in "${chosen[@]}"; do "measure_$part"; done
