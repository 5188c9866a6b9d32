/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Sessions and circuits by their keys, without a function call where it can be.
 *
 * The hashes are what counts: one update of theirs is atomic. But each lookup is
 * four calls, most of what a small packet costs, while an array's is a few
 * instructions in place. So copies of their values lie in arrays, at the low bits
 * of the key. A copy is trusted if it has the whole key, and it never changes
 * under a reader: its writer clears the key first, changes the hash, waits until
 * no program runs that may have seen the key, and only then writes a new copy. */
#ifndef LONGWIRE_FIND_H
#define LONGWIRE_FIND_H

#include "packet.h"

/* One less than the copies that there are, which are a power of two. Set before
 * the program is loaded. */
const volatile __u32 copies_mask = COPIES - 1;

/* The session with an id of ours, or null. */
FORCE_INLINE const struct receive *find_receive(__u32 id)
{
	__u32 at = id & copies_mask;
	const struct receive_copy *c = bpf_map_lookup_elem(&receive_copies, &at);

	if (c && *(volatile __u32 *)&c->key == id)
		return &c->value;
	return bpf_map_lookup_elem(&receives, &id);
}

/* The circuit with a key, or null. */
FORCE_INLINE const struct transmit *find_transmit(__u32 key)
{
	__u32 at = key & copies_mask;
	const struct transmit_copy *c = bpf_map_lookup_elem(&transmit_copies, &at);

	if (c && *(volatile __u32 *)&c->key == key)
		return &c->value;
	return bpf_map_lookup_elem(&transmits, &key);
}

#endif
