/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Which circuit of a port a frame belongs to, and what becomes of its tags. */
#ifndef LONGWIRE_CIRCUIT_H
#define LONGWIRE_CIRCUIT_H

#include "frame.h"
#include "packet.h"

#define VID_MASK 0x0fff

/* A tag as it lies on the wire: type, then priority and VLAN id. */
FORCE_INLINE __u32 metadata_tag(struct __sk_buff *skb)
{
	return ((__u32)bpf_htons(skb->vlan_tci) << 16) | (skb->vlan_proto & 0xffff);
}

/* The tag at offset at of the frame, or 0 when there is none. */
FORCE_INLINE __u32 inline_tag(struct __sk_buff *skb, const __u32 at)
{
	if (pull(skb, at + 4))
		return 0;
	void *d = DATA(skb);
	if (d + at + 4 > DATA_END(skb) || !is_tag(LOAD16(d + at)))
		return 0;
	return LOAD32(d + at);
}

FORCE_INLINE __u16 vid_of(__u32 tag)
{
	return bpf_ntohs(tag >> 16) & VID_MASK;
}

/* The key of transmits for a frame of a port that several circuits share: the
 * one that says most about its tags, else the port itself. */
VERIFIED_ALONE __u32 vlan_circuit(struct __sk_buff *skb, __u32 port)
{
	struct vlan_key key = { .circuit = port };
	__u32 outer, inner, *found;

	if (skb->vlan_present) {
		outer = metadata_tag(skb);
		inner = inline_tag(skb, 12);
	} else {
		/* Only tags of a type that the kernel does not know are inside. */
		outer = inline_tag(skb, 12);
		inner = outer ? inline_tag(skb, 16) : 0;
	}
	key.outer = vid_of(outer);
	if (key.outer && vid_of(inner)) {
		key.inner = vid_of(inner);
		found = bpf_map_lookup_elem(&vlans, &key);
		if (found)
			return *found;
		key.inner = 0;
	}
	found = bpf_map_lookup_elem(&vlans, &key);
	return found ? *found : port;
}

/* Which layer-2 control protocol a frame is of; 0 for any other frame. */
VERIFIED_ALONE __u32 l2cp_of(struct __sk_buff *skb)
{
	if (pull(skb, ETH_HEADER))
		return 0;
	void *d = DATA(skb);
	if (d + ETH_HEADER > DATA_END(skb))
		return 0;
	__u16 type = bpf_ntohs(LOAD16(d + 12));
	__u32 first = bpf_ntohl(LOAD32(d));
	__u16 last = bpf_ntohs(LOAD16(d + 4));

	if (first == 0x01000ccc && last == 0xcccd)
		return L2CP_PVST;
	if (first != 0x0180c200)
		return 0;
	switch (type) {
	case ETHERTYPE_SLOW:
		return L2CP_LACP;
	case ETHERTYPE_LLDP:
		return L2CP_LLDP;
	case ETHERTYPE_EAPOL:
		return L2CP_DOT1X;
	case ETHERTYPE_CFM:
		return L2CP_CFM;
	}
	/* Bridge group address, of customers and of providers (IEEE 802.1Q). */
	return type < ETHERTYPE_MIN && (last == 0 || last == 8) ? L2CP_STP : 0;
}

/* The tag of the frame with that number, counted from the outside. */
FORCE_INLINE __u32 found_tag(const struct tags *t, __u32 i)
{
	return i == 0 ? t->found[0] : i == 1 ? t->found[1] : t->found[2];
}

/* Counts the tags inside the frame, at most n, that do not cross. */
FORCE_INLINE void pop_inline(struct __sk_buff *skb, struct tags *t, __u32 n)
{
	__u32 tag = inline_tag(skb, 12), sum;

	if (!tag)
		return;
	t->inline_pop = 1;
	sum = halves(tag);
	tag = n > 1 ? inline_tag(skb, 16) : 0;
	if (tag) {
		t->inline_pop = 2;
		sum += halves(tag);
	}
	t->sum += 0xffff ^ fold(sum);
}

/* Takes off all tags that the kernel keeps beside the frame: taking one brings
 * the next one there, and one left there would land on the outer packet. Decides
 * which ones cross: those of the frame without the first pop ones, and before
 * them the tag push, unless that is 0. Returns a reason to drop the frame, or 0. */
VERIFIED_ALONE __u32 take_tags(struct __sk_buff *skb, struct tags *t, __u32 pop, __u32 push)
{
	__u32 pushed = push ? 1 : 0, i;

	if (!t)
		return DROP_UNSPECIFIED;
#pragma unroll
	for (i = 0; i < TAGS_MAX; i++) {
		if (!skb->vlan_present)
			break;
		t->found[i] = metadata_tag(skb);
		t->found_count = i + 1;
		if (bpf_skb_vlan_pop(skb))
			return DROP_NO_MEMORY;
	}
	if (skb->vlan_present)
		return DROP_TOO_MANY_TAGS;
	if (pop > t->found_count) {
		/* The rest is of a type that the kernel leaves inside the frame. */
		pop_inline(skb, t, pop - t->found_count);
		pop = t->found_count;
	}
	t->cross_count = pushed + t->found_count - pop;
#pragma unroll
	for (i = 0; i < TAGS_WRITTEN; i++) {
		if (i >= t->cross_count)
			break;
		t->cross[i] = i < pushed ? push : found_tag(t, i - pushed + pop);
		t->sum += halves(t->cross[i]);
	}
	return 0;
}

#endif
