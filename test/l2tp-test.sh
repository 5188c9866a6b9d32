#!/usr/bin/env bash
# Pings across an L2TPv3 pseudowire between four network namespaces of its own.
# Each end is map_session or the kernel's own L2TP; -h says more.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

usage() {
  cat <<'END'
usage: test/l2tp-test.sh [-t ipv4|ipv6] [-e udp|ip] [-f FILE] [-c] [-i] [-p] [-h]

Joins two hosts, ns0 and ns3, by an L2TPv3 pseudowire between ns1 and ns2 and
pings both ways, IPv4 and IPv6, with small and with full-size packets:

    ns0 eth0 --- ac0 ns1 ul0 === L2TPv3 === ul0 ns2 ac0 --- eth0 ns3

  -t ipv4|ipv6  outer addresses; both, one after the other, unless given
  -e udp|ip     encapsulation; both, one after the other, unless given
  -f FILE       overlay: lines "ns1=longwire", "ns2=kernel" choose each end;
                an end that is not named is the kernel's own L2TP.
                test/l2tp-overlays has Longwire in ns1, in ns2 and in both
  -c            capture packets into files in a directory that it names and keeps
  -i            before each test open a shell in each of the namespaces
  -p            after a failure wait for Enter, with everything still there
  -h            print this

MAP_SESSION names the program for Longwire's ends; without it bin/map_session is
used, and built if it is missing. It needs root.

Exit status: 0 all that could run passed, 1 something failed, 2 the command line
or the overlay is wrong, 4 nothing could run.
END
}

wrong() {
  echo "l2tp-test.sh: $*" >&2
  echo "l2tp-test.sh: see test/l2tp-test.sh -h" >&2
  exit 2
}

broken() {
  echo "l2tp-test.sh: $*" >&2
  exit 1
}

# --- What was asked for ------------------------------------------------------

families=(ipv4 ipv6)
encapsulations=(udp ip)
declare -A end=([ns1]=kernel [ns2]=kernel)
capture=false interactive=false pause=false

read_overlay() {
  local file=$1 line number=0
  [ -r "$file" ] || wrong "-f $file: cannot read it"
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line=${line%%#*}
    line=${line//[[:space:]]/}
    case $line in
      '') ;;
      ns1=longwire | ns1=kernel | ns2=longwire | ns2=kernel) end[${line%=*}]=${line#*=} ;;
      *) wrong "$file:$number: \"$line\": write ns1 or ns2, =, and longwire or kernel" ;;
    esac
  done <"$file"
}

while getopts :t:e:f:ciph option; do
  case $option in
    t) case $OPTARG in ipv4 | ipv6) families=("$OPTARG") ;; *) wrong "-t $OPTARG: choose ipv4 or ipv6" ;; esac ;;
    e) case $OPTARG in udp | ip) encapsulations=("$OPTARG") ;; *) wrong "-e $OPTARG: choose udp or ip" ;; esac ;;
    f) read_overlay "$OPTARG" ;;
    c) capture=true ;;
    i) interactive=true ;;
    p) pause=true ;;
    h) usage; exit 0 ;;
    :) wrong "-$OPTARG needs a value" ;;
    *) wrong "unknown option -$OPTARG" ;;
  esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || wrong "unknown argument $1"

[ "$(id -u)" -eq 0 ] || broken "network namespaces need root"
tools=(ip ping nsenter)
if $capture; then tools+=(tcpdump); fi
for tool in "${tools[@]}"; do
  command -v "$tool" >/dev/null || broken "$tool is missing: run test/deps.sh check"
done
map_session=${MAP_SESSION:-$root/bin/map_session}
if [[ " ${end[*]} " == *" longwire "* && ! -x $map_session ]]; then
  [ -z "${MAP_SESSION:-}" ] || broken "MAP_SESSION=$map_session is no program"
  make -C "$root" build >&2
fi

# --- A world of its own, which goes away however the script ends -------------

# The names are those of package test/lab, whose sweep also finds what a killed
# script leaves.
id=lwlab$$-0
work=${TMPDIR:-/tmp}/$id
namespaces=(ns0 ns1 ns2 ns3)

# in_ns runs a command in a namespace; unlike ip netns exec it keeps the mounts,
# and with them the pins.
in_ns() { nsenter --net="/run/netns/$id-$1" -- "${@:2}"; }

