#!/bin/bash
# Training over two hosts: network namespaces with a cable between them and names of their own. Exits with 77 (skipped) where
# they cannot be made (no root, no ip, a container without the right): two_hosts.sh TRIT
set -euo pipefail
cd "$(dirname "$0")"
trit=$(realpath "$1")
a="trita$$" b="tritb$$"
agent=$(mktemp)

skip() { echo "skipped: $1"; exit 77; }
remove() {
  rm -f "$agent"
  ip netns del "$a" 2>/dev/null || true
  ip netns del "$b" 2>/dev/null || true
}
[[ $(id -u) == 0 ]] || skip "network namespaces need root"
command -v ip >/dev/null || skip "there is no ip (iproute2)"
trap remove EXIT
ip netns add "$a" 2>/dev/null && ip netns add "$b" 2>/dev/null || skip "this system makes no network namespaces"
unshare --uts true 2>/dev/null || skip "this system gives no process a host name of its own"
ip link add "v$a" netns "$a" type veth peer name "v$b" netns "$b" 2>/dev/null || skip "this system has no veth"
for side in "$a 1" "$b 2"; do
  read -r name number <<<"$side"
  ip -n "$name" address add "10.77.0.$number/24" dev "v$name"
  ip -n "$name" link set "v$name" up
  ip -n "$name" link set lo up
done

# What mpirun calls in place of ssh: HOST COMMAND...
cat >"$agent" <<EOF
#!/bin/bash
while [[ \$1 == -* ]]; do shift; done
shift
exec ip netns exec "$b" unshare --uts sh -c 'hostname host-b; exec "\$@"' sh sh -c "\$*"
EOF
chmod +x "$agent"
hosts="-H 10.77.0.1:4,10.77.0.2:4 --map-by node --mca plm_rsh_agent $agent --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24"
hosts+=" --mca oob_tcp_if_include 10.77.0.0/24"
seen=$(ip netns exec "$a" unshare --uts sh -c 'hostname host-a; exec "$@"' sh \
  env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun $hosts -n 2 hostname | sort | tr '\n' ' ')
[[ $seen == "host-a host-b " ]] || { echo "mpirun reached: $seen"; exit 1; }
ip netns exec "$a" unshare --uts sh -c 'hostname host-a; exec "$@"' sh ./train_ranks.sh "$trit" "$hosts"
