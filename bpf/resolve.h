/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* An outer packet without a leased next hop, routed by the kernel. */
#ifndef LONGWIRE_RESOLVE_H
#define LONGWIRE_RESOLVE_H

#include "packet.h"

FORCE_INLINE void copy_ipv6(__u32 *to, const void *from)
{
	int i;
#pragma unroll
	for (i = 0; i < 4; i++)
		to[i] = LOAD32(from + 4 * i);
}

/* Routes the packet and gives it to the neighbour code, which resolves an
 * unknown neighbour while it keeps the packet, and confirms a stale one. The
 * slot of the pseudowire is in the mark. */
FORCE_INLINE int resolve(struct __sk_buff *skb)
{
	struct bpf_fib_lookup fib = { .ifindex = skb->ifindex };
	struct bpf_redir_neigh neigh = {};
	__u32 slot = skb->mark;

	/* The stack's own chatter on the helper pair. */
	if (!slot)
		return TC_ACT_SHOT;
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV4)) {
		if (pull(skb, ETH_HEADER + IPV4_HEADER))
			return DROP(slot, DROP_NO_MEMORY);
		void *d = DATA(skb);
		if (d + ETH_HEADER + IPV4_HEADER > DATA_END(skb))
			return DROP(slot, DROP_NO_MEMORY);
		fib.family = AF_INET;
		fib.tos = *(__u8 *)(d + ETH_HEADER + 1);
		fib.l4_protocol = *(__u8 *)(d + ETH_HEADER + 9);
		fib.ipv4_src = LOAD32(d + ETH_HEADER + 12);
		fib.ipv4_dst = LOAD32(d + ETH_HEADER + 16);
	} else if (skb->protocol == bpf_htons(ETHERTYPE_IPV6)) {
		if (pull(skb, ETH_HEADER + IPV6_HEADER))
			return DROP(slot, DROP_NO_MEMORY);
		void *d = DATA(skb);
		if (d + ETH_HEADER + IPV6_HEADER > DATA_END(skb))
			return DROP(slot, DROP_NO_MEMORY);
		fib.family = AF_INET6;
		fib.l4_protocol = *(__u8 *)(d + ETH_HEADER + 6);
		copy_ipv6(fib.ipv6_src, d + ETH_HEADER + 8);
		copy_ipv6(fib.ipv6_dst, d + ETH_HEADER + 24);
	} else {
		return DROP(slot, DROP_UNSPECIFIED);
	}

	switch (bpf_fib_lookup(skb, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		break;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		return DROP(slot, DROP_TOO_BIG);
	default:
		return DROP(slot, DROP_NO_ROUTE);
	}
	/* The lookup has put the gateway where the destination was; its family may
	 * differ from the packet's (RFC 8950). */
	neigh.nh_family = fib.family;
	if (fib.family == AF_INET6)
		copy_ipv6(neigh.ipv6_nh, fib.ipv6_dst);
	else
		neigh.ipv4_nh = fib.ipv4_dst;
	skb->mark = 0;
	return bpf_redirect_neigh(fib.ifindex, &neigh, sizeof(neigh), 0);
}

#endif
