package l2tp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"longwire/test/lab"
	"longwire/test/vm"
)

const (
	// underlayMTU carries frames of full size under the longest header.
	underlayMTU = 1600
	// circuitMTU lets frames through that do not fit it.
	circuitMTU = 2000
	// patience is how long anything may take on a busy machine.
	patience = 30 * time.Second
)

// world is Longwire on a PE, and the kernel's L2TP in a guest that is the far
// end of every pseudowire and the customer's host behind it:
//
//	CE eth0… ── ac0… PE ul0 ═══ eth0 guest kernel0…
type world struct {
	t      *testing.T
	lab    *lab.Lab
	ce     *lab.Namespace
	pe     *lab.PE
	guest  *vm.Guest
	agent  *lab.Agent
	port   *lab.Port // the PE's underlay
	all    []combination
	client http.Client // from the PE to the guest, outside of every pseudowire
}

func newWorld(t *testing.T, kernel vm.Kernel, all []combination) *world {
	t.Helper()
	l := lab.New(t)
	w := &world{t: t, lab: l, all: all, ce: l.Namespace("ce")}
	w.pe = &lab.PE{Namespace: l.Namespace("pe"), Source4: combination{}.source(ours), Source6: combination{v6: true}.source(ours)}
	w.guest = vm.Boot(t, l, kernel, vm.Options{
		Namespace: w.pe.Namespace, Cards: []vm.Card{{Tap: lab.Uplink, MTU: underlayMTU}},
		Modules: vm.L2TPModules, Files: map[string]string{"/bin/peer": peer},
	})
	w.pe.Address(lab.Uplink, netip.PrefixFrom(w.pe.Source4, 24).String())
	w.pe.Address(lab.Uplink, netip.PrefixFrom(w.pe.Source6, 64).String())
	w.port = w.pe.Port(lab.Uplink)
	w.client = http.Client{Timeout: patience, Transport: w.transport(w.pe.Namespace)}
	for _, c := range all {
		l.Veth(w.ce, lab.HostPort(c.number), w.pe.Namespace, lab.Circuit(c.number), circuitMTU)
		w.ce.Address(lab.HostPort(c.number), netip.PrefixFrom(lab.Host4(ours, c.number), 24).String())
		w.ce.Address(lab.HostPort(c.number), netip.PrefixFrom(lab.Host6(ours, c.number), 64).String())
		// TCP sends segments of ordinary size.
		w.ce.Run("ip", "route", "replace", lab.Host4(0, c.number).String()+"/24", "dev", lab.HostPort(c.number),
			"src", lab.Host4(ours, c.number).String(), "advmss", "1460")
	}
	w.kernelEnds()
	w.longwireEnds(w.documented())
	return w
}

// kernelEnds makes the kernel's ends, and checks the MTUs that it gives them by
// what Longwire says of its own headers.
func (w *world) kernelEnds() {
	w.t.Helper()
	lines := []string{"address add 192.0.2.2/24 dev eth0", "address add 2001:db8::2/64 dev eth0", "link set eth0 up"}
	tunnels := map[int]bool{}
	for _, c := range w.all {
		if !tunnels[c.tunnelID()] {
			tunnels[c.tunnelID()] = true
			lines = append(lines, c.addTunnel())
		}
		lines = append(lines, c.addSession())
	}
	w.batch(lines)
	mtus := w.guestMTUs()
	lines = nil
	for _, c := range w.all {
		if got, want := mtus[c.device()], c.header().MaxPayload(underlayMTU); got != want {
			w.t.Errorf("%v: the kernel's default MTU is %d, want %d", c, got, want)
		}
		lines = append(lines,
			fmt.Sprintf("link set %s mtu %d up", c.device(), circuitMTU),
			fmt.Sprintf("address add %s/24 dev %s", lab.Host4(theirs, c.number), c.device()),
			fmt.Sprintf("address add %s/64 dev %s", lab.Host6(theirs, c.number), c.device()),
			fmt.Sprintf("route replace %s/24 dev %s src %s advmss 1460", lab.Host4(0, c.number), c.device(), lab.Host4(theirs, c.number)),
		)
	}
	w.batch(lines)
	w.strangers()
	w.guest.Must("peer >/tmp/peer.log 2>&1 &")
}

