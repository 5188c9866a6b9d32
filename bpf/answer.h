/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* "Too big" to the customer's host whose packet does not fit. */
#ifndef LONGWIRE_ANSWER_H
#define LONGWIRE_ANSWER_H

#include "checksum.h"
#include "frame.h"
#include "packet.h"

/* Bytes of the packet that come back: the IP header, and enough of what follows
 * for the sender to find its connection (RFC 1812 section 4.3.2.3, RFC 4443
 * section 3.2). */
#define QUOTE_IPV4 64
#define QUOTE_IPV6 104
#define ICMP_HEADER 8

#define ICMP_UNREACHABLE 3
#define ICMP_FRAGMENTATION_NEEDED 4
#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO 8
#define ICMPV6_TOO_BIG 2
#define ICMPV6_INFORMATIONAL 128
#define IPV4_MTU_MIN 68
#define IPV6_MTU_MIN 1280

/* At most one answer of a pseudowire in a tick of the clock: 100 to 1000 in a
 * second. */
FORCE_INLINE bool may_answer(__u32 slot)
{
	struct sequence *s = bpf_map_lookup_elem(&sequences, &slot);
	__u64 now = bpf_jiffies64();

	if (!s || s->answered == now)
		return false;
	s->answered = now;
	return true;
}

/* Whether an IPv4 packet at p may be answered at all (RFC 1122 section 3.2.2):
 * a whole packet or its beginning, from one host, and no ICMP error. */
FORCE_INLINE bool answerable_ipv4(void *p)
{
	__u8 source = *(__u8 *)(p + 12), type = *(__u8 *)(p + 20);

	if (*(__u8 *)p != 0x45 || LOAD16(p + 6) & bpf_htons(0x1fff))
		return false;
	if (source == 0 || source == 127 || source >= 224 || *(__u8 *)(p + 16) >= 224)
		return false;
	return *(__u8 *)(p + 9) != PROTO_ICMP || type == ICMP_ECHO || type == ICMP_ECHO_REPLY;
}

/* The same for IPv6 (RFC 4443 section 2.4). A router would answer packets to
 * groups too, from an address of its own; a group's cannot be a source. */
FORCE_INLINE bool answerable_ipv6(void *p)
{
	if (*(__u8 *)(p + 8) == 0xff || *(__u8 *)(p + 24) == 0xff || !(LOAD64(p + 8) | LOAD64(p + 16)))
		return false;
	return *(__u8 *)(p + 6) != PROTO_ICMPV6 || *(__u8 *)(p + 40) >= ICMPV6_INFORMATIONAL;
}

/* Cuts the frame to the quote and sums that. Returns 0, or -1. */
FORCE_INLINE int take_quote(struct __sk_buff *skb, const __u32 quote, __u32 *sum)
{
	__u32 ethernet = 0;
	long whole;
	int i;

	if (bpf_skb_change_tail(skb, ETH_HEADER + quote, 0))
		return -1;
	whole = sum_frame(skb);
	if (whole < 0)
		return -1;
	if (pull(skb, ETH_HEADER + quote))
		return -1;
	void *d = DATA(skb);
	if (d + ETH_HEADER + quote > DATA_END(skb))
		return -1;
#pragma unroll
	for (i = 0; i < ETH_HEADER; i += 2)
		ethernet += LOAD16(d + i);
	*sum = fold(whole + (0xffff ^ fold(ethernet)));
	return 0;
}

/* Grows the quote by n bytes and gives it the Ethernet header of an answer.
 * Returns where the new IP header begins, or null. */
FORCE_INLINE void *reverse(struct __sk_buff *skb, const __u32 n)
{
	void *d = DATA(skb);

	if (d + ETH_HEADER > DATA_END(skb))
		return 0;
	__u64 mac0 = LOAD64(d);
	__u32 mac1 = LOAD32(d + 8);
	__u16 type = LOAD16(d + 12);
	if (bpf_skb_change_head(skb, n, 0))
		return 0;
	d = DATA(skb);
	if (d + ETH_HEADER + n + IPV6_HEADER > DATA_END(skb))
		return 0;
	/* Destination and source change places; 6 bytes are a word and a half. */
	STORE16(d, mac0 >> 48);
	STORE32(d + 2, mac1);
	STORE32(d + 6, mac0);
	STORE16(d + 10, mac0 >> 32);
	STORE16(d + 12, type);
	return d + ETH_HEADER;
}

