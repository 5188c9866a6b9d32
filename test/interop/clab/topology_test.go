package clab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
)

// stateTime is how long a pseudowire may take to come to a state, BGP included.
const stateTime = 60 * time.Second

// topology is a deployed topology of test/clab.
type topology struct {
	*engine
	name string
}

// deploy lets containerlab deploy a topology, from a copy of what users have.
func (e *engine) deploy(name string) (*topology, error) {
	if err := os.CopyFS(e.Path("users/"+name), os.DirFS(filepath.Join(users, name))); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(users, name+".clab.yml"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(e.Path("users/"+name+".clab.yml"), text, 0o644); err != nil {
		return nil, err
	}
	tp := &topology{engine: e, name: name}
	return tp, tp.containerlab("deploy")
}

// containerlab runs a verb of containerlab on the topology.
func (tp *topology) containerlab(verb string, flags ...string) error {
	argv := []string{"env", "--chdir", tp.Path("users"), containerlab.path, verb, "--topo", tp.name + ".clab.yml"}
	_, err := tp.try(append(argv, flags...)...)
	return err
}

// container returns the name of a node's container.
func (tp *topology) container(node string) string { return "clab-" + tp.name + "-" + node }

// in runs a command in a node and returns its standard output.
func (tp *topology) in(node string, argv ...string) (string, error) {
	return tp.try(append([]string{"docker", "exec", tp.container(node)}, argv...)...)
}

// must is in for commands that have to succeed.
func (tp *topology) must(t *testing.T, node string, argv ...string) string {
	t.Helper()
	out, err := tp.in(node, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pseudowire is what a user sees of one in "longwire show pseudowires".
type pseudowire struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// await waits until a PE shows exactly these pseudowires.
func (tp *topology) await(t *testing.T, pe string, want ...pseudowire) {
	t.Helper()
	err := lab.Await(stateTime, func() error {
		out, err := tp.in(pe, "longwire", "show", "pseudowires", "-o", "json")
		if err != nil {
			return err
		}
		var got []pseudowire
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			return err
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("pseudowires of %s are not %v within %v: %v", pe, want, stateTime, err)
	}
}

// ping wants every one of ten echo requests answered; size is the IP packet's, in
// bytes, which must not be fragmented on the customer's side.
func (tp *topology) ping(t *testing.T, node, to string, size int) {
	t.Helper()
	const headers = 28 // of IPv4 and ICMP
	out, err := tp.in(node, "ping", "-n", "-q", "-c", "10", "-i", "0.05", "-W", "1", "-M", "do",
		"-s", strconv.Itoa(size-headers), to)
	if err == nil {
		err = complete(out)
	}
	if err != nil {
		t.Errorf("%s, %d bytes: %v", node, size, err)
	}
}

// pinged is what ping sums up at its end.
var pinged = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// complete wants ping's summary to say that it sent something and lost nothing.
func complete(summary string) error {
	m := pinged.FindStringSubmatch(summary)
	if m == nil || m[1] == "0" || m[1] != m[2] {
		return fmt.Errorf("not every echo request was answered: %s", strings.TrimSpace(summary))
	}
	return nil
}

// stream is a ping that goes on until it is stopped.
type stream struct {
	tp   *topology
	node string
	cmd  *exec.Cmd
	out  *strings.Builder
}

// stream starts a hundred echo requests per second.
func (tp *topology) stream(t *testing.T, node, to string) *stream {
	t.Helper()
	s := &stream{tp: tp, node: node, out: &strings.Builder{}}
	s.cmd = tp.command(t.Context(), "docker", "exec", tp.container(node), "ping", "-n", "-q", "-i", "0.01", to)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := lab.Await(stateTime, func() error {
		_, err := tp.in(node, "pidof", "ping")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stop ends the stream and wants nothing lost of it.
func (s *stream) stop(t *testing.T) {
	t.Helper()
	s.tp.must(t, s.node, "sh", "-c", "kill -INT $(pidof ping)")
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("ping: %v: %s", err, s.out)
	}
	if err := complete(s.out.String()); err != nil {
		t.Error(err)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		summary string
		fine    bool
	}{
		{"10 packets transmitted, 10 received, 0% packet loss, time 452ms", true},
		{"10 packets transmitted, 9 received, 10% packet loss, time 452ms", false},
		{"0 packets transmitted, 0 received, 0% packet loss", false},
		{"10 packets transmitted, 10 received, +1 duplicates, 0% packet loss", true},
		{"connect: Network is unreachable", false},
	} {
		if err := complete(tt.summary); (err == nil) != tt.fine {
			t.Errorf("%q: %v", tt.summary, err)
		}
	}
}