// guestMTUs returns the MTUs of the guest's devices.
func (w *world) guestMTUs() map[string]int {
	w.t.Helper()
	var links []struct {
		Name string `json:"ifname"`
		MTU  int    `json:"mtu"`
	}
	if err := json.Unmarshal([]byte(w.guest.Must("ip -j link")), &links); err != nil {
		w.t.Fatal(err)
	}
	mtus := map[string]int{}
	for _, link := range links {
		mtus[link.Name] = link.MTU
	}
	return mtus
}

// strangers makes the sessions that send what is wrong. They say nothing of their
// own accord.
func (w *world) strangers() {
	w.t.Helper()
	var lines []string
	for _, c := range w.all {
		if c.kind == ordinary {
			lines = append(lines, c.addStranger(), "link set "+c.stranger()+" up")
		}
	}
	const disable = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
	w.guest.Must("echo 1 >" + disable)
	w.batch(lines)
	w.guest.Must("echo 0 >" + disable)
}

// batch gives lines to one ip(8) in the guest.
func (w *world) batch(lines []string) {
	w.t.Helper()
	w.guest.Must("ip -batch - <<'END'\n" + strings.Join(lines, "\n") + "\nEND")
}

// longwireEnds starts the agent and waits until every pseudowire is up.
func (w *world) longwireEnds(more ...lab.Pseudowire) {
	w.t.Helper()
	config := lab.Config{Pseudowires: more, Router: lab.Router{ID: w.pe.Source4, Source: []netip.Addr{w.pe.Source4, w.pe.Source6}}}
	for _, c := range w.all {
		config.Pseudowires = append(config.Pseudowires, c.config())
	}
	w.agent = (&lab.Topology{Lab: w.lab}).Agent(longwire, w.pe, config)
	w.agent.Launch()
	w.lab.Poll(patience, "pseudowires up", func() error {
		var rows []struct{ Name, State, Reason string }
		if err := w.agent.Read("pseudowires", &rows); err != nil {
			return err
		}
		for _, row := range rows {
			if row.State != "up" {
				return fmt.Errorf("%+v", row)
			}
		}
		if len(rows) != len(config.Pseudowires) {
			return fmt.Errorf("%d of %d pseudowires", len(rows), len(config.Pseudowires))
		}
		return nil
	})
}

// transport connects from a namespace.
func (w *world) transport(from *lab.Namespace) *http.Transport {
	t := &http.Transport{DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = from.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}}
	w.t.Cleanup(t.CloseIdleConnections)
	return t
}

// peerSays asks the peer in the guest something, and decodes the answer unless
// into is nil.
func (w *world) peerSays(method, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(w.t.Context(), method, "http://192.0.2.2"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// counters are those of Longwire that the tests look at.
type counters struct {
	Name       string            `json:"pseudowire"`
	Fragmented uint64            `json:"fragmented"`
	Drops      map[string]uint64 `json:"drops"`
	SlowPath   *struct {
		Delivered uint64 `json:"delivered"`
	} `json:"slow_path"`
}

// count returns the counters of a pseudowire, of nobody for "".
func (w *world) count(name string) (counters, error) {
	var rows []counters
	if err := w.agent.Read("counters", &rows); err != nil {
		return counters{}, err
	}
	for _, row := range rows {
		if row.Name == name {
			return row, nil
		}
	}
	return counters{Name: name}, nil
}

// mustCount is count for an agent that runs.
func (w *world) mustCount(t *testing.T, name string) counters {
	t.Helper()
	c, err := w.count(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
