/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* From an L2TPv3 packet of the underlay to a customer's frame. */
#ifndef LONGWIRE_DECAP_H
#define LONGWIRE_DECAP_H

#include "checksum.h"
#include "packet.h"

/* The least that the kernel lets bpf_skb_adjust_room leave behind the Ethernet
 * header, plus that header. Shorter frames are padded to the least of a wire. */
#define INNER_MIN_IPV4 (ETH_HEADER + IPV4_HEADER)
#define INNER_MIN_IPV6 (ETH_HEADER + IPV6_HEADER)
#define INNER_PADDED 60

/* Whether bpf_skb_adjust_room knows the DECAP_L3 flags (kernel 6.3). Set before
 * the program is loaded. */
const volatile bool decap_flags = true;

/* Whether the outer addresses are those of the session: to us, from the far
 * end. */
FORCE_INLINE bool to_us(void *d, const struct receive *r, int v6)
{
	if (!v6)
		return LOAD32(d + ETH_HEADER + 16) == LOAD32(r->local);
	return LOAD64(d + ETH_HEADER + 24) == LOAD64(r->local) &&
	       LOAD64(d + ETH_HEADER + 32) == LOAD64(r->local + 8);
}

FORCE_INLINE bool from_remote(void *d, const struct receive *r, int v6)
{
	if (!v6)
		return LOAD32(d + ETH_HEADER + 12) == LOAD32(r->remote);
	return LOAD64(d + ETH_HEADER + 8) == LOAD64(r->remote) &&
	       LOAD64(d + ETH_HEADER + 16) == LOAD64(r->remote + 8);
}

FORCE_INLINE bool ipv4_checksum_ok(void *d)
{
	__u32 sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < IPV4_HEADER; i += 2)
		sum += LOAD16(d + ETH_HEADER + i);
	return fold(sum) == 0xffff;
}

/* Whether the outer UDP checksum is right: zero is none over IPv4 and forbidden
 * over IPv6 (RFC 8200 section 8.1); one that the device has checked, or that a
 * local sender has yet to fill in, is not summed again. The sum begins with the
 * addresses, which lie right before the UDP header. */
FORCE_INLINE bool udp_checksum_ok(struct __sk_buff *skb, __u16 checksum, __u32 udp_len, int v6)
{
	const __u32 addresses = v6 ? 32 : 8;
	const __u32 from = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER) - addresses;
	__u32 sum = bpf_htons(PROTO_UDP) + bpf_htons(udp_len);

	if (!checksum)
		return !v6;
	/* Without sight of the skb a checksum yet to be filled in looks wrong. */
	if (skb->gso_size || !kernel_context)
		return true;
	int state = checksum_state(skb);
	if (state == CHECKSUM_PARTIAL || state == CHECKSUM_UNNECESSARY)
		return true;
	return !sum_bytes(skb, from, addresses + udp_len, &sum) && fold(sum) == 0xffff;
}

/* Compares the session's cookie with what follows the session id at p, where
 * eight bytes are readable. */
FORCE_INLINE bool cookie_ok(void *p, const struct receive *r)
{
	switch (r->cookie_len) {
	case 0:
		return true;
	case 4:
		return LOAD32(p) == (__u32)r->cookie;
	}
	return LOAD64(p) == r->cookie;
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
	at &= 0x7f;
	OPAQUE(at);
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
	return bpf_redirect(circuit, 0);
}

/* Whether the packet is for the session at all: to our address and port. If
 * not it is somebody else's, with our number in it by chance. */
FORCE_INLINE bool is_ours(void *d, const struct receive *r, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER);

	return !!(r->flags & RECEIVE_IPV6) == v6 && to_us(d, r, v6) &&
	       (!udp || LOAD16(d + l4 + 2) == r->local_port);
}

/* Why the session does not take packets like this one; 0 when it does. */
FORCE_INLINE enum drop_reason refuse(void *d, const struct receive *r, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER);

	if (!v6 && !ipv4_checksum_ok(d))
		return DROP_BAD_CHECKSUM;
	if (!(r->flags & (udp ? RECEIVE_ACCEPT_UDP : RECEIVE_ACCEPT_IP)))
		return DROP_WRONG_ENCAPSULATION;
	if (!(r->flags & RECEIVE_HAS_REMOTE))
		return DROP_NO_REMOTE;
	if (!from_remote(d, r, v6) || (udp && r->remote_port && LOAD16(d + l4) != r->remote_port))
		return DROP_WRONG_SOURCE;
	return 0;
}

/* Where the packet ends by its own lengths, which may not lie; 0 when they do.
 * Those of a super-frame are the business of whoever cuts it. */
FORCE_INLINE __u32 packet_end(struct __sk_buff *skb, void *d, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER);
	__u32 end = v6 ? l4 + bpf_ntohs(LOAD16(d + ETH_HEADER + 4))
		       : ETH_HEADER + bpf_ntohs(LOAD16(d + ETH_HEADER + 2));

	if (skb->gso_size)
		return skb->len;
	if (end > skb->len)
		return 0;
	if (udp) {
		__u32 udp_len = bpf_ntohs(LOAD16(d + l4 + 4));

		if (l4 + udp_len > end || udp_len < UDP_HEADER + L2TP_UDP_HEADER)
			return 0;
		end = l4 + udp_len;
	}
	return end;
}

/* Why what follows the session id is not what the session wants; 0 when it is.
 * An Ethernet header's length is there behind it, more than EXTRA_MAX. */
