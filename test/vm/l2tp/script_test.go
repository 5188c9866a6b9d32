package l2tp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/matrix"
	"longwire/test/vm"
)

// scriptFile is the original demonstration's own test.
const scriptFile = "../../l2tp-test.sh"

// TestOriginalScript runs it with every choice of ends that has one in the
// kernel: 10 checks of each outer header, none of which may be skipped. Package
// original runs the choice without, which needs no such kernel.
func TestOriginalScript(t *testing.T) {
	files := map[string]string{"/test/l2tp-test.sh": scriptFile, "/bin/map_session": mapSession}
	options := map[string]string{"both kernel": ""}
	for _, ns := range []string{"ns1", "ns2"} {
		overlay := "/test/" + ns + ".conf"
		files[overlay] = "../../l2tp-overlays/" + ns + ".conf"
		options["Longwire in "+ns] = " -f " + overlay
	}
	for _, series := range []vm.Series{vm.Linux61, vm.Linux612} {
		t.Run(series.String(), func(t *testing.T) {
			t.Parallel()
			kernel, err := vm.Fetch(t.Context(), series)
			if err != nil {
				t.Fatal(err)
			}
			guest := vm.Boot(t, lab.New(t), kernel, vm.Options{Modules: vm.L2TPModules, Files: files, Tools: []string{"tcpdump"}})
			for name, option := range options {
				for _, header := range []string{"ipv4 udp", "ipv4 ip", "ipv6 udp", "ipv6 ip"} {
					t.Run(name+" "+header, func(t *testing.T) {
						matrix.Record(t, table+": test/l2tp-test.sh", name+", "+header, kernel.String())
						family, encapsulation, _ := strings.Cut(header, " ")
						options := "-t " + family + " -e " + encapsulation + option
						if name != "Longwire in ns1" || header != "ipv6 udp" {
							allPass(t, guest, options)
							return
						}
						openChecksums(t, guest, allPass(t, guest, "-c "+options))
					})
				}
			}
		})
	}
}

// allPass runs the script in the guest for one outer header and returns what it
// says.
func allPass(t *testing.T, guest *vm.Guest, options string) string {
	t.Helper()
	out, err := guest.Run(4*time.Minute, "MAP_SESSION=/bin/map_session /test/l2tp-test.sh "+options)
	if errors.Is(err, vm.ErrHarness) {
		t.Fatal(err)
	}
	if err != nil || !strings.HasSuffix(out, "\nsummary: 10 ok, 0 FAILED, 0 skipped\n") {
		t.Errorf("error %v\n%s", err, out)
	}
	return out
}

// openChecksums shows that the kernel's packets came to Longwire with a UDP
// checksum that was only begun, since a virtual device has no use for it. All were
// delivered. out is what the script said. (Over IPv4 the kernel sends none.)
func openChecksums(t *testing.T, guest *vm.Guest, out string) {
	t.Helper()
	first, _, _ := strings.Cut(out, "\n")
	file := strings.TrimPrefix(first, "captures: ") + "/ipv6-udp-ns1-ul0.pcap"
	said, err := guest.Run(time.Minute, "tcpdump -Z root -n -vv -r "+file+" udp and src 2001:db8::2")
	if err != nil || !strings.Contains(said, "bad udp cksum") {
		t.Errorf("none of the kernel's checksums is open, error %v:\n%s", err, said)
	}
}
