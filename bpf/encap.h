/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* From a customer's frame to an L2TPv3 packet on its way out. */
#ifndef LONGWIRE_ENCAP_H
#define LONGWIRE_ENCAP_H

#include "answer.h"
#include "checksum.h"
#include "circuit.h"
#include "clamp.h"
#include "find.h"
#include "frame.h"
#include "packet.h"
#include "super.h"

/* Writes the frame's addresses and the tags that cross at offset at. */
VERIFIED_ALONE bool write_tags(struct __sk_buff *skb, __u32 header, __u64 mac0, __u32 mac1, const struct tags *t)
{
	__u64 at = header & 0x7f;
	int i;

	if (!t)
		return false;
	OPAQUE(at);
	void *p = DATA(skb) + at, *end = DATA_END(skb);
	if (p + 12 > end)
		return false;
	STORE64(p, mac0);
	STORE32(p + 8, mac1);
#pragma unroll
	for (i = 0; i < TAGS_WRITTEN; i++) {
		if (i >= t->cross_count)
			break;
		if (p + 16 + 4 * i > end)
			return false;
		STORE32(p + 12 + 4 * i, t->cross[i]);
	}
	return true;
}

/* Encapsulates one frame that is no super-frame. Its tags have been taken off,
 * and those that cross are written back behind the outer header. */
FORCE_INLINE int emit(struct __sk_buff *skb, struct frame *f, const struct tags *tags, int v6, int udp)
{
	const struct transmit *t = f->to;
	__u32 base = base_len(v6, udp);
	__u32 header = base + (f->extra & EXTRA_MAX);
	/* What is written: the outer header and the tags that come back, less the
	 * tags inside the frame that go. Addresses move when there are any. */
	__u32 grow = header + 4 * f->tag_count - 4 * f->inline_pop;
	__u64 mac0 = 0;
	__u32 mac1 = 0;
	int checksum = 0;

	if (v6 && udp && !(t->flags & TRANSMIT_ZERO_CHECKSUM)) {
		checksum = ipv6_udp_checksum(skb, f, tags);
		if (checksum < 0)
			return DROP(t->slot, DROP_NO_MEMORY);
	}
	if (tags) {
		if (pull(skb, ETH_HEADER))
			return DROP(t->slot, DROP_NO_MEMORY);
		void *d = DATA(skb);
		if (d + ETH_HEADER > DATA_END(skb))
			return DROP(t->slot, DROP_NO_MEMORY);
		mac0 = LOAD64(d);
		mac1 = LOAD32(d + 8);
	}
	if (bpf_skb_change_head(skb, grow, 0))
		return DROP(t->slot, DROP_NO_MEMORY);
	void *d = DATA(skb);
	/* Always there: the least frame is longer than EXTRA_MAX. */
	if (d + base + EXTRA_MAX > DATA_END(skb))
		return DROP(t->slot, DROP_NO_MEMORY);
	write_header(d, f, f->len, checksum, v6, udp);
	if (tags && !write_tags(skb, header, mac0, mac1, tags))
		return DROP(t->slot, DROP_NO_MEMORY);
	count_encap(t->slot, 1, f->len);
	return send(skb, f);
}

/* A frame that does not fit the way to the far end: it is dropped and its sender
 * told, or the kernel's routing gets it, behind which it is fragmented. Returns
 * whether it is dropped. */
FORCE_INLINE bool refuse_too_big(struct __sk_buff *skb, struct frame *f, const struct tags *tags, __u32 header, int *verdict)
{
	if (!(f->to->flags & TRANSMIT_KEEP_WHOLE)) {
		f->out_ifindex = 0;
		f->mac_first = 0;
		f->mac_last = 0;
		return false;
	}
	*verdict = DROP(f->to->slot, DROP_TOO_BIG);
	if (f->to->flags & TRANSMIT_ANSWER)
		*verdict = answer_too_big(skb, tags, f->mtu - header - 4 * f->tag_count, f->to->circuit, f->to->slot);
	return true;
}

