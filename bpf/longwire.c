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
	return encapsulate(skb);
}

/* Ingress of the helper pair's end where cut super-frames arrive; the circuit
 * they came from is in the mark. */
SEC("tc")
int segment(struct __sk_buff *skb)
{
	/* The stack's own chatter on the helper pair. */
	if (!skb->mark)
		return TC_ACT_SHOT;
	return encapsulate_piece(skb);
}

/* Ingress of the helper pair's other end, where outer packets arrive: those
 * without a leased next hop or too big for it, and those that the stack had to
 * make whole. */
SEC("tc")
int resolve_next_hop(struct __sk_buff *skb)
{
	if (skb->mark == MARK_DECAP)
		return decapsulate_from_stack(skb);
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

/* Both for interfaces whose frames may not fit a page. */
SEC("xdp.frags")
int xdp_encap_large(struct xdp_md *x)
{
	return in_pieces(x) ? XDP_PASS : xdp_encapsulate(x);
}

SEC("xdp.frags")
int xdp_decap_large(struct xdp_md *x)
{
	return in_pieces(x) ? XDP_PASS : xdp_decapsulate(x);
}

/* Writes the tick of the clock by which leases end into the packet: no system
 * call tells it. */
SEC("tc")
int read_clock(struct __sk_buff *skb)
{
	void *d = DATA(skb);

	if (d + 8 > DATA_END(skb))
		return TC_ACT_SHOT;
	STORE64(d, bpf_jiffies64());
	return TC_ACT_UNSPEC;
}

/* Does nothing: what a program costs at the least, for benchmarks. */
SEC("tc")
int empty(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* The helpers that these programs need are for GPL-compatible programs only. */
char _license[] SEC("license") = "Dual MIT/GPL";
