/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Fragments of outer packets (RFC 791 section 2.3, RFC 8200 section 4.5). The
 * kernel fragments what it sends itself, and over IPv6 nothing that it forwards;
 * so the programs do it, and need nobody for it. */
#ifndef LONGWIRE_FRAGMENT_H
#define LONGWIRE_FRAGMENT_H

#include "packet.h"

#define FRAGMENT_HEADER 8
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV6_MORE_FRAGMENTS 1

/* The most that bpf_skb_adjust_room takes away at once, a multiple of 8. */
#define SHRINK_MAX 4088
#define SHRINK_STEPS 16

/* What all fragments of a packet must agree on lies in the destination address
 * of its Ethernet header, which the neighbour code writes only when a fragment
 * leaves: 4 bytes are the identification over IPv6, 2 the bytes of IP payload in
 * each fragment but the last. The bit of a group address must stay clear, since
 * the neighbour code takes no such packet. */
#define ID_MASK bpf_htonl(0xfeffffff)

FORCE_INLINE __u32 ip_header_len(bool v6) { return v6 ? IPV6_HEADER : IPV4_HEADER; }

/* Sends the packet to this same program once for each fragment that an IP MTU
 * of mtu bytes takes, with the number of the fragment in the mark. */
FORCE_INLINE int split(struct __sk_buff *skb, bool v6, __u32 mtu)
{
	const struct settings *s = get_settings();
	__u32 mark = skb->mark, slot = mark & MARK_SLOT, header = ip_header_len(v6);
	__u32 payload = skb->len - ETH_HEADER - header, room = header + (v6 ? FRAGMENT_HEADER : 0), chunk, n, i;
	struct session_events *e = events_of(slot);

	if (!s || !s->to_resolve)
		return DROP(slot, DROP_NO_HELPER);
	if (mtu < room + 8)
		return DROP(slot, DROP_TOO_BIG);
	chunk = (mtu - room) & ~7U & 0xffff;
	n = (payload + chunk - 1) / (chunk ? chunk : 1);
	if (n > MARK_INDEX_MAX)
		return DROP(slot, DROP_TOO_BIG);
	void *d = DATA(skb);
	if (d + ETH_HEADER > DATA_END(skb))
		return DROP(slot, DROP_NO_MEMORY);
	STORE32(d, bpf_get_prandom_u32() & ID_MASK);
	STORE16(d + 4, chunk);
	if (e)
		e->fragmented++;
	for (i = 0; i < MARK_INDEX_MAX; i++) {
		if (i + 1 >= n)
			break;
		skb->mark = mark | MARK_FRAGMENT | i << MARK_INDEX_SHIFT;
		if (bpf_clone_redirect(skb, s->to_resolve, 0))
			return DROP(slot, DROP_NO_MEMORY);
	}
	skb->mark = mark | MARK_FRAGMENT | i << MARK_INDEX_SHIFT;
	return bpf_redirect(s->to_resolve, 0);
}

/* Takes n bytes away behind the IP header. */
FORCE_INLINE int shrink(struct __sk_buff *skb, __u32 n)
{
	__u32 i;

	for (i = 0; i < SHRINK_STEPS && n; i++) {
		__u32 step = n > SHRINK_MAX ? SHRINK_MAX : n;

		if (bpf_skb_adjust_room(skb, -(__s32)step, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO))
			return -1;
		n -= step;
	}
	return n ? -1 : 0;
}

FORCE_INLINE void write_ipv4_fragment(void *p, __u32 offset, __u32 len, bool last)
{
	__u64 sum = 0;
	int i;

	STORE16(p + 2, bpf_htons(IPV4_HEADER + len));
	STORE16(p + 6, bpf_htons(offset / 8 | (last ? 0 : IPV4_MORE_FRAGMENTS)));
	STORE16(p + 10, 0);
#pragma unroll
	for (i = 0; i < IPV4_HEADER; i += 4)
		sum += LOAD32(p + i);
	STORE16(p + 10, ~fold(sum));
}

FORCE_INLINE void write_ipv6_fragment(void *p, __u32 offset, __u32 len, bool last, __be32 id)
{
	__u8 next = *(__u8 *)(p + 6);

	STORE16(p + 4, bpf_htons(FRAGMENT_HEADER + len));
	*(__u8 *)(p + 6) = PROTO_FRAGMENT;
	STORE16(p + 40, bpf_htons(next << 8));
	STORE16(p + 42, bpf_htons(offset | (last ? 0 : IPV6_MORE_FRAGMENTS)));
	STORE32(p + 44, id);
}

/* Makes a copy of the packet the fragment whose number is in the mark. Returns
 * 0, or -1 without memory. */
FORCE_INLINE int cut_fragment(struct __sk_buff *skb, bool v6)
{
	__u32 index = skb->mark >> MARK_INDEX_SHIFT & MARK_INDEX_MAX, header = ip_header_len(v6);
	__u32 payload = skb->len - ETH_HEADER - header, offset, len;
	bool last;

	if (pull(skb, ETH_HEADER))
		return -1;
	void *d = DATA(skb);
	if (d + ETH_HEADER > DATA_END(skb))
		return -1;
	__be32 id = LOAD32(d);
	offset = index * LOAD16(d + 4);
	len = LOAD16(d + 4);
	if (offset >= payload)
		return -1;
	last = offset + len >= payload;
	if (last)
		len = payload - offset;
	else if (bpf_skb_change_tail(skb, ETH_HEADER + header + offset + len, 0))
		return -1;
	/* The fragment header takes the place of the last bytes before the part. */
	if (v6 && !offset) {
		if (bpf_skb_adjust_room(skb, FRAGMENT_HEADER, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO))
			return -1;
	} else if (shrink(skb, v6 ? offset - FRAGMENT_HEADER : offset)) {
		return -1;
	}
	if (pull(skb, ETH_HEADER + header + (v6 ? FRAGMENT_HEADER : 0)))
		return -1;
	d = DATA(skb);
	if (v6) {
		if (d + ETH_HEADER + IPV6_HEADER + FRAGMENT_HEADER > DATA_END(skb))
			return -1;
		write_ipv6_fragment(d + ETH_HEADER, offset, len, last, id);
	} else {
		if (d + ETH_HEADER + IPV4_HEADER > DATA_END(skb))
			return -1;
		write_ipv4_fragment(d + ETH_HEADER, offset, len, last);
	}
	skb->mark &= MARK_SLOT;
	return 0;
}

#endif
