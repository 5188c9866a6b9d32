package agent

import (
	"fmt"
	"strings"

	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// needed are the capabilities without which nothing works. CAP_PERFMON is for
// packet offsets that the programs know only at run time: the verifier refuses
// them otherwise. Mounting a bpffs needs CAP_SYS_ADMIN too, and listening on
// port 179 CAP_NET_BIND_SERVICE; both are asked for where they are missed. Without
// CAP_NET_RAW there is no slow path, which is a problem and no reason to end.
var needed = []cap.Value{cap.NET_ADMIN, cap.BPF, cap.PERFMON}

// CheckCapabilities says in one sentence which capabilities this process lacks to be
// an agent.
func CheckCapabilities() error { return checkCapabilities(cap.GetProc()) }

// checkCapabilities says in one sentence which capabilities are missing. To the
// kernel CAP_SYS_ADMIN is CAP_BPF and CAP_PERFMON as well (capabilities(7)), which
// is all that a container may have been given.
func checkCapabilities(have *cap.Set) error {
	holds := func(c cap.Value) bool {
		ok, err := have.GetFlag(cap.Effective, c)
		return err == nil && ok
	}
	var missing []string
	for _, c := range needed {
		if !holds(c) && (c == cap.NET_ADMIN || !holds(cap.SYS_ADMIN)) {
			missing = append(missing, strings.ToUpper(c.String()))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s missing: run longwire as root, or give its service AmbientCapabilities=%s",
		strings.Join(missing, " and "), strings.Join(missing, " "))
}
