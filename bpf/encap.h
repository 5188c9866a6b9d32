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
	if (*(volatile __u64 *)&nh->expires <= bpf_jiffies64())
		return;
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

/* Length of the headers of a TCP segment, Ethernet included; 0 when the frame
 * is no plain TCP over IPv4 or IPv6. */
FORCE_INLINE __u32 tcp_header_len(struct __sk_buff *skb)
{
	__u64 at;

	if (pull(skb, ETH_HEADER + IPV6_HEADER + 20))
		return 0;
	void *d = DATA(skb), *end = DATA_END(skb);
	if (d + ETH_HEADER + IPV6_HEADER > end)
		return 0;
	if (LOAD16(d + 12) == bpf_htons(ETHERTYPE_IPV4)) {
		if (*(__u8 *)(d + ETH_HEADER + 9) != PROTO_TCP)
			return 0;
		at = ETH_HEADER + (*(__u8 *)(d + ETH_HEADER) & 15) * 4;
	} else if (LOAD16(d + 12) == bpf_htons(ETHERTYPE_IPV6)) {
		if (*(__u8 *)(d + ETH_HEADER + 6) != PROTO_TCP)
			return 0;
		at = ETH_HEADER + IPV6_HEADER;
	} else {
		return 0;
	}
	at &= 0x7f;
	OPAQUE(at);
	if (d + at + 20 > end)
		return 0;
	return at + (*(__u8 *)(d + at + 12) >> 4) * 4;
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

/* Encapsulates a TCP super-frame over IPv4 and UDP whole: the kernel knows how
 * to cut that, in software or in a device, and puts each length right. */
FORCE_INLINE int emit_super_frame(struct __sk_buff *skb, struct frame *f, __u32 headers)
{
	__u32 header = base_len(0, 1) + (f->extra & EXTRA_MAX);
	__u32 size = skb->gso_size, len = skb->len;
	__u64 at = header, mac0;
	__u32 mac1;
	__u16 type;

	/* Pieces that are too big meet the same policy as other frames. */
	if (headers + size + header - ETH_HEADER > f->mtu)
		return segment_first(skb, f);
	void *d = DATA(skb);
	if (d + ETH_HEADER > DATA_END(skb))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	mac0 = LOAD64(d);
	mac1 = LOAD32(d + 8);
	type = LOAD16(d + 12);
	/* Refused for a frame that is already a tunnel's: that one is cut first. */
	if (bpf_skb_adjust_room(skb, header, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET |
				BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
				BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HEADER)))
		return segment_first(skb, f);
	d = DATA(skb);
	at &= 0x7f;
	OPAQUE(at);
	void *p = d + at;
	if (d + base_len(0, 1) + EXTRA_MAX > DATA_END(skb) || p + ETH_HEADER > DATA_END(skb))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	write_header(d, f, len, 0, 0, 1);
	STORE64(p, mac0);
	STORE32(p + 8, mac1);
	STORE16(p + 12, type);
	__u32 packets = (len - headers + size - 1) / (size ? size : 1);
	count_encap(f->to->slot, packets, len + (packets - 1) * headers);
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
	__u32 header = base_len(v6, udp) + (f->extra & EXTRA_MAX), headers;
	struct tags found = {}, *tags = 0;
	int verdict;

	if (!kernel_context && !helped && ((v6 && udp) || f->to->flags & TRANSMIT_ANSWER))
		return segment_first(skb, f);
	if (skb->gso_size) {
		/* The pair has not cut it, and would not the next time. */
		if (helped)
			return DROP(f->to->slot, DROP_NO_HELPER);
		/* A sequence number is for one frame. */
		if (v6 || !udp || !whole_super_frames || skb->vlan_present ||
		    f->to->flags & (TRANSMIT_SEQUENCED | TRANSMIT_TAGS))
			return segment_first(skb, f);
		headers = tcp_header_len(skb);
		if (!headers)
			return segment_first(skb, f);
		if (f->to->flags & TRANSMIT_COPY)
			f->tos = copied_tos(skb, f->to, v6);
		return emit_super_frame(skb, f, headers);
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
