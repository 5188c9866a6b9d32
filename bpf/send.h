/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Where an encapsulated packet, or a frame that has to be cut first, goes. */
#ifndef LONGWIRE_SEND_H
#define LONGWIRE_SEND_H

#include "frame.h"
#include "packet.h"

/* Takes the next hop if its lease still runs. expires is read last: see
 * struct next_hop. */
FORCE_INLINE void take_next_hop(struct frame *f)
{
	__u32 index = f->to->next_hop;
	const struct next_hop *nh = bpf_map_lookup_elem(&next_hops, &index);

	f->out_ifindex = 0;
	f->mtu = 0xffff;
	f->mac_first = 0;
	f->mac_last = 0;
	if (!nh)
		return;
	__u64 mac_first = *(volatile __u64 *)&nh->mac_first;
	__u32 mac_last = *(volatile __u32 *)&nh->mac_last;
	__u32 ifindex = *(volatile __u32 *)&nh->ifindex;
	__u32 mtu = *(volatile __u32 *)&nh->mtu;
	if (*(volatile __u64 *)&nh->expires <= bpf_jiffies64()) {
		/* To tell the customer what fits, the last that was known has to do. */
		if (f->to->flags & TRANSMIT_ANSWER && mtu)
			f->mtu = mtu;
		return;
	}
	f->out_ifindex = ifindex;
	f->mtu = mtu;
	f->mac_first = mac_first;
	f->mac_last = mac_last;
}

/* Hands the finished packet to its next hop, or to the kernel's routing by way
 * of the helper pair, with the slot in the mark so that a drop there can be
 * counted on the right pseudowire. */
FORCE_INLINE int send(struct __sk_buff *skb, const struct frame *f)
{
	if (f->out_ifindex) {
		skb->mark = 0;
		return bpf_redirect(f->out_ifindex, 0);
	}
	const struct settings *s = get_settings();
	if (!s || !s->to_resolve)
		return DROP(f->to->slot, DROP_NO_HELPER);
	skb->mark = f->to->slot | (f->to->flags & TRANSMIT_KEEP_WHOLE ? MARK_KEEP_WHOLE : 0);
	return bpf_redirect(s->to_resolve, 0);
}

/* Sends a frame through the helper pair, which has no segmentation offload: the
 * kernel cuts a super-frame, and each piece is encapsulated behind it. */
FORCE_INLINE int segment_first(struct __sk_buff *skb, const struct frame *f)
{
	const struct settings *s = get_settings();

	if (!s || !s->to_segment)
		return DROP(f->to->slot, DROP_NO_HELPER);
	skb->mark = f->key;
	return bpf_redirect(s->to_segment, 0);
}

#endif
