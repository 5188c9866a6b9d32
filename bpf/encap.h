/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* From a customer's frame to an L2TPv3 packet on its way out. */
#ifndef LONGWIRE_ENCAP_H
#define LONGWIRE_ENCAP_H

#include "checksum.h"
#include "packet.h"

/* Whether the kernel cuts an encapsulated super-frame right. Without it every
 * super-frame is cut on the helper pair. Set before the program is loaded. */
const volatile bool whole_super_frames = true;

/* What is known of one frame while it is encapsulated. */
struct frame {
	const struct transmit *to;
	__u32 tags[TAGS_MAX]; /* taken from the frame, outermost first, as they lie on the wire */
	__u32 len;            /* of the frame with its tags */
	__u32 extra;          /* cookie and sublayer */
	__u32 out_ifindex;    /* 0: no lease, the kernel routes */
	__u32 mtu;
	__u64 mac_first;
	__u32 mac_last;
};

FORCE_INLINE const struct settings *get_settings(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&settings, &zero);
}

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
	if (*(volatile __u64 *)&nh->expires <= bpf_ktime_get_coarse_ns())
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
	skb->mark = f->to->slot;
	return bpf_redirect(s->to_resolve, 0);
}

/* Writes the outer header at d, where base_len + extra bytes are writable. The
 * length fields cover len bytes of inner frame. */
FORCE_INLINE void write_header(void *d, const struct frame *f, __u32 len, __u16 udp_checksum, int v6, int udp)
{
	const struct transmit *t = f->to;
	const int base = (v6 ? IPV6_HEADER : IPV4_HEADER) + (udp ? UDP_HEADER + L2TP_UDP_HEADER : L2TP_IP_HEADER);
	const int l3 = ETH_HEADER, l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER);
	__u32 payload = len + f->extra + base - (v6 ? IPV6_HEADER : IPV4_HEADER);

	STORE64(d, f->mac_first);
	STORE32(d + 8, f->mac_last);
	STORE16(d + 12, bpf_htons(v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4));
	copy(d + l3, t->template, base);
	/* Cookie and sublayer are one, two or three words. */
	if (f->extra)
		STORE32(d + l3 + base, LOAD32(t->template + base));
	if (f->extra & 8)
		STORE32(d + l3 + base + 4, LOAD32(t->template + base + 4));
	if (f->extra == EXTRA_MAX)
		STORE32(d + l3 + base + 8, LOAD32(t->template + base + 8));
	if (v6) {
		STORE16(d + l3 + 4, bpf_htons(payload));
	} else {
		__u32 sum = t->ip_sum;
		/* A super-frame may exceed the field; the kernel writes 0 then. */
		__u16 total = payload + IPV4_HEADER > 0xffff ? 0 : bpf_htons(payload + IPV4_HEADER);

		if (t->flags & TRANSMIT_VARY_ID) {
			__u16 id = bpf_get_prandom_u32();
			STORE16(d + l3 + 4, id);
			sum += id;
		}
		STORE16(d + l3 + 2, total);
		STORE16(d + l3 + 10, ~fold((__u64)sum + total));
	}
	if (udp) {
		STORE16(d + l4 + 4, payload > 0xffff ? 0 : bpf_htons(payload));
		if (udp_checksum)
			STORE16(d + l4 + 6, udp_checksum);
	}
}

/* The UDP checksum that an IPv6 outer header needs (RFC 8200 section 8.1), or
 * -1 when the frame cannot be summed. */
FORCE_INLINE int ipv6_udp_checksum(struct __sk_buff *skb, const struct frame *f, int tags)
{
	__u32 udp_len = bpf_htons(f->len + f->extra + UDP_HEADER + L2TP_UDP_HEADER);
	__u32 sum = 0;
	int i;

	if (sum_frame(skb, &sum))
		return -1;
	/* The length counts twice: pseudo header and UDP header. */
	__u64 s = (__u64)sum + f->to->udp_sum + udp_len + udp_len;
#pragma unroll
	for (i = 0; i < TAGS_MAX; i++)
		if (i < tags)
			s += (f->tags[i] & 0xffff) + (f->tags[i] >> 16);
	__u16 checksum = ~fold(s);
	return checksum ? checksum : 0xffff;
}

/* Encapsulates one frame that is no super-frame, its tags (a constant number)
 * already taken off. */
