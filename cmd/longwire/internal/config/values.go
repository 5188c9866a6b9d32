package config

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"longwire/dataplane"
)

// resolver turns raw values into valid ones and notes what is wrong.
type resolver struct{ *report }

// missing notes that a mandatory key of a mapping is absent.
func (r resolver) missing(at place, key, fix string) {
	if key = join(at.Key, key); !r.faulty(key) {
		r.add(place{at.Line, key}, "is missing", fix)
	}
}

func (r resolver) bad(s scalar, what, fix string) {
	r.add(s.place, fmt.Sprintf("%s is not %s", quote(s.text), what), fix)
}

// number parses a decimal from low to high; absent values are def.
func (r resolver) number(s scalar, low, high, def uint64) uint64 {
	if !s.present() {
		return def
	}
	n, err := strconv.ParseUint(s.text, 10, 64)
	if err != nil || n < low || n > high {
		r.bad(s, fmt.Sprintf("a number from %d to %d", low, high), "")
		return def
	}
	return n
}

// boolean accepts true and false only: yes, on and 1 mean different things to
// different YAML readers.
func (r resolver) boolean(s scalar) bool {
	switch {
	case !s.present() || s.text == "false":
		return false
	case s.text == "true":
		return true
	}
	r.bad(s, "true or false", "")
	return false
}

// choice returns one of the words, the first one when absent.
func (r resolver) choice(s scalar, words ...string) string {
	switch {
	case !s.present():
		return words[0]
	case slices.Contains(words, s.text):
		return s.text
	}
	r.bad(s, "one of "+strings.Join(words, ", "), "")
	return words[0]
}

// duration parses a Go duration from low to high.
func (r resolver) duration(s scalar, low, high, def time.Duration) time.Duration {
	if !s.present() {
		return def
	}
	d, err := time.ParseDuration(s.text)
	if err != nil {
		r.bad(s, "a duration", "write a number with its unit, such as 500ms, 5s or 2m")
		return def
	}
	if d < low || d > high {
		r.bad(s, fmt.Sprintf("from %s to %s", low, high), "")
		return def
	}
	return d
}

// address parses a unicast address without zone.
func (r resolver) address(s scalar) netip.Addr {
	if !s.present() {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s.text)
	switch {
	case err != nil:
		r.bad(s, "an IPv4 or IPv6 address", "")
	case a.Is4In6():
		r.bad(s, "a plain address", "write "+a.Unmap().String())
	case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		r.bad(s, "a unicast address", "")
	case a.Zone() != "":
		r.bad(s, "an address without zone", "use a global or unique local address")
	default:
		return a
	}
	return netip.Addr{}
}

// path parses an absolute path, def when absent.
func (r resolver) path(s scalar, def string) string {
	if !s.present() {
		return def
	}
	if !filepath.IsAbs(s.text) {
		r.bad(s, "an absolute path", "begin it with /")
		return def
	}
	return filepath.Clean(s.text)
}

// session parses an L2TPv3 session id, in decimal or with 0x.
func (r resolver) session(s scalar) dataplane.SessionID {
	if !s.present() {
		return 0
	}
	digits, base := s.text, 10
	if hexDigits, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hexDigits, 16
	}
	id, err := strconv.ParseUint(digits, base, 32)
	if err != nil || id == 0 {
		r.bad(s, "a session id from 1 to 4294967295", "session id 0 is a control message (RFC 3931 section 4.1)")
		return 0
	}
	return dataplane.SessionID(id)
}

// cookie parses 0, 8 or 16 hexadecimal digits. Errors do not repeat the value,
// which is a secret.
func (r resolver) cookie(s scalar) dataplane.Cookie {
	raw, err := hex.DecodeString(strings.TrimPrefix(s.text, "0x"))
	if err == nil {
		var c dataplane.Cookie
		if c, err = dataplane.NewCookie(raw); err == nil {
			return c
		}
	}
	r.add(s.place, "is not a cookie", "write 8 or 16 hexadecimal digits, or leave the key out for no cookie")
	return dataplane.Cookie{}
}

// maxNameLength fits the pseudowire name that the pinned maps hold.
const maxNameLength = 63

// name parses the name of a pseudowire.
func (r resolver) name(s scalar) string {
	if !s.present() {
		return ""
	}
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c)
	}
	rejected := func(c rune) bool { return !plain(c) }
	if s.text == "" || len(s.text) > maxNameLength || strings.ContainsFunc(s.text, rejected) {
		r.bad(s, "a name", fmt.Sprintf("use 1 to %d letters, digits, dots, dashes and underscores", maxNameLength))
		return ""
	}
	return s.text
}

// maxInterfaceLength is IFNAMSIZ-1.
const maxInterfaceLength = 15

// iface parses the name of a network interface that may carry our programs.
func (r resolver) iface(s scalar) string {
	if !s.present() {
		return ""
	}
	rejected := func(c rune) bool { return c <= ' ' || c == '/' || c == ':' || c == 0x7f }
	switch {
	case s.text == "" || s.text == "." || s.text == ".." || len(s.text) > maxInterfaceLength || strings.ContainsFunc(s.text, rejected):
		r.bad(s, "an interface name", fmt.Sprintf("use 1 to %d characters without spaces, slashes or colons", maxInterfaceLength))
	case s.text == "lo":
		r.add(s.place, "the loopback interface cannot be used", "name another interface")
	case strings.HasPrefix(s.text, HelperPrefix):
		r.add(s.place, fmt.Sprintf("%q belongs to the agent", s.text), "name another interface")
	default:
		return s.text
	}
	return ""
}

// HelperPrefix begins the names of the interfaces that the agent makes itself.
const HelperPrefix = "longwire"

// quote shows a value in an error, cut when it is long.
func quote(text string) string {
	const limit = 64
	if len(text) > limit {
		text = text[:limit] + "…"
	}
	return strconv.Quote(text)
}