remove_namespaces() {
  local ns pids
  for ns in "$@"; do
    [ -e "/run/netns/$id-$ns" ] || continue
    pids=$(ip netns pids "$id-$ns" || true)
    # shellcheck disable=SC2086 # one word for each process
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
    ip netns delete "$id-$ns"
  done
}

cleanup() {
  trap '' HUP INT TERM
  remove_namespaces "${namespaces[@]}" probe || true
  wait
  umount "$work/bpf" 2>/dev/null || true
  rm -rf "$work"
}
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap cleanup EXIT

mkdir -m 700 "$work"
mkdir "$work/bpf"
mount -t bpf bpf "$work/bpf"
if $capture; then
  captures=$(mktemp -d "${TMPDIR:-/tmp}/l2tp-captures.XXXXXX")
  echo "captures: $captures"
fi

# --- Results -----------------------------------------------------------------

passed=0 failed=0 skipped=0

ok() {
  passed=$((passed + 1))
  echo "$1: ok"
}

skip() {
  skipped=$((skipped + 1))
  echo "$1: skipped, $2"
}

# fail reports a failure with what the command in question said.
fail() {
  failed=$((failed + 1))
  echo "$1: FAILED"
  sed 's/^/    /' "$work/out"
  if $pause; then
    echo "paused in $id-ns0 to $id-ns3; Enter goes on"
    read -r || true
  fi
}

# try runs a command and keeps what it says. It runs in the background, so that
# a signal is not kept waiting.
try() {
  "$@" >"$work/out" 2>&1 &
  wait $!
}

# --- The network -------------------------------------------------------------

declare -A outer4=([ns1]=192.0.2.1 [ns2]=192.0.2.2)
declare -A outer6=([ns1]=2001:db8::1 [ns2]=2001:db8::2)
declare -A session=([ns1]=1012 [ns2]=1021)
declare -A tunnel=([ns1]=12 [ns2]=21)
declare -A peer=([ns1]=ns2 [ns2]=ns1)
declare -A host4=([ns0]=198.18.0.1 [ns3]=198.18.0.2)
declare -A host6=([ns0]=2001:db8:ce::1 [ns3]=2001:db8:ce::2)

# Full customer frames fit under the longest header.
underlay_mtu=1600

make_namespace() {
  ip netns add "$id-$1"
  # Duplicate address detection would delay every address by a second.
  in_ns "$1" bash -c 'echo 0 | tee /proc/sys/net/ipv6/conf/{all,default}/accept_dad >/dev/null'
  ip -n "$id-$1" link set lo up
}

# join NS DEVICE NS DEVICE MTU
join() {
  ip -n "$id-$1" link add "$2" mtu "$5" type veth peer name "$4" mtu "$5" netns "$id-$3"
  ip -n "$id-$1" link set "$2" up
  ip -n "$id-$3" link set "$4" up
}

make_network() {
  local ns
  for ns in "${namespaces[@]}"; do make_namespace "$ns"; done
  join ns0 eth0 ns1 ac0 1500
  join ns1 ul0 ns2 ul0 $underlay_mtu
  join ns2 ac0 ns3 eth0 1500
  for ns in ns1 ns2; do
    ip -n "$id-$ns" address add "${outer4[$ns]}/24" dev ul0
    ip -n "$id-$ns" address add "${outer6[$ns]}/64" dev ul0
  done
  for ns in ns0 ns3; do
    ip -n "$id-$ns" address add "${host4[$ns]}/24" dev eth0
    ip -n "$id-$ns" address add "${host6[$ns]}/64" dev eth0
  done
}

# --- The ends of the pseudowire ----------------------------------------------

outer() { if [ "$1" = ipv4 ]; then echo "${outer4[$2]}"; else echo "${outer6[$2]}"; fi; }

# endpoint FAMILY ENCAPSULATION NS prints an end as map_session wants it.
endpoint() {
  local address
  address=$(outer "$1" "$3")
  case $2-$1 in
    ip-*) echo "$address" ;;
    udp-ipv4) echo "$address:1701" ;;
    udp-ipv6) echo "[$address]:1701" ;;
  esac
}

