# Calls of runnables over HTTP, measured with what run.sh has: sourced by it.

# calls ADDRESS CONNECTIONS PAUSE_MS: calls a second, p50 and p99 in ms, failures.
calls() {
  wrk -t"$(($2 < 2 ? 1 : 2))" -c"$2" -d"${seconds}s" -s host/benches/calls.lua "$1" -- \
    "$TRIGGERD_TOKEN" "$3" | awk '/^RESULT/ {print $2, $3, $4, $5}'
}

# beside CONNECTIONS PAUSE_MS: the target alone and the call that waits for it, and what is added.
beside() {
  local d d50 d99 s s50 s99 failed
  read -r d d50 d99 _ < <(calls "$noop" "$1" "$2")
  read -r s s50 s99 failed < <(calls "$TRIGGERD_URL/api/w/default/jobs/run_wait_result/p/f/bench/noop" "$1" "$2")
  awk -v s50="$s50" -v d50="$d50" -v line="the target alone $d/s (p50 $d50, p99 $d99 ms), called and waited for $s/s (p50 $s50, p99 $s99 ms, $failed failed)" \
    'BEGIN {printf "%s: median added %.2f ms\n", line, s50 - d50}'
}

measure_calls() {
  local path fraction
  rm -rf "$work/called"
  mkdir -p "$work/called"
  start "$work/called"
  "$target/release/examples/bare_axum" 127.0.0.1:0 >"$work/noop" &
  children+=($!)
  until [ -s "$work/noop" ]; do read -rt 0.05 <> <(:) || true; done
  noop=$(cat "$work/noop")/webhooks/bench/noop
  cat >"$work/calls.yaml" <<YAML
workspace: default
runnables:
- {path: f/bench/noop, concurrency: 64, http: {url: "$noop", allow: [127.0.0.0/8]}}
- {path: f/bench/later, http: {url: "$noop", allow: [127.0.0.0/8]}}
subscriptions:
- {name: plain, provider: github, manual: {webhook_secret: $secret}}
YAML
  "$triggerd" apply -f "$work/calls.yaml" >/dev/null
  "$triggerd" subscriptions --json >"$work/called.subscriptions"
  calls "$TRIGGERD_URL/api/w/default/jobs/run_wait_result/p/f/bench/noop" 4 0 >/dev/null

  heading "A no-op HTTP runnable on loopback, called synchronously: kept, run, recorded, answered"
  echo "1 connection:                 $(beside 1 0)   (target 1)"
  echo "64 connections, 800 a second: $(beside 64 80)   (target: median added 1, p99 10)"
  echo "64 connections, saturated:    $(beside 64 0)"

  heading "Called asynchronously, beside ingest of a provider's request: kept and synced, 64 connections"
  # What is kept is not run meanwhile: a provider's request without a trigger is not either.
  curl -sf -X POST -H "Authorization: Bearer $TRIGGERD_TOKEN" -H 'Content-Type: application/json' \
    -d '{"state":"disabled"}' -o /dev/null \
    "$TRIGGERD_URL/api/v1/workspaces/default/runnables/f%2Fbench%2Flater/state"
  path=$(field plain endpoint_url <"$work/called.subscriptions" | grep -o '/webhooks/.*')
  local later=$TRIGGERD_URL/api/w/default/jobs/run/p/f/bench/later i i50 i99 a a50 a99 failed
  : >"$work/fractions"
  for round in $(seq 3); do
    read -r i i50 i99 _ < <(load "$TRIGGERD_URL$path")
    read -r a a50 a99 failed < <(calls "$later" 64 0)
    fraction=$(awk -v a="$a" -v i="$i" 'BEGIN {printf "%.3f\n", a / i}')
    echo "$fraction" >>"$work/fractions"
    echo "round $round: ingest $i/s (p50 $i50, p99 $i99 ms), calls $a/s (p50 $a50, p99 $a99 ms, $failed failed), fraction $fraction"
  done
  echo "median fraction of ingest: $(median <"$work/fractions")   (target 1)"
  stop
}
