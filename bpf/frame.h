/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* One frame on its way out, and the outer header that it gets. */
#ifndef LONGWIRE_FRAME_H
#define LONGWIRE_FRAME_H

#include "checksum.h"
#include "packet.h"

/* Whether the kernel cuts a TCP super-frame behind our header over IPv4 and UDP.
 * If it does not, all of them are cut first. Set before the program is loaded. */
const volatile bool whole_super_frames = true;

/* The most tags that are written: those of the frame, and one of ours. */
#define TAGS_WRITTEN (TAGS_MAX + 1)

#define TRANSMIT_COPY (TRANSMIT_COPY_DSCP | TRANSMIT_COPY_ECN)

/* The tags of a frame, outermost first, as they lie on the wire. */
struct tags {
	__u32 found[TAGS_MAX];
	__u32 found_count;
	__u32 cross[TAGS_WRITTEN]; /* those that are written behind the outer header */
	__u32 cross_count;
	__u32 inline_pop;     /* tags inside the frame that do not cross */
	__u32 sum;            /* of cross, less that of inline_pop */
};

/* What is known of one frame while it is encapsulated. */
struct frame {
	const struct transmit *to;
	__u32 key;            /* of to */
	__u32 tag_count;      /* of tags.cross */
	__u32 inline_pop;     /* of tags */
	__u32 len;            /* of the frame as it crosses, with its tags */
	__u32 extra;          /* cookie and sublayer */
	__u32 out_ifindex;    /* 0: no lease, the kernel routes */
	__u32 mtu;
	__u64 mac_first;
	__u32 mac_last;
	__u32 sequence;       /* sublayer, as on the wire */
	__u16 port;           /* UDP source port, as on the wire; 0 = the template's */
	__u8 tos;             /* with TRANSMIT_COPY_DSCP or TRANSMIT_COPY_ECN */
};

/* Numbers the frame in its sublayer (RFC 3931 section 4.6). */
VERIFIED_ALONE __u32 next_sequence(__u32 slot)
{
	struct sequence *s = bpf_map_lookup_elem(&sequences, &slot);

	if (!s)
		return 0;
	return bpf_htonl(SUBLAYER_SEQUENCE << 24 | (__sync_fetch_and_add(&s->send, 1) & SEQUENCE_MASK));
}

/* TOS or traffic class of the IP packet in a frame, whose tags beside it are
 * taken off and inside it are not; 0 when it is none. */
VERIFIED_ALONE __u32 inner_tos(struct __sk_buff *skb)
{
	__u16 type, word;
	__u32 at = skip_tags(skb, 12, &type);

	if (!at || bpf_skb_load_bytes(skb, at, &word, sizeof(word)))
		return 0;
	if (type == bpf_htons(ETHERTYPE_IPV4))
		return bpf_ntohs(word) & 0xff;
	if (type == bpf_htons(ETHERTYPE_IPV6))
		return bpf_ntohs(word) >> 4 & 0xff;
	return 0;
}

/* The template's TOS or traffic class, as the copy policies change it. */
FORCE_INLINE __u8 copied_tos(struct __sk_buff *skb, const struct transmit *t, int v6)
{
	__u8 tos = v6 ? bpf_ntohs(LOAD16(t->template)) >> 4 : t->template[1], inner = inner_tos(skb);

	if (t->flags & TRANSMIT_COPY_DSCP)
		tos = (tos & ECN_MASK) | (inner & ~ECN_MASK);
	if (t->flags & TRANSMIT_COPY_ECN)
		tos = (tos & ~ECN_MASK) | (inner & ECN_MASK);
	return tos;
}

/* Writes the outer header at d, where base_len + extra bytes are writable. The
 * length fields cover len bytes of inner frame. */
FORCE_INLINE void write_header(void *d, struct frame *f, __u32 len, __u16 udp_checksum, int v6, int udp)
{
	const struct transmit *t = f->to;
	const int base = (v6 ? IPV6_HEADER : IPV4_HEADER) + (udp ? UDP_HEADER + L2TP_UDP_HEADER : L2TP_IP_HEADER);
	const int l3 = ETH_HEADER, l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER);
	__u32 payload = len + f->extra + base - (v6 ? IPV6_HEADER : IPV4_HEADER);
	bool copied = t->flags & TRANSMIT_COPY;

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
	if (t->flags & TRANSMIT_SEQUENCED) {
		if (!f->sequence)
			f->sequence = next_sequence(t->slot);
		if (f->extra == EXTRA_MAX)
			STORE32(d + l3 + base + 8, f->sequence);
		else if (f->extra == 8)
			STORE32(d + l3 + base + 4, f->sequence);
		else
			STORE32(d + l3 + base, f->sequence);
	}
	if (v6) {
		STORE16(d + l3 + 4, bpf_htons(payload));
		if (copied)
			STORE16(d + l3, bpf_htons(0x6000 | f->tos << 4));
	} else {
		__u32 sum = t->ip_sum;
		/* A super-frame may exceed the field; the kernel writes 0 then. */
		__u16 total = payload + IPV4_HEADER > 0xffff ? 0 : bpf_htons(payload + IPV4_HEADER);

		if (t->flags & TRANSMIT_VARY_ID) {
			__u16 id = bpf_get_prandom_u32();
			STORE16(d + l3 + 4, id);
			sum += id;
		}
		if (copied) {
			sum += bpf_htons(f->tos) + (0xffff ^ bpf_htons(t->template[1]));
			*(__u8 *)(d + l3 + 1) = f->tos;
		}
		STORE16(d + l3 + 2, total);
		STORE16(d + l3 + 10, ~fold((__u64)sum + total));
	}
	if (udp) {
		if (f->port)
			STORE16(d + l4, f->port);
		STORE16(d + l4 + 4, payload > 0xffff ? 0 : bpf_htons(payload));
		if (udp_checksum)
			STORE16(d + l4 + 6, udp_checksum);
	}
}

/* The UDP checksum over IPv6 (RFC 8200 section 8.1) of a frame with that sum;
 * udp_len is in wire order. */
FORCE_INLINE __u16 finish_udp_checksum(const struct frame *f, __u64 sum, __u32 udp_len)
{
	const struct transmit *t = f->to;
	__u16 checksum;

	/* The length counts twice: pseudo header and UDP header. */
	sum += (__u64)t->udp_sum + udp_len + udp_len;
	if (f->port)
		sum += f->port + (0xffff ^ LOAD16(t->template + IPV6_HEADER));
	sum += halves(f->sequence);
	checksum = ~fold(sum);
	return checksum ? checksum : 0xffff;
}

/* The UDP checksum that an IPv6 outer header needs, or -1 when the frame cannot
 * be summed. The tags that are written back are no part of the frame yet, and
 * those inside it that go still are. */
FORCE_INLINE int ipv6_udp_checksum(struct __sk_buff *skb, struct frame *f, const struct tags *tags)
{
	__u32 udp_len = bpf_htons(f->len + f->extra + UDP_HEADER + L2TP_UDP_HEADER);
	long sum = sum_frame(skb);

	if (sum < 0)
		return -1;
	if (tags)
		sum += tags->sum;
	if (f->to->flags & TRANSMIT_SEQUENCED)
		f->sequence = next_sequence(f->to->slot);
	return finish_udp_checksum(f, sum, udp_len);
}

#endif
