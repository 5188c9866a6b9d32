/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The common case of both directions on the frames of a network card, before
 * there is an skb. Whatever is not common passes unchanged to the tc program
 * of the same interface, which does, drops and counts it. */
#ifndef LONGWIRE_XDP_H
#define LONGWIRE_XDP_H

#include "checksum.h"
#include "decap.h"
#include "encap.h"
#include "find.h"
#include "packet.h"

/* The least frame of a wire, without its checksum. Drivers pad what is shorter
 * when the stack sends it, and not all of them when XDP does. */
#define WIRE_MIN 60

/* Circuits and sessions with one of these are the business of tc. */
#define TRANSMIT_BY_TC                                                         \
	(TRANSMIT_CLOSED | TRANSMIT_SHARED | TRANSMIT_TO_HOST | TRANSMIT_TAGS |\
	 TRANSMIT_SEQUENCED | TRANSMIT_COPY_DSCP | TRANSMIT_COPY_ECN |         \
	 TRANSMIT_ENTROPY | TRANSMIT_CLAMP)
#define RECEIVE_BY_TC (RECEIVE_SEQUENCED | RECEIVE_TAGS | RECEIVE_CLAMP)

/* Bytes of the packet. The compiler must not reckon with the pointers again. */
FORCE_INLINE __u32 xdp_len(struct xdp_md *x)
{
	__u64 len = DATA_END(x) - DATA(x);

	OPAQUE(len);
	return len;
}

/* Whether the frame fits no page. tc has it then. */
FORCE_INLINE bool in_pieces(struct xdp_md *x) { return bpf_xdp_get_buff_len(x) != xdp_len(x); }

/* What is known of an interface that XDP programs serve; 0 for any other, also
 * for one that is not ready for them yet. */
FORCE_INLINE const struct port *find_port(__u32 ifindex, enum port_role role)
{
	__u32 place = ifindex & (PORTS - 1);
	const struct port *p = bpf_map_lookup_elem(&ports, &place);

	return p && p->ifindex == ifindex && p->role == role ? p : 0;
}

/* Encapsulates for one carrier, whose header lengths the compiler then knows. */
FORCE_INLINE int xdp_encapsulate_as(struct xdp_md *x, struct frame *f, int v6, int udp)
{
	const __u32 base = base_len(v6, udp);
	__u32 header = base + (f->extra & EXTRA_MAX);
	const struct port *out = find_port(f->out_ifindex, PORT_UNDERLAY);
	__u16 checksum = 0;

	f->len = xdp_len(x);
	if (!out || f->len + header > out->largest || f->len + header - ETH_HEADER > f->mtu || f->len + header < WIRE_MIN)
		return XDP_PASS;
	if (v6 && udp && !(f->to->flags & TRANSMIT_ZERO_CHECKSUM)) {
		long sum = xdp_sum_bytes(x, 0, f->len, 0);

		if (sum < 0)
			return XDP_PASS;
		checksum = finish_udp_checksum(f, sum, bpf_htons(f->len + f->extra + UDP_HEADER + L2TP_UDP_HEADER));
	}
	if (bpf_xdp_adjust_head(x, -(int)header))
		return XDP_PASS;
	void *d = DATA(x);
	/* Always there: the least frame is longer than EXTRA_MAX. */
	if (d + base + EXTRA_MAX > DATA_END(x))
		return drop(f->to->slot, DROP_NO_MEMORY, XDP_DROP);
	write_header(d, f, f->len, checksum, v6, udp);
	count_encap(f->to->slot, 1, f->len);
	return bpf_redirect(f->out_ifindex, 0);
}

/* Encapsulates a frame of a port that is one circuit. */
FORCE_INLINE int xdp_encapsulate(struct xdp_md *x)
{
	struct frame f = { .key = x->ingress_ifindex };

	/* Before that its frames may lack a tag. */
	if (!find_port(f.key, PORT_CIRCUIT))
		return XDP_PASS;
	f.to = find_transmit(f.key);
	if (!f.to || f.to->flags & TRANSMIT_BY_TC || f.to->drop_l2cp)
		return XDP_PASS;
	f.extra = f.to->cookie_len + f.to->sublayer_len;
	take_next_hop(&f);
	if (!f.out_ifindex)
		return XDP_PASS;
	switch (f.to->carrier) {
	case CARRIER_IPV4_IP:
		return xdp_encapsulate_as(x, &f, 0, 0);
	case CARRIER_IPV4_UDP:
		return xdp_encapsulate_as(x, &f, 0, 1);
	case CARRIER_IPV6_IP:
		return xdp_encapsulate_as(x, &f, 1, 0);
	case CARRIER_IPV6_UDP:
		return xdp_encapsulate_as(x, &f, 1, 1);
	}
	return XDP_PASS;
}

/* Whether the frame is addressed to the interface itself. A card shows XDP what
 * a switch floods as well, and then a second interface of ours in that network
 * may have the frame too. */
FORCE_INLINE bool xdp_to_host(struct xdp_md *x, void *d)
{
	const struct port *in = find_port(x->ingress_ifindex, PORT_UNDERLAY);

	return in && LOAD32(d) == in->mac_first && LOAD16(d + 4) == in->mac_last;
}

