/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A decapsulated frame on its way to the circuit. */
#ifndef LONGWIRE_DELIVER_H
#define LONGWIRE_DELIVER_H

#include "clamp.h"
#include "packet.h"

/* The least that the kernel lets bpf_skb_adjust_room leave behind the Ethernet
 * header, plus that header. Shorter frames are padded to the least of a wire. */
#define INNER_MIN_IPV4 (ETH_HEADER + IPV4_HEADER)
#define INNER_MIN_IPV6 (ETH_HEADER + IPV6_HEADER)
#define INNER_PADDED 60

/* Bounds of the offset of an inner frame: outer header, cookie and sublayer, one
 * tag less or two more. */
#define INNER_OFFSET_MAX 0x7f

/* Whether bpf_skb_adjust_room knows the DECAP_L3 flags (kernel 6.3). Set before
 * the program is loaded. */
const volatile bool decap_flags = true;

/* Drops what comes a second time or after its successors (RFC 3931 section 4.6,
 * appendix C); word is the sublayer in host order. Numbers are compared within
 * half of their space. Several late frames in a row are a far end that has begun
 * anew. */
VERIFIED_ALONE __u32 check_sequence(__u32 slot, __u32 word)
{
	struct sequence *s = bpf_map_lookup_elem(&sequences, &slot);
	struct session_events *e = events_of(slot);
	__u32 number = word & SEQUENCE_MASK, next = (number + 1) & SEQUENCE_MASK, ahead;
	enum drop_reason why = 0;
	__u32 gap = 0, reset = 0;

	if (!s || !e || !(word & SUBLAYER_SEQUENCE << 24))
		return 0;
	bpf_spin_lock(&s->lock);
	/* expected is one more than the number, so that 0 is none yet. */
	ahead = (number - (s->expected - 1)) & SEQUENCE_MASK;
	if (!s->expected || ahead <= SEQUENCE_MASK / 2) {
		gap = s->expected ? ahead : 0;
		s->expected = next + 1;
		s->strays = 0;
	} else {
		s->strays = s->strays && number == s->stray ? s->strays + 1 : 1;
		s->stray = next;
		why = ahead == SEQUENCE_MASK ? DROP_DUPLICATE : DROP_LATE;
		if (s->strays >= SEQUENCE_STRAYS) {
			s->expected = next + 1;
			s->strays = 0;
			reset = 1;
			why = 0;
		}
	}
	bpf_spin_unlock(&s->lock);
	e->sequence_gaps += gap;
	e->sequence_resets += reset;
	return why;
}

/* Gives the inner IP packet what the underlay has marked on the outer one
 * (RFC 6040 section 4.2): congestion, or ECT(1) over ECT(0). header is the
 * offset of the inner frame, outer the outer ECN field. */
VERIFIED_ALONE __u32 mark_inner(struct __sk_buff *skb, __u32 header, __u32 outer)
{
	__u16 type, before, after;
	__u32 at = skip_tags(skb, header + 12, &type);

	if (!at)
		return 0;
	if ((type != bpf_htons(ETHERTYPE_IPV4) && type != bpf_htons(ETHERTYPE_IPV6)) || bpf_skb_load_bytes(skb, at, &before, 2))
		return 0;
	/* The field is at the end of the first word, or for IPv6 4 bits before. */
	__u32 shift = type == bpf_htons(ETHERTYPE_IPV6) ? 4 : 0, inner = bpf_ntohs(before) >> shift & ECN_MASK;
	if (outer == ECN_CE && !inner)
		return DROP_CONGESTION;
	if (inner == ECN_CE || !inner || (outer == ECN_ECT1 && inner == ECN_ECT1))
		return 0;
	after = bpf_htons((bpf_ntohs(before) & ~(ECN_MASK << shift)) | outer << shift);
	if (bpf_skb_store_bytes(skb, at, &after, 2, 0))
		return DROP_NO_MEMORY;
	if (!shift && bpf_l3_csum_replace(skb, at + 10, before, after, 2))
		return DROP_NO_MEMORY;
	return 0;
}

/* Makes the frame at offset header the one to deliver, with tags taken off, set
 * or added, and returns its new offset, or 0 when there is no memory. The frame
 * grows into the outer header before it. */
