package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A flood of clients is served, all of it.
func TestFlood(t *testing.T) {
	c, _ := serve(t, fakeBackend{})
	var wait sync.WaitGroup
	failures := make(chan error, 500)
	for range cap(failures) {
		wait.Go(func() {
			if got, err := c.Pseudowires(t.Context()); err != nil || len(got) != 1 {
				failures <- fmt.Errorf("%v, %w", got, err)
			}
		})
	}
	wait.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}

// hugeBackend answers with more than a socket holds.
type hugeBackend struct{ fakeBackend }

func (hugeBackend) Pseudowires() []Pseudowire {
	return []Pseudowire{{Name: strings.Repeat("x", 16<<20)}}
}

// A client that does not read its answer is given up, and others are served
// meanwhile.
func TestSlowReader(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	listener, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(hugeBackend{}, slog.New(slog.DiscardHandler))
	server.WriteTimeout = 4 * time.Second // a busy machine makes the answer in less
	closed := make(chan struct{})
	var once sync.Once
	server.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			once.Do(func() { close(closed) })
		}
	}
	go server.Serve(limit(listener, maxConnections))
	defer server.Close()
	slow, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := io.WriteString(slow, "GET /v1/pseudowires HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(slow).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection stays open")
	}
	if _, err := NewClient(socket).Agent(t.Context()); err != nil {
		t.Errorf("meanwhile: %v", err)
	}
}

// What is no request, too much of one, or to an unknown place is refused.
func TestNonsense(t *testing.T) {
	_, socket := serve(t, fakeBackend{})
	tests := map[string]string{
		"hello\r\n\r\n":                  "400",
		"GET /v1/agent HTTP/1.1\r\n\r\n": "400", // no Host
		"DELETE /v1/agent HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":                               "405",
		"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":                             "307",
		"GET /v1/agent HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 4*maxHeader) + "\r\n\r\n":        "431",
		"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n": "200",
	}
	for request, status := range tests {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		// The server may answer and close before it has read everything.
		_, _ = io.WriteString(conn, request)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		if !strings.Contains(line, " "+status+" ") {
			t.Errorf("%.60q is answered by %q, want %s", request, line, status)
		}
		conn.Close()
	}
}

func TestExplain(t *testing.T) {
	c := NewClient("/run/x.sock")
	tests := map[error]string{
		fs.ErrNotExist:         "no agent answers on /run/x.sock",
		fs.ErrPermission:       "permission denied on /run/x.sock: only root and the socket's group may ask",
		os.ErrDeadlineExceeded: "ask the agent on /run/x.sock: i/o timeout",
	}
	for err, want := range tests {
		if got := c.explain(fmt.Errorf("dial: %w", err)).Error(); !strings.HasPrefix(got, strings.TrimSuffix(want, "i/o timeout")) {
			t.Errorf("%v is explained as %q, want %q", err, got, want)
		}
	}
	if got := (&InvalidConfig{"line 3"}).Error(); got != "line 3" {
		t.Errorf("Error() = %q", got)
	}
}

// An answer that is no answer of an agent is an error, not an empty table.
func TestForeignServer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	answers := []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "SSH-2.0\r\n"}
	go func() {
		for _, a := range answers {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, a)
			conn.Close()
		}
	}()
	defer listener.Close()
	for i, want := range []string{"read the answer of the agent", "the agent answers 502 Bad Gateway", "ask the agent on"} {
		if got, err := NewClient(socket).Pseudowires(t.Context()); err == nil || got != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answer %d: %v, %v, want %q", i, got, err, want)
		}
	}
}

// The end of the listener ends an Accept that waits for a free connection.
func TestCloseWhileFull(t *testing.T) {
	listener, err := listen(filepath.Join(t.TempDir(), "s.sock"))
	if err != nil {
		t.Fatal(err)
	}
	l := limit(listener, 0)
	done := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		done <- err
	}()
	l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}