/* Whether the outer UDP checksum is right, by our own sum: nobody has looked at
 * it before. */
FORCE_INLINE bool xdp_udp_checksum_ok(struct xdp_md *x, void *d, const struct receive *r, __u32 udp_len, int v6)
{
	const __u32 addresses = v6 ? 32 : 8;
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER);
	long sum = bpf_htons(PROTO_UDP) + bpf_htons(udp_len);

	if (!LOAD16(d + l4 + 6))
		return !v6 || r->flags & RECEIVE_ZERO_CHECKSUM;
	sum = xdp_sum_bytes(x, l4 - addresses, addresses + udp_len, sum);
	return sum >= 0 && fold(sum) == 0xffff;
}

/* Whether what lies between session id and frame is a control channel's
 * (RFC 5085). */
FORCE_INLINE bool is_vccv(void *d, void *end, const struct receive *r, __u32 base)
{
	__u64 at = base + (r->cookie_len & EXTRA_MAX);

	OPAQUE(at);
	at &= INNER_OFFSET_MAX;
	return r->sublayer_len && (d + at + 1 > end || *(__u8 *)(d + at) & SUBLAYER_VCCV);
}

/* Delivers the frame at offset header of the packet that ends at offset stop. */
FORCE_INLINE int xdp_deliver(struct xdp_md *x, const struct receive *r, __u32 header, __u32 stop)
{
	__u32 circuit = r->circuit, slot = r->slot, padding = xdp_len(x) - stop;

	/* What lies behind the packet is padding of the outer Ethernet. */
	if (padding && bpf_xdp_adjust_tail(x, -(int)padding))
		return drop(slot, DROP_NO_MEMORY, XDP_DROP);
	if (bpf_xdp_adjust_head(x, header))
		return drop(slot, DROP_NO_MEMORY, XDP_DROP);
	count_decap(slot, 1, stop - header);
	return bpf_redirect(circuit, 0);
}

/* Decapsulates a packet of one family and encapsulation, constants both. */
FORCE_INLINE int xdp_decapsulate_as(struct xdp_md *x, int v6, int udp)
{
	const __u32 l4 = ETH_HEADER + (v6 ? IPV6_HEADER : IPV4_HEADER), base = base_len(v6, udp);
	void *d = DATA(x), *end = DATA_END(x);
	__u32 id, header, stop;
	const struct port *out;
	const struct receive *r;

	/* What the underlay has marked the inner frame must show (RFC 9601). No frame
	 * is shorter than what may lie between the header and it. */
	if (d + base + EXTRA_MAX > end || outer_ecn(d, v6) & ECN_ECT1)
		return XDP_PASS;
	if (udp && (LOAD16(d + l4 + UDP_HEADER) & bpf_htons(L2TP_TYPE_AND_VERSION)) != bpf_htons(L2TP_DATA_VERSION_3))
		return XDP_PASS;
	id = bpf_ntohl(LOAD32(d + base - L2TP_IP_HEADER));
	r = find_receive(id);
	if (!r || r->flags & RECEIVE_BY_TC || !is_ours(d, r, v6, udp) || refuse(d, r, v6, udp))
		return XDP_PASS;
	if (!v6 && LOAD16(d + ETH_HEADER + 6) & bpf_htons(0x3fff))
		return XDP_PASS;
	header = base + ((r->cookie_len + r->sublayer_len) & EXTRA_MAX);
	stop = stated_end(d, xdp_len(x), v6, udp);
	out = find_port(r->circuit, PORT_CIRCUIT);
	if (!out || stop < header + WIRE_MIN || stop - header > out->largest || is_vccv(d, end, r, base))
		return XDP_PASS;
	if (udp && !xdp_udp_checksum_ok(x, d, r, stop - l4, v6))
		return XDP_PASS;
	/* A flood of wrong cookies is not worth an skb for each. */
	if (!cookie_ok(d + base, r))
		return drop(r->slot, DROP_WRONG_COOKIE, XDP_DROP);
	return xdp_deliver(x, r, header, stop);
}

/* Decapsulates what is ours. */
FORCE_INLINE int xdp_decapsulate(struct xdp_md *x)
{
	void *d = DATA(x), *end = DATA_END(x);

	if (d + ETH_HEADER + IPV6_HEADER > end || !xdp_to_host(x, d))
		return XDP_PASS;
	if (LOAD16(d + 12) == bpf_htons(ETHERTYPE_IPV4) && *(__u8 *)(d + ETH_HEADER) == 0x45) {
		switch (*(__u8 *)(d + ETH_HEADER + 9)) {
		case PROTO_UDP:
			return xdp_decapsulate_as(x, 0, 1);
		case PROTO_L2TP:
			return xdp_decapsulate_as(x, 0, 0);
		}
	} else if (LOAD16(d + 12) == bpf_htons(ETHERTYPE_IPV6)) {
		switch (*(__u8 *)(d + ETH_HEADER + 6)) {
		case PROTO_UDP:
			return xdp_decapsulate_as(x, 1, 1);
		case PROTO_L2TP:
			return xdp_decapsulate_as(x, 1, 0);
		}
	}
	return XDP_PASS;
}

#endif
