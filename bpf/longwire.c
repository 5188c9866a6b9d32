//go:build ignore

// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The programs, all for tc: TCX where the kernel has it, clsact elsewhere. */
#include "decap.h"
#include "encap.h"
#include "resolve.h"

/* Ingress of an attachment circuit. */
SEC("tc")
int encap(struct __sk_buff *skb)
{
	return encapsulate(skb, skb->ifindex, false);
}

/* Ingress of the helper pair's end where cut super-frames arrive; the circuit
 * they came from is in the mark. */
SEC("tc")
int segment(struct __sk_buff *skb)
{
	/* The stack's own chatter on the helper pair. */
	if (!skb->mark)
		return TC_ACT_SHOT;
	return encapsulate(skb, skb->mark, true);
}

/* Ingress of the helper pair's other end, where outer packets without a leased
 * next hop arrive. */
SEC("tc")
int resolve_next_hop(struct __sk_buff *skb)
{
	return resolve(skb);
}

/* Ingress of an underlay interface. */
SEC("tc")
int decap(struct __sk_buff *skb)
{
	return decapsulate(skb);
}

/* Does nothing: what a program costs at the least, for benchmarks. */
SEC("tc")
int empty(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* The helpers that these programs need are for GPL-compatible programs only. */
char _license[] SEC("license") = "Dual MIT/GPL";
