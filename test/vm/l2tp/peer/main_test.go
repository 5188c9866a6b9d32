package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSum(t *testing.T) {
	w := httptest.NewRecorder()
	sum(w, httptest.NewRequest(http.MethodPost, "/sum", strings.NewReader("abc")))
	// FIPS 180-4, the example of one block.
	if want := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; w.Body.String() != want {
		t.Errorf("sum %s, want %s", w.Body, want)
	}
}

func TestRandom(t *testing.T) {
	for _, tt := range []struct {
		size string
		code int
	}{{"0", 200}, {"100000", 200}, {"-1", 400}, {"many", 400}, {"67108865", 400}, {"", 400}} {
		w := httptest.NewRecorder()
		random(w, httptest.NewRequest(http.MethodGet, "/random?size="+tt.size, nil))
		if w.Code != tt.code {
			t.Errorf("size %q: status %d, want %d", tt.size, w.Code, tt.code)
		}
		if w.Code != http.StatusOK {
			continue
		}
		of := sha256.Sum256(w.Body.Bytes())
		if w.Header().Get("Content-Length") != tt.size || w.Header().Get("Sum") != hex.EncodeToString(of[:]) {
			t.Errorf("size %q: %d bytes, headers %v", tt.size, w.Body.Len(), w.Header())
		}
	}
}

// attribute is one of netlink's: length, type, value, padding to four bytes.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func count(kind uint16, n uint64) []byte {
	return attribute(kind, binary.NativeEndian.AppendUint64(nil, n))
}

func TestParseSession(t *testing.T) {
	var stats, message []byte
	for i, kind := range []uint16{statRxPackets, statRxSeqDiscards, statRxCookieDiscards, statRxInvalid, statRxErrors, 99} {
		stats = append(stats, count(kind, uint64(i+1))...)
	}
	message = append(message, attribute(8, []byte("l2tpeth0\x00"))...)
	message = append(message, attribute(attrSessionID, binary.NativeEndian.AppendUint32(nil, 1012))...)
	message = append(message, attribute(attrStats|0x8000, stats)...) // nested
	got, err := parseSession(message)
	want := Session{ID: 1012, Received: 1, SeqDiscards: 2, CookieDiscards: 3, Invalid: 4, Errors: 5}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v\n%s", err, diff)
	}
	if _, err := parseSession(message[:len(message)-3]); err == nil {
		t.Error("a message that was cut is taken")
	}
}
