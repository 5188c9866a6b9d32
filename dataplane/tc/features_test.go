package tc

import (
	"errors"
	"testing"

	"longwire/test/lab"
)

// TestNative wants a driver that runs programs and lets them redirect.
func TestNative(t *testing.T) {
	for _, row := range []struct {
		name     string
		features xdpFeatures
		want     error
	}{
		{"no XDP", 0, errNoNative},
		{"no redirects", xdpBasic, errNoNative},
		{"no programs", xdpRedirect | xdpTransmit, errNoNative},
		{"without a program of its own", xdpBasic | xdpRedirect, nil},
		{"everything", xdpBasic | xdpRedirect | xdpTransmit | 1<<3 | 1<<5, nil},
	} {
		if got := row.features.native(); !errors.Is(got, row.want) {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

// TestFeaturesOfNobody passes on what the kernel says of an interface that is
// not there.
func TestFeaturesOfNobody(t *testing.T) {
	for _, ifindex := range []int{0, 1 << 30} {
		if f, err := featuresOf(ifindex); err == nil {
			t.Errorf("interface %d has features %#x", ifindex, f)
		}
	}
	if _, err := netdevFamily(); err != nil {
		lab.Absent(t, "xdp")
		return
	}
	if f, err := featuresOf(1); err != nil || f.native() == nil {
		t.Errorf("the loopback device has features %#x, %v", f, err)
	}
}
