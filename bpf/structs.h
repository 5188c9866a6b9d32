/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Keys and values of the maps. Go uses the types generated from these. */
#ifndef LONGWIRE_STRUCTS_H
#define LONGWIRE_STRUCTS_H

#include <linux/bpf.h>
#include <linux/types.h>
#include "consts.h"

/* What one local session id accepts, and where it delivers. Addresses are in
 * wire order, an IPv4 address in the first four bytes of its field. */
struct receive {
	__u8 local[16];
	__u8 remote[16];
	__u64 cookie;       /* as it lies in the packet */
	__u64 previous;     /* the cookie before the last change */
	__u32 circuit;      /* ifindex that frames leave by */
	__u32 slot;         /* of the counters */
	__be16 local_port;
	__be16 remote_port; /* 0 accepts any */
	enum receive_flag flags;
	__u32 tags[2];      /* set or pushed, outermost first: type, then VLAN id, as on the wire */
	__u16 clamp_mtu;    /* bytes of IP that the circuit carries */
	__u8 cookie_len;    /* 0, 4 or 8 */
	__u8 sublayer_len;  /* 0 or 4 */
	__u8 pop_tags;      /* 0 or 1 */
	__u8 set_tags;      /* 0, 1 or 2 */
	__u8 push_tags;     /* 0, 1 or 2 */
	__u8 pad;
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
	__u32 circuit;      /* ifindex of the port */
	__u32 push_tag;     /* type, then VLAN id, as on the wire; 0 = none */
	__u16 clamp_mtu;    /* bytes of IP that the way carries */
	__u8 cookie_len;
	__u8 sublayer_len;
	__u8 pop_tags;      /* 0, 1 or 2 */
	__u8 drop_l2cp;     /* enum l2cp */
	__u8 pad[2];
};

/* Copies that cost less to find: see find.h. Key 0 is no copy. */
struct receive_copy {
	__u32 key;
	__u32 pad;
	struct receive value;
};

struct transmit_copy {
	__u32 key;
	__u32 pad;
	struct transmit value;
};

/* Frames of some VLANs of a port, host order. */
struct vlan_key {
	__u32 circuit;      /* ifindex of the port */
	__u16 outer;        /* 0 = untagged, or a priority alone */
	__u16 inner;        /* 0 = any, also none */
};

/* A tunnel address of ours, and a UDP port or 0 for IP protocol 115: unknown
 * sessions that arrive there are counted, and dropped if so set. */
struct endpoint_key {
	__u8 address[16];
	__be16 port;
	__u8 v6;
	__u8 pad;
};

/* What a pseudowire remembers between packets: sequence numbers of both
 * directions, and when it last answered. */
struct sequence {
	struct bpf_spin_lock lock; /* of what is received */
	__u32 expected;     /* next number, RECEIVED_ANY before the first */
	__u32 stray;        /* next number if the far end has begun anew */
	__u32 strays;       /* late frames that follow one another */
	__u32 send;         /* number of the next frame sent */
	__u64 answered;     /* tick of the last ICMP to the customer */
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
	__u64 expires;      /* ticks, as bpf_jiffies64 counts them; 0 = no lease */
};

/* Packets and bytes of one pseudowire on one CPU; bytes are of inner frames. */
struct session_counters {
	__u64 encap_packets;
	__u64 encap_bytes;
	__u64 decap_packets;
	__u64 decap_bytes;
};

/* What happens now and then, apart so that the counters of every packet share a
 * cache line. */
struct session_events {
	__u64 fragmented;       /* frames sent in fragments */
	__u64 answered;         /* ICMP sent to the customer */
	__u64 previous_cookie;  /* frames that still had it */
	__u64 sequence_gaps;    /* numbers skipped on receipt */
	__u64 sequence_resets;  /* times the far end began anew */
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
	enum settings_flag flags;
};

/* An interface that XDP programs run on. */
struct port {
	__u32 ifindex;      /* 0 = nobody's place */
	__u32 mac_first;    /* of the interface, as a native load from a packet gives it */
	__u16 mac_last;
	__u16 largest;      /* bytes of a frame that it takes from an XDP program; 0 = none */
	enum port_role role;
};

/* What a signalled pseudowire keeps for life: written and read by the agent,
 * never by a packet. */
struct identity {
	__u8 cookie[8];
	__u8 previous[8];   /* before the last rotation */
	__u64 rotated;      /* Unix time of it, nanoseconds; 0 = there is no previous */
	__u32 session;      /* 0 when the pseudowire has only static sessions */
	__u32 slot;
};

struct identity_key {
	__u8 name[64];
};

#endif
