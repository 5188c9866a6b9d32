package bpf

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest names the compiled programs: it is another one when they change.
func Digest() string {
	sum := sha256.Sum256(_LongwireBytes)
	return hex.EncodeToString(sum[:])
}
