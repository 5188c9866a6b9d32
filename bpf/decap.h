/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* From an L2TPv3 packet of the underlay to a customer's frame. */
#ifndef LONGWIRE_DECAP_H
#define LONGWIRE_DECAP_H

#include "checksum.h"
#include "deliver.h"
#include "find.h"
#include "packet.h"

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
	__u64 sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < IPV4_HEADER; i += 4)
		sum += LOAD32(d + ETH_HEADER + i);
	return fold(sum) == 0xffff;
}

/* Whether the outer UDP checksum is right: zero is none over IPv4, and over IPv6
 * it is forbidden (RFC 8200 section 8.1) unless agreed on (RFC 6935); one that the device has checked, or that a
 * local sender has yet to fill in, is not summed again. The sum begins with the
 * addresses, which lie right before the UDP header. */
FORCE_INLINE bool udp_checksum_ok(struct __sk_buff *skb, const struct receive *r, __u16 checksum, __u32 udp_len, int v6)
{
	const __u32 addresses = v6 ? 32 : 8;
	const __u32 from = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER) - addresses;
	long sum = bpf_htons(PROTO_UDP) + bpf_htons(udp_len);

	if (!checksum)
		return !v6 || r->flags & RECEIVE_ZERO_CHECKSUM;
	/* Without sight of the skb a checksum yet to be filled in looks wrong. */
	if (skb->gso_size || !kernel_context)
		return true;
	int state = checksum_state(skb);
	if (state == CHECKSUM_PARTIAL || state == CHECKSUM_UNNECESSARY)
		return true;
	sum = sum_bytes(skb, from, addresses + udp_len, sum);
	return sum >= 0 && fold(sum) == 0xffff;
}

/* Compares the session's cookie with what follows the session id at p, where
 * eight bytes are readable. */
FORCE_INLINE bool is_cookie(void *p, __u64 cookie, __u32 len)
{
	switch (len) {
	case 0:
		return true;
	case 4:
		return LOAD32(p) == (__u32)cookie;
	}
	return LOAD64(p) == cookie;
}

/* Accepts the present cookie, and while it is being changed the previous one. */
FORCE_INLINE bool cookie_ok(void *p, const struct receive *r)
{
	struct session_events *e;

	if (is_cookie(p, r->cookie, r->cookie_len))
		return true;
	if (!(r->flags & RECEIVE_PREVIOUS) || !is_cookie(p, r->previous, r->cookie_len))
		return false;
	e = events_of(r->slot);
	if (e)
		e->previous_cookie++;
	return true;
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

/* Where the packet of len bytes ends by its own lengths, which may not lie; 0
 * when they do. */
FORCE_INLINE __u32 stated_end(void *d, __u32 len, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER);
	__u32 end = v6 ? l4 + bpf_ntohs(LOAD16(d + ETH_HEADER + 4))
		       : ETH_HEADER + bpf_ntohs(LOAD16(d + ETH_HEADER + 2));

	if (end > len)
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
		if (r->flags & RECEIVE_SEQUENCED)
			return check_sequence(r->slot, bpf_ntohl(LOAD32(d + at)));
	}
	return 0;
}

/* What few sessions want before a frame is delivered. Returns the frame's new
 * offset, 0 without memory. */
FORCE_INLINE __u32 adapt(struct __sk_buff *skb, const struct receive *r, __u32 header)
{
	if (r->flags & RECEIVE_CLAMP)
		clamp_mss(skb, header, r->clamp_mtu);
	if (r->flags & RECEIVE_TAGS)
		return retag(skb, r, header);
	return header;
}

/* The outer ECN field. */
FORCE_INLINE __u32 outer_ecn(void *d, int v6)
{
	return (v6 ? *(__u8 *)(d + ETH_HEADER + 1) >> 4 : *(__u8 *)(d + ETH_HEADER + 1)) & ECN_MASK;
}

/* Takes an accepted packet apart: lengths, checksum, cookie, sublayer. One that
 * the stack had first has no checksum any more. */
FORCE_INLINE int unwrap(struct __sk_buff *skb, void *d, const struct receive *r, bool from_stack, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER), base = base_len(v6, udp);
	__u32 header = base + ((r->cookie_len + r->sublayer_len) & EXTRA_MAX);
	/* The lengths of a super-frame are the business of whoever cuts it. */
	__u32 end = skb->gso_size ? skb->len : stated_end(d, skb->len, v6, udp), ecn = outer_ecn(d, v6);
	enum drop_reason why;

	if (header + ETH_HEADER > end)
		return DROP(r->slot, DROP_MALFORMED);
	if (udp && !from_stack && !udp_checksum_ok(skb, r, LOAD16(d + l4 + 6), end - l4, v6))
		return DROP(r->slot, DROP_BAD_CHECKSUM);
	/* What lies behind the packet is padding of the outer Ethernet. */
	if (skb->len > end && bpf_skb_change_tail(skb, end, 0))
		return DROP(r->slot, DROP_NO_MEMORY);
	if (pull(skb, header + ETH_HEADER))
		return DROP(r->slot, DROP_NO_MEMORY);
	why = refuse_header(skb, r, base);
	/* Our own encapsulation sends ECT(1) only for a frame that has it too. */
	if (!why && ecn & ECN_ECT1)
		why = mark_inner(skb, header, ecn);
	if (why)
		return DROP(r->slot, why);
	if (r->flags & (RECEIVE_CLAMP | RECEIVE_TAGS)) {
		header = adapt(skb, r, header);
		if (!header)
			return DROP(r->slot, DROP_NO_MEMORY);
	}
	return deliver(skb, r, header);
}

/* What becomes of a packet that has no session here. It is counted if it came
 * for one of our endpoints, and dropped if that is the policy: others on this
 * host may use L2TP too. */
