/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A bound for the maximum segment size that TCP connections begin with. */
#ifndef LONGWIRE_CLAMP_H
#define LONGWIRE_CLAMP_H

#include "packet.h"

#define TCP_HEADER 20
#define TCP_SYN 0x02
#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2
/* Options before the MSS that are looked through; it is the first one nearly
 * always. */
#define TCP_OPTIONS_SEEN 8

/* Where the TCP header of a frame at offset at begins; 0 when it has none within
 * plain IP. Tells what IP and TCP headers take in headers. */
FORCE_INLINE __u32 find_tcp(struct __sk_buff *skb, __u32 at, __u32 *headers)
{
	__u16 type, fragment;
	__u8 first, protocol;

	at = skip_tags(skb, at + 12, &type);
	if (!at)
		return 0;
	if (type == bpf_htons(ETHERTYPE_IPV6)) {
		*headers = IPV6_HEADER + TCP_HEADER;
		if (bpf_skb_load_bytes(skb, at + 6, &protocol, 1) || protocol != PROTO_TCP)
			return 0;
		return at + IPV6_HEADER;
	}
	if (type != bpf_htons(ETHERTYPE_IPV4))
		return 0;
	*headers = IPV4_HEADER + TCP_HEADER;
	if (bpf_skb_load_bytes(skb, at, &first, 1) || bpf_skb_load_bytes(skb, at + 9, &protocol, 1) ||
	    bpf_skb_load_bytes(skb, at + 6, &fragment, 2))
		return 0;
	if (protocol != PROTO_TCP || fragment & bpf_htons(0x1fff))
		return 0;
	return at + (first & 15) * 4;
}

/* Lowers the MSS of a TCP SYN in the frame at offset at to what an IP packet of
 * mtu bytes carries (RFC 6691). A frame without one is left alone. */
VERIFIED_ALONE int clamp_mss(struct __sk_buff *skb, __u32 at, __u32 mtu)
{
	__u32 headers, tcp = find_tcp(skb, at, &headers), option, end;
	__u8 offset_and_flags[2], kind_and_len[2];
	__u16 mss, limit;
	int i;

	if (!tcp || mtu <= headers)
		return 0;
	if (bpf_skb_load_bytes(skb, tcp + 12, offset_and_flags, 2) || !(offset_and_flags[1] & TCP_SYN))
		return 0;
	limit = bpf_htons(mtu - headers);
	end = tcp + (offset_and_flags[0] >> 4) * 4;
	option = tcp + TCP_HEADER;
	for (i = 0; i < TCP_OPTIONS_SEEN; i++) {
		if (option + 4 > end || bpf_skb_load_bytes(skb, option, kind_and_len, 2))
			return 0;
		if (kind_and_len[0] == TCP_OPTION_END)
			return 0;
		if (kind_and_len[0] == TCP_OPTION_MSS)
			break;
		option += kind_and_len[0] == TCP_OPTION_NOP ? 1 : kind_and_len[1];
		if (kind_and_len[0] != TCP_OPTION_NOP && kind_and_len[1] < 2)
			return 0;
	}
	if (i == TCP_OPTIONS_SEEN || kind_and_len[1] != 4 || bpf_skb_load_bytes(skb, option + 2, &mss, 2))
		return 0;
	if (bpf_ntohs(mss) <= bpf_ntohs(limit))
		return 0;
	if (bpf_skb_store_bytes(skb, option + 2, &limit, 2, 0))
		return 0;
	/* At an odd offset the two bytes belong to two words of the sum, which is as
	 * if they had changed places. */
	if ((option - tcp) & 1)
		return bpf_l4_csum_replace(skb, tcp + 16, __builtin_bswap16(mss), __builtin_bswap16(limit), 2);
	return bpf_l4_csum_replace(skb, tcp + 16, mss, limit, 2);
}

#endif
