// Package metrics shows the agent to Prometheus, by one collector that reads
// what the control interface reads.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"longwire/cmd/longwire/internal/api"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("longwire_"+name, help, labels, nil)
}

var (
	buildInfo      = desc("build_info", "Always 1; the version is a label.", "version")
	problems       = desc("problems", "Problems that belong to no single pseudowire.")
	holding        = desc("holding", "1 while learned sessions are kept after a restart until the routes are complete.")
	repairs        = desc("repairs_total", "Changes of other programs to our kernel state that were undone.")
	selfTest       = desc("selftest_degraded", "1 if the self-test found the feature absent or wrong and chose a safe mode, 0 if it is right; absent if it was not looked at.", "check")
	pseudowireUp   = desc("pseudowire_up", "1 if the pseudowire forwards: it is up or stale.", "pseudowire", "interface")
	pseudowireInfo = desc("pseudowire_info", "Always 1; the state and its reason are labels.", "pseudowire", "interface", "state", "reason", "source")
	since          = desc("pseudowire_since_seconds", "Unix time of the last change of state.", "pseudowire")
	packets        = desc("packets_total", "Customer frames.", "pseudowire", "direction")
	bytes          = desc("bytes_total", "Bytes of customer frames, without outer headers.", "pseudowire", "direction")
	fragmented     = desc("fragmented_total", "Customer frames that were sent in fragments of the outer packet.", "pseudowire")
	answered       = desc("too_big_answers_total", "ICMP messages to customers that a packet is too big.", "pseudowire")
	previousCookie = desc("previous_cookie_total", "Customer frames delivered that had the previous cookie.", "pseudowire")
	gaps           = desc("sequence_gaps_total", "Sequence numbers that were skipped on receipt.", "pseudowire")
	resets         = desc("sequence_resets_total", "Times that the far end began to count anew.", "pseudowire")
	underlayMTU    = desc("pseudowire_underlay_mtu_bytes", "IP MTU of the way to the far end; absent while it is not known.", "pseudowire")
	needMTU        = desc("pseudowire_need_mtu_bytes", "IP MTU of the underlay that full frames need; absent without a far end.", "pseudowire")
	drops          = desc("drops_total", "Packets not forwarded; without pseudowire if no session claims them.", "pseudowire", "reason")
	neighborUp     = desc("bgp_neighbor_up", "1 if the BGP session is established and carries EVPN.", "neighbor", "asn")
	neighborInfo   = desc("bgp_neighbor_info", "Always 1; the state and the reason for which there is no session are labels.", "neighbor", "asn", "state", "reason")
	neighborFails  = desc("bgp_neighbor_failures_total", "Sessions, and attempts at one, that failed.", "neighbor", "asn", "reason")
	neighborFlaps  = desc("bgp_neighbor_flaps_total", "Losses of an established BGP session.", "neighbor", "asn")
	received       = desc("bgp_neighbor_routes_received", "Routes received from the neighbour.", "neighbor", "asn")
	advertised     = desc("bgp_neighbor_routes_advertised", "Routes advertised to the neighbour.", "neighbor", "asn")
	routes         = desc("routes", "Received routes by verdict.", "verdict")
	refusedRoutes  = desc("routes_refused_total", "Received routes that could not be used.", "reason")
)

// collector reads a backend at every scrape.
type collector struct{ backend api.Backend }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildInfo, problems, holding, repairs, selfTest, pseudowireUp, pseudowireInfo, since, underlayMTU, needMTU,
		packets, bytes, fragmented, answered, previousCookie, gaps, resets, drops,
		neighborUp, neighborInfo, neighborFails, neighborFlaps, received, advertised, routes, refusedRoutes, slowReceived, slowDelivered, slowDrops,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	agent := c.backend.Agent()
	gauge(ch, buildInfo, 1, agent.Version)
	gauge(ch, problems, float64(len(agent.Problems)))
	gauge(ch, holding, truth(agent.Holding))
	counter(ch, repairs, agent.Repairs)
	for _, c := range agent.SelfTest {
		if c.Result != "skipped" {
			gauge(ch, selfTest, truth(c.Result == "degraded"), c.Name)
		}
	}
	for reason, n := range agent.RefusedRoutes {
		counter(ch, refusedRoutes, n, reason)
	}
	for _, p := range c.backend.Pseudowires() {
		gauge(ch, pseudowireUp, truth(p.State == "up" || p.State == "stale"), p.Name, p.Interface)
		gauge(ch, pseudowireInfo, 1, p.Name, p.Interface, p.State, p.Reason, p.Source)
		gauge(ch, since, float64(p.Since.Unix()), p.Name)
		known(ch, underlayMTU, p.UnderlayMTU, p.Name)
		known(ch, needMTU, p.NeedMTU, p.Name)
	}
	for _, n := range c.backend.Neighbors() {
		neighbor(ch, n)
	}
	verdicts := map[string]int{api.RouteSelected: 0, api.RouteStandby: 0, api.RouteBlocked: 0, api.RouteUnused: 0}
	for _, r := range c.backend.Routes() {
		verdicts[r.Verdict]++
	}
	for verdict, n := range verdicts {
		gauge(ch, routes, float64(n), verdict)
	}
	c.traffic(ch)
}

func neighbor(ch chan<- prometheus.Metric, n api.Neighbor) {
	asn := strconv.FormatUint(uint64(n.ASN), 10)
	gauge(ch, neighborUp, truth(n.Usable()), n.Address, asn)
	gauge(ch, neighborInfo, 1, n.Address, asn, n.State, n.Reason)
	counter(ch, neighborFlaps, n.Flaps, n.Address, asn)
	gauge(ch, received, float64(n.Received), n.Address, asn)
	gauge(ch, advertised, float64(n.Advertised), n.Address, asn)
	for reason, failures := range n.Failures {
		counter(ch, neighborFails, failures, n.Address, asn, reason)
	}
}

func (c collector) traffic(ch chan<- prometheus.Metric) {
	all, err := c.backend.Counters()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(packets, err)
		return
	}
	for _, n := range all {
		for reason, dropped := range n.Drops {
			counter(ch, drops, dropped, n.Pseudowire, reason)
		}
		if n.Pseudowire == "" {
			slowPath(ch, n.SlowPath)
			continue
		}
		counter(ch, packets, n.EncapPackets, n.Pseudowire, "encap")
		counter(ch, packets, n.DecapPackets, n.Pseudowire, "decap")
		counter(ch, bytes, n.EncapBytes, n.Pseudowire, "encap")
		counter(ch, bytes, n.DecapBytes, n.Pseudowire, "decap")
		counter(ch, fragmented, n.Fragmented, n.Pseudowire)
		counter(ch, answered, n.Answered, n.Pseudowire)
		counter(ch, previousCookie, n.PreviousCookie, n.Pseudowire)
		counter(ch, gaps, n.SequenceGaps, n.Pseudowire)
		counter(ch, resets, n.SequenceResets, n.Pseudowire)
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// known is a gauge that is absent while it is 0.
func known(ch chan<- prometheus.Metric, d *prometheus.Desc, value int, labels ...string) {
	if value != 0 {
		gauge(ch, d, float64(value), labels...)
	}
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, value uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Handler answers a scrape with the metrics of a backend.
func Handler(backend api.Backend) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{backend})
	options := promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second, ErrorHandling: promhttp.ContinueOnError}
	return promhttp.HandlerFor(registry, options)
}

// Serve answers scrapes of /metrics on a listener until ctx ends.
func Serve(ctx context.Context, listener net.Listener, backend api.Backend) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Handler(backend))
	server := &http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
