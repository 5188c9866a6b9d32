package doctor

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"longwire/cmd/longwire/internal/config"
	"longwire/dataplane"
	"longwire/evpn/speaker"
)

// socket is a line of /proc/net/tcp and its like: a local address and port, or IP
// protocol for a raw one.
type socket struct {
	address netip.Addr // unspecified for any
	port    uint16
	state   string
	inode   string
}

// probeTime is how long an operator's gobgpd may take to answer.
const probeTime = 3 * time.Second

const (
	listening    = "0A" // TCP_LISTEN of include/net/tcp_states.h
	protocolL2TP = 115
)

// sockets reads the tables of both families.
func (h *host) sockets(kind string) []socket {
	var all []socket
	for _, table := range []string{kind, kind + "6"} {
		data, err := os.ReadFile(filepath.Join(h.proc, "net", table))
		if err != nil {
			continue // a kernel without IPv6
		}
		for line := range strings.Lines(string(data)) {
			if s, ok := parseSocket(line); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// parseSocket reads one line (proc_pid_net(5)); ok is false for a heading.
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
func parseSocket(line string) (s socket, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return s, false
	}
	address, port, _ := strings.Cut(f[1], ":")
	raw, err := hex.DecodeString(address)
	n, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil || len(raw)%4 != 0 {
		return s, false
	}
	// Each word is printed as a number of the machine.
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	s.address, ok = netip.AddrFromSlice(raw)
	s.address, s.port, s.state, s.inode = s.address.Unmap(), uint16(n), f[3], f[9]
	return s, ok
}

// holder is a process with a socket.
type holder struct {
	pid, name string
	ours      bool
}

// String returns "bird (pid 77)".
func (p holder) String() string {
	if p.pid == "" {
		return "the kernel or another namespace's process"
	}
	return fmt.Sprintf("%s (pid %s)", p.name, p.pid)
}

// holder finds who has a socket.
func (h *host) holder(inode string) holder {
	want := "socket:[" + inode + "]"
	descriptors, err := filepath.Glob(filepath.Join(h.proc, "[0-9]*/fd/*"))
	if err != nil {
		return holder{}
	}
	for _, fd := range descriptors {
		// It may have been closed since.
		if target, err := os.Readlink(fd); err != nil || target != want {
			continue
		}
		pid := filepath.Base(filepath.Dir(filepath.Dir(fd)))
		args := h.command(pid)
		p := holder{pid: pid, name: "a process"}
		if len(args) > 0 {
			p.name = filepath.Base(args[0])
		}
		p.ours = len(args) > 1 && slices.Contains([]string{"agent", "bgp-worker"}, args[1])
		if p.ours {
			p.name = "longwire " + args[1]
		}
		return p
	}
	return holder{}
}

// command returns the words of a process's command line.
func (h *host) command(pid string) []string {
	data, err := os.ReadFile(filepath.Join(h.proc, pid, "cmdline"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
}

// bgpPort looks for somebody else who listens where our worker has to.
func (h *host) bgpPort() finding {
	b := h.cfg.BGP
	switch {
	case !b.Enabled():
		return ok("no BGP is configured")
	case b.Gobgpd != "":
		return h.gobgpd()
	case b.ListenPort <= 0:
		return ok("we only connect")
	}
	for _, s := range h.sockets("tcp") {
		if s.state != listening || int32(s.port) != b.ListenPort || !clash(s.address, b.ListenAddresses) {
			continue
		}
		p := h.holder(s.inode)
		if !p.ours {
			return failed(fmt.Sprintf("port %d of %s is held by %s: end it, or choose other bgp.listen_address, or bgp.listen: none", s.port, s.address, p))
		}
		return ok("held by " + p.String())
	}
	return ok(fmt.Sprintf("port %d is free", b.ListenPort))
}

// gobgpd asks the operator's gobgpd whether the agent could use it.
func (h *host) gobgpd() finding {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	b := h.cfg.BGP
	err := h.probe(ctx, speaker.Config{Gobgpd: b.Gobgpd, ASN: h.cfg.Router.ASN, RouterID: h.cfg.Router.ID})
	if err != nil {
		return failed(fmt.Sprintf("bgp.gobgpd: %v", err))
	}
	return ok("BGP is spoken by " + b.Gobgpd)
}

// clash says whether a socket on an address has what one of ours needs.
func clash(held netip.Addr, wanted []netip.Addr) bool {
	return len(wanted) == 0 || held.IsUnspecified() || slices.ContainsFunc(wanted, func(a netip.Addr) bool { return a == held || a.IsUnspecified() })
}

// tunnelPorts looks for other users of L2TP. The programs take only packets of
// our sessions, so both can live here; but two for one port cannot, when fragments
// have to be put together by a socket.
func (h *host) tunnelPorts() finding {
	var wrong, notes []string
	told := map[string]bool{}
	others := func(kind string, port uint16, sources []netip.Addr, words string) {
		for _, s := range h.sockets(kind) {
			if s.port != port || !clash(s.address, sources) || told[s.inode] {
				continue
			}
			told[s.inode] = true
			if p := h.holder(s.inode); !p.ours {
				wrong = append(wrong, fmt.Sprintf("%s of %s is held by %s: keep its session ids in dataplane.reserved_sessions; outer fragments go to it", words, s.address, p))
			}
		}
	}
	for _, pw := range h.cfg.Pseudowires {
		if pw.Encapsulation == dataplane.EncapsulationUDP {
			others("udp", pw.Port, []netip.Addr{pw.Source}, fmt.Sprintf("UDP port %d", pw.Port))
		}
	}
	if usesIP(h.cfg) {
		others("raw", protocolL2TP, h.cfg.Router.Sources, "IP protocol 115")
		for _, module := range []string{"l2tp_ip", "l2tp_ip6"} {
			if h.module(module) {
				notes = append(notes, fmt.Sprintf("the kernel's L2TP is loaded (%s): it gets the packets of unknown sessions", module))
			}
		}
	}
	return degraded(wrong, notes...)
}

func usesIP(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Pseudowires, func(pw config.Pseudowire) bool { return pw.Encapsulation == dataplane.EncapsulationIP })
}

// module says whether a kernel module is loaded.
func (h *host) module(name string) bool {
	data, err := os.ReadFile(filepath.Join(h.proc, "modules"))
	if err != nil {
		return false // a kernel without modules
	}
	for line := range strings.Lines(string(data)) {
		if first, _, _ := strings.Cut(line, " "); first == name {
			return true
		}
	}
	return false
}
