#!/usr/bin/env bash
# Ten thousand connections to one server on loopback: memory of each, messages a second.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked
exec cargo bench --locked -p triggerd --bench sockets -- "$@"
