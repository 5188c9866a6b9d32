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

#define SUM_STEP(n)                                                            \
	if (len & (n)) {                                                       \
		__u64 at = from + (len & ~((n) * 2 - 1));                      \
		OPAQUE(at);                                                    \
		at &= FRAME_MAX;                                               \
		void *p = DATA(skb) + at;                                      \
		if (p + (n) > DATA_END(skb))                                   \
			return -1;                                             \
		s = (__u32)bpf_csum_diff(0, 0, p, (n), s);                     \
	}

/* Adds the len bytes that start at offset from, both from zero to FRAME_MAX, to
 * the sum s and returns it, or -1 when they are not there. */
VERIFIED_ALONE long sum_bytes(struct __sk_buff *skb, __u32 from, __u32 len, __u32 s)
{
	__u32 i;

	if (from > 64 || len > FRAME_MAX - 64)
		return -1;
	if (pull(skb, from + len))
		return -1;
	for (i = 0; i < SUM_BLOCKS; i++) {
		__u64 at = from + i * SUM_BLOCK;

		if ((i + 1) * SUM_BLOCK > len)
			break;
		OPAQUE(at);
		at &= FRAME_MAX;
		void *p = DATA(skb) + at;
		if (p + SUM_BLOCK > DATA_END(skb))
			return -1;
		s = (__u32)bpf_csum_diff(0, 0, p, SUM_BLOCK, s);
	}
	SUM_STEP(256)
	SUM_STEP(128)
	SUM_STEP(64)
	SUM_STEP(32)
	SUM_STEP(16)
	SUM_STEP(8)
	SUM_STEP(4)
	if (len & 3) {
		__u64 at = from + (len & ~3U), t = s;

		OPAQUE(at);
		at &= FRAME_MAX;
		void *p = DATA(skb) + at, *end = DATA_END(skb);
		if (len & 2) {
			if (p + 2 > end)
				return -1;
			t += LOAD16(p);
			p += 2;
		}
		if (len & 1) {
			if (p + 1 > end)
				return -1;
			t += *(__u8 *)p;
		}
		s = (t & 0xffffffff) + (t >> 32);
	}
	return s;
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