FORCE_INLINE enum drop_reason refuse_header(struct __sk_buff *skb, const struct receive *r, __u32 base)
{
	void *d = DATA(skb);

	if (d + base + EXTRA_MAX > DATA_END(skb))
		return DROP_MALFORMED;
	if (!cookie_ok(d + base, r))
		return DROP_WRONG_COOKIE;
	if (r->sublayer_len) {
		__u64 at = base + (r->cookie_len & EXTRA_MAX);

		OPAQUE(at);
		at &= 0x7f;
		if (d + at + 4 > DATA_END(skb))
			return DROP_MALFORMED;
		if (*(__u8 *)(d + at) & SUBLAYER_VCCV)
			return DROP_VCCV;
	}
	return 0;
}

/* Takes an accepted packet apart: lengths, checksum, cookie, sublayer. */
FORCE_INLINE int unwrap(struct __sk_buff *skb, void *d, const struct receive *r, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER), base = base_len(v6, udp);
	__u32 header = base + ((r->cookie_len + r->sublayer_len) & EXTRA_MAX);
	__u32 end = packet_end(skb, d, v6, udp);
	enum drop_reason why;

	if (header + ETH_HEADER > end)
		return DROP(r->slot, DROP_MALFORMED);
	if (udp && !udp_checksum_ok(skb, LOAD16(d + l4 + 6), end - l4, v6))
		return DROP(r->slot, DROP_BAD_CHECKSUM);
	/* What lies behind the packet is padding of the outer Ethernet. */
	if (skb->len > end && bpf_skb_change_tail(skb, end, 0))
		return DROP(r->slot, DROP_NO_MEMORY);
	if (pull(skb, header + ETH_HEADER))
		return DROP(r->slot, DROP_NO_MEMORY);
	why = refuse_header(skb, r, base);
	if (why)
		return DROP(r->slot, why);
	return deliver(skb, r, header);
}

/* Decapsulates a packet of one family and encapsulation, constants both. */
FORCE_INLINE int decapsulate_as(struct __sk_buff *skb, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER), base = base_len(v6, udp);
	enum drop_reason why;
	struct receive *r;
	__u32 id;

	if (pull(skb, base))
		return TC_ACT_UNSPEC;
	void *d = DATA(skb);
	if (d + base > DATA_END(skb))
		return TC_ACT_UNSPEC;
	/* T=1 is a control message, any other version is no L2TPv3 (RFC 3931
	 * section 4.1.2.1): not ours, and no session id follows. */
	if (udp && (LOAD16(d + l4 + UDP_HEADER) & bpf_htons(L2TP_TYPE_AND_VERSION)) != bpf_htons(L2TP_DATA_VERSION_3))
		return TC_ACT_UNSPEC;
	id = bpf_ntohl(LOAD32(d + base - L2TP_IP_HEADER));
	/* Session id 0 over IP is a control message (RFC 3931 section 4.1.1.2). */
	if (!id)
		return TC_ACT_UNSPEC;
	r = bpf_map_lookup_elem(&receives, &id);
	if (!r)
		return udp ? TC_ACT_UNSPEC : PASS_COUNTED(0, DROP_UNKNOWN_SESSION);
	if (!is_ours(d, r, v6, udp))
		return TC_ACT_UNSPEC;
	/* A fragment is no packet yet; the stack puts it together. */
	if (!v6 && LOAD16(d + ETH_HEADER + 6) & bpf_htons(0x3fff))
		return PASS_COUNTED(r->slot, DROP_FRAGMENT);
	why = refuse(d, r, v6, udp);
	if (why)
		return DROP(r->slot, why);
	return unwrap(skb, d, r, v6, udp);
}

/* Decapsulates what is ours; everything else goes on its way. */
FORCE_INLINE int decapsulate(struct __sk_buff *skb)
{
	/* A tag beside the packet means that it is a VLAN device's, which has its
	 * own hook; other destinations than this host are not ours either. */
	if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV4)) {
		if (pull(skb, ETH_HEADER + IPV4_HEADER))
			return TC_ACT_UNSPEC;
		void *d = DATA(skb);
		if (d + ETH_HEADER + IPV4_HEADER > DATA_END(skb))
			return TC_ACT_UNSPEC;
		__u8 protocol = *(__u8 *)(d + ETH_HEADER + 9);
		if (protocol != PROTO_UDP && protocol != PROTO_L2TP)
			return TC_ACT_UNSPEC;
		if (*(__u8 *)(d + ETH_HEADER) != 0x45)
			return protocol == PROTO_L2TP ? PASS_COUNTED(0, DROP_IP_OPTIONS) : TC_ACT_UNSPEC;
		/* Behind the first fragment there is no header to read. */
		if (LOAD16(d + ETH_HEADER + 6) & bpf_htons(0x1fff))
			return protocol == PROTO_L2TP ? PASS_COUNTED(0, DROP_FRAGMENT) : TC_ACT_UNSPEC;
		return protocol == PROTO_UDP ? decapsulate_as(skb, 0, 1) : decapsulate_as(skb, 0, 0);
	}
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV6)) {
		if (pull(skb, ETH_HEADER + IPV6_HEADER))
			return TC_ACT_UNSPEC;
		void *d = DATA(skb);
		if (d + ETH_HEADER + IPV6_HEADER > DATA_END(skb))
			return TC_ACT_UNSPEC;
		switch (*(__u8 *)(d + ETH_HEADER + 6)) {
		case PROTO_UDP:
			return decapsulate_as(skb, 1, 1);
		case PROTO_L2TP:
			return decapsulate_as(skb, 1, 0);
		}
	}
	return TC_ACT_UNSPEC;
}

#endif
