/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Keys and values of the maps. Go uses the types generated from these. */
#ifndef LONGWIRE_STRUCTS_H
#define LONGWIRE_STRUCTS_H

#include <linux/types.h>
#include "consts.h"

/* What one local session id accepts, and where it delivers. Addresses are in
 * wire order, an IPv4 address in the first four bytes of its field. */
struct receive {
	__u8 local[16];
	__u8 remote[16];
	__u64 cookie;       /* as it lies in the packet */
	__u32 circuit;      /* ifindex that frames leave by */
	__u32 slot;         /* of the counters */
	__be16 local_port;
	__be16 remote_port; /* 0 accepts any */
	enum receive_flag flags;
	__u8 cookie_len;    /* 0, 4 or 8 */
	__u8 sublayer_len;  /* 0 or 4 */
	__u8 pad[6];
};

/* How the frames of one circuit leave. The template is the outer header from
 * the IP header to the sublayer, lengths and checksums zero. */
struct transmit {
	__u8 template[TEMPLATE_MAX];
	__u32 slot;
	__u32 next_hop;     /* index of next_hops */
	__u32 ip_sum;       /* IPv4: ones' complement sum of the template's header */
	__u32 udp_sum;      /* IPv6: sum of pseudo header and template, no lengths */
	enum carrier carrier;
	enum transmit_flag flags;
	__u8 cookie_len;
	__u8 sublayer_len;
	__u8 pad[6];
};

/* A resolved way out, believed until its lease ends. A writer clears expires,
 * then writes the rest, then sets expires again; a reader looks at expires
 * last. So no reader trusts half of a change. */
struct next_hop {
	__u64 mac_first;    /* destination, and two bytes of the source */
	__u32 mac_last;     /* four bytes of the source */
	__u32 ifindex;
	__u32 mtu;          /* bytes of IP */
	__u32 pad;
	__u64 expires;      /* CLOCK_MONOTONIC, nanoseconds; 0 = no lease */
};

/* Packets and bytes of one pseudowire on one CPU; bytes are of inner frames. */
struct session_counters {
	__u64 encap_packets;
	__u64 encap_bytes;
	__u64 decap_packets;
	__u64 decap_bytes;
};

struct drop_key {
	__u32 slot;         /* 0 when no session is known */
	enum drop_reason reason;
};

/* The two ends of the helper pair, by ifindex. What is sent out of one end arrives at the
 * other, whose program does the work. */
struct settings {
	__u32 to_segment;   /* send a super-frame here to have it cut, then encapsulated */
	__u32 to_resolve;   /* send an outer packet here to have it routed by the kernel */
	__u32 layout;       /* of the maps: LAYOUT of the agent that made them */
};

/* What a signalled pseudowire keeps for life: written and read by the agent,
 * never by a packet. */
struct identity {
	__u8 cookie[8];
	__u32 session;      /* 0 when the pseudowire has only static sessions */
	__u32 slot;
};

struct identity_key {
	__u8 name[64];
};

#endif
