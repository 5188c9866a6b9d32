package reflector

import (
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	o, err := parse(strings.Fields("-router-id 192.0.2.9 -client 192.0.2.1 -client 2001:db8::2@65001 -listen 192.0.2.9 -password k -restart-time 0"))
	if err != nil {
		t.Fatal(err)
	}
	want := options{
		asn: 65000, holdTime: 90, routerID: "192.0.2.9", password: "k", port: 179, clientPort: 179,
		listen:  addresses{netip.MustParseAddr("192.0.2.9")},
		clients: clients{{address: netip.MustParseAddr("192.0.2.1")}, {netip.MustParseAddr("2001:db8::2"), 65001}},
	}
	if diff := cmp.Diff(want, o, cmp.AllowUnexported(options{}, client{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	inside, transit := o.peer(o.clients[0]), o.peer(o.clients[1])
	if !inside.GetRouteReflector().GetRouteReflectorClient() || transit.GetRouteReflector().GetRouteReflectorClient() {
		t.Error("a client of our AS is reflected to, one of another is not")
	}
	if inside.GetGracefulRestart().GetEnabled() {
		t.Error("-restart-time 0 does not switch graceful restart off")
	}
}

func TestParseErrors(t *testing.T) {
	for args, want := range map[string]string{
		"-client 192.0.2.1":                                 "-router-id",
		"-router-id 192.0.2.9":                              "-client is missing",
		"-router-id 192.0.2.9 -client nobody":               "nobody",
		"-router-id 192.0.2.9 -client 192.0.2.1@many":       "many",
		"-router-id 192.0.2.9 -listen here -client 1.2.3.4": "here",
	} {
		if err := Main(context.Background(), strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
