/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* TCP super-frames that are encapsulated whole, over UDP: the kernel knows how to
 * cut those, in software or in a device, and puts each length right. */
#ifndef LONGWIRE_SUPER_H
#define LONGWIRE_SUPER_H

#include "checksum.h"
#include "frame.h"
#include "packet.h"
#include "send.h"

#define TCP_HEADER_MIN 20

/* What is known of a TCP super-frame. */
struct super {
	__u32 l4;      /* offset of the TCP header */
	__u32 headers; /* bytes up to the payload, Ethernet included */
	bool v6;       /* of the inner packet */
};

/* Finds the headers of plain TCP over IPv4 or IPv6. Returns false when the frame
 * is anything else. */
FORCE_INLINE bool find_super(struct __sk_buff *skb, struct super *s)
{
	__u64 at;

	if (pull(skb, ETH_HEADER + IPV6_HEADER + TCP_HEADER_MIN))
		return false;
	void *d = DATA(skb), *end = DATA_END(skb);
	if (d + ETH_HEADER + IPV6_HEADER > end)
		return false;
	s->v6 = LOAD16(d + 12) == bpf_htons(ETHERTYPE_IPV6);
	if (s->v6) {
		if (*(__u8 *)(d + ETH_HEADER + 6) != PROTO_TCP)
			return false;
		at = ETH_HEADER + IPV6_HEADER;
	} else {
		if (LOAD16(d + 12) != bpf_htons(ETHERTYPE_IPV4) || *(__u8 *)(d + ETH_HEADER + 9) != PROTO_TCP)
			return false;
		at = ETH_HEADER + (*(__u8 *)(d + ETH_HEADER) & 15) * 4;
	}
	at &= 0x7f;
	OPAQUE(at);
	if (d + at + TCP_HEADER_MIN > end)
		return false;
	s->l4 = at;
	s->headers = at + (*(__u8 *)(d + at + 12) >> 4) * 4;
	return true;
}

/* The sum of one segment of a super-frame as it will be, or -1 when segments
 * differ. All full ones sum to the same: a segment's IPv4 header sums to nothing
 * with its own checksum, and from the TCP header on it is the complement of the
 * seed, for a segment's length (local checksum offload). */
FORCE_INLINE long sum_segment(struct __sk_buff *skb, const struct super *s)
{
	__u32 size = skb->gso_size, tcp_len = skb->len - s->l4, segment = s->headers - s->l4 + size;
	__u64 at = s->l4 & 0x7f;
	long sum;

	if (!kernel_context || !size || (skb->len - s->headers) % size || tcp_len > 0xffff)
		return -1;
	if (checksum_state(skb) != CHECKSUM_PARTIAL || s->l4 & 1)
		return -1;
	sum = sum_bytes(skb, 0, s->l4, 0);
	if (sum < 0)
		return -1;
	OPAQUE(at);
	at &= 0x7f;
	void *p = DATA(skb) + at;
	if (p + TCP_HEADER_MIN > DATA_END(skb))
		return -1;
	__u16 seed = fold((__u64)LOAD16(p + 16) + bpf_htons(segment) + (0xffff ^ bpf_htons(tcp_len)));
	if (s->v6) /* the payload length is the TCP length */
		sum += bpf_htons(segment) + (0xffff ^ bpf_htons(tcp_len));
	return sum + (0xffff ^ seed);
}

/* The outer UDP checksum over IPv6 that each segment has, 0 for none; -1 when
 * the super-frame must be cut first. */
FORCE_INLINE int super_checksum(struct __sk_buff *skb, const struct frame *f, const struct super *s)
{
	__u32 udp_len = bpf_htons(s->headers + skb->gso_size + f->extra + UDP_HEADER + L2TP_UDP_HEADER);
	long sum;

	if (f->to->flags & TRANSMIT_ZERO_CHECKSUM)
		return 0;
	sum = sum_segment(skb, s);
	if (sum < 0)
		return -1;
	return finish_udp_checksum(f, sum, udp_len);
}

#define ENCAP_UDP (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | \
		   BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HEADER))

/* Encapsulates a TCP super-frame over UDP whole, any other one is cut first. */
FORCE_INLINE int emit_super_frame(struct __sk_buff *skb, struct frame *f, int v6)
{
	__u32 header = base_len(v6, 1) + (f->extra & EXTRA_MAX), size = skb->gso_size, len = skb->len;
	__u64 at = header, mac0;
	struct super s = {};
	int checksum = 0;
	__u32 mac1;
	__u16 type;

	/* Pieces that are too big meet the same policy as other frames. */
	if (!find_super(skb, &s) || s.headers + size + header - ETH_HEADER > f->mtu)
		return segment_first(skb, f);
	if (f->to->flags & TRANSMIT_COPY)
		f->tos = copied_tos(skb, f->to, v6);
	if (v6) {
		checksum = super_checksum(skb, f, &s);
		if (checksum < 0)
			return segment_first(skb, f);
	}
	void *d = DATA(skb);
	if (d + ETH_HEADER > DATA_END(skb))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	mac0 = LOAD64(d);
	mac1 = LOAD32(d + 8);
	type = LOAD16(d + 12);
	/* Refused for a frame that is already a tunnel's: that one is cut first. */
	if (bpf_skb_adjust_room(skb, header, BPF_ADJ_ROOM_MAC,
				ENCAP_UDP | (v6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4)))
		return segment_first(skb, f);
	d = DATA(skb);
	OPAQUE(at);
	at &= 0x7f;
	void *p = d + at;
	if (d + base_len(v6, 1) + EXTRA_MAX > DATA_END(skb) || p + ETH_HEADER > DATA_END(skb))
		return DROP(f->to->slot, DROP_NO_MEMORY);
	write_header(d, f, len, checksum, v6, 1);
	STORE64(p, mac0);
	STORE32(p + 8, mac1);
	STORE16(p + 12, type);
	__u32 packets = (len - s.headers + size - 1) / (size ? size : 1);
	count_encap(f->to->slot, packets, len + (packets - 1) * s.headers);
	return send(skb, f);
}

#endif
