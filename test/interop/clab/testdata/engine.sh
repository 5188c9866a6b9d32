#!/bin/sh
# engine.sh DIRECTORY CGROUP: the first process of an engine. It runs in network,
# mount and process namespaces of its own and becomes dockerd, with containerd and
# the containers below it. When it ends the kernel ends all of them and takes the
# mounts away.
set -eu
dir=$1 cgroup=$2

mount -t proc proc /proc
# What dockerd, containerd and containerlab write in places of the host's.
mount -t tmpfs tmpfs /run
mkdir /run/netns
cp /etc/hosts "$dir/hosts"
mount --bind "$dir/hosts" /etc/hosts
if [ -d /etc/ssh/ssh_config.d ]; then
  mount -t tmpfs tmpfs /etc/ssh/ssh_config.d
fi
echo '{}' >"$dir/daemon.json" # not the host's

# No bridge and no firewall: the kernel may have no netfilter, and the containers
# have no network but the links of their topology.
exec docker-init -- dockerd --config-file "$dir/daemon.json" --host "unix://$dir/docker.sock" \
  --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" \
  --bridge none --iptables=false --ip6tables=false --ip-forward=false \
  --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$cgroup"
