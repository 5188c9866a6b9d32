/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Numbers of the wire formats, and the names of every reason to drop. */
#ifndef LONGWIRE_CONSTS_H
#define LONGWIRE_CONSTS_H

#define ETH_HEADER 14
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define UDP_HEADER 8

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define ETHERTYPE_QINQ_OLD 0x9100
#define ETHERTYPE_SLOW 0x8809
#define ETHERTYPE_EAPOL 0x888e
#define ETHERTYPE_LLDP 0x88cc
#define ETHERTYPE_CFM 0x8902
#define ETHERTYPE_MIN 0x0600 /* below it is a length */
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_HOP_OPTIONS 0
#define PROTO_DESTINATION_OPTIONS 60
#define PROTO_FRAGMENT 44
#define PROTO_ICMPV6 58
#define PROTO_L2TP 115

/* RFC 3931 section 4.1: the bare session id over IP; flags, version and a
 * reserved word before it over UDP. */
#define L2TP_IP_HEADER 4
#define L2TP_UDP_HEADER 8
#define L2TP_TYPE_AND_VERSION 0x800f
#define L2TP_DATA_VERSION_3 0x0003

/* RFC 3931 section 4.6, RFC 5085 section 5.2: first byte of the sublayer. */
#define SUBLAYER_VCCV 0x80

/* Cookie (8) and sublayer (4). */
#define EXTRA_MAX 12

/* Outer header without Ethernet: IPv6, UDP, L2TP, cookie, sublayer. */
#define TEMPLATE_MAX 72

/* The most VLAN tags that are carried. */
#define TAGS_MAX 3

/* A frame beyond this is never one packet of a real wire. */
#define FRAME_MAX 0x3fff

#define TC_ACT_UNSPEC (-1)
#define TC_ACT_SHOT 2

/* Kernel flags that older uapi headers do not have. */
#define ADJ_DECAP_IPV4 (1ULL << 7)
#define ADJ_DECAP_IPV6 (1ULL << 8)

/* skb->ip_summed and skb->pkt_type, include/linux/skbuff.h and if_packet.h. */
#define CHECKSUM_NONE 0
#define CHECKSUM_UNNECESSARY 1
#define CHECKSUM_PARTIAL 3
#define PACKET_HOST 0

#define AF_INET 2
#define AF_INET6 10

/* How a circuit's frames are carried: family and encapsulation in one. */
enum carrier {
	CARRIER_IPV4_IP = 0,
	CARRIER_IPV4_UDP = 1,
	CARRIER_IPV6_IP = 2,
	CARRIER_IPV6_UDP = 3,
};

enum receive_flag {
	RECEIVE_ACCEPT_IP = 1,
	RECEIVE_ACCEPT_UDP = 2,
	RECEIVE_HAS_REMOTE = 4,
	RECEIVE_IPV6 = 8,
	RECEIVE_PREVIOUS = 16,      /* the previous cookie is accepted as well */
	RECEIVE_ZERO_CHECKSUM = 32, /* UDP over IPv6 may come without one */
	RECEIVE_SEQUENCED = 64,     /* duplicates and late frames are dropped */
	RECEIVE_TAGS = 128,         /* tags change on delivery */
	RECEIVE_CLAMP = 256,        /* TCP's MSS is bounded */
};

enum transmit_flag {
	TRANSMIT_VARY_ID = 1,       /* DF is clear, so every packet needs its own id */
	TRANSMIT_CLOSED = 2,        /* no far end: frames are dropped */
	TRANSMIT_SHARED = 4,        /* circuits of single VLANs are tried first */
	TRANSMIT_TO_HOST = 8,       /* what no circuit takes is the host's */
	TRANSMIT_TAGS = 16,         /* tags change before encapsulation */
	TRANSMIT_SEQUENCED = 32,    /* frames are numbered */
	TRANSMIT_COPY_DSCP = 64,
	TRANSMIT_COPY_ECN = 128,
	TRANSMIT_ENTROPY = 256,     /* UDP source port by flow */
	TRANSMIT_ZERO_CHECKSUM = 512,
	TRANSMIT_KEEP_WHOLE = 1024, /* too big is dropped, not fragmented */
	TRANSMIT_ANSWER = 2048,     /* and the customer is told */
	TRANSMIT_CLAMP = 4096,      /* TCP's MSS is bounded */
};

