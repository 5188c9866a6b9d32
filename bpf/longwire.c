//go:build ignore

// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The programs. Those for tc, by TCX where the kernel has it and by clsact
 * elsewhere, do everything; those for XDP take the common case before them. */
#include "decap.h"
#include "encap.h"
#include "resolve.h"
#include "xdp.h"

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

/* A network card's frames of an attachment circuit, before the kernel has made
 * an skb of them. */
SEC("xdp")
int xdp_encap(struct xdp_md *x)
{
	return xdp_encapsulate(x);
}

/* The same for an underlay interface. */
SEC("xdp")
int xdp_decap(struct xdp_md *x)
{
	return xdp_decapsulate(x);
}

/* Does nothing: what a program costs at the least, for benchmarks. */
SEC("tc")
int empty(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* The helpers that these programs need are for GPL-compatible programs only. */
char _license[] SEC("license") = "Dual MIT/GPL";
