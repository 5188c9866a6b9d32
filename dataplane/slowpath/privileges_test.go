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

// confined makes the test binary ask for an endpoint without CAP_NET_RAW, print
// the errors and exit.
const confined = "LONGWIRE_TEST_CONFINED"

func TestMain(m *testing.M) {
	if os.Getenv(confined) != "" {
		set, err := cap.FromText("cap_bpf,cap_net_admin,cap_perfmon=ep")
		if err == nil {
			err = set.SetProc()
		}
		if err != nil {
			fmt.Println("drop capabilities:", err)
			os.Exit(1)
		}
		s := slowpath.New(slowpath.Options{Helper: "longwire1", Log: slog.New(slog.DiscardHandler)})
		fmt.Println(s.Want(slowpath.Wanted{Endpoints: []dataplane.Endpoint{{Address: netip.MustParseAddr("192.0.2.1")}}, Rate: 1}))
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// Without CAP_NET_RAW there is one error, which says what is lost and what is
// missing.
func TestWithoutNetRaw(t *testing.T) {
	pe := lab.New(t).Namespace("pe")
	cmd := pe.Command(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), confined+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "CAP_NET_RAW") != 1 || !strings.Contains(string(out), "fragmented tunnel packets are lost") {
		t.Errorf("error %v, output %q", err, out)
	}
}