FORCE_INLINE int emit(struct __sk_buff *skb, struct frame *f, const int tags, int v6, int udp)
{
	__u32 base = base_len(v6, udp);
	__u32 header = base + (f->extra & EXTRA_MAX);
	__u64 mac0 = 0;
	__u32 mac1 = 0;
	int checksum = 0, i;

	f->len = skb->len + 4 * tags;
	if (f->len + header - ETH_HEADER > f->mtu)
		return DROP(f->to->slot, DROP_TOO_BIG);
	if (v6 && udp) {
		checksum = ipv6_udp_checksum(skb, f, tags);
		if (checksum < 0)
			return DROP(f->to->slot, DROP_NO_MEMORY);
	}
	if (tags) {
		if (pull(skb, ETH_HEADER))
			return DROP(f->to->slot, DROP_NO_MEMORY);
		void *d = DATA(skb);
		if (d + ETH_HEADER > DATA_END(skb))
			return DROP(f->to->slot, DROP_NO_MEMORY);
		mac0 = LOAD64(d);
		mac1 = LOAD32(d + 8);
	}
	if (bpf_skb_change_head(skb, header + 4 * tags, 0))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	void *d = DATA(skb);
	/* Always there: the least frame is longer than EXTRA_MAX. */
	if (d + base + EXTRA_MAX > DATA_END(skb))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	write_header(d, f, f->len, checksum, v6, udp);
	if (tags) {
		__u64 at = header;
		OPAQUE(at);
		at &= 0x7f;
		void *p = d + at;
		if (p + 12 + 4 * tags > DATA_END(skb))
			return DROP(f->to->slot, DROP_NO_MEMORY);
		STORE64(p, mac0);
		STORE32(p + 8, mac1);
#pragma unroll
		for (i = 0; i < TAGS_MAX; i++)
			if (i < tags)
				STORE32(p + 12 + 4 * i, f->tags[i]);
	}
	count_encap(f->to->slot, 1, f->len);
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
FORCE_INLINE int segment_first(struct __sk_buff *skb, const struct transmit *t, __u32 circuit)
{
	const struct settings *s = get_settings();

	if (!s || !s->to_segment)
		return DROP(t->slot, DROP_NO_HELPER);
	skb->mark = circuit;
	return bpf_redirect(s->to_segment, 0);
}

/* Encapsulates a TCP super-frame over IPv4 and UDP whole: the kernel knows how
 * to cut that, in software or in a device, and puts each length right. */
FORCE_INLINE int emit_super_frame(struct __sk_buff *skb, struct frame *f, __u32 headers, __u32 circuit)
{
	__u32 header = base_len(0, 1) + (f->extra & EXTRA_MAX);
	__u32 size = skb->gso_size, len = skb->len;
	__u64 at = header, mac0;
	__u32 mac1;
	__u16 type;

	if (headers + size + header - ETH_HEADER > f->mtu)
		return DROP(f->to->slot, DROP_TOO_BIG);
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
		return segment_first(skb, f->to, circuit);
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

/* A tag as it lies on the wire: type, then priority and VLAN id. */
FORCE_INLINE __u32 metadata_tag(struct __sk_buff *skb)
{
	return ((__u32)bpf_htons(skb->vlan_tci) << 16) | (skb->vlan_proto & 0xffff);
}

/* Encapsulates for one carrier, whose header lengths the compiler then knows.
 * The outermost tag is always beside the frame and not in it, and taking it
 * brings the next one there: so all of them are taken and written back. */
FORCE_INLINE int encapsulate_as(struct __sk_buff *skb, struct frame *f, __u32 circuit, bool helped, int v6, int udp)
{
	if (!kernel_context && !helped && v6 && udp)
		return segment_first(skb, f->to, circuit);
	if (skb->gso_size) {
		/* The pair has not cut it, and would not the next time. */
		if (helped)
			return DROP(f->to->slot, DROP_NO_HELPER);
		if (v6 || !udp || skb->vlan_present || !whole_super_frames)
			return segment_first(skb, f->to, circuit);
		__u32 headers = tcp_header_len(skb);
		if (!headers)
			return segment_first(skb, f->to, circuit);
		return emit_super_frame(skb, f, headers, circuit);
	}
	if (!skb->vlan_present)
		return emit(skb, f, 0, v6, udp);
	f->tags[0] = metadata_tag(skb);
	if (bpf_skb_vlan_pop(skb))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	if (!skb->vlan_present)
		return emit(skb, f, 1, v6, udp);
	f->tags[1] = metadata_tag(skb);
	if (bpf_skb_vlan_pop(skb))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	if (!skb->vlan_present)
		return emit(skb, f, 2, v6, udp);
	f->tags[2] = metadata_tag(skb);
	if (bpf_skb_vlan_pop(skb))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	if (skb->vlan_present)
		return DROP(f->to->slot, DROP_TOO_MANY_TAGS);
	return emit(skb, f, 3, v6, udp);
}

/* Encapsulates a frame of the circuit with that ifindex; helped says that it
 * has been through the helper pair. */
FORCE_INLINE int encapsulate(struct __sk_buff *skb, __u32 circuit, bool helped)
{
	struct frame f = {};

	f.to = bpf_map_lookup_elem(&transmits, &circuit);
	/* The circuit belongs to its pseudowire: without a far end its frames
	 * must not reach this host's own stack either. */
	if (!f.to)
		return DROP(0, DROP_NO_SESSION);
	f.extra = f.to->cookie_len + f.to->sublayer_len;
	take_next_hop(&f);
	switch (f.to->carrier) {
	case CARRIER_IPV4_IP:
		return encapsulate_as(skb, &f, circuit, helped, 0, 0);
	case CARRIER_IPV4_UDP:
		return encapsulate_as(skb, &f, circuit, helped, 0, 1);
	case CARRIER_IPV6_IP:
		return encapsulate_as(skb, &f, circuit, helped, 1, 0);
	case CARRIER_IPV6_UDP:
		return encapsulate_as(skb, &f, circuit, helped, 1, 1);
	}
	return DROP(f.to->slot, DROP_UNSPECIFIED);
}

#endif
