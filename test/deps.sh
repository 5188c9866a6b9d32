#!/usr/bin/env bash
# Installs the Debian packages that a make target needs and that are missing:
#   deps.sh demo|check|interop|race|generate|lint|bench
# It changes nothing when all are there, and says what to install when it may not.
set -euo pipefail

network=(iproute2 iputils-ping util-linux)
case "${1:-}" in
  demo) packages=("${network[@]}") ;;
  check) packages=("${network[@]}" ethtool tcpdump tshark) ;;
  interop) packages=("${network[@]}" ethtool tcpdump tshark frr exabgp docker.io qemu-system-x86 busybox-static xz-utils zstd) ;;
  bench) packages=("${network[@]}" ethtool iperf3) ;;
  generate) packages=(clang-19 llvm-19 libbpf-dev linux-libc-dev) ;;
  race) packages=("${network[@]}" ethtool tcpdump tshark gcc libc6-dev) ;;
  lint) packages=() ;;
  *) echo "usage: $0 demo|check|interop|race|generate|lint|bench" >&2; exit 2 ;;
esac

if ! command -v "${GO:-go}" >/dev/null; then
  echo "Go is missing: install Go 1.26 or later (https://go.dev/dl) and put it in PATH." >&2
  exit 1
fi

# make interop boots Debian's kernels, which apt has to know.
knows_kernels() {
  local names
  names=$'\n'$(apt-cache pkgnames linux-image-6. 2>/dev/null || true)$'\n'
  [[ $names =~ $'\n'linux-image-6\.1\.0-[0-9]+-amd64$'\n' && $names =~ $'\n'linux-image-6\.12\.[0-9]+\+deb12-amd64$'\n' ]]
}
if [ "$1" = interop ] && ! knows_kernels; then
  apt-get update -qq || true
  if ! knows_kernels; then
    echo "apt knows no kernel 6.1 or no 6.12 of Debian 12: make interop needs Debian 12, with its security updates (bookworm-security) in /etc/apt." >&2
    exit 1
  fi
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "Missing, and there is no apt-get to install them with: ${missing[*]} (Debian's names)." >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "Missing packages; as root: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" >/tmp/longwire-apt.$$ 2>&1; }
# The tests start daemons where and when they need them: installing bgpd or
# dockerd shall not start one on this host (invoke-rc.d(8)).
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
if [ -e "$policy" ]; then
  policy=
fi
trap 'rm -f /tmp/longwire-apt.$$ $policy' EXIT
if [ -n "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
# The lists of a fresh machine are empty or old: the first try may fail.
if ! install; then
  apt-get update -qq
  if ! install; then
    cat /tmp/longwire-apt.$$ >&2
    echo "Could not install: ${missing[*]}" >&2
    exit 1
  fi
fi
