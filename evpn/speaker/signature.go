package speaker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	signatureInterval = 5 * time.Second
	// signatureMemory is longer than a peer takes between attempts to connect.
	signatureMemory = time.Minute
)

// signatures counts TCP segments that the kernel has dropped, silently towards
// their sender, because of their TCP-MD5 signature (RFC 2385 section 2). It does
// so for the network namespace and does not say who sent them.
type signatures struct {
	unwanted uint64 // signed, and we have no password for the sender
	wrong    uint64 // signed with another password, or not signed
}

// signatureErrors reads the counters of the network namespace of the engine: of
// the worker, or our own, as an operator's gobgpd runs on this host.
func (e *engine) signatureErrors() (signatures, error) {
	pid := os.Getpid()
	if e.process != nil {
		pid = e.process.command.Process.Pid
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/net/netstat", pid))
	if err != nil {
		return signatures{}, fmt.Errorf("read the counters of TCP: %w", err)
	}
	defer file.Close()
	return readSignatures(file)
}

// readSignatures reads the form of /proc/net/netstat: of each protocol a line of
// names and one of values.
func readSignatures(r io.Reader) (signatures, error) {
	var names []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || words[0] != "TcpExt:":
		case names == nil:
			names = words
		default:
			return pickSignatures(names, words), nil
		}
	}
	return signatures{}, errors.Join(lines.Err(), errors.New("/proc/net/netstat has no values of TcpExt"))
}

func pickSignatures(names, values []string) signatures {
	var s signatures
	for i, name := range names[:min(len(names), len(values))] {
		n, err := strconv.ParseUint(values[i], 10, 64)
		switch {
		case err != nil: // the label in front
		case name == "TCPMD5Unexpected":
			s.unwanted = n
		case name == "TCPMD5NotFound", name == "TCPMD5Failure":
			s.wrong += n
		}
	}
	return s
}

// checkSignatures blames new errors on the neighbours whose session is not
// there, and returns the counters.
func (s *Speaker) checkSignatures(e *engine, before signatures) signatures {
	now, err := e.signatureErrors()
	if err != nil || now == before {
		return before
	}
	suspects := s.suspects(before, now)
	for _, neighbor := range suspects {
		detail := fmt.Sprintf("%d TCP segments came with a wrong TCP-MD5 signature or without one", now.wrong-before.wrong)
		if now.wrong == before.wrong {
			detail = fmt.Sprintf("%d TCP segments came with a TCP-MD5 signature, and no password is configured here", now.unwanted-before.unwanted)
		}
		if len(suspects) > 1 {
			detail += fmt.Sprintf("; which of the %d neighbors that are down sent them is not known", len(suspects))
		}
		s.fail(neighbor, failure{ReasonAuthentication, detail})
	}
	return now
}

// suspects returns the neighbours without a session whose segments may be those
// that were dropped between two readings.
func (s *Speaker) suspects(before, now signatures) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var suspects []netip.Addr
	for _, n := range s.config.Neighbors {
		h := s.historyOf(n.Address)
		if h.up || n.Password == "" && now.unwanted == before.unwanted || n.Password != "" && now.wrong == before.wrong {
			continue
		}
		h.denied = time.Now()
		suspects = append(suspects, n.Address)
	}
	return suspects
}
