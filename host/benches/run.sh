#!/usr/bin/env bash
# Speed and memory of the release build, each figure beside what it is compared to, in one run.
# ROUNDS (default 5) and SECONDS_EACH (default 5) set how long the ingest comparison takes.
set -euo pipefail
cd "$(dirname "$0")/../.."

rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-5}
target=${CARGO_TARGET_DIR:-target}
triggerd=$target/release/triggerd
work=$(mktemp -d "${BENCH_DIR:-$target}/bench.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT

cargo build --release --locked --workspace --example bare_axum

body=plugins/github/tests/fixtures/examples/push._.04.json
secret=corpus-secret
signature=sha256=$(openssl dgst -sha256 -hmac "$secret" -r "$body" | cut -d' ' -f1)

start_host() {
  mkdir -p "$work/plugins" "$work/manifests"
  install -m 755 "$target"/release/libprovider_*.so "$work/plugins/"
  cp manifests/*.yaml "$work/manifests/"
  "$triggerd" serve --listen 127.0.0.1:0 --data "$work" --plugins "$work/plugins" \
    --manifests "$work/manifests" >"$work/log" 2>&1 &
  host=$!
  for _ in $(seq 500); do
    [ -s "$work/server.json" ] && break
    read -rt 0.01 <> <(:) || true
  done
  url=$(sed -E 's/.*"url": ?"([^"]+)".*/\1/' "$work/server.json" | tr -d '\n' | grep -oE 'http://[0-9.:]+')
  export TRIGGERD_URL=$url TRIGGERD_TOKEN=$(cat "$work/admin.token")
}

median() { sort -n | awk '{v[NR]=$1} END {print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
load() { wrk -t2 -c64 -d"${seconds}s" -s host/benches/push.lua "$1" -- "$body" "$signature" "$2" | awk '/^RESULT/ {print $2, $3, $4, $5}'; }

echo "== Ingest: a genuine push of $(stat -c %s "$body") bytes, 64 connections, verified, logged, synced"
start_host
cat >"$work/bench.yaml" <<YAML
workspace: default
subscriptions:
- {name: bench, provider: github, manual: {webhook_secret: $secret}}
YAML
"$triggerd" apply -f "$work/bench.yaml" >/dev/null
endpoint=$("$triggerd" subscriptions --json | grep -oE 'http[^"]*/webhooks/[^"]*' | head -1)
"$target/release/examples/bare_axum" 127.0.0.1:0 >"$work/bare" &
for _ in $(seq 100); do [ -s "$work/bare" ] && break; read -rt 0.01 <> <(:) || true; done
bare="$(cat "$work/bare")/webhooks/github/bench"

: >"$work/ratios"
for round in $(seq "$rounds"); do
  read -r b _ b99 _ < <(load "$bare" "b$round")
  read -r o o50 o99 errors < <(load "$endpoint" "o$round")
  awk -v o="$o" -v b="$b" 'BEGIN {printf "%.3f\n", o / b}' >>"$work/ratios"
  echo "round $round: bare axum $b/s (p99 $b99 ms), triggerd $o/s (p50 $o50 ms, p99 $o99 ms, $errors errors), fraction $(tail -1 "$work/ratios")"
done
echo "fraction of bare axum, median: $(median <"$work/ratios")   (first target 0.25, then 0.45)"
echo "database after it: $(du -m "$work/triggerd.db" | cut -f1) MiB"

echo "== Start: from the process to the first request answered 200"
kill -TERM $host; wait $host 2>/dev/null || true
for _ in 1 2 3 4 5; do
  rm -rf "$work/fresh" && mkdir "$work/fresh"
  python3 host/benches/first_trigger.py "$triggerd" "$work/fresh" "$work/plugins" "$work/manifests" "$body" "$secret"
done | tee "$work/first" | sed 's/^/first trigger ms: /'
echo "median: $(median <"$work/first") ms   (target 300)"

echo "== Sizes"
ls -l "$triggerd" "$target"/release/libprovider_*.so | awk '{printf "%8.2f MiB  %s\n", $5 / 1048576, $9}'

echo "== Dispatch across the boundary, beside a direct static call"
cargo bench --locked -q -p trigger-plugin-api 2>/dev/null | grep -v '^$'