enum port_role {
	PORT_CIRCUIT = 1,
	PORT_UNDERLAY = 2,
};

enum settings_flag {
	SETTINGS_DROP_UNKNOWN = 1, /* unknown sessions to us are dropped, not passed on */
};

/* Layer-2 control protocols, bits of transmit.drop_l2cp. */
enum l2cp {
	L2CP_STP = 1,
	L2CP_LACP = 2,
	L2CP_LLDP = 4,
	L2CP_PVST = 8,
	L2CP_DOT1X = 16,
	L2CP_CFM = 32,
};

/* The mark of a packet on its way through the helper pair. To be cut, it is the
 * key of transmits; to be routed, slot and flags; 0 is the stack's own chatter.
 * The slow path marks the outer packets that it has from the stack, whole and
 * without options, with MARK_DECAP alone. */
#define MARK_SLOT 0x007fffff
#define MARK_KEEP_WHOLE 0x00800000
#define MARK_INDEX_SHIFT 24
#define MARK_INDEX_MAX 63
#define MARK_FRAGMENT 0x40000000
#define MARK_DECAP 0x80000000

/* Keys of transmits: the ifindex of a whole port, or this and the slot of the
 * pseudowire that has some VLANs of one. */
#define TRANSMIT_VLANS 0x80000000

/* RFC 3931 section 4.6: S bit of the sublayer's first byte. */
#define SUBLAYER_SEQUENCE 0x40
#define SEQUENCE_MASK 0x00ffffff
/* So many late frames in a row are a far end that counts anew. */
#define SEQUENCE_STRAYS 5

/* RFC 3168 section 5: the two ECN bits of TOS and traffic class. */
#define ECN_MASK 3
#define ECN_ECT1 1
#define ECN_CE 3

/* RFC 6335 section 6: where ports that nobody owns begin. */
#define EPHEMERAL_PORTS 49152

/* Why a packet was not forwarded. The Go side has the word for each; a test
 * holds the two lists together. */
enum drop_reason {
	DROP_UNSPECIFIED = 0,

	/* encapsulation */
	DROP_NO_SESSION,      /* the circuit has no far end now */
	DROP_TOO_BIG,         /* the outer packet exceeds the underlay's MTU */
	DROP_TOO_MANY_TAGS,   /* more VLAN tags than TAGS_MAX */
	DROP_NO_ROUTE,        /* the kernel has no route to the far end */
	DROP_NO_HELPER,       /* the helper interfaces are gone */
	DROP_NO_MEMORY,       /* the kernel could not grow or shrink the packet */
	DROP_L2CP,            /* a control protocol that is not tunnelled */
	DROP_LOOP,            /* the way to the far end leads into a circuit */

	/* decapsulation */
	DROP_UNKNOWN_SESSION, /* passed on to the stack, counted */
	DROP_NO_REMOTE,       /* nobody may send on this session yet */
	DROP_WRONG_SOURCE,
	DROP_WRONG_ENCAPSULATION,
	DROP_WRONG_COOKIE,
	DROP_VCCV,            /* control channel, never customer traffic */
	DROP_MALFORMED,       /* lengths that lie, or no Ethernet frame inside */
	DROP_BAD_CHECKSUM,
	DROP_FRAGMENT,        /* left to the stack and the slow path */
	DROP_IP_OPTIONS,      /* left to the stack and the slow path */
	DROP_CONTROL_MESSAGE, /* passed on to the stack */
	DROP_WRONG_VERSION,   /* passed on to the stack */
	DROP_DUPLICATE,
	DROP_LATE,
	DROP_CONGESTION,      /* marked by the underlay, and the inner frame cannot be */

	DROP_REASONS
};

#endif