# The interfaces are given by name: "ip link show" would look through every
# namespace of the host for the far end of a veth, and complain of one that is
# just being made.
start_longwire() {
  local family=$1 encapsulation=$2 ns=$3 far=${peer[$3]}
  in_ns "$ns" "$map_session" -l "$(endpoint "$family" "$encapsulation" "$ns")" -p "$(endpoint "$family" "$encapsulation" "$far")" \
    -x "$encapsulation" -i "${session[$ns]}" -I "${session[$far]}" \
    -E ac0 -D ul0 --pins "$work/bpf/$ns"
}

# kernel_tunnel NS FAMILY ENCAPSULATION LOCAL REMOTE TUNNEL PEER-TUNNEL
kernel_tunnel() {
  local ports=()
  if [ "$3" = udp ]; then ports=(udp_sport 1701 udp_dport 1701); fi
  ip -n "$id-$1" l2tp add tunnel tunnel_id "$6" peer_tunnel_id "$7" local "$4" remote "$5" encap "$3" "${ports[@]}"
}

# Each step says for itself that it failed: set -e does not hold for what is tried.
start_kernel() {
  local family=$1 encapsulation=$2 ns=$3 far=${peer[$3]} device
  kernel_tunnel "$ns" "$family" "$encapsulation" "$(outer "$family" "$ns")" "$(outer "$family" "$far")" \
    "${tunnel[$ns]}" "${tunnel[$far]}" || return
  ip -n "$id-$ns" l2tp add session name l2tpeth0 tunnel_id "${tunnel[$ns]}" \
    session_id "${session[$ns]}" peer_session_id "${session[$far]}" l2spec_type default || return
  ip -n "$id-$ns" link set l2tpeth0 mtu 1500 || return
  ip -n "$id-$ns" link add br0 type bridge || return
  for device in ac0 l2tpeth0; do
    ip -n "$id-$ns" link set "$device" master br0 || return
  done
  for device in l2tpeth0 br0; do
    ip -n "$id-$ns" link set "$device" up || return
  done
}

# lacking FAMILY ENCAPSULATION prints the part of the kernel that its own L2TP
# would need and that is not there. Other errors are left to the test.
lacking() {
  local family=$1 encapsulation=$2 local=127.0.0.1 remote=127.0.0.2 module=l2tp_ip out
  if [ "$family" = ipv6 ]; then local=::1 remote=::2 module=l2tp_ip6; fi
  if ! ip l2tp show tunnel >/dev/null 2>&1; then
    echo l2tp_eth
    return
  fi
  make_namespace probe
  ip -n "$id-probe" address add ::2/128 dev lo
  if ! out=$(kernel_tunnel probe "$family" "$encapsulation" $local $remote 1 2 2>&1); then
    case $out in *"not supported"*) echo "$module" ;; esac
  elif ! out=$(ip -n "$id-probe" l2tp add session name probe0 tunnel_id 1 session_id 1 peer_session_id 2 2>&1); then
    case $out in *"not supported"*) echo l2tp_eth ;; esac
  fi
  remove_namespaces probe
}

# start_end sets up one end and puts into absent why it is not there.
declare -A absent
start_end() {
  local family=$1 encapsulation=$2 ns=$3 module
  absent[$ns]=""
  if [ "${end[$ns]}" = longwire ]; then
    if try start_longwire "$family" "$encapsulation" "$ns"; then
      ok "$family $encapsulation: Longwire in $ns"
    else
      absent[$ns]="no Longwire in $ns"
      fail "$family $encapsulation: Longwire in $ns"
    fi
    return
  fi
  module=$(lacking "$family" "$encapsulation")
  if [ -n "$module" ]; then
    absent[$ns]="no kernel L2TP in $ns"
    skip "$family $encapsulation: kernel L2TP in $ns" "this kernel has no $module"
  elif try start_kernel "$family" "$encapsulation" "$ns"; then
    ok "$family $encapsulation: kernel L2TP in $ns"
  else
    absent[$ns]="no kernel L2TP in $ns"
    fail "$family $encapsulation: kernel L2TP in $ns"
  fi
}

# --- Captures and shells -----------------------------------------------------

dumps=()

