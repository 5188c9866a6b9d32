package worker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"longwire/test/lab"
)

// listenBGP listens on an address of the loopback and returns a keyring of that
// socket alone.
func listenBGP(t *testing.T, address string) (net.Listener, *keyring) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	all, err := listeners()
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	return l, &keyring{sockets: slices.DeleteFunc(all, func(s listener) bool { return s.port != port })}
}

// dialFrom connects from an address of the loopback, signed with a password
// unless that is empty, and reports whether the connection was made.
func dialFrom(t *testing.T, l net.Listener, from netip.Addr, password string) (net.Conn, bool) {
	t.Helper()
	far := netip.MustParseAddrPort(l.Addr().String())
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 300 * time.Millisecond}
	if password != "" {
		d.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			k := &keyring{}
			family := uint16(unix.AF_INET)
			if far.Addr().Is6() {
				family = unix.AF_INET6
			}
			if controlErr := raw.Control(func(fd uintptr) {
				k.sockets = []listener{{int(fd), family, far.Port()}}
				err = k.set(far.Addr(), password)
			}); controlErr != nil {
				return controlErr
			}
			return err
		}
	}
	conn, err := d.Dial("tcp", far.String())
	if err != nil {
		return nil, false
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, true
}

// Only sockets that listen for TCP are found.
func TestListeners(t *testing.T) {
	four, k4 := listenBGP(t, "127.0.0.1")
	if len(k4.sockets) != 1 || k4.sockets[0].family != unix.AF_INET {
		t.Errorf("found %v", k4.sockets)
	}
	_, k6 := listenBGP(t, "::1")
	if len(k6.sockets) != 1 || k6.sockets[0].family != unix.AF_INET6 {
		t.Errorf("found %v", k6.sockets)
	}
	local, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	conn, ok := dialFrom(t, four, netip.MustParseAddr("127.0.0.2"), "")
	if !ok {
		t.Fatal("no connection")
	}
	defer conn.Close()
	all, err := listeners()
	if err != nil {
		t.Fatal(err)
	}
	want := append(k4.sockets, k6.sockets...)
	slices.SortFunc(all, func(a, b listener) int { return a.descriptor - b.descriptor })
	slices.SortFunc(want, func(a, b listener) int { return a.descriptor - b.descriptor })
	if diff := cmp.Diff(want, all, cmp.AllowUnexported(listener{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A password is asked of its neighbor alone, changes, and goes.
func TestKeyring(t *testing.T) {
	for name, addresses := range map[string][3]string{
		"IPv4": {"127.0.0.1", "127.0.0.2", "127.0.0.3"},
		"IPv6": {"::1", "::1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, k := listenBGP(t, addresses[0])
			neighbor := netip.MustParseAddr(addresses[1])
			for _, step := range []struct {
				password string
				may      []string // connect
				mayNot   []string
			}{
				{"", []string{""}, []string{"one"}},
				{"one", []string{"one"}, []string{"", "two"}},
				{"two", []string{"two"}, []string{"", "one"}},
				{"", []string{""}, []string{"two"}},
				{"", []string{""}, nil}, // there is none to take away
			} {
				if err := k.set(neighbor, step.password); err != nil {
					t.Fatal(err)
				}
				for _, password := range step.may {
					if _, ok := dialFrom(t, l, neighbor, password); !ok {
						t.Errorf("with the password %q: %q is kept out", step.password, password)
					}
				}
				for _, password := range step.mayNot {
					if _, ok := dialFrom(t, l, neighbor, password); ok {
						t.Errorf("with the password %q: %q gets in", step.password, password)
					}
				}
				if other := addresses[2]; other != "" {
					if _, ok := dialFrom(t, l, netip.MustParseAddr(other), ""); !ok {
						t.Errorf("with the password %q: another neighbor is kept out", step.password)
					}
				}
			}
		})
	}
}

// What the kernel does not take is an error; GoBGP would go on without.
func TestKeyRefused(t *testing.T) {
	l, k := listenBGP(t, "127.0.0.1")
	neighbor := netip.MustParseAddr("127.0.0.2")
	if err := k.set(neighbor, strings.Repeat("x", 81)); err == nil || !strings.Contains(err.Error(), "81 bytes, at most 80") {
		t.Errorf("error %v", err)
	}
	// Other neighbors' keys use up the memory of the socket's options.
	var err error
	for i := range 65536 {
		if err = k.set(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "s3cret"); err != nil {
			t.Logf("%d keys on one socket", i)
			break
		}
	}
	if !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), "net.core.optmem_max") {
		t.Fatalf("error %v", err)
	}
	if err := k.protect(context.Background(), neighbor, "s3cret"); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("error %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := k.set(neighbor, "s3cret"); !errors.Is(err, unix.EBADF) {
		t.Errorf("a closed socket: %v", err)
	}
}

// A connection from before the password, accepted or not, keeps its neighbor
// waiting until it is closed; others' connections and closed ones do not.
func TestProtectWaits(t *testing.T) {
	l, k := listenBGP(t, "127.0.0.1")
	neighbor, other := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	var far []net.Conn
	for _, from := range []netip.Addr{neighbor, other, neighbor} {
		conn, ok := dialFrom(t, l, from, "")
		if !ok {
			t.Fatal("no connection")
		}
		far = append(far, conn)
	}
	var near []net.Conn
	for range far {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		near = append(near, conn)
	}
	if _, ok := dialFrom(t, l, neighbor, ""); !ok { // is not accepted
		t.Fatal("no connection")
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := k.protect(short, neighbor, "s3cret")
	if err == nil || !strings.Contains(err.Error(), "do not close") || strings.Contains(err.Error(), other.String()) {
		t.Fatalf("error %v", err)
	}
	_ = far[2].Close() // the far end of an accepted one: we have not closed ours
	done := make(chan error, 1)
	go func() { done <- k.protect(context.Background(), neighbor, "s3cret") }()
	for i, end := range []func() error{near[0].Close, near[2].Close} {
		select {
		case err := <-done:
			t.Fatalf("%d connections are open, and protect says %v", 3-i, err)
		case <-time.After(50 * time.Millisecond):
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := l.Accept() // the last one
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := near[1].Write([]byte("still there")); err != nil {
		t.Errorf("another neighbor's connection: %v", err)
	}
}

// Nothing listens, nothing is waited for; and without a password nothing is.
func TestProtectNothing(t *testing.T) {
	neighbor := netip.MustParseAddr("127.0.0.2")
	if err := (&keyring{}).protect(context.Background(), neighbor, "s3cret"); err != nil {
		t.Error(err)
	}
	l, k := listenBGP(t, "127.0.0.1")
	if _, ok := dialFrom(t, l, neighbor, ""); !ok {
		t.Fatal("no connection")
	}
	if err := k.protect(context.Background(), neighbor, ""); err != nil {
		t.Error(err)
	}
}

// Where the kernel cannot be asked, protect waits a while instead.
func TestProtectWithoutMembarrier(t *testing.T) {
	_, k := listenBGP(t, "127.0.0.1")
	result := make(chan error)
	started := time.Now()
	go func() {
		result <- lab.WithoutMembarrier(func() error {
			return k.protect(context.Background(), netip.MustParseAddr("127.0.0.2"), "s3cret")
		})
	}()
	if err := <-result; err != nil || time.Since(started) < gracePeriod {
		t.Errorf("error %v after %v", err, time.Since(started))
	}
}

// The log of a worker must never have a password in it.
func TestKeyErrorsHideThePassword(t *testing.T) {
	const password = "s3cret"
	k := &keyring{sockets: []listener{{-1, unix.AF_INET, 179}}}
	if err := k.set(netip.MustParseAddr("127.0.0.2"), password); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("error %v", err)
	}
}
