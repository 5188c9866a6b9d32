/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Every map, with its owner. Sizes are set when the maps are made. */
#ifndef LONGWIRE_MAPS_H
#define LONGWIRE_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "structs.h"

#define CAPACITY 16384
#define PORTS 4096 /* a power of two */
#define COPIES 32768

/* Sessions that we accept, by our own session id in host order. Written by the
 * reconciler. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CAPACITY);
	__type(key, __u32);
	__type(value, struct receive);
} receives SEC(".maps");

/* Far ends, by ifindex of the port or, for circuits of single VLANs, by
 * TRANSMIT_VLANS and slot. Written by the reconciler. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CAPACITY);
	__type(key, __u32);
	__type(value, struct transmit);
} transmits SEC(".maps");

/* Copies of receives and transmits, at the low bits of the key: see find.h.
 * Written by the reconciler. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COPIES);
	__type(key, __u32);
	__type(value, struct receive_copy);
} receive_copies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COPIES);
	__type(key, __u32);
	__type(value, struct transmit_copy);
} transmit_copies SEC(".maps");

/* Circuits of single VLANs: their keys of transmits, by what selects them.
 * Written by the reconciler. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CAPACITY);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct vlan_key);
	__type(value, __u32);
} vlans SEC(".maps");

/* Our tunnel addresses and ports. Written by the agent when its configuration
 * changes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, __u32);
} endpoints SEC(".maps");

/* Sequence numbers, by slot. Written by the programs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CAPACITY);
	__type(key, __u32);
	__type(value, struct sequence);
} sequences SEC(".maps");

/* Leased next hops, by index. Written by the resolver. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CAPACITY);
	__type(key, __u32);
	__type(value, struct next_hop);
} next_hops SEC(".maps");

/* Traffic of each pseudowire, by slot. Written by the programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CAPACITY);
	__type(key, __u32);
	__type(value, struct session_counters);
} counters SEC(".maps");

/* What happens now and then to a pseudowire, by slot. Written by the programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CAPACITY);
	__type(key, __u32);
	__type(value, struct session_events);
} events SEC(".maps");

/* Drops by slot and reason, made when the first one happens. Written by the
 * programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, CAPACITY);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct drop_key);
	__type(value, __u64);
} drops SEC(".maps");

/* The helper pair. Written by the agent at start. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

/* Interfaces with an XDP program, by the low bits of their ifindex: of two that
 * want the same place one does without. Written by whoever attaches. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS);
	__type(key, __u32);
	__type(value, struct port);
} ports SEC(".maps");

/* Session id, cookie and slot of each pseudowire, by name. Written and read by
 * the agent only; it is here so that it lives as long as the sessions. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CAPACITY);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct identity_key);
	__type(value, struct identity);
} identities SEC(".maps");

#endif
