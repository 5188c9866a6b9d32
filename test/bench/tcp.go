package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"longwire/test/lab"
)

// iperf3Report is what we read of iperf3's JSON output.
type iperf3Report struct {
	Error string
	End   struct {
		SumReceived struct {
			BitsPerSecond float64 `json:"bits_per_second"`
		} `json:"sum_received"`
	}
}

// parseIperf3 returns the receiver's gigabits per second.
func parseIperf3(output []byte) (float64, error) {
	var r iperf3Report
	if err := json.Unmarshal(output, &r); err != nil {
		return 0, fmt.Errorf("read the report of iperf3: %w", err)
	}
	if r.Error != "" {
		return 0, fmt.Errorf("iperf3: %s", r.Error)
	}
	if r.End.SumReceived.BitsPerSecond <= 0 {
		return 0, errors.New("iperf3: nothing was received")
	}
	return r.End.SumReceived.BitsPerSecond / 1e9, nil
}

// throughput transfers for some seconds and returns gigabits per second. The
// server needs a moment to begin, and after each client to take the next one.
func throughput(ctx context.Context, s *site, seconds int) (float64, error) {
	const patience = 3 * time.Second
	var gbps float64
	err := lab.Await(patience, func() error {
		if ctx.Err() != nil {
			return nil
		}
		client := s.ce[0].Command(ctx, "iperf3", "-c", lab.Host4(2, 0).String(),
			"-t", strconv.Itoa(seconds), "-J", "--connect-timeout", "1000")
		var complaint strings.Builder
		client.Stderr = &complaint
		output, err := client.Output()
		if err != nil && len(output) == 0 {
			return fmt.Errorf("run iperf3: %w: %s", err, strings.TrimSpace(complaint.String()))
		}
		gbps, err = parseIperf3(output)
		return err
	})
	return gbps, errors.Join(err, ctx.Err())
}

// throughputPlain is throughput while some devices are without offloads.
func throughputPlain(ctx context.Context, s *site, seconds int, plain []*offloads) (float64, error) {
	for _, o := range plain {
		if err := o.off(); err != nil {
			return 0, err
		}
	}
	gbps, err := throughput(ctx, s, seconds)
	for _, o := range plain {
		err = errors.Join(err, o.reset())
	}
	return gbps, err
}