VERIFIED_ALONE int stray(struct __sk_buff *skb, __u32 reason, __u32 v6, __u32 udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER);
	struct endpoint_key key = { .v6 = !!v6 };
	const struct settings *s = get_settings();

	if (v6)
		bpf_skb_load_bytes(skb, ETH_HEADER + 24, key.address, 16);
	else
		bpf_skb_load_bytes(skb, ETH_HEADER + 16, key.address, 4);
	if (udp)
		bpf_skb_load_bytes(skb, l4 + 2, &key.port, 2);
	if (!bpf_map_lookup_elem(&endpoints, &key))
		return TC_ACT_UNSPEC;
	if (reason == DROP_UNKNOWN_SESSION && s && s->flags & SETTINGS_DROP_UNKNOWN)
		return DROP(0, reason);
	return PASS_COUNTED(0, reason);
}

/* Decapsulates a packet of one family and encapsulation, constants both. What
 * the stack has had already goes no way but to the circuit. */
FORCE_INLINE int decapsulate_as(struct __sk_buff *skb, bool from_stack, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER), base = base_len(v6, udp);
	enum drop_reason why;
	const struct receive *r;
	__u32 id;

	/* What ends before its session id is nobody's, but surely broken. */
	if (pull(skb, base))
		return stray(skb, DROP_MALFORMED, v6, udp);
	void *d = DATA(skb);
	if (d + base > DATA_END(skb))
		return TC_ACT_UNSPEC;
	/* T=1 is a control message, any other version is no L2TPv3 (RFC 3931
	 * section 4.1.2.1): not ours, and no session id follows. */
	if (udp && (LOAD16(d + l4 + UDP_HEADER) & bpf_htons(L2TP_TYPE_AND_VERSION)) != bpf_htons(L2TP_DATA_VERSION_3))
		return stray(skb, *(__u8 *)(d + l4 + UDP_HEADER) & 0x80 ? DROP_CONTROL_MESSAGE : DROP_WRONG_VERSION, v6, udp);
	id = bpf_ntohl(LOAD32(d + base - L2TP_IP_HEADER));
	/* Session id 0 over IP is a control message (RFC 3931 section 4.1.1.2), and
	 * no session over UDP. */
	if (!id)
		return stray(skb, DROP_CONTROL_MESSAGE, v6, udp);
	r = find_receive(id);
	if (!r)
		return stray(skb, DROP_UNKNOWN_SESSION, v6, udp);
	/* At another address or port the number is no session's. */
	if (!is_ours(d, r, v6, udp))
		return stray(skb, DROP_UNKNOWN_SESSION, v6, udp);
	/* A fragment is no packet yet; the stack puts it together. */
	if (!v6 && !from_stack && LOAD16(d + ETH_HEADER + 6) & bpf_htons(0x3fff))
		return PASS_COUNTED(r->slot, DROP_FRAGMENT);
	why = refuse(d, r, v6, udp);
	if (why)
		return DROP(r->slot, why);
	return unwrap(skb, d, r, from_stack, v6, udp);
}

FORCE_INLINE int decapsulate_ipv4(struct __sk_buff *skb, bool from_stack)
{
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
	return protocol == PROTO_UDP ? decapsulate_as(skb, from_stack, 0, 1) : decapsulate_as(skb, from_stack, 0, 0);
}

FORCE_INLINE int decapsulate_ipv6(struct __sk_buff *skb, bool from_stack)
{
	__u8 next = 0;

	if (pull(skb, ETH_HEADER + IPV6_HEADER))
		return TC_ACT_UNSPEC;
	void *d = DATA(skb);
	if (d + ETH_HEADER + IPV6_HEADER > DATA_END(skb))
		return TC_ACT_UNSPEC;
	switch (*(__u8 *)(d + ETH_HEADER + 6)) {
	case PROTO_UDP:
		return decapsulate_as(skb, from_stack, 1, 1);
	case PROTO_L2TP:
		return decapsulate_as(skb, from_stack, 1, 0);
	case PROTO_FRAGMENT:
		bpf_skb_load_bytes(skb, ETH_HEADER + IPV6_HEADER, &next, 1);
		if (next == PROTO_L2TP)
			return PASS_COUNTED(0, DROP_FRAGMENT);
		break;
	case PROTO_HOP_OPTIONS:
	case PROTO_DESTINATION_OPTIONS:
		bpf_skb_load_bytes(skb, ETH_HEADER + IPV6_HEADER, &next, 1);
		if (next == PROTO_L2TP)
			return PASS_COUNTED(0, DROP_IP_OPTIONS);
	}
	return TC_ACT_UNSPEC;
}

/* Decapsulates what is ours; everything else goes on its way. */
FORCE_INLINE int decapsulate(struct __sk_buff *skb)
{
	/* A tag beside the packet means that it is a VLAN device's, which has its
	 * own hook; other destinations than this host are not ours either. */
	if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV4))
		return decapsulate_ipv4(skb, false);
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV6))
		return decapsulate_ipv6(skb, false);
	return TC_ACT_UNSPEC;
}

/* Decapsulates what the slow path has had from the stack: whole, without
 * options, its checksum verified. It must not come back to the stack. */
FORCE_INLINE int decapsulate_from_stack(struct __sk_buff *skb)
{
	int verdict = TC_ACT_UNSPEC;

	if (skb->protocol == bpf_htons(ETHERTYPE_IPV4))
		verdict = decapsulate_ipv4(skb, true);
	else if (skb->protocol == bpf_htons(ETHERTYPE_IPV6))
		verdict = decapsulate_ipv6(skb, true);
	return verdict == TC_ACT_UNSPEC ? TC_ACT_SHOT : verdict;
}

#endif
