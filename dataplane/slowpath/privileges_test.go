package slowpath_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"longwire/dataplane"
	"longwire/dataplane/slowpath"
	"longwire/test/lab"
)

// confined makes the test binary ask for an endpoint with the capabilities that
// it names, print the errors and exit.
const confined = "LONGWIRE_TEST_CONFINED"

func TestMain(m *testing.M) {
	if caps := os.Getenv(confined); caps != "" {
		set, err := cap.FromText(caps)
		if err == nil {
			err = set.SetProc()
		}
		if err != nil {
			fmt.Println("drop capabilities:", err)
			os.Exit(1)
		}
		s := slowpath.New(slowpath.Options{Helper: "longwire1", Log: slog.New(slog.DiscardHandler)})
		fmt.Println(s.Want(slowpath.Wanted{Endpoints: []dataplane.Endpoint{{Address: netip.MustParseAddr("192.0.2.1"), Port: 701}}, Rate: 1}))
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// What capabilities forbid is one error, which says what is missing.
func TestMissingCapabilities(t *testing.T) {
	for _, tt := range []struct{ have, missing string }{
		{"cap_net_admin,cap_net_bind_service=ep", "fragmented tunnel packets are lost: open a packet socket: operation not permitted (CAP_NET_RAW is needed)"},
		{"cap_net_admin,cap_net_raw=ep", "192.0.2.1 port 701: bind it: permission denied (CAP_NET_BIND_SERVICE is needed)"},
		{"cap_net_admin,cap_net_raw,cap_net_bind_service=ep", ""},
	} {
		t.Run(tt.have, func(t *testing.T) {
			pe := lab.New(t).Namespace("pe")
			cmd := pe.Command(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), confined+"="+tt.have)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Count(string(out), "needed") > 1 || !strings.Contains(string(out), tt.missing) || tt.missing == "" && string(out) != "[]\n" {
				t.Errorf("error %v, output %q", err, out)
			}
		})
	}
}
