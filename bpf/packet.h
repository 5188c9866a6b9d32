/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Access to packets, counting, and header arithmetic. */
#ifndef LONGWIRE_PACKET_H
#define LONGWIRE_PACKET_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "consts.h"
#include "maps.h"

#define FORCE_INLINE static __attribute__((always_inline)) inline

/* A function that the verifier looks at once, whoever calls it: it knows nothing
 * of the arguments but their types, and the caller nothing of the result. */
#define VERIFIED_ALONE __attribute__((noinline))

/* Hides a value's origin from the optimiser, so that it keeps the bounds check
 * that the verifier wants to see on this very register. */
#define OPAQUE(v) asm volatile("" : "+r"(v))

/* clang folds loads of data from several branches into one through a modified
 * context pointer, which the verifier refuses; these loads stay as they are. */
#define CTX_LOAD(ctx, field)                                                   \
	({                                                                     \
		unsigned long r_;                                              \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                          \
			     : "=r"(r_)                                        \
			     : "r"(ctx),                                       \
			       "i"(__builtin_offsetof(typeof(*(ctx)), field)));\
		(void *)r_;                                                    \
	})
/* Of a struct __sk_buff or a struct xdp_md. */
#define DATA(ctx) CTX_LOAD(ctx, data)
#define DATA_END(ctx) CTX_LOAD(ctx, data_end)

#define LOAD16(p) (*(const __u16 *)(p))
#define LOAD32(p) (*(const __u32 *)(p))
#define LOAD64(p) (*(const __u64 *)(p))
#define STORE16(p, v) (*(__u16 *)(p) = (v))
#define STORE32(p, v) (*(__u32 *)(p) = (v))
#define STORE64(p, v) (*(__u64 *)(p) = (v))

/* Length of the outer header, Ethernet included, cookie and sublayer not. */
FORCE_INLINE __u32 base_len(int v6, int udp)
{
	return ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER) +
	       (udp ? UDP_HEADER + L2TP_UDP_HEADER : L2TP_IP_HEADER);
}

/* Copies n bytes, n a constant, between a map value and a packet. */
FORCE_INLINE void copy(void *to, const void *from, const int n)
{
	int i = 0;
#pragma unroll
	for (; i + 8 <= n; i += 8)
		STORE64(to + i, LOAD64(from + i));
	if (n & 4) {
		STORE32(to + i, LOAD32(from + i));
		i += 4;
	}
	if (n & 2)
		STORE16(to + i, LOAD16(from + i));
}

/* Folds a ones' complement sum to 16 bits (RFC 1071). */
FORCE_INLINE __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Makes the first n bytes readable. The caller checks the bounds after it. */
FORCE_INLINE int pull(struct __sk_buff *skb, __u32 n)
{
	if (DATA(skb) + n <= DATA_END(skb))
		return 0;
	if (skb->len < n)
		return -1;
	return bpf_skb_pull_data(skb, n);
}

/* Counts a packet that goes no further and returns the verdict to give. */
VERIFIED_ALONE int drop(__u32 slot, __u32 reason, int verdict)
{
	struct drop_key key = { .slot = slot, .reason = reason };
	__u64 one = 1, *n = bpf_map_lookup_elem(&drops, &key);

	if (n)
		*n += 1;
	else if (bpf_map_update_elem(&drops, &key, &one, BPF_NOEXIST)) {
		/* Another CPU made the entry, or there is no room for one. */
		n = bpf_map_lookup_elem(&drops, &key);
		if (n)
			*n += 1;
	}
	return verdict;
}
#define DROP(slot, reason) drop(slot, reason, TC_ACT_SHOT)
#define PASS_COUNTED(slot, reason) drop(slot, reason, TC_ACT_UNSPEC)

FORCE_INLINE struct session_counters *counters_of(__u32 slot)
{
	return bpf_map_lookup_elem(&counters, &slot);
}

FORCE_INLINE struct session_events *events_of(__u32 slot)
{
	return bpf_map_lookup_elem(&events, &slot);
}

FORCE_INLINE void count_encap(__u32 slot, __u32 packets, __u32 bytes)
{
	struct session_counters *c = counters_of(slot);

	if (c) {
		c->encap_packets += packets;
		c->encap_bytes += bytes;
	}
}

FORCE_INLINE void count_decap(__u32 slot, __u32 packets, __u32 bytes)
{
	struct session_counters *c = counters_of(slot);

	if (c) {
		c->decap_packets += packets;
		c->decap_bytes += bytes;
	}
}

FORCE_INLINE const struct settings *get_settings(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&settings, &zero);
}

/* Whether an EtherType, as it lies on the wire, is that of a VLAN tag. */
FORCE_INLINE bool is_tag(__u16 type)
{
	return type == bpf_htons(ETHERTYPE_VLAN) || type == bpf_htons(ETHERTYPE_QINQ) || type == bpf_htons(ETHERTYPE_QINQ_OLD);
}

/* The offset of what follows the EtherType at offset at of a packet, or the first
 * one behind it that is no tag's; 0 when there is none. It is left in type. */
FORCE_INLINE __u32 skip_tags(struct __sk_buff *skb, __u32 at, __u16 *type)
{
	int i;

	for (i = 0; i <= TAGS_MAX; i++) {
		if (bpf_skb_load_bytes(skb, at, type, sizeof(*type)))
			return 0;
		if (!is_tag(*type))
			break;
		at += 4;
	}
	return at + 2;
}

/* Adds the sum of a 32-bit word, as it lies on the wire, to a checksum. */
FORCE_INLINE __u32 halves(__u32 word)
{
	return (word & 0xffff) + (word >> 16);
}

#endif