start_captures() {
  local prefix=$1 place ns device log deadline
  for place in ns0-eth0 ns1-ul0 ns2-ul0 ns3-eth0; do
    ns=${place%-*} device=${place#*-} log=$work/$place.log
    : >"$log"
    # Not by in_ns: the process to signal must be tcpdump itself.
    nsenter --net="/run/netns/$id-$ns" -- tcpdump -Z root -n -U --immediate-mode -s 0 \
      -i "$device" -w "$captures/$prefix-$place.pcap" 2>"$log" &
    dumps+=($!)
    deadline=$((SECONDS + 10))
    until grep -q 'listening on' "$log"; do
      [ $SECONDS -lt $deadline ] || broken "tcpdump does not start: $(cat "$log")"
      sleep 0.02
    done
  done
}

# stop_captures waits until tcpdump has written what the kernel has for it.
stop_captures() {
  local before='' now
  while now=$(stat -c %s "$captures"/*) && [ "$now" != "$before" ]; do
    before=$now
    sleep 0.1
  done
  kill -TERM "${dumps[@]}" 2>/dev/null || true
  wait "${dumps[@]}" || true
  dumps=()
}

open_shells() {
  local ns
  for ns in "${namespaces[@]}"; do
    echo "shell in $ns ($id-$ns); exit goes on"
    in_ns "$ns" bash || true
  done
}

# --- The tests ---------------------------------------------------------------

# send_pings FROM TO FAMILY PAYLOAD
send_pings() {
  local to=${host4[$2]}
  if [ "$3" = ipv6 ]; then to=${host6[$2]}; fi
  in_ns "$1" ping -n -c 3 -i 0.02 -W 1 -M "do" -s "$4" "$to"
}

# ping_both_ways LABEL: each packet must be answered.
ping_both_ways() {
  local label=$1 from to inner size payload name why="${absent[ns1]}"
  if [ -n "${absent[ns2]}" ]; then why="${why:+$why, }${absent[ns2]}"; fi
  for from in ns0 ns3; do
    if [ $from = ns0 ]; then to=ns3; else to=ns0; fi
    for inner in ipv4 ipv6; do
      for size in small full-size; do
        payload=56
        # 1500 bytes with the headers of IP and ICMP.
        if [ $size = full-size ]; then payload=1472; fi
        if [ $size-$inner = full-size-ipv6 ]; then payload=1452; fi
        name="$label: ping $inner from $from to $to, $size"
        if [ -n "$why" ]; then
          skip "$name" "$why"
        elif try send_pings $from $to $inner $payload && grep -q ' 0% packet loss' "$work/out"; then
          ok "$name"
        else
          fail "$name"
        fi
      done
    done
  done
}

# encapsulated NS prints how many frames Longwire has sent to its peer.
encapsulated() {
  local header row i
  {
    read -r -a header
    read -r -a row
  } < <(in_ns "$1" "$map_session" list --pins "$work/bpf/$1")
  for i in "${!header[@]}"; do
    if [ "${header[i]}" = ENCAPSULATED ]; then echo "${row[i]}"; fi
  done
}

# send_alone is what is left to test of an end of Longwire without a peer: what
# its host sends leaves by the underlay.
send_alone() {
  local label=$1 ns=$2 from=ns0 to=ns3
  if [ "$ns" = ns2 ]; then from=ns3 to=ns0; fi
  try in_ns $from ping -n -c 1 -W 0.2 "${host4[$to]}" || true
  if [ "$(encapsulated "$ns")" -gt 0 ]; then
    ok "$label: $ns sends to its peer"
  else
    fail "$label: $ns sends to its peer"
  fi
}

run_test() {
  local family=$1 encapsulation=$2 label="$1 $2" ns
  make_network
  if $capture; then start_captures "$family-$encapsulation"; fi
  for ns in ns1 ns2; do start_end "$family" "$encapsulation" "$ns"; done
  if $interactive; then open_shells; fi
  for ns in ns1 ns2; do
    if [ "${end[$ns]}" = longwire ] && [ -z "${absent[$ns]}" ] && [ -n "${absent[${peer[$ns]}]}" ]; then
      send_alone "$label" "$ns"
    fi
  done
  ping_both_ways "$label"
  if $capture; then stop_captures; fi
  for ns in ns1 ns2; do
    if [ -e "$work/bpf/$ns" ]; then in_ns "$ns" "$map_session" del --all --pins "$work/bpf/$ns" >/dev/null; fi
  done
  remove_namespaces "${namespaces[@]}"
}

for family in "${families[@]}"; do
  for encapsulation in "${encapsulations[@]}"; do
    run_test "$family" "$encapsulation"
  done
done
echo "summary: $passed ok, $failed FAILED, $skipped skipped"
if [ $failed -gt 0 ]; then exit 1; fi
if [ $passed -eq 0 ]; then exit 4; fi
