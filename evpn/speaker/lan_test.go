package speaker_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// node is a network namespace with an address of each family on a common LAN.
type node struct {
	namespace string
	four, six netip.Addr
}

// newLAN makes n nodes on a bridge of their own and removes them with the test.
func newLAN(t *testing.T, n int) []node {
	t.Helper()
	id := "lws" + strings.ToLower(rand.Text()[:8])
	lan := id + "-lan"
	var batch strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&batch, format+"\n", args...) }
	add("netns add %s", lan)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", lan).Run() })
	var nodes []node
	for i := 1; i <= n; i++ {
		nd := node{
			namespace: fmt.Sprintf("%s-%d", id, i),
			four:      netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
			six:       netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)}),
		}
		nodes = append(nodes, nd)
		add("netns add %s", nd.namespace)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", nd.namespace).Run() })
	}
	ip(t, batch.String(), "-batch", "-")
	batch.Reset()
	add("link add br0 type bridge")
	add("link set br0 up")
	for i, nd := range nodes {
		add("link add port%d type veth peer name eth0 netns %s", i, nd.namespace)
		add("link set port%d master br0 up", i)
	}
	ip(t, batch.String(), "-n", lan, "-batch", "-")
	for _, nd := range nodes {
		ip(t, fmt.Sprintf("link set lo up\nlink set eth0 up\naddr add %s/24 dev eth0\naddr add %s/64 dev eth0 nodad\n", nd.four, nd.six),
			"-n", nd.namespace, "-batch", "-")
	}
	return nodes
}

func ip(t *testing.T, stdin string, args ...string) {
	t.Helper()
	command := exec.Command("ip", args...)
	command.Stdin = strings.NewReader(stdin)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s%s", strings.Join(args, " "), err, stdin, out)
	}
}

// inside runs f on a thread in the namespace of n; sockets and processes that f
// makes stay there. The thread ends with f.
func (n node) inside(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is spoilt
		fd, err := unix.Open("/run/netns/"+n.namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			result <- err
			return
		}
		err = unix.Setns(fd, unix.CLONE_NEWNET)
		_ = unix.Close(fd)
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return result
}

// dial connects from n to a TCP address.
func (n node) dial(t *testing.T, to netip.Addr, port uint16) net.Conn {
	t.Helper()
	var conn net.Conn
	eventually(t, fmt.Sprintf("connecting to %v", to), func() error {
		return <-n.inside(func() (err error) {
			conn, err = net.DialTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(n.four, 0)), net.TCPAddrFromAddrPort(netip.AddrPortFrom(to, port)))
			return err
		})
	})
	return conn
}

// command makes a command of this test binary that runs inside n.
func (n node) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=/run/netns/" + n.namespace, self()}, args...)...)
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// startReflector runs a route reflector inside n until stop is called, which
// kills it.
func (n node) startReflector(t *testing.T, args ...string) (stop func()) {
	t.Helper()
	command := n.command(append([]string{"rr", "-router-id", n.four.String()}, args...)...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	t.Cleanup(stop)
	if b := make([]byte, 6); true {
		if _, err := io.ReadFull(out, b); err != nil || string(b) != "ready\n" {
			stop()
			t.Fatalf("the reflector says %q, %v: %s", b, err, stderr.String())
		}
	}
	return stop
}
