#!/usr/bin/env bash
# Usage: bash tests/two_machines.sh PYTHON SAVE_DIR [train.py options]; with --probe alone: can this be done here?
# Two "machines" on one: network namespaces with a pair of virtual cards between them, one rank in each, msrun across.
set -euo pipefail
one=bisenet-one-$$ two=bisenet-two-$$

clean_up() {
  ip netns del "$one" 2>/dev/null || true
  ip netns del "$two" 2>/dev/null || true
}
trap clean_up EXIT
ip netns add "$one"
ip netns add "$two"
ip link add veth-a netns "$one" type veth peer name veth-b netns "$two"
for side in "$one veth-a 10.99.0.1" "$two veth-b 10.99.0.2"; do
  read -r space card address <<<"$side"
  ip -n "$space" address add "$address/24" dev "$card"
  ip -n "$space" link set "$card" up
  ip -n "$space" link set lo up
done
[[ $1 != --probe ]] || exit 0

python=$1
save_dir=$2
shift 2
repo=$(cd "$(dirname "$0")/.." && pwd)
machine() { # number, namespace
  ip netns exec "$2" env LAUNCHER=msrun "$python" "$repo/scripts/launch_ranks.py" 2 2 "$save_dir" \
    --node_num 2 --node_rank "$1" --master_addr 10.99.0.1 --master_port 8118 "${@:3}"
}
machine 1 "$two" "$@" &
other=$!
machine 0 "$one" "$@"
wait "$other"
