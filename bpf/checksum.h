/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Checksums over packets whose length is known only at run time. */
#ifndef LONGWIRE_CHECKSUM_H
#define LONGWIRE_CHECKSUM_H

#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include "packet.h"

/* Whether the kernel lets us read the skb itself (6.2). Without it the frames
 * that we have to sum all take the helper pair, which fills their checksums in.
 * Set before the program is loaded. */
const volatile bool kernel_context = true;

/* The few fields of struct sk_buff that no helper shows. */
struct sk_buff___longwire {
	__u8 ip_summed : 2;
	__u16 csum_start;
	__u16 csum_offset;
	unsigned char *head;
	unsigned char *data;
} __attribute__((preserve_access_index));

/* Weak: without it the programs load all the same, if they are told so. */
extern void *bpf_cast_to_kern_ctx(void *) __attribute__((section(".ksyms"), weak));

/* Older kernels sum at most 512 bytes in one call. */
#define SUM_BLOCK 512
#define SUM_BLOCKS (FRAME_MAX / SUM_BLOCK)

/* A call costs more than these many bytes summed in place. */
#define SUM_LINE 64

/* Sums n lines in one call. The length must be a constant, so each has a case of
 * its own. */
#define SUM_LINES(n)                                                           \
	case n:                                                                \
		if (p + (n) * SUM_LINE > end)                                  \
			return -1;                                             \
		s = (__u32)bpf_csum_diff(0, 0, p, (n) * SUM_LINE, s);          \
		break;

/* Sums n bytes in place when that bit is set in the length that is left. */
#define SUM_WORDS(n)                                                           \
	if (rest & (n)) {                                                      \
		if (p + (n) > end)                                             \
			return -1;                                             \
		_Pragma("unroll") for (i = 0; i < (n); i += 4)                 \
			t += LOAD32(p + i);                                    \
		p += (n);                                                      \
	}

/* Adds len bytes of the packet between data and end to the sum s and returns it,
 * or -1 when they are not there. They start at offset from; both are from zero to
 * FRAME_MAX. Blocks and lines are summed by the kernel, the rest and short frames
 * in place. */
FORCE_INLINE long sum_span(void *data, void *end, __u32 from, __u32 len, __u32 s)
{
	__u32 lines = len % SUM_BLOCK / SUM_LINE, rest = len % SUM_LINE, i;
	__u64 at, t;
	void *p;

	if (from > 64 || len > FRAME_MAX - 64)
		return -1;
	for (i = 0; i < SUM_BLOCKS; i++) {
		at = from + i * SUM_BLOCK;
		if ((i + 1) * SUM_BLOCK > len)
			break;
		OPAQUE(at);
		at &= FRAME_MAX;
		p = data + at;
		if (p + SUM_BLOCK > end)
			return -1;
		s = (__u32)bpf_csum_diff(0, 0, p, SUM_BLOCK, s);
	}
	at = from + i * SUM_BLOCK;
	OPAQUE(at);
	at &= FRAME_MAX;
	p = data + at;
	switch (lines) {
	case 1:
		rest += SUM_LINE;
		break;
	SUM_LINES(2)
	SUM_LINES(3)
	SUM_LINES(4)
	SUM_LINES(5)
	SUM_LINES(6)
	SUM_LINES(7)
	}
	at = from + len - rest;
	OPAQUE(at);
	at &= FRAME_MAX;
	p = data + at;
	t = s;
	SUM_WORDS(64)
	SUM_WORDS(32)
	SUM_WORDS(16)
	SUM_WORDS(8)
	SUM_WORDS(4)
	if (rest & 2) {
		if (p + 2 > end)
			return -1;
		t += LOAD16(p);
		p += 2;
	}
	if (rest & 1) {
		if (p + 1 > end)
			return -1;
		t += *(__u8 *)p;
	}
	t = (t & 0xffffffff) + (t >> 32);
	return (t & 0xffffffff) + (t >> 32);
}

/* sum_span of an skb, whose bytes need not be in reach yet. */
VERIFIED_ALONE long sum_bytes(struct __sk_buff *skb, __u32 from, __u32 len, __u32 s)
{
	if (len > FRAME_MAX || pull(skb, from + len))
		return -1;
	return sum_span(DATA(skb), DATA_END(skb), from, len, s);
}

/* sum_span of what a network card has received. */
VERIFIED_ALONE long xdp_sum_bytes(struct xdp_md *x, __u32 from, __u32 len, __u32 s)
{
	return sum_span(DATA(x), DATA_END(x), from, len, s);
}

/* skb->ip_summed, or CHECKSUM_NONE where it cannot be read. */
FORCE_INLINE int checksum_state(struct __sk_buff *skb)
{
	if (!kernel_context)
		return CHECKSUM_NONE;
	struct sk_buff___longwire *k = bpf_cast_to_kern_ctx(skb);
	return BPF_CORE_READ_BITFIELD(k, ip_summed);
}

/* What the whole frame will sum to once its partial checksum is filled in: from
 * there to the end it is the complement of the seed that lies in the field (local
 * checksum offload). -1 when the headers are out of reach. */
FORCE_INLINE long sum_partial(struct __sk_buff *skb)
{
	struct sk_buff___longwire *k = bpf_cast_to_kern_ctx(skb);
	__u32 start = k->csum_start - (__u32)(k->data - k->head);
	__u64 field = (__u64)start + k->csum_offset;
	long sum;

	/* The sum up to start is a sum of 16-bit words only if start is even. */
	if (start & 1)
		return -1;
	sum = sum_bytes(skb, 0, start, 0);
	if (sum < 0)
		return -1;
	field &= FRAME_MAX;
	OPAQUE(field);
	void *p = DATA(skb) + field;
	if (p + 2 > DATA_END(skb))
		return -1;
	return fold(sum + (__u16)~LOAD16(p));
}

/* The sum of the whole frame, whether its own checksum is filled in or not; -1
 * when it cannot be summed. */
VERIFIED_ALONE long sum_frame(struct __sk_buff *skb)
{
	if (checksum_state(skb) == CHECKSUM_PARTIAL)
		return sum_partial(skb);
	return sum_bytes(skb, 0, skb->len, 0);
}

#endif
