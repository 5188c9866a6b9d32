/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* An outer packet without a leased next hop, or too big for it, routed by the
 * kernel. */
#ifndef LONGWIRE_RESOLVE_H
#define LONGWIRE_RESOLVE_H

#include "find.h"
#include "fragment.h"
#include "packet.h"

FORCE_INLINE void copy_ipv6(__u32 *to, const void *from)
{
	int i;
#pragma unroll
	for (i = 0; i < 4; i++)
		to[i] = LOAD32(from + 4 * i);
}

/* Describes the packet to the kernel's lookup. Returns 0, or a reason. */
FORCE_INLINE enum drop_reason describe(struct __sk_buff *skb, struct bpf_fib_lookup *fib, bool v6)
{
	if (pull(skb, ETH_HEADER + ip_header_len(v6)))
		return DROP_NO_MEMORY;
	void *d = DATA(skb);
	if (v6) {
		if (d + ETH_HEADER + IPV6_HEADER > DATA_END(skb))
			return DROP_NO_MEMORY;
		fib->family = AF_INET6;
		fib->l4_protocol = *(__u8 *)(d + ETH_HEADER + 6);
		copy_ipv6(fib->ipv6_src, d + ETH_HEADER + 8);
		copy_ipv6(fib->ipv6_dst, d + ETH_HEADER + 24);
	} else {
		if (d + ETH_HEADER + IPV4_HEADER > DATA_END(skb))
			return DROP_NO_MEMORY;
		fib->family = AF_INET;
		fib->tos = *(__u8 *)(d + ETH_HEADER + 1);
		fib->l4_protocol = *(__u8 *)(d + ETH_HEADER + 9);
		fib->ipv4_src = LOAD32(d + ETH_HEADER + 12);
		fib->ipv4_dst = LOAD32(d + ETH_HEADER + 16);
	}
	/* Only with a length does the lookup compare the route's MTU. */
	fib->tot_len = skb->len - ETH_HEADER > 0xffff ? 0xffff : skb->len - ETH_HEADER;
	return 0;
}

/* Whether a packet may be fragmented: not against the circuit's policy, nor with
 * DF set, nor when the route's MTU has become smaller than its fragments. */
FORCE_INLINE bool may_split(struct __sk_buff *skb, bool v6)
{
	if (skb->mark & MARK_KEEP_WHOLE)
		return false;
	void *d = DATA(skb);
	if (d + ETH_HEADER + IPV4_HEADER > DATA_END(skb))
		return false;
	if (v6)
		return *(__u8 *)(d + ETH_HEADER + 6) != PROTO_FRAGMENT;
	return !(LOAD16(d + ETH_HEADER + 6) & bpf_htons(0x4000));
}

/* Whether a whole port belongs to a pseudowire: a tunnel that leads out of there
 * would carry itself. */
FORCE_INLINE bool is_circuit(__u32 ifindex)
{
	const struct transmit *t = find_transmit(ifindex);

	return t && !(t->flags & TRANSMIT_TO_HOST);
}

/* Routes the packet and gives it to the neighbour code, which resolves an
 * unknown neighbour while it keeps the packet, and confirms a stale one. The
 * slot of the pseudowire is in the mark. */
FORCE_INLINE int resolve(struct __sk_buff *skb)
{
	struct bpf_fib_lookup fib = { .ifindex = skb->ifindex };
	struct bpf_redir_neigh neigh = {};
	__u32 slot = skb->mark & MARK_SLOT;
	bool v6 = skb->protocol == bpf_htons(ETHERTYPE_IPV6);
	enum drop_reason why;

	/* The stack's own chatter on the helper pair. */
	if (!slot)
		return TC_ACT_SHOT;
	if (!v6 && skb->protocol != bpf_htons(ETHERTYPE_IPV4))
		return DROP(slot, DROP_UNSPECIFIED);
	if (skb->mark & MARK_FRAGMENT && cut_fragment(skb, v6))
		return DROP(slot, DROP_NO_MEMORY);
	why = describe(skb, &fib, v6);
	if (why)
		return DROP(slot, why);
	switch (bpf_fib_lookup(skb, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		break;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		return may_split(skb, v6) ? split(skb, v6, fib.mtu_result) : DROP(slot, DROP_TOO_BIG);
	default:
		return DROP(slot, DROP_NO_ROUTE);
	}
	if (is_circuit(fib.ifindex))
		return DROP(slot, DROP_LOOP);
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