/* Encapsulates for one carrier, whose header lengths the compiler then knows. */
FORCE_INLINE int encapsulate_as(struct __sk_buff *skb, struct frame *f, bool helped, int v6, int udp)
{
	__u32 header = base_len(v6, udp) + (f->extra & EXTRA_MAX);
	struct tags found = {}, *tags = 0;
	int verdict;

	if (!kernel_context && !helped && ((v6 && udp) || f->to->flags & TRANSMIT_ANSWER))
		return segment_first(skb, f);
	if (skb->gso_size) {
		/* The pair has not cut it, and would not the next time. */
		if (helped)
			return DROP(f->to->slot, DROP_NO_HELPER);
		/* A sequence number is for one frame. */
		if (!udp || !whole_super_frames || skb->vlan_present ||
		    f->to->flags & (TRANSMIT_SEQUENCED | TRANSMIT_TAGS))
			return segment_first(skb, f);
		return emit_super_frame(skb, f, v6);
	}
	if (skb->vlan_present || f->to->flags & TRANSMIT_TAGS) {
		enum drop_reason why = take_tags(skb, &found, f->to->pop_tags, f->to->push_tag);

		if (why)
			return DROP(f->to->slot, why);
		tags = &found;
		f->tag_count = found.cross_count & 7;
		f->inline_pop = found.inline_pop & 3;
	}
	f->len = skb->len + 4 * f->tag_count - 4 * f->inline_pop;
	if (f->len + header - ETH_HEADER > f->mtu && refuse_too_big(skb, f, &found, header, &verdict))
		return verdict;
	if (f->to->flags & TRANSMIT_COPY)
		f->tos = copied_tos(skb, f->to, v6);
	return emit(skb, f, tags, v6, udp);
}

/* What most circuits do not have, before the carrier matters. Returns a reason
 * to drop the frame, or 0. */
FORCE_INLINE enum drop_reason prepare(struct __sk_buff *skb, struct frame *f)
{
	const struct transmit *t = f->to;

	if (t->flags & TRANSMIT_CLOSED)
		return DROP_NO_SESSION;
	if (t->drop_l2cp && t->drop_l2cp & l2cp_of(skb))
		return DROP_L2CP;
	if (t->flags & TRANSMIT_CLAMP)
		clamp_mss(skb, 0, t->clamp_mtu);
	if (t->flags & TRANSMIT_ENTROPY)
		f->port = bpf_htons(EPHEMERAL_PORTS | (bpf_get_hash_recalc(skb) & (0xffff - EPHEMERAL_PORTS)));
	return 0;
}

#define TRANSMIT_SPECIAL (TRANSMIT_CLOSED | TRANSMIT_CLAMP | TRANSMIT_ENTROPY)

/* Encapsulates a frame whose circuit is known; helped says that it has been
 * through the helper pair. */
FORCE_INLINE int encapsulate_for(struct __sk_buff *skb, struct frame *f, bool helped)
{
	if (f->to->flags & TRANSMIT_SPECIAL || f->to->drop_l2cp) {
		enum drop_reason why = prepare(skb, f);

		if (why)
			return DROP(f->to->slot, why);
	}
	f->extra = f->to->cookie_len + f->to->sublayer_len;
	take_next_hop(f);
	switch (f->to->carrier) {
	case CARRIER_IPV4_IP:
		return encapsulate_as(skb, f, helped, 0, 0);
	case CARRIER_IPV4_UDP:
		return encapsulate_as(skb, f, helped, 0, 1);
	case CARRIER_IPV6_IP:
		return encapsulate_as(skb, f, helped, 1, 0);
	case CARRIER_IPV6_UDP:
		return encapsulate_as(skb, f, helped, 1, 1);
	}
	return DROP(f->to->slot, DROP_UNSPECIFIED);
}

/* Encapsulates a frame that arrives on a port. */
FORCE_INLINE int encapsulate(struct __sk_buff *skb)
{
	struct frame f = { .key = skb->ifindex };

	f.to = find_transmit(f.key);
	/* The port belongs to its pseudowires: without a far end its frames must
	 * not reach this host's own stack either. */
	if (!f.to)
		return DROP(0, DROP_NO_SESSION);
	if (f.to->flags & TRANSMIT_SHARED) {
		f.key = vlan_circuit(skb, f.key);
		f.to = find_transmit(f.key);
		if (!f.to)
			return DROP(0, DROP_NO_SESSION);
		if (f.to->flags & TRANSMIT_TO_HOST)
			return TC_ACT_UNSPEC;
	}
	return encapsulate_for(skb, &f, false);
}

/* Encapsulates a piece of a super-frame, or a frame whose checksum had to be
 * filled in, behind the helper pair; its circuit is in the mark. */
FORCE_INLINE int encapsulate_piece(struct __sk_buff *skb)
{
	struct frame f = { .key = skb->mark };

	f.to = find_transmit(f.key);
	if (!f.to)
		return DROP(0, DROP_NO_SESSION);
	return encapsulate_for(skb, &f, true);
}

#endif
