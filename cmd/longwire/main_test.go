package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longwire/cmd/longwire/internal/api"
	"longwire/cmd/longwire/internal/config"
)

// call runs one command line.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pe1.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const staticFile = `router: {source: 192.0.2.1}
pseudowires:
- {name: a, interface: eth2, static: {remote: 192.0.2.9, local_session: 1, remote_session: 2}}
`

func TestExitCodes(t *testing.T) {
	good := writeFile(t, staticFile)
	bad := writeFile(t, staticFile+"nonsense: 1\n")
	none := filepath.Join(t.TempDir(), "none.sock")
	tests := []struct {
		args           []string
		code           int
		stdout, stderr string // parts
	}{
		{nil, 0, "Available Commands", ""},
		{[]string{"help"}, 0, "uninstall", ""},
		{[]string{"version"}, 0, "longwire ", ""},
		{[]string{"nonsense"}, 2, "", `unknown command "nonsense"`},
		{[]string{"version", "now"}, 2, "", "see longwire help"},
		{[]string{"agent", "--nonsense"}, 2, "", "unknown flag: --nonsense"},
		{[]string{"agent", "--log", "loud"}, 2, "", "--log"},
		{[]string{"agent", "-c", bad}, 2, "", bad + `:4: nonsense: unknown key "nonsense"`},
		{[]string{"agent", "-c", "/nonexistent.yaml"}, 2, "", "/nonexistent.yaml: cannot open it"},
		{[]string{"config", "check", good}, 0, "ok, 1 pseudowires, 0 BGP neighbors", ""},
		{[]string{"config", "check", bad}, 2, "", bad + `:4: nonsense: unknown key "nonsense"`},
		{[]string{"config", "check", "/nonexistent.yaml"}, 2, "", "no such file"},
		{[]string{"config", "check", good, bad}, 2, "", "accepts at most 1 arg"},
		{[]string{"config", "example"}, 0, "pseudowires:", ""},
		{[]string{"show"}, 0, "pseudowires", ""},
		{[]string{"doctor", "-o", "xml"}, 2, "", `-o "xml": choose table or json`},
		{[]string{"doctor", "now"}, 2, "", "unknown command"},
		{[]string{"show", "nonsense"}, 2, "", "unknown command"},
		{[]string{"show", "pseudowires", "-o", "xml"}, 2, "", `-o "xml": choose table or json`},
		{[]string{"show", "pseudowires", "--socket", none}, 1, "", "no agent answers on " + none},
		{[]string{"show", "pseudowires", "--help"}, 0, "mtu_mismatch", ""},
		{[]string{"reload", "--socket", none}, 1, "", "no agent answers on " + none},
		{[]string{"show", "pseudowires", "a", "--socket", none}, 1, "", "no agent answers on " + none},
		{[]string{"rotate-cookie", "--socket", none}, 2, "", "name pseudowires, or give --all"},
		{[]string{"rotate-cookie", "a", "--all", "--socket", none}, 2, "", "name pseudowires, or give --all"},
		{[]string{"rotate-cookie", "a", "--socket", none}, 1, "", "no agent answers on " + none},
		{[]string{"uninstall", "-c", bad}, 2, "", "unknown key"},
		{[]string{"uninstall", "-c", "/nonexistent.yaml"}, 2, "", "no such file"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			code, stdout, stderr := call(t, tt.args...)
			if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, tt.code, stdout, stderr)
			}
			if code != 0 && stdout != "" {
				t.Errorf("a failure prints on stdout: %s", stdout)
			}
		})
	}
}

func TestHelpHidesTheWorker(t *testing.T) {
	if _, stdout, _ := call(t, "help"); strings.Contains(stdout, "bgp-worker") {
		t.Errorf("help shows it:\n%s", stdout)
	}
}

// The printed example is a file that config check accepts, once its key is
// there.
func TestExampleIsValid(t *testing.T) {
	_, example, _ := call(t, "config", "example")
	key := filepath.Join(t.TempDir(), "rr.key")
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, strings.ReplaceAll(example, "/etc/longwire/rr.key", key))
	if code, _, stderr := call(t, "config", "check", file); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// backend answers every question with one thing.
type backend struct{ reload, rotate error }

func (backend) Agent() api.Agent { return api.Agent{Version: "v1", Problems: []string{"a problem"}} }
func (backend) Pseudowires() []api.Pseudowire {
	return []api.Pseudowire{{Name: "customer-a", State: "up", Since: time.Now()}}
}
func (backend) Sessions(cookies bool) ([]api.Session, error) {
	s := api.Session{Pseudowire: "customer-a", Direction: "transmit", Session: 7, CookieLength: 4}
	if cookies {
		s.Cookie = "deadbeef"
	}
	return []api.Session{s}, nil
}
func (backend) Neighbors() []api.Neighbor {
	return []api.Neighbor{{Address: "192.0.2.254", State: "established"}}
}
func (backend) Routes() []api.Route {
	return []api.Route{{Service: 102, RD: "192.0.2.9:1", Verdict: api.RouteSelected}}
}
func (backend) Counters() ([]api.Counters, error) {
	return []api.Counters{{Pseudowire: "customer-a", EncapPackets: 4711}}, nil
}
func (b backend) Reload(context.Context) error { return b.reload }
func (b backend) RotateCookies(_ context.Context, names []string, all bool) ([]string, error) {
	if all {
		names = []string{"customer-a", "customer-b"}
	}
	return names, b.rotate
}

// serve answers on a socket until the test ends.
func serve(t *testing.T, b backend) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s.sock")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, socket, b, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return socket
		}
	}
	t.Fatal("nobody listens")
	return ""
}

func TestShow(t *testing.T) {
	socket := serve(t, backend{})
	for verb, want := range map[string]string{
		"pseudowires": "customer-a", "pw": "customer-a", "sessions": "4-bytes", "neighbors": "established",
		"routes": "192.0.2.9:1", "counters": "4711", "agent": "a problem",
	} {
		for _, format := range []string{"table", "json"} {
			code, stdout, stderr := call(t, "show", verb, "--socket", socket, "-o", format)
			if format == "json" && verb == "sessions" {
				want = `"cookie_length": 4`
			}
			if code != 0 || !strings.Contains(stdout, want) || strings.Contains(stdout, "deadbeef") {
				t.Errorf("show %s -o %s: exit code %d, %s\n%s", verb, format, code, stderr, stdout)
			}
		}
	}
	if _, stdout, _ := call(t, "show", "sessions", "--socket", socket, "--cookies"); !strings.Contains(stdout, "deadbeef") {
		t.Errorf("show sessions --cookies:\n%s", stdout)
	}
}

func TestReload(t *testing.T) {
	tests := []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, 0, ""},
		{&api.InvalidConfig{Message: "pe1.yaml:3: x: is wrong"}, 2, "longwire: pe1.yaml:3: x: is wrong"},
		{errors.New("too late"), 1, "longwire: too late"},
	}
	for _, tt := range tests {
		code, _, stderr := call(t, "reload", "--socket", serve(t, backend{reload: tt.err}))
		if code != tt.code || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("reload that gives %v: exit code %d, %s", tt.err, code, stderr)
		}
	}
}

func TestShowOnePseudowire(t *testing.T) {
	socket := serve(t, backend{})
	code, stdout, _ := call(t, "show", "pseudowires", "customer-a", "--socket", socket)
	if code != 0 || !strings.Contains(stdout, "needed-mtu-1500") || !strings.Contains(stdout, "customer-a") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
	code, stdout, _ = call(t, "show", "pw", "customer-a", "customer-a", "-o", "json", "--socket", socket)
	if code != 0 || strings.Count(stdout, `"name": "customer-a"`) != 2 {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
	code, stdout, stderr := call(t, "show", "pw", "customer-a", "nobody", "--socket", socket)
	if code != 1 || stdout != "" || !strings.Contains(stderr, "there is no pseudowire nobody") {
		t.Errorf("exit code %d, %s:\n%s", code, stderr, stdout)
	}
}

func TestRotateCookie(t *testing.T) {
	tests := []struct {
		args           []string
		err            error
		code           int
		stdout, stderr string
	}{
		{[]string{"customer-a"}, nil, 0, "customer-a: new cookie\n", ""},
		{[]string{"--all"}, nil, 0, "customer-a: new cookie\ncustomer-b: new cookie\n", ""},
		{[]string{"x"}, &api.Refused{Message: "there is no pseudowire x"}, 1, "", "longwire: there is no pseudowire x"},
		{[]string{"x"}, errors.New("broken"), 1, "", "longwire: broken"},
	}
	for _, tt := range tests {
		code, stdout, stderr := call(t, append([]string{"rotate-cookie", "--socket", serve(t, backend{rotate: tt.err})}, tt.args...)...)
		if code != tt.code || stdout != tt.stdout || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("rotate-cookie %v that gives %v: exit code %d\n%s%s", tt.args, tt.err, code, stdout, stderr)
		}
	}
}

func TestStateOf(t *testing.T) {
	own := writeFile(t, staticFile+"state: {runtime: /run/other}\n")
	if state, err := stateOf(own, true); err != nil || state.Runtime != "/run/other" {
		t.Errorf("of a file: %+v, %v", state, err)
	}
	if state, err := stateOf("/nonexistent.yaml", false); err != nil || state != config.DefaultState() {
		t.Errorf("without a file: %+v, %v", state, err)
	}
	if _, err := stateOf("/nonexistent.yaml", true); err == nil {
		t.Error("of a file that is named and not there: no error")
	}
}
