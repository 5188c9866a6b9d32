package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"longwire/cmd/longwire/internal/api"
)

var (
	slowReceived  = desc("slow_path_received_packets_total", "Outer packets taken from the host's stack: fragments, IP options, extension headers.")
	slowDelivered = desc("slow_path_delivered_packets_total", "Outer packets that the slow path gave to decapsulation.")
	slowDrops     = desc("slow_path_drops_total", "Outer packets that the slow path did not deliver.", "reason")
)

// slowPath shows what the slow path has counted.
func slowPath(ch chan<- prometheus.Metric, n *api.SlowPath) {
	if n == nil {
		return
	}
	counter(ch, slowReceived, n.Received)
	counter(ch, slowDelivered, n.Delivered)
	for reason, dropped := range n.Dropped() {
		counter(ch, slowDrops, dropped, reason)
	}
}
