package agent

import (
	"slices"
	"sync"
)

// fakeXDP has native XDP on some interfaces, and says why others do without.
type fakeXDP struct {
	native  []int
	asked   int // times that NativeXDP was called
	mu      sync.Mutex
	without map[int]error
}

func (x *fakeXDP) NativeXDP(ifindex int) bool {
	x.asked++
	return slices.Contains(x.native, ifindex)
}

func (x *fakeXDP) WithoutXDP() map[int]error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.without
}

func (x *fakeXDP) setWithout(reasons map[int]error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.without = reasons
}