VERIFIED_ALONE __u32 retag(struct __sk_buff *skb, const struct receive *r, __u32 header)
{
	__u64 at = header;
	__u32 add;

	if (!r || header < 2 * 4 || header > INNER_OFFSET_MAX)
		return 0;
	/* A frame too short to have two tags is padded already here. */
	if (skb->len < header + ETH_HEADER + 8 && bpf_skb_change_tail(skb, header + INNER_PADDED, 0))
		return 0;
	if (pull(skb, header + ETH_HEADER + 8))
		return 0;
	OPAQUE(at);
	at &= INNER_OFFSET_MAX;
	void *d = DATA(skb), *p = d + at;
	/* The verifier wants both bounds, though the second implies the first. */
	if (d + ETH_HEADER > DATA_END(skb) || p + ETH_HEADER + 8 > DATA_END(skb))
		return 0;
	__u64 mac0 = LOAD64(p);
	__u32 mac1 = LOAD32(p + 8);
	add = r->push_tags;
	if (r->pop_tags && is_tag(LOAD16(p + 12))) {
		STORE64(p + 4, mac0);
		STORE32(p + 12, mac1);
		return header + 4;
	}
	if (r->set_tags) {
		/* Tags that are there get the ids of the innermost of ours. */
		__u32 present = !is_tag(LOAD16(p + 12)) ? 0 : r->set_tags < 2 || !is_tag(LOAD16(p + 16)) ? 1 : 2;

		add = r->set_tags - present;
		if (present) {
			__u16 id = r->tags[add & 1] >> 16;
			STORE16(p + 14, (LOAD16(p + 14) & bpf_htons(0xf000)) | id);
		}
		if (present == 2) {
			__u16 id = r->tags[1] >> 16;
			STORE16(p + 18, (LOAD16(p + 18) & bpf_htons(0xf000)) | id);
		}
	}
	if (!add)
		return header;
	/* header is at least 8, so there is room before the frame. */
	at = header - 4 * (add & 3);
	OPAQUE(at);
	at &= INNER_OFFSET_MAX;
	p = d + at;
	if (p + ETH_HEADER + 8 > DATA_END(skb))
		return 0;
	STORE64(p, mac0);
	STORE32(p + 8, mac1);
	STORE32(p + 12, r->tags[0]);
	if (add == 2)
		STORE32(p + 16, r->tags[1]);
	return header - 4 * add;
}

/* Delivers the inner frame, which begins at offset header, to the circuit. */
FORCE_INLINE int deliver(struct __sk_buff *skb, const struct receive *r, __u32 header)
{
	__u32 inner = skb->len - header, slot = r->slot, circuit = r->circuit;
	__u32 size = skb->gso_size, packets = 1;
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	__u64 at = header;

	if (inner < INNER_MIN_IPV4 || (!decap_flags && inner < INNER_MIN_IPV6))
		if (bpf_skb_change_tail(skb, header + INNER_PADDED, 0))
			return DROP(slot, DROP_NO_MEMORY);
	void *d = DATA(skb);
	OPAQUE(at);
	at &= INNER_OFFSET_MAX;
	void *p = d + at;
	/* The verifier wants both bounds, though the second implies the first. */
	if (d + ETH_HEADER > DATA_END(skb) || p + ETH_HEADER > DATA_END(skb))
		return DROP(slot, DROP_MALFORMED);
	__u64 mac0 = LOAD64(p);
	__u32 mac1 = LOAD32(p + 8);
	__u16 type = LOAD16(p + 12);
	STORE64(d, mac0);
	STORE32(d + 8, mac1);
	STORE16(d + 12, type);
	/* The flag also sets the protocol that the device below us sees. */
	if (decap_flags)
		flags |= type == bpf_htons(ETHERTYPE_IPV6) && inner >= INNER_MIN_IPV6 ? ADJ_DECAP_IPV6 : ADJ_DECAP_IPV4;
	if (bpf_skb_adjust_room(skb, -(__s32)header, BPF_ADJ_ROOM_MAC, flags))
		return DROP(slot, DROP_NO_MEMORY);
	if (size)
		packets = skb->gso_segs ? skb->gso_segs : (inner + size - 1) / size;
	count_decap(slot, packets, inner);
	skb->mark = 0;
	return bpf_redirect(circuit, 0);
}

#endif
