package speaker_test

import (
	"testing"
	"time"
	"fmt"

	"longwire/evpn"
	"longwire/evpn/speaker"
)

func TestScaleTmp(t *testing.T) {
	nodes := newLAN(t, 2)
	var ads []evpn.Advertisement
	for i := range 10000 { ads = append(ads, nodes[0].advertisement(evpn.ServiceID(1000+i))) }
	start := time.Now()
	a := startPE(t, nodes[0], speaker.Config{Neighbors: []speaker.Neighbor{{Address: nodes[1].four, ASN: 65000}}}, ads...)
	b := startPE(t, nodes[1], speaker.Config{Neighbors: []speaker.Neighbor{{Address: nodes[0].four, ASN: 65000, Passive: true}}}, nodes[1].advertisement(102))
	a.waitEvent(t, 0, speaker.EngineUp)
	t.Log("engine up", time.Since(start))
	b.waitEvent(t, 0, speaker.PeerUp)
	up := time.Now()
	wait := func(n int) { t.Helper(); within(t, 60*time.Second, "routes", func() error { f:=0; for _, r := range b.routes() { if !r.Stale() {f++} }; if f != n { return fmt.Errorf("%d", f) }; return nil }) }
	wait(10000)
	t.Log("10000 routes", time.Since(up))
	s := time.Now()
	a.Announce(ads[:5000])
	wait(5000)
	t.Log("5000 withdrawn", time.Since(s))
	s = time.Now()
	a.Announce(ads)
	wait(10000)
	t.Log("5000 back", time.Since(s))
	mark := b.mark()
	killWorker(t, b)
	s = time.Now()
	b.waitEvent(t, mark, speaker.EndOfRIB)
	t.Log("b restarted, EOR", time.Since(s), len(b.routes()))
	wait(10000)
	if n := b.count(0, speaker.RouteWithdraw); n != 5000 { t.Error(n) }
	mark = b.mark()
	killWorker(t, a)
	s = time.Now()
	b.waitEvent(t, mark, speaker.EndOfRIB)
	t.Log("a restarted, EOR", time.Since(s), len(b.routes()))
	wait(10000)
	if n := b.count(0, speaker.RouteWithdraw); n != 5000 { t.Error(n) }
}
