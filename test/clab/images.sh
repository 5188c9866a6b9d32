#!/usr/bin/env bash
# Makes the images of the topologies, from Debian's packages and this repository
# alone, and gives them to Docker:
#   longwire/host:local  bash, busybox, ip, ping, tcpdump
#   longwire/pe:local    the same and longwire
#   longwire/frr:local   the same and FRR
# It takes Debian or a descendant of it, Go and Docker; root only where Docker
# takes it. Nothing is installed: apt resolves and fetches. What comes of the
# packages is kept in ~/.cache/longwire/images until apt-get update finds news.
set -euo pipefail
cd "$(dirname "$0")"
umask 022

tools=(bash busybox-static iproute2 iputils-ping tcpdump)
# Packages that are needed to install others, which nobody does here.
unwanted='^(adduser|cron|cron-daemon-common|debconf|debianutils|dpkg|gcc-[0-9]+-base|init-system-helpers|logrotate|lsof|passwd|perl.*|libperl.*|lib.*-perl|sensible-utils|tar|usrmerge)_'

work=$(mktemp -d)
made=
trap 'rm -rf "$work" $made' EXIT
mkdir -p "$work/archives/partial"
: >"$work/status" # of a machine that has no package yet

# install OPTION... PACKAGE... is apt-get install for that machine.
install() {
  apt-get -qq -y --no-install-recommends -o Debug::NoLocking=true -o APT::Sandbox::User= \
    -o Dir::State::status="$work/status" -o Dir::Cache="$work" install "$@"
}

# needed PACKAGE... lists them and what they depend on: file, size, checksum.
needed() {
  install --print-uris "$@" | grep "^'" | cut -d' ' -f2- | grep -vE "$unwanted" | sort
}

# unpack DIRECTORY LIST makes a file system of the packages that needed has
# listed, whose scripts do not run, and gives busybox the names that nobody else
# has.
unpack() {
  local root=$1 file name names
  mkdir -p "$root"/{dev,etc,proc,root,run,sys,tmp,usr/bin,usr/lib,usr/lib64,usr/sbin,var/log}
  ln -s usr/bin usr/lib usr/lib64 usr/sbin "$root"
  while read -r file _; do
    dpkg-deb --fsys-tarfile "$work/archives/$file" | tar -x --no-same-owner --keep-directory-symlink -C "$root"
  done <<<"$2"
  rm -rf "$root"/usr/share/{bug,doc,info,lintian,locale,man}
  ln -s bash "$root/bin/sh" # busybox's shell would prefer busybox's own commands
  names=$("$root/bin/busybox" --list)
  for name in $names; do
    [ -e "$root/bin/$name" ] || [ -e "$root/sbin/$name" ] || ln -s busybox "$root/bin/$name"
  done
  cp -R image/host/. "$root"
}

# pack FILE DIRECTORY [TEST] adds a directory, or what passes a test of find, to a
# tar file, with nothing of this machine in it.
pack() {
  (cd "$2" && find . "${@:3}" -print0 | sort -z) |
    tar -r -f "$1" --owner=0 --group=0 --numeric-owner --mtime=@0 --no-recursion --null -C "$2" -T -
}

# give NAME COMMAND makes an image of a tar file.
give() {
  docker import -c "CMD $2" "$work/$1.tar" "longwire/$1:local" >/dev/null
  echo "longwire/$1:local"
}

lists=/var/lib/apt/lists
eval "$(apt-config shell lists Dir::State::lists/d)"
key=$(ls -l --time-style=full-iso "$lists" | cat - images.sh image/host/etc/* | sha256sum | cut -c-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/longwire/images/$key
if [ ! -d "$cache" ]; then
  host=$(needed "${tools[@]}") && frr=$(needed "${tools[@]}" frr) || {
    echo "apt does not know the packages: apt-get update may help" >&2
    exit 1
  }
  install --download-only "${tools[@]}" frr >&2
  unpack "$work/host" "$host"
  unpack "$work/frr" "$frr"
  mkdir -p "$(dirname "$cache")"
  made=$(mktemp -d "$cache.XXXXXX")
  pack "$made/host.tar" "$work/host"
  pack "$made/frr.tar" "$work/frr"
  # Of two that do this at once the second keeps what the first one has made.
  mv -T "$made" "$cache" 2>/dev/null || [ -d "$cache" ]
fi

CGO_ENABLED=0 go build -C ../.. -trimpath -o "$work/pe/usr/bin/longwire" ./cmd/longwire
cp "$cache"/*.tar "$work"
cp "$work/host.tar" "$work/pe.tar"
# A tar file for Docker names every directory once: those are there.
pack "$work/pe.tar" image/pe ! -type d
pack "$work/pe.tar" "$work/pe" ! -type d
pack "$work/frr.tar" image/frr ! -type d
give host '["sleep", "infinity"]'
give pe '["pe"]'
give frr '["rr"]'
