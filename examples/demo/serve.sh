#!/bin/sh
# Starts the fake services and a host that knows them; both end together. Called by `make demo`.
set -eu
target=$1
run=$2

"$target/release/fakes" 9101 &
fakes=$!
trap 'kill "$fakes" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

cat <<TEXT

in another terminal:
  export TRIGGERD_URL=http://127.0.0.1:8090 TRIGGERD_TOKEN=\$(cat $run/admin.token)
  $target/release/triggerd apply -f examples/demo/connections.yaml
  $target/release/triggerd connect github --integration my-github --name octocat
  $target/release/triggerd connect nextcloud --integration my-cloud --name cloud-admin
  $target/release/triggerd connect google --integration my-google --name ada
  $target/release/triggerd apply -f examples/demo/triggers.yaml
  $target/release/triggerd subscriptions
make something happen at the services:
  curl -d '{"repository": "octocat/hello-world"}' http://127.0.0.1:9101/_fake/push
  curl -d '{"class": "OCP\\\\Files\\\\Events\\\\Node\\\\NodeCreatedEvent"}' http://127.0.0.1:9102/_fake/happen
  curl -d '{"name": "report.pdf"}' http://127.0.0.1:9103/_fake/create_file
  $target/release/triggerd jobs

TEXT
"$target/release/triggerd" serve --listen 127.0.0.1:8090 --data "$run" --plugins "$run/plugins" \
    --manifests "$run/manifests" --command-dir examples/quickstart