FORCE_INLINE bool answer_ipv4(struct __sk_buff *skb, __u32 mtu)
{
	const __u32 grow = IPV4_HEADER + ICMP_HEADER;
	__u32 sum, header = 0;
	int i;

	if (mtu < IPV4_MTU_MIN || take_quote(skb, QUOTE_IPV4, &sum))
		return false;
	void *p = reverse(skb, grow);
	if (!p)
		return false;
	STORE32(p, bpf_htonl(0x45c00000 | (grow + QUOTE_IPV4))); /* internetwork control, RFC 1812 section 4.3.2.5 */
	STORE32(p + 4, 0);
	STORE32(p + 8, bpf_htonl(64 << 24 | PROTO_ICMP << 16));
	STORE32(p + 12, LOAD32(p + grow + 16));
	STORE32(p + 16, LOAD32(p + grow + 12));
#pragma unroll
	for (i = 0; i < IPV4_HEADER; i += 2)
		header += LOAD16(p + i);
	STORE16(p + 10, ~fold(header));
	STORE16(p + 20, bpf_htons(ICMP_UNREACHABLE << 8 | ICMP_FRAGMENTATION_NEEDED));
	STORE32(p + 24, bpf_htonl(mtu));
	sum += LOAD16(p + 20) + halves(LOAD32(p + 24));
	STORE16(p + 22, ~fold(sum));
	return true;
}

FORCE_INLINE bool answer_ipv6(struct __sk_buff *skb, __u32 mtu)
{
	const __u32 grow = IPV6_HEADER + ICMP_HEADER;
	__u32 sum, i;

	if (take_quote(skb, QUOTE_IPV6, &sum))
		return false;
	void *p = reverse(skb, grow);
	if (!p)
		return false;
	STORE32(p, bpf_htonl(6 << 28));
	STORE32(p + 4, bpf_htonl((ICMP_HEADER + QUOTE_IPV6) << 16 | PROTO_ICMPV6 << 8 | 64));
	STORE64(p + 8, LOAD64(p + grow + 24));
	STORE64(p + 16, LOAD64(p + grow + 32));
	STORE64(p + 24, LOAD64(p + grow + 8));
	STORE64(p + 32, LOAD64(p + grow + 16));
	STORE16(p + 40, bpf_htons(ICMPV6_TOO_BIG << 8));
	STORE32(p + 44, bpf_htonl(mtu < IPV6_MTU_MIN ? IPV6_MTU_MIN : mtu));
	sum += bpf_htons(ICMP_HEADER + QUOTE_IPV6) + bpf_htons(PROTO_ICMPV6) + LOAD16(p + 40) + halves(LOAD32(p + 44));
#pragma unroll
	for (i = 8; i < IPV6_HEADER; i += 4)
		sum += halves(LOAD32(p + i));
	STORE16(p + 42, ~fold(sum));
	return true;
}

/* Puts the frame's own tags back, the innermost first. */
FORCE_INLINE bool restore_tags(struct __sk_buff *skb, const struct tags *t)
{
	int i;

#pragma unroll
	for (i = TAGS_MAX - 1; i >= 0; i--)
		if (i < t->found_count && bpf_skb_vlan_push(skb, t->found[i] & 0xffff, bpf_ntohs(t->found[i] >> 16)))
			return false;
	return true;
}

/* Turns a frame that is too big into an answer to its sender, which carries the
 * largest IP packet in bytes that crosses, as if the destination had sent it:
 * this host has no address that the customer knows. Returns the verdict. */
VERIFIED_ALONE int answer_too_big(struct __sk_buff *skb, const struct tags *t, __u32 mtu, __u32 circuit, __u32 slot)
{
	struct session_events *e;
	bool v6;

	if (!t || pull(skb, ETH_HEADER + IPV6_HEADER + ICMP_HEADER))
		return TC_ACT_SHOT;
	void *d = DATA(skb);
	if (d + ETH_HEADER + IPV6_HEADER + ICMP_HEADER > DATA_END(skb))
		return TC_ACT_SHOT;
	v6 = LOAD16(d + 12) == bpf_htons(ETHERTYPE_IPV6);
	if ((*(__u8 *)d | *(__u8 *)(d + 6)) & 1 || mtu > 0xffff || (!v6 && LOAD16(d + 12) != bpf_htons(ETHERTYPE_IPV4)))
		return TC_ACT_SHOT;
	if (!(v6 ? answerable_ipv6(d + ETH_HEADER) : answerable_ipv4(d + ETH_HEADER)) || !may_answer(slot))
		return TC_ACT_SHOT;
	if (!(v6 ? answer_ipv6(skb, mtu) : answer_ipv4(skb, mtu)) || !restore_tags(skb, t))
		return TC_ACT_SHOT;
	e = events_of(slot);
	if (e)
		e->answered++;
	skb->mark = 0;
	return bpf_redirect(circuit, 0);
}

#endif
